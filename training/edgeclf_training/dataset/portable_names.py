"""File and folder names that do not work, or mean something else, on another operating system or file system."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgeclf.class_names import alike

MAX_NAME_BYTES = 143  # the limit in an encrypted home folder on Linux
MAX_PATH = 240  # characters, from the data folder on; Windows allows 260 in all
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_FORBIDDEN = set('<>:"|?*\\')

Case = tuple[tuple[Path, ...], str]


def odd_names(roots: Sequence[Path], files: Iterable[Path]) -> Iterator[tuple[str, str, list[Case]]]:
    """Find such names of files, and of folders between them and their data folder.

    Args:
        roots: the data folders.
        files: files in them.

    Returns:
        For each kind of problem: its key, its description, and the cases, each with paths and a detail.
    """
    bases = [Path(root).absolute() for root in roots]
    places: dict[Path, str] = {}
    for file in files:
        base = next((b for b in bases if file.is_relative_to(b)), file.parent)
        for path in (file, *file.parents):
            if path == base or path in places:
                break
            places[path] = path.relative_to(base).as_posix()
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in sorted(places):
        groups[path.parent, alike(path.name)].append(path)
    yield (
        "name-collisions",
        "names that are the same on Windows or macOS, or look the same",
        [(tuple(paths), "") for paths in groups.values() if len(paths) > 1],
    )
    yield (
        "names-not-nfc",
        "names in decomposed Unicode (NFD): other systems sort and compare them differently",
        [((p,), "") for p in sorted(places) if not unicodedata.is_normalized("NFC", p.name)],
    )
    yield (
        "names-not-portable",
        "names that Windows or another file system does not allow",
        [((p,), why) for p, place in sorted(places.items()) if (why := _refused(p.name, place))],
    )


def _refused(name: str, place: str) -> str:
    if name != name.rstrip(" ."):
        return "ends in a space or a dot"
    if name.split(".")[0].rstrip().casefold() in _RESERVED:
        return "a reserved name on Windows"
    if any(c in _FORBIDDEN or ord(c) < 32 for c in name):
        return "has a character that Windows does not allow"
    if any("\ud800" <= c <= "\udfff" for c in name):
        return "is not valid Unicode"
    if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES or len(place) > MAX_PATH:
        return "too long"
    return ""
