"""Arguments that are paths: strings or ``Path`` objects, one or several."""

import os
from collections.abc import Iterable
from pathlib import Path

PathLike = str | os.PathLike[str]


def as_paths(given: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    """All paths as a tuple; a string is one path, not a sequence of letters."""
    return (Path(given),) if isinstance(given, (str, os.PathLike)) else tuple(map(Path, given))
