"""Moving a file within a file system: never over another file, and at any instant under exactly one name.

A hard link and a deletion would never overwrite either, but a kill between the two leaves the file under both names.
So the system's own call is used: ``renameat2(RENAME_NOREPLACE)`` on Linux, ``renamex_np(RENAME_EXCL)`` on macOS,
``rename`` on Windows, which never overwrites. Some file systems, such as NFS and some in user space, do not have it.
There an empty file takes the name first, which fails if the name exists, and the rename replaces that empty file. A
kill between the two leaves the empty file, and the photo under its old name; ``is_placeholder`` finds it.
"""

import contextlib
import ctypes
import errno
import functools
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100  # Linux: paths are relative to the working folder
_RENAME_NOREPLACE = 1  # Linux
_RENAME_EXCL = 4  # macOS
_UNSUPPORTED = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP))
_MAX_NAME_BYTES = 255  # of nearly all file systems


def move_new(source: Path, target: Path) -> bool:
    """Rename a file, never over another one. The folders are not flushed.

    Args:
        source: the file.
        target: its new path, on the same file system.

    Returns:
        False if something has the name of the target already; then nothing is changed.

    Raises:
        OSError: the source does not exist, or the file system does not allow it.
    """
    if os.name == "nt":
        try:
            os.rename(source, target)
        except FileExistsError:
            return False
        return True
    code = _exclusive_rename()(os.fsencode(source), os.fsencode(target))
    if code == errno.EEXIST:
        return False
    if code in _UNSUPPORTED:
        return _over_placeholder(source, target)
    if code:
        raise OSError(code, os.strerror(code), str(source), None, str(target))
    return True


def is_placeholder(path: Path) -> bool:
    """Whether a file is what an interrupted ``move_new`` may leave under the new name: an empty regular file."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def numbered(name: str, number: int) -> str:
    """A file name with a number: "IMG.jpg" for 1, then "IMG-2.jpg" and so on; shortened if it is too long."""
    stem, suffix = os.path.splitext(name)
    ending = f"-{number}{suffix}" if number > 1 else suffix
    while stem and len(os.fsencode(stem + ending)) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    return stem + ending


@functools.cache
def _exclusive_rename() -> Callable[[bytes, bytes], int]:
    """The system's rename that never overwrites: returns 0 or an error number; ENOSYS if there is none."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            rename, flag = library.renamex_np, _RENAME_EXCL
            rename.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return lambda source, target: ctypes.get_errno() if rename(source, target, flag) else 0
        rename2 = library.renameat2
        rename2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    except (OSError, AttributeError):  # a C library without it
        return lambda source, target: errno.ENOSYS

    def call(source: bytes, target: bytes) -> int:
        failed = rename2(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_NOREPLACE)
        return ctypes.get_errno() if failed else 0

    return call


def _over_placeholder(source: Path, target: Path) -> bool:
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    try:
        os.rename(source, target)
    except BaseException:
        with contextlib.suppress(OSError):
            if is_placeholder(target):
                os.unlink(target)
        raise
    return True
