"""The quarantine list: photos to leave out, in a text file made by ``edgeclf data check`` and edited by hand.

One photo a line: its path, a tab, and why. Lines that start with ``#`` and empty lines say nothing to training.
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

WHAT = "a quarantine list"
_HEAD = "# Photos that `edgeclf train --quarantine` leaves out: path, tab, reason."
_SAYS = (
    f"{_HEAD}\n"
    "# Delete a line to keep its photo. What you write here stays; `edgeclf data check` only adds what is new to it,\n"
    "# and knows by the lines with #: what it has added before.\n"
)
_ADDED = "#: "
_PER_LINE = 6


@dataclass(frozen=True)
class Written:
    """What became of a list: photos that were added to it, and photos left as a person decided, deleted or not."""

    added: int
    kept: int


def write_quarantine(file: PathLike, reasons: Mapping[Path, str]) -> Written:
    """Write a list, sorted by path; add to one that is there already, and leave all that a person wrote as it is.

    A photo whose line was edited, put behind a ``#`` or deleted is not added again.

    Raises:
        UsageError: the file is there and is no quarantine list.
        DataError: it cannot be read or written.
    """
    file = Path(file)
    check_writable(file, is_list, WHAT)
    before = _lines(file) if os.path.lexists(file) else []
    listed = {absolute(name) for name, _ in _entries(line.lstrip("# ") for line in before)}
    marks = {mark for line in before if line.startswith(_ADDED) for mark in line[len(_ADDED) :].split()}
    new = {path: why for path, why in sorted(reasons.items()) if path not in listed and _mark(path) not in marks}
    if before and not new:
        return Written(0, len(reasons))
    lines = [*before] if before else _SAYS.splitlines()
    lines += (f"{path}\t{' '.join(why.split())}" for path, why in new.items())
    unmarked = sorted({_mark(path) for path in reasons if path in listed or path in new} - marks)
    lines += (_ADDED + " ".join(unmarked[i : i + _PER_LINE]) for i in range(0, len(unmarked), _PER_LINE))
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    try:
        write_over(file, lambda f: f.write(data), is_list, WHAT)
    except OSError as error:
        raise DataError(
            f"{file}: cannot be written ({error.strerror})", "choose another file with --quarantine"
        ) from error
    return Written(len(new), len(reasons) - len(new))


def read_quarantine(file: PathLike) -> dict[Path, str]:
    """Absolute paths and why each is to be left out; relative paths count from the current folder.

    Raises:
        DataError: the file cannot be read, or is no text.
    """
    file = Path(file)
    text = _text(file)
    if "\0" in text:  # a photo, say
        raise DataError(f"{file}: is no quarantine list, but a file of another kind", "check what --quarantine names")
    return {absolute(name): reason or "no reason given" for name, reason in _entries(text.split("\n"))}


def _entries(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, reason = line.rstrip("\r").rpartition("\t") if "\t" in line else (line.strip(), "", "")
        if name and not name.startswith("#"):
            yield name, reason


def is_list(file: str) -> bool:
    """Whether a file is a quarantine list: by its head, or by hand with nothing but photos; or it is empty."""
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
