"""Folders with trays of photos to sort; the photos hold their own names, and are no images."""

from pathlib import Path

from edgeclf.field.sort_journal import JOURNAL
from edgeclf.field.sorting import SortFolder

LABELS = ("gentoo", "king", "a:b")


def tray(folder: Path, *names: str) -> SortFolder:
    for name in names:
        path = folder / "_unsorted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return SortFolder(folder, LABELS, {"king": "König"})


def id_of(folder: SortFolder, name: str) -> str:
    return next(photo.id for photo in folder.photos() if f"{photo.tray}/{photo.name}" == name)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != JOURNAL)
