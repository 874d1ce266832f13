"""The folder for what edgeclf can make again at any time: unpacked zips and results of scans. No user data is moved."""

import os
import sys
from pathlib import Path

VARIABLE = "EDGECLF_CACHE"


def cache_folder() -> Path:
    """``$EDGECLF_CACHE``, or the platform's own per-user cache folder; the function does not create it."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edgeclf"
