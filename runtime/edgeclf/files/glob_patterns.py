"""Glob patterns that also work with brackets in folder names (``card [2024]``) and leave out what is never a photo."""

import glob
import os
from collections.abc import Callable

from edgeclf.files.photo_names import is_ignored


def is_pattern(argument: str) -> bool:
    """Whether an argument is a pattern: it has ``*``, ``?`` or ``[``, and no file of this name exists."""
    return glob.has_magic(argument) and "://" not in argument and not os.path.lexists(argument)


def matching(pattern: str, progress: Callable[[], None]) -> list[str]:
    """Files that a pattern matches, sorted.

    The first folders of the pattern are taken literally if they exist. If nothing matches, brackets are taken as plain
    characters. ``**`` follows links to folders, also in circles: each file is returned once.

    Args:
        pattern: with ``*``, ``?``, ``[...]``, and ``**`` for any folders.
        progress: called for each file.

    Returns:
        Their paths.
    """
    literal, rest = _split(pattern)
    return _matches(literal, rest, progress) or _matches(literal, rest.replace("[", "[[]"), progress)


def _split(pattern: str) -> tuple[str, str]:
    """Split a pattern into its first folders, as far as they exist literally, and the rest."""
    drive, tail = os.path.splitdrive(pattern)
    separators = [place for place, character in enumerate(tail) if character in (os.sep, os.altsep)]
    for place in reversed(separators):
        if os.path.isdir(drive + tail[: place + 1]):
            return drive + tail[: place + 1], tail[place + 1 :]
    return drive, tail


def _matches(literal: str, rest: str, progress: Callable[[], None]) -> list[str]:
    # An ignored name such as @eaDir matches if the pattern names it.
    named = set(rest.replace(os.altsep or os.sep, os.sep).split(os.sep))
    found: dict[tuple[str, str], str] = {}
    places: dict[str, str] = {}  # one string for each folder, not for each file in it
    for name in glob.iglob(glob.escape(literal) + rest, recursive=True):
        progress()
        parts = name[len(literal) :].split(os.sep)
        if os.path.isdir(name) or any(is_ignored(part) and part not in named for part in parts):
            continue
        parent, base = os.path.split(name)
        if parent not in places:
            places[parent] = os.path.realpath(parent)
        file = places[parent], base
        found[file] = min(name, found.get(file, name), key=lambda path: (len(path), path))
    return sorted(found.values())
