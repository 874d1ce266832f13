"""A lock on an open file, so that one process at a time writes to it. It ends with the process."""

import os
import sys
from pathlib import Path
from typing import IO

from edgeclf.errors import RecordError

_LOCKED_BYTE = 2**62  # position; on Windows others cannot read locked bytes, so it is beyond the end of any file


def lock(file: IO[bytes], path: Path) -> None:
    """Lock a file; does nothing if the file system has no locks.

    Raises:
        RecordError: another process has locked it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            position = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(file.fileno(), position, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RecordError(f"{path}: another edgeclf is writing to it", "stop it, or name another file") from error
    except OSError:  # no locks on this file system
        return
