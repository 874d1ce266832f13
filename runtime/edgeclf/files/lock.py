"""One process at a time: a lock on an open file that ends with the process, however it ends."""

import os
import sys
from pathlib import Path
from typing import IO

from edgeclf.errors import RecordError

_FAR = 2**62  # Windows locks bytes, and bars others from reading them: one that no file ever has


def lock(file: IO[bytes], path: Path) -> None:
    """Lock a file, or go on without where the file system knows no locks.

    Raises:
        RecordError: another process has it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            position = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            os.lseek(file.fileno(), _FAR, os.SEEK_SET)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(file.fileno(), position, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RecordError(f"{path}: another edgeclf is writing to it", "end that one, or name another file") from error
    except OSError:  # no locks on this file system
        return
