"""Class folders: which photo lies in the folder of which class of a model."""

import difflib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from edgeclf.errors import UsageError
from edgeclf.files import UNSORTED, image_files
from edgeclf.image import SUFFIXES

VAL_NAMES = ("val", "valid", "validation")
_SPLITS = {"test": ("test",), "val": VAL_NAMES, "train": ("train",)}  # --split -> folder names
_RECORDED = {"test": "test", "val": "validation", "train": "training"}
_TOLD = 3  # unknown folders told one by one


@dataclass(frozen=True)
class ClassFolders:
    """Labelled photos.

    Attributes:
        split: "test", "validation", "training", or "all" where the data folder is not split.
        folder: where the class folders lie.
        photos: path and class index of each photo, class by class.
        absent: classes without a photo, in class order.
        ignored: folders that are no class of the model, by name.
        loose: photos beside the class folders, which nobody can say the class of.
    """

    split: str
    folder: Path
    photos: tuple[tuple[str, int], ...]
    absent: tuple[str, ...]
    ignored: tuple[str, ...]
    loose: int


def find_class_folders(
    data: Path, classes: Sequence[str], *, split: str | None = None, ignore_unknown: bool = False
) -> ClassFolders:
    """Find the photos of a model's classes.

    Args:
        data: a folder of class folders, or one with test/, val/ or train/ inside.
        classes: class names in index order; folders map to them by name.
        split: "test", "val" or "train"; if None, test/ where there is one, else val/, else ``data`` itself.
        ignore_unknown: leave out folders that are no class of the model.

    Raises:
        UsageError: a folder is missing, cannot be read, lies in ``_unsorted``, or is no class of the model; there are
            no photos; ``split`` is no split.
    """
    index = class_index(classes)
    folder, chosen = _choose(data, index, split)
    folders = _folders(folder)
    unknown = tuple(name for name in folders if index(name) is None)
    if unknown and not ignore_unknown:
        raise _unknown(folder, unknown, classes)
    photos: list[tuple[str, int]] = []
    for name in folders:
        if (number := index(name)) is not None:
            photos += ((path, number) for path in image_files(str(folder / name), _refuse))
    if not photos:
        what = "no images in the class folders" if len(folders) > len(unknown) else "no folder of a class of the model"
        raise UsageError(f"{folder}: {what}", "give a folder with one sub-folder of photos per class")
    photos.sort(key=lambda photo: photo[1])  # stable: class by class, each in the order found
    found = {number for _, number in photos}
    absent = tuple(name for number, name in enumerate(classes) if number not in found)
    loose = sum(
        not e.name.startswith(".") and os.path.splitext(e.name)[1].lower() in SUFFIXES and os.path.isfile(e.path)
        for e in os.scandir(folder)
    )
    return ClassFolders(_RECORDED.get(chosen, "all"), folder, tuple(photos), absent, unknown, loose)


def class_index(classes: Sequence[str]) -> Callable[[str], int | None]:
    """A look-up of class indices by folder name, None for no class.

    macOS takes names apart into letters and accents, other systems keep them together: both are the same name.
    """
    exact = {name: number for number, name in enumerate(classes)}
    composed = {unicodedata.normalize("NFC", name): number for number, name in enumerate(classes)}

    def find(name: str) -> int | None:
        return exact.get(name, composed.get(unicodedata.normalize("NFC", name)))

    return find


def _choose(data: Path, index: Callable[[str], int | None], split: str | None) -> tuple[Path, str]:
    """The folder that holds the class folders, and the split it is ("" for none)."""
    if split is not None and split not in _SPLITS:
        raise UsageError(f"split is {split!r}", f"choose from {', '.join(_SPLITS)}")
    if UNSORTED in (*Path(os.path.abspath(data)).parts, *Path(os.path.realpath(data)).parts):
        raise UsageError(f"{data}: its photos are not sorted, the folders are guesses", "name class folders beside it")
    names = _folders(data)
    there = {
        wanted: next((name for name in known if name in names and index(name) is None), None)  # a class may be "test"
        for wanted, known in _SPLITS.items()
    }
    if split is not None:
        if (name := there[split]) is None:
            others = [name for name, folder in there.items() if folder]
            hint = f"it has {', '.join(others)}" if others else "leave out --split: it has class folders only"
            raise UsageError(f"{data}: no folder {split}", hint)
        return data / name, split
    for wanted in ("test", "val"):
        if (name := there[wanted]) is not None:
            return data / name, wanted
    if there["train"] is not None:
        raise UsageError(
            f"{data}: holds train, but neither test nor val",
            "--split train counts photos the network has learned from, which flatters it",
        )
    return data, ""


def _folders(folder: Path) -> list[str]:
    """Visible folders inside a folder, sorted; ``_unsorted`` and links that lead back are left out."""
    try:
        names = sorted(
            e.name
            for e in os.scandir(folder)
            if not e.name.startswith(".") and e.name != UNSORTED and os.path.isdir(e.path)
        )
    except FileNotFoundError:
        raise UsageError(f"{folder}: no such folder", "check the name") from None
    except NotADirectoryError:
        raise UsageError(
            f"{folder}: is not a folder", "give a folder with one sub-folder of photos per class"
        ) from None
    except OSError as error:
        _refuse(error)
    real = os.path.realpath(folder)
    return [name for name in names if not (real + os.sep).startswith(os.path.realpath(folder / name) + os.sep)]


def _refuse(error: OSError) -> NoReturn:
    """A folder passed over in silence would make the figures wrong."""
    raise UsageError(f"{error.filename}: the folder cannot be read ({error.strerror})", "check its permissions")


def _unknown(folder: Path, unknown: Sequence[str], classes: Sequence[str]) -> UsageError:
    told = []
    folded = {name.casefold(): name for name in classes}
    for name in unknown[:_TOLD]:
        close = [folded[near] for near in difflib.get_close_matches(name.casefold(), folded, 2)]
        told.append(name + (f" (nearest: {', '.join(close)})" if close else ""))
    more = f" and {len(unknown) - _TOLD} more" if len(unknown) > _TOLD else ""
    example = "" if any("nearest" in one for one in told) else f"it has, for example, {', '.join(classes[:3])}; "
    return UsageError(
        f"{folder}: the model has no class {', '.join(told)}{more}",
        f"{example}rename the folder, or leave such folders out with --ignore-unknown",
    )
