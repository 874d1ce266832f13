"""Writing files atomically: no reader sees half a file, and no file is overwritten that edgeclf did not make.

Hard links and flushing are optional: a file system that does not have them is written without.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from edgeclf.errors import UsageError

IsOurs = Callable[[str], bool]  # whether edgeclf made a regular file, of the kind that is to be written

_FLUSH_UNSUPPORTED = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY))
_MAX_ATTEMPTS = 100  # to create a file whose name other processes create and delete meanwhile


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name in the same folder, flush it to disk, then rename it into place.

    It replaces any existing file: for files in folders that edgeclf manages. For a name that the user gave, see
    ``write_over``.

    Args:
        path: what to create or replace.
        write: writes the content to the binary file that it gets.

    Raises:
        OSError: the folder cannot be written. No temporary file is left, and an existing file is unchanged.
    """
    temporary = write_temporary(path.parent, write)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_new(path: Path, write: Callable[[IO[bytes]], Any]) -> bool:
    """``write_atomically``, but never over another file: if there is one, nothing is written and False is returned."""
    temporary = write_temporary(path.parent, write)
    try:
        if os.name == "nt":
            os.rename(temporary, path)  # fails if the name exists
            return True
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links, as on memory cards; the next two lines are not atomic
            if os.path.lexists(path):
                raise FileExistsError from None
            os.rename(temporary, path)
        return True
    except FileExistsError:
        return False
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def write_over(path: Path, write: Callable[[IO[bytes]], Any], is_ours: IsOurs, what: str) -> None:
    """Write a file that the user named: a new one, or over a file that edgeclf made, but over no other file.

    A link is followed: its target is written.

    Args:
        path: what to create or replace.
        write: as for ``write_atomically``.
        is_ours: whether edgeclf made a file; called only for regular files.
        what: what such files are, for messages, such as "a heat map".

    Raises:
        UsageError: something else has this name.
        OSError: as for ``write_atomically``.
    """
    real = Path(os.path.realpath(path))
    for _ in range(_MAX_ATTEMPTS):
        check_writable(path, is_ours, what)
        if os.path.lexists(real):
            return write_atomically(real, write)
        if write_new(real, write):
            return None
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def check_writable(path: Path, is_ours: IsOurs, what: str) -> None:
    """Check, before long work, that ``write_over`` will not fail.

    Raises:
        UsageError: as ``write_over``.
    """
    if not may_write(path, is_ours):
        if os.path.isfile(path):
            raise UsageError(f"{path}: exists already and is not {what} made by edgeclf", "name another file")
        what = "a folder" if os.path.isdir(path) else "not a regular file"
        raise UsageError(f"{path}: is {what}", "name another file")


def may_write(path: str | os.PathLike[str], is_ours: IsOurs) -> bool:
    """Whether a file may be written here: nothing is there, or a regular file that edgeclf made."""
    real = os.path.realpath(path)
    try:
        return stat.S_ISREG(os.lstat(real).st_mode) and is_ours(real)
    except FileNotFoundError:
        return True
    except OSError:  # writing it raises the error that the user sees
        return not os.path.lexists(real)


def flush(descriptor: int) -> None:
    """Wait until a file is on the disk; does nothing if the file system does not support it.

    Raises:
        OSError: the disk failed.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FLUSH_UNSUPPORTED:
            raise


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that the names of new files survive a power cut, if the system can open folders."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # folders without read permission; some network mounts
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_temporary(folder: Path, write: Callable[[IO[bytes]], Any]) -> str:
    """Write and flush a file under a temporary name, `.edgeclf-*.tmp` in a folder, and return its path.

    Raises:
        OSError: the folder cannot be written. No temporary file is left.

    Not by ``tempfile``: only the owner can read its files, and some network mounts cannot change that later.
    """
    temporary = os.path.join(folder, f".edgeclf-{os.urandom(8).hex()}.tmp")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            write(file)
            file.flush()
            flush(file.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary
