"""Writing files so that nobody ever sees half of one, and never over a file that edgeclf did not make.

What a file system refuses that is only a wish (mode bits, links, a flush) is done without.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from edgeclf.errors import UsageError

IsOurs = Callable[[str], bool]  # whether a regular file was made by edgeclf, for the purpose at hand

_NO_FLUSH = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY))
_BUSY = 100  # times that a name is taken while a file is put in its place, until that is no chance any more


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name in the same folder, flush it to disk, then rename it into place.

    It replaces whatever is there: for files in folders of edgeclf's own. For a name that a user gave, see
    ``write_over``.

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
    """Write a file that a user named: a new one, or over an earlier one of edgeclf's, but over nothing else.

    A link is followed; what it leads to is written.

    Args:
        path: what to create or replace.
        write: as for ``write_atomically``.
        is_ours: whether a file was made by edgeclf; only called for regular files.
        what: what those are, such as "a heat map".

    Raises:
        UsageError: there is something else.
        OSError: as for ``write_atomically``.
    """
    real = Path(os.path.realpath(path))
    for _ in range(_BUSY):
        check_writable(path, is_ours, what)
        if os.path.lexists(real):
            return write_atomically(real, write)
        if write_new(real, write):
            return None
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def check_writable(path: Path, is_ours: IsOurs, what: str) -> None:
    """See, before long work, that ``write_over`` will not refuse.

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
    except OSError:  # whoever writes is told why it does not work
        return not os.path.lexists(real)


def flush(descriptor: int) -> None:
    """Return when a file is on the disk; at once where the file system does not know how to do that.

    Raises:
        OSError: the disk failed.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise


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
    """A whole file on the disk, under a temporary name.

    Not by ``tempfile``: its files are nobody else's to read, and some network mounts refuse to change that later.
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
