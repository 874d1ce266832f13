"""Writing files so that nobody ever sees half of one, and finding image files."""

import contextlib
import heapq
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from edgeclf.errors import PhotoError
from edgeclf.image import SUFFIXES
from edgeclf.reading import patiently, read_start

OVERLAY_ENDING = "-cam.jpg"
OVERLAY_MARK = b"edgeclf heat map"  # JPEG comment of every overlay in a folder
UNSORTED = "_unsorted"  # photos nobody has looked at yet, beside class folders: never trained on, never counted
_NAMES = 5_000  # of one folder, that are held in memory at once

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
    temporary = _written(path.parent, write)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_new(path: Path, write: Callable[[IO[bytes]], Any]) -> bool:
    """``write_atomically``, but never over another file: False, and nothing is written, if there is one by now."""
    temporary = _written(path.parent, write)
    try:
        if os.name == "nt":
            os.rename(temporary, path)  # refuses to replace
            return True
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # memory cards know no links; between a look and a step another process might slip in
            if path.exists():
                raise FileExistsError from None
            os.rename(temporary, path)
        return True
    except FileExistsError:
        return False
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def sync_folder(folder: Path) -> None:
    """Make the names of new files in a folder outlive a power cut, where folders can be opened."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # folders one may only write to; some network mounts
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _written(folder: Path, write: Callable[[IO[bytes]], Any]) -> str:
    """A whole file on the disk, under a temporary name."""
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".edgeclf-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp's 0600 would hide the file from everyone else
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def image_files(folder: str, onerror: Callable[[OSError], Any] | None = None) -> Iterator[str]:
    """Photos below a folder: what has an image suffix, sorted within each folder, hidden files and overlays left out.

    Args:
        folder: links to further folders inside it are not followed.
        onerror: called for a folder that cannot be listed, which is passed over without it.

    Raises:
        PhotoError: "timeout": the disk does not answer.
    """
    waiting = [folder]
    while waiting:
        parent, after = waiting.pop(), ""
        folders: list[str] | None = None
        while True:
            try:
                names, inside = patiently(partial(_next_names, parent, after), folder)
            except OSError as error:
                if onerror:
                    onerror(error)
                break
            folders = inside if folders is None else folders
            for name in names:
                path = os.path.join(parent, name)
                if not (name.endswith(OVERLAY_ENDING) and is_overlay(path)):
                    yield path
            if len(names) < _NAMES:
                break
            after = names[-1]
        waiting += reversed(folders or [])


def _next_names(parent: str, after: str, progress: Callable[[], None]) -> tuple[list[str], list[str]]:
    """The first images in a folder whose names sort behind ``after``, and the folders in it, sorted.

    A folder of 100,000 photos is read twenty times over: two seconds, in the minutes that they take. All its names at
    once would be most of what its photos cost in memory.
    """
    folders = []

    def images() -> Iterator[str]:
        with os.scandir(parent) as entries:
            for entry in entries:
                progress()
                if entry.name.startswith("."):
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError:
                    is_folder = False
                if is_folder:
                    if not entry.is_symlink():
                        folders.append(entry.path)
                elif entry.name > after and os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    yield entry.name

    return heapq.nsmallest(_NAMES, images()), sorted(folders)


def is_overlay(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a heat map of ours drawn on a photo, which may be replaced and need not be classified."""
    try:
        return OVERLAY_MARK in read_start(os.fspath(path), 256)
    except PhotoError:
        return False
