"""Turns off the telemetry and update checks of libraries, so that nothing is sent from the machine.

Each library reads an environment variable while it is imported, so the variable must be set before. It stays set, and
child processes inherit it.
"""

import os

_ENVIRONMENT_VARIABLES = {
    # Since 1.29 it keeps a device id and a queue of events under ~/.cache, and sends them from a thread.
    "onnxruntime": ("ORT_DISABLE_TELEMETRY", "1"),
    "albumentations": ("NO_ALBUMENTATIONS_UPDATE", "1"),  # checks for a new version
    # edgeclf does not use these two; other libraries import them if they are installed.
    "huggingface_hub": ("HF_HUB_DISABLE_TELEMETRY", "1"),
    "ray": ("RAY_USAGE_STATS_ENABLED", "0"),
}


def disable_telemetry(*libraries: str) -> None:
    """Set the environment variables, before the libraries are imported; earlier values are overwritten.

    Args:
        libraries: names of libraries; all known ones if none is given.
    """
    os.environ.update(_ENVIRONMENT_VARIABLES[name] for name in libraries or _ENVIRONMENT_VARIABLES)
