"""Arguments that are paths: strings or ``Path`` objects, one or several."""

import os
from collections.abc import Iterable
from pathlib import Path

PathLike = str | os.PathLike[str]


def as_paths(given: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    """All paths as a tuple; a string is one path, not a sequence of letters."""
    return (Path(given),) if isinstance(given, (str, os.PathLike)) else tuple(map(Path, given))


def in_folder(folder: str, text: str) -> str:
    """A path that a list gives, counted from ``folder``, as this system writes it.

    Lists are made on Windows, too, with backslashes. Elsewhere a backslash may be a part of a name: a file of the very
    name goes first.
    """
    path = os.path.join(folder, text)
    if "\\" not in text or os.sep == "\\" or os.path.lexists(path):
        return path
    return os.path.join(folder, text.replace("\\", "/"))
