"""Data folders that are a split by their name: ``edgeclf train photos/train photos/val``, or birds-val-0001.tar."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from edgeclf.class_names import several
from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import HELD_OUT, split_of
from edgeclf.files.in_tar import is_tar


def held_out_roots(roots: Sequence[Path]) -> dict[Path, str]:
    """The data folders that hold validation or test photos by their name, with "val" or "test".

    A single data folder is none of them: the user wants to train on it.

    Raises:
        DataError: all of several data folders are.
    """
    splits = {root: split_of_name(root) for root in roots}
    held_out = {root: split for root, split in splits.items() if split in HELD_OUT}
    if len(splits) == 1:
        return {}
    if held_out and len(held_out) == len(splits):
        raise DataError(
            f"{several([str(r) for r in held_out])}: validation or test folders, but no training folder",
            folder_above(roots[0]),
        )
    return held_out


def split_of_name(path: Path) -> str:
    """The split that the name of a folder stands for, or ""; of a .tar, its last word: birds-val-0001.tar."""
    name = os.path.basename(os.path.abspath(path))
    if not is_tar(path):
        return split_of(name) or ""
    name = re.sub(r"[\W_\d]*$", "", Path(name).stem)
    return split_of(name) or split_of(re.split(r"[\W_]", name)[-1]) or ""


def used_as(root: Path, split: str) -> str:
    """The note about a data folder whose name decided."""
    return f"{root}: used as the {split} folder, because of its name"


def folder_above(path: Path) -> str:
    """The remedy where parts of a data folder were given instead of the whole."""
    return f"give the folder above: edgeclf train {shlex.quote(os.path.dirname(os.path.abspath(path)))}"
