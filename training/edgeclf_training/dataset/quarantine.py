"""The quarantine list: photos to leave out, in a text file made by ``edgeclf data check`` and edited by hand.

One photo a line: its path, a tab, and why. Training ignores empty lines and lines that start with ``#``.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeclf.errors import DataError
from edgeclf.files.atomic_write import check_writable, write_over
from edgeclf.files.paths import PathLike
from edgeclf.files.photo_names import is_photo_name

from edgeclf_training.dataset.scan import absolute
from edgeclf_training.dataset.text_files import decoded

FILE_KIND = "a quarantine list"
_HEAD = "# Photos that `edgeclf train --quarantine` leaves out: path, tab, reason."
_HEADER = (
    f"{_HEAD}\n"
    "# Delete a line to keep its photo. Your changes stay: `edgeclf data check` only adds new photos.\n"
    "# The lines that start with #: record what it has added before.\n"
)
_MARKS = "#: "
_MARKS_PER_LINE = 6


@dataclass(frozen=True)
class Written:
    """Result of writing a list.

    Attributes:
        added: photos that were added.
        kept: photos that were listed or deleted before, and were left as they are.
    """

    added: int
    kept: int


def write_quarantine(file: PathLike, reasons: Mapping[Path, str]) -> Written:
    """Write a list sorted by path. If the file exists, only add photos to it; all lines in it stay.

    A photo whose line was edited, commented out with ``#`` or deleted is not added again.

    Args:
        file: the list.
        reasons: absolute paths, each with the reason to leave the photo out.

    Raises:
        UsageError: the file exists and is not a quarantine list.
        DataError: it cannot be read or written.
    """
    file = Path(file)
    check_writable(file, is_list, FILE_KIND)
    before = _lines(file) if os.path.lexists(file) else []
    listed = {absolute(name) for name, _ in _entries(line.lstrip("# ") for line in before)}
    marks = {mark for line in before if line.startswith(_MARKS) for mark in line[len(_MARKS) :].split()}
    new = {path: why for path, why in sorted(reasons.items()) if path not in listed and _mark(path) not in marks}
    if before and not new:
        return Written(0, len(reasons))
    lines = [*before] if before else _HEADER.splitlines()
    lines += (f"{path}\t{' '.join(why.split())}" for path, why in new.items())
    unmarked = sorted({_mark(path) for path in reasons if path in listed or path in new} - marks)
    lines += (_MARKS + " ".join(unmarked[i : i + _MARKS_PER_LINE]) for i in range(0, len(unmarked), _MARKS_PER_LINE))
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    try:
        write_over(file, lambda f: f.write(data), is_list, FILE_KIND)
    except OSError as error:
        raise DataError(
            f"{file}: cannot be written ({error.strerror})", "choose another file with --quarantine"
        ) from error
    return Written(len(new), len(reasons) - len(new))


def read_quarantine(file: PathLike) -> dict[Path, str]:
    """Read a list.

    Returns:
        Absolute paths, each with the reason to leave the photo out. Relative paths start at the current folder.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    file = Path(file)
    text = _text(file)
    if "\0" in text:  # for example a photo
        raise DataError(f"{file}: is not a quarantine list", "check the path given to --quarantine")
    return {absolute(name): reason or "no reason given" for name, reason in _entries(text.split("\n"))}


def _entries(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, reason = line.rstrip("\r").rpartition("\t") if "\t" in line else (line.strip(), "", "")
        if name and not name.startswith("#"):
            yield name, reason


def is_list(file: str) -> bool:
    """Whether a file is a quarantine list: it has our header, or it names only photos, or it is empty."""
    text = _text(Path(file))
    names = [name for name, _ in itertools.islice(_entries(text.split("\n")), 100)]
    by_hand = bool(names) and all(map(is_photo_name, names))
    return "\0" not in text and (text.startswith(_HEAD) or by_hand or not text.strip())


def _lines(file: Path) -> list[str]:
    lines = _text(file).split("\n")
    return lines if lines[-1] else lines[:-1]


def _text(file: Path) -> str:
    try:
        return decoded(file.read_bytes(), "surrogateescape")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})", "check the path given to --quarantine") from error


def _mark(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
