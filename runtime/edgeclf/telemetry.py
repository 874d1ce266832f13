"""Turns off the telemetry and update checks of libraries, so that nothing is sent from the machine.

Each library reads an environment variable while it is imported, so the variable must be set before. It stays set, and
child processes inherit it.
"""

import os
import sys

_ENVIRONMENT_VARIABLES = {
    # Since 1.29 it keeps a device id and a queue of events under ~/.cache, and sends them from a thread.
    "onnxruntime": ("ORT_DISABLE_TELEMETRY", "1"),
    "albumentations": ("NO_ALBUMENTATIONS_UPDATE", "1"),  # checks for a new version
    # edgeclf does not use these two; other libraries import them if they are installed.
    "huggingface_hub": ("HF_HUB_DISABLE_TELEMETRY", "1"),
    "ray": ("RAY_USAGE_STATS_ENABLED", "0"),
}
# Packages that only send usage data, by the library that imports them and does without them if it must.
_SENDERS = {"openvino": "openvino_telemetry"}


def disable_telemetry(*libraries: str) -> None:
    """Set the environment variables, before the libraries are imported; earlier values are overwritten.

    A package that only sends cannot be imported afterwards.

    Args:
        libraries: names of libraries; all known ones if none is given.
    """
    chosen = libraries or (*_ENVIRONMENT_VARIABLES, *_SENDERS)
    os.environ.update(_ENVIRONMENT_VARIABLES[name] for name in chosen if name in _ENVIRONMENT_VARIABLES)
    for name in chosen:
        if name in _SENDERS:
            sys.modules.setdefault(_SENDERS[name], None)  # type: ignore[arg-type]
