"""Where edgeclf keeps what it can always make again: unpacked zips and scan results. Never anything of the user's."""

import os
import sys
from pathlib import Path

VARIABLE = "EDGECLF_CACHE"


def cache_folder() -> Path:
    """``$EDGECLF_CACHE``, or the platform's own per-user cache folder; not created here."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edgeclf"
