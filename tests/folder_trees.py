"""Folders of empty photo files, for tests of how data folders are read."""

from collections.abc import Iterable
from pathlib import Path

PAIR = ("cat", "dog")


def tree(root: Path, folders: str | Iterable[str], photos: int = 1) -> Path:
    """Folders with photos in them ("a/" stays empty, "a.txt" is a file); nothing here opens a photo."""
    for name in folders.split() if isinstance(folders, str) else folders:
        if name.endswith(".txt"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
            continue
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(0 if name.endswith("/") else photos):
            (root / name / f"{number}.jpg").touch()
    return root


def both(*parts: str) -> str:
    """Each part with the two classes: "train/cat train/dog"."""
    return " ".join(f"{part}/{label}" for part in parts for label in PAIR)
