"""Paths as people give them to functions: texts or ``Path`` objects, one or several."""

import os
from collections.abc import Iterable
from pathlib import Path

PathLike = str | os.PathLike[str]


def as_paths(given: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    """All of them; one text is one path, not its letters."""
    return (Path(given),) if isinstance(given, (str, os.PathLike)) else tuple(map(Path, given))
