"""Writing files so that nobody ever sees half of one, and finding image files."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from edgeclf.errors import PhotoError
from edgeclf.image import SUFFIXES
from edgeclf.reading import patiently, read_start

OVERLAY_ENDING = "-cam.jpg"
OVERLAY_MARK = b"edgeclf heat map"  # JPEG comment of every overlay in a folder

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


def image_files(folder: str, onerror: Callable[[OSError], Any] | None = None) -> Iterator[str]:
    """Photos below a folder: what has an image suffix, sorted within each folder, hidden files and overlays left out.

    Args:
        folder: links to further folders inside it are not followed.
        onerror: called for a folder that cannot be listed, which is passed over without it.

    Raises:
        PhotoError: "timeout": the disk does not answer.
    """
    walk = os.walk(folder, onerror=onerror)
    while (found := patiently(lambda _: next(walk, None), folder)) is not None:
        parent, folders, files = found
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or os.path.splitext(name)[1].lower() not in SUFFIXES:
                continue
            path = os.path.join(parent, name)
            if not (name.endswith(OVERLAY_ENDING) and is_overlay(path)):
                yield path


def is_overlay(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a heat map of ours drawn on a photo, which may be replaced and need not be classified."""
    try:
        return OVERLAY_MARK in read_start(os.fspath(path), 256)
    except PhotoError:
        return False
