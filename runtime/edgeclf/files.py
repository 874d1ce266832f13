"""Writing files so that nobody ever sees half of one, and finding image files."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from edgeclf.image import SUFFIXES

_UMASK = os.umask(0o077)  # can only be read by setting it: once, here, before there are threads to race with
os.umask(_UMASK)


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name in the same folder, flush it to disk, then rename it into place.

    Args:
        path: what to create or replace.
        write: writes the content to the binary file it is given.

    Raises:
        OSError: the folder cannot be written; nothing is left behind then, and an existing file stays as it was.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".edgeclf-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp's 0600 would hide the file from everyone else
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def image_files(folder: str) -> Iterator[str]:
    """Files with an image suffix below a folder, sorted within each folder; what is hidden is left out."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.join(parent, name)
