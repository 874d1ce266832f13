"""Files and folders in a .tar by paths such as ``shard.tar/king/p1.jpg``, read where they lie, as if it were a folder.

Whatever exists on the disk comes first: these functions look into a .tar only where the system says that a part of the
path is a file. See ``tar_index`` for what is refused.
"""

import errno
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgeclf.errors import DataError

if TYPE_CHECKING:
    from edgeclf.files.tar_index import TarIndex

SUFFIX = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst")

_INSIDE = re.compile(re.escape(SUFFIX + os.sep), re.IGNORECASE)

Name = str | os.PathLike[str]


def no_progress() -> None:
    """For calls without a time limit."""


def stamp_of(status: os.stat_result) -> tuple[int, int]:
    """What changes when a .tar is written: size in bytes and modification time in ns."""
    return status.st_size, status.st_mtime_ns


class FolderEntry(Protocol):
    """What a listing says of a name, as ``os.DirEntry``."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    def is_dir(self) -> bool: ...
    def is_symlink(self) -> bool: ...


class _Entry(NamedTuple):
    name: str
    path: str
    folder: bool

    def is_dir(self) -> bool:
        return self.folder

    def is_symlink(self) -> bool:
        return False


class TarPart(io.RawIOBase):
    """The bytes of one file in a .tar, as a file of their own; closing it closes the .tar.

    Args:
        file: the .tar, not buffered.
        offset, size: of the part, bytes.
    """

    def __init__(self, file: io.FileIO, offset: int, size: int) -> None:
        self._file, self._offset, self._at = file, offset, 0
        self.size, self.stamp = size, stamp_of(os.fstat(file.fileno()))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self.size - self._at))
        self._file.seek(self._offset + self._at)
        read = self._file.readinto(memoryview(buffer)[:count]) or 0
        self._at += read
        return read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


def containers_of(path: str) -> Iterator[str]:
    """The parts of a path that may be a .tar with the rest of the path in it, the shortest first; nothing is read."""
    return (path[: found.end() - 1] for found in _INSIDE.finditer(path))


def is_tar(path: Name) -> bool:
    """Whether a path is a file with the ending ``.tar``."""
    return os.fspath(path).lower().endswith(SUFFIX) and os.path.isfile(path)


def open_part(path: Name, progress: Callable[[], None] = no_progress) -> TarPart | None:
    """Open a file in a .tar; None if the path does not lead into one.

    Args:
        path: such as ``shard.tar/king/p1.jpg``.
        progress: called while headers are read.

    Raises:
        FileNotFoundError: it has no such file.
        IsADirectoryError: it is a folder there.
        DataError, OSError: the .tar cannot be used, see ``tar_index``; or it changes again and again.
    """
    for _ in range(2):
        if (found := _found(path, progress)) is None:
            return None
        index, offset, size = found
        part = TarPart(open(index.path, "rb", buffering=0), offset, size)  # noqa: SIM115 - the caller closes it
        if part.stamp == index.stamp:
            return part
        part.close()  # another .tar has got the name since: what lies at this place is not the photo
    raise DataError(f"{index.path}: changes while it is read", "wait until it is complete")


def open_file(path: Name) -> io.BufferedReader:
    """Open a file to read, also one in a .tar. Raises as ``open`` and ``open_part``."""
    try:
        return open(path, "rb")
    except (NotADirectoryError, FileNotFoundError):
        if (part := open_part(path)) is None:
            raise
        return io.BufferedReader(part)


def size_and_time(path: Name) -> tuple[int, int]:
    """Size in bytes and modification time in ns of a file; in a .tar, the time is that of the .tar.

    Raises:
        DataError, OSError: as for ``open_part``.
    """
    try:
        status = os.stat(path)
    except (NotADirectoryError, FileNotFoundError):
        if (found := _found(path)) is None:
            raise
        return found[2], found[0].stamp[1]
    return status.st_size, status.st_mtime_ns


def is_file(path: Name) -> bool:
    """Whether a file is there, also in a .tar. Raises ``DataError`` as ``open_part``."""
    if os.path.isfile(path):
        return True
    try:
        return _found(path) is not None
    except OSError:
        return False


def is_folder(path: Name) -> bool:
    """Whether a folder is there, also in a .tar, which is one itself. Raises ``DataError`` as ``open_part``."""
    return os.path.isdir(path) or _listed(os.fspath(path)) is not None


@contextmanager
def scan_folder(path: str, progress: Callable[[], None] = no_progress) -> Iterator[Iterable[FolderEntry]]:
    """List a folder as ``os.scandir`` does, also in a .tar. Arguments and errors are those of ``open_part``."""
    try:
        entries = os.scandir(path)
    except (NotADirectoryError, FileNotFoundError):
        if (listed := _listed(path, progress)) is None:
            raise
        yield listed
        return
    with entries:
        yield entries


def _listed(path: str, progress: Callable[[], None] = no_progress) -> list[_Entry] | None:
    """The entries of a folder in a .tar, None if there is no such folder."""
    if (place := _place(path + os.sep, progress)) is None:
        return None
    index, name = place
    found = [_Entry(inside, os.path.join(path, inside), folder) for inside, folder in index.entries(name)]
    return found if found or not name else None


def _found(path: Name, progress: Callable[[], None] = no_progress) -> "tuple[TarIndex, int, int] | None":
    """The index of the .tar that a path leads into, and offset and size of the file there, bytes. As ``open_part``."""
    if (place := _place(os.fspath(path), progress)) is None:
        return None
    index, name = place
    if (found := index.find(name)) is None:
        is_there = not name or next(index.entries(name), None) is not None
        code = errno.EISDIR if is_there else errno.ENOENT
        raise OSError(code, os.strerror(code), os.fspath(path))  # Python makes it the right kind of OSError
    return index, *found


def _place(path: str, progress: Callable[[], None]) -> "tuple[TarIndex, str] | None":
    """The index of the .tar that a path leads into, and the name there; None if no part of the path is such a file."""
    for container in containers_of(path):
        if os.path.isfile(container):
            from edgeclf.files.tar_index import index_of  # only now: it needs numpy

            parts = path[len(container) :].replace(os.sep, "/").split("/")
            return index_of(container, progress), "/".join(part for part in parts if part not in ("", "."))
    return None
