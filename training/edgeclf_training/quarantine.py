"""The quarantine list: photos to leave out, in a text file made by ``edgeclf data check`` and edited by hand.

One photo a line: its path, a tab, and why. Lines that start with ``#`` and empty lines say nothing.
"""

from collections.abc import Mapping
from pathlib import Path

from edgeclf.errors import DataError
from edgeclf.files import write_atomically

from edgeclf_training.scan import absolute

_HEAD = (
    "# Photos that `edgeclf train --quarantine` leaves out: path, tab, reason.\n# Delete a line to keep its photo.\n"
)


def write_quarantine(file: Path, reasons: Mapping[Path, str]) -> None:
    """Write a list, sorted by path.

    Raises:
        DataError: the file cannot be written.
    """
    lines = "".join(f"{path}\t{' '.join(reason.split())}\n" for path, reason in sorted(reasons.items()))
    try:
        write_atomically(file, lambda f: f.write((_HEAD + lines).encode("utf-8", "surrogateescape")))
    except OSError as error:
        raise DataError(
            f"{file}: cannot be written ({error.strerror})", "choose another file with --quarantine"
        ) from error


def read_quarantine(file: Path) -> dict[Path, str]:
    """Absolute paths and why each is to be left out; relative paths count from the current folder.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})", "check the path given to --quarantine") from error
    reasons = {}
    for line in text.split("\n"):
        name, _, reason = line.rstrip("\r").rpartition("\t") if "\t" in line else (line.strip(), "", "")
        if name and not name.startswith("#"):
            reasons[absolute(name)] = reason or "no reason given"
    return reasons
