"""Nothing leaves the machine: libraries that count their users or look for news are told not to.

Each reads its switch while it is imported, so that it must be set before. It stays set: child processes take it over.
"""

import os

_SWITCHES = {
    # From 1.29 on it keeps a device id and a queue of events under ~/.cache, and sends them from a thread of its own.
    "onnxruntime": ("ORT_DISABLE_TELEMETRY", "1"),
    "albumentations": ("NO_ALBUMENTATIONS_UPDATE", "1"),  # asks for its newest version
    # Nothing here needs these two; other libraries import them where they are installed.
    "huggingface_hub": ("HF_HUB_DISABLE_TELEMETRY", "1"),
    "ray": ("RAY_USAGE_STATS_ENABLED", "0"),
}


def hush(*libraries: str) -> None:
    """Set the switches of libraries about to be imported (all known ones if none is named), whatever they were set to.

    A library that was imported earlier has read its switch already.
    """
    os.environ.update(_SWITCHES[name] for name in libraries or _SWITCHES)
