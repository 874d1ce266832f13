"""Globs as people mean them: a folder called ``card [2024]`` is one, and what is never a photo does not match."""

import glob
import os
from collections.abc import Callable

from edgeclf.files.photo_names import is_ignored


def is_pattern(argument: str) -> bool:
    """Whether an argument stands for the files that it matches: it has ``*``, ``?`` or ``[``, and is none itself."""
    return glob.has_magic(argument) and "://" not in argument and not os.path.lexists(argument)


def matching(pattern: str, progress: Callable[[], None]) -> list[str]:
    """Files that a glob matches, sorted.

    What exists under the very name of its first folders is meant. If nothing matches, brackets are taken as characters.
    ``**`` follows links to folders, in circles too: each file counts once.

    Args:
        pattern: with ``*``, ``?``, ``[...]``, and ``**`` for any folders.
        progress: called for each file.
    """
    literal, rest = _split(pattern)
    return _matches(literal, rest, progress) or _matches(literal, rest.replace("[", "[[]"), progress)


def _split(pattern: str) -> tuple[str, str]:
    """The folders a pattern begins with that exist by name, and what is left to match."""
    drive, tail = os.path.splitdrive(pattern)
    separators = [place for place, character in enumerate(tail) if character in (os.sep, os.altsep)]
    for place in reversed(separators):
        if os.path.isdir(drive + tail[: place + 1]):
            return drive + tail[: place + 1], tail[place + 1 :]
    return drive, tail


def _matches(literal: str, rest: str, progress: Callable[[], None]) -> list[str]:
    named = set(rest.replace(os.altsep or os.sep, os.sep).split(os.sep))  # @eaDir, if it is in the pattern
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
