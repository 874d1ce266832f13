"""A lock on an open file or a folder, so that one process at a time writes to it. It ends with the process."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgeclf.errors import RecordError

_LOCKED_BYTE = 2**62  # position; on Windows others cannot read locked bytes, so it is beyond the end of any file


def lock(file: IO[bytes] | int, path: Path) -> None:
    """Lock an open file, or what a descriptor has open; does nothing if the file system has no locks.

    Raises:
        RecordError: another process has locked it.
    """
    descriptor = file if isinstance(file, int) else file.fileno()
    try:
        if sys.platform == "win32":
            import msvcrt

            position = os.lseek(descriptor, 0, os.SEEK_CUR)
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(descriptor, position, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RecordError(f"{path}: another edgeclf is writing to it", "stop it, or name another file") from error
    except OSError:  # no locks on this file system
        return


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock an existing folder, without a file in it; does nothing if the file system has no locks.

    Raises:
        RecordError: somebody else, in this process or another one, has locked it.
    """
    try:
        descriptor = _open_for_lock(folder)
    except OSError:  # a folder without read permission, on some network mounts any; as on file systems without locks
        descriptor = None
    try:
        if descriptor is not None:
            lock(descriptor, folder)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_for_lock(folder: Path) -> int:
    if sys.platform == "win32":  # cannot open folders: an empty file elsewhere, which stays, stands for this one
        import tempfile

        name = os.path.normcase(os.path.realpath(folder))
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return os.open(os.path.join(tempfile.gettempdir(), f"edgeclf-{digest[:16]}.lock"), os.O_RDWR | os.O_CREAT)
    return os.open(folder, os.O_RDONLY)
