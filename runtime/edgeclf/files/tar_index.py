"""Where each file lies in a .tar: its headers are read once, its photos where they lie, and nothing is unpacked.

A .tar may come from anywhere, so its own statements are not trusted: names that lead out of it, links and devices with
the names of photos, names twice, headers that claim absurd sizes or lead back are refused. No name is ever written to.
"""

import os
import re
import tarfile
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import DataError
from edgeclf.files.in_tar import containers_of, no_progress, stamp_of
from edgeclf.files.photo_names import is_ignored, is_photo_name

MAX_MEMBERS = 10_000_000
MAX_NAME_BYTES = 4096
MAX_NAMES_BYTES = 2**30  # of all names together
# A header may claim any size, and tarfile would read it into memory; what it makes of it grows with the square.
_MAX_HEADER_BYTES = 2**14
_MAX_HEADERS_BYTES = 2**17  # of one member, which may have several
_MAX_GLOBAL_KEYS = 100  # tarfile copies those of the whole .tar for each member
_MAX_POSITION = 2**62  # the system cannot seek further
_MANY_DIGITS = re.compile(rb"\d{256}")  # more than in any file name; tarfile takes seconds for thousands
_TURN_SECONDS = 0.05  # between two looks at how far another thread is


@dataclass(frozen=True, eq=False)
class TarIndex:
    """The files in a .tar, sorted by name; 24 bytes and its name for each. Pickled, it is known in the other process.

    Attributes:
        path: of the .tar, absolute.
        stamp: its size in bytes and modification time in ns when it was read.
        names: all names one after another, UTF-8, ``/`` between folders.
        starts: where each name begins in ``names``, and the end, int64 ``[N + 1]``.
        offsets: where the bytes of each file begin, int64 ``[N]``.
        sizes: bytes of each file, int64 ``[N]``.
    """

    path: str
    stamp: tuple[int, int]
    names: bytes
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)

    def __reduce__(self) -> Any:
        return _remember, (self.path, self.stamp, self.names, self.starts, self.offsets, self.sizes)

    def find(self, name: str) -> tuple[int, int] | None:
        """Offset and size of a file, bytes; None if there is none of this name."""
        wanted = _encoded(name)
        at = self._first(wanted)
        if at == len(self) or self._name(at) != wanted:
            return None
        return int(self.offsets[at]), int(self.sizes[at])

    def entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """The names in a folder, each with whether it is a folder; none if there is no such folder.

        Args:
            folder: as in ``names``, without ``/`` at the end; "" is the whole .tar.
        """
        prefix = _encoded(folder) + b"/" if folder else b""
        at, end = (self._first(prefix), self._first(prefix[:-1] + b"0")) if prefix else (0, len(self))  # 0 follows /
        while at < end:
            inside, slash, _ = self._name(at)[len(prefix) :].partition(b"/")
            yield inside.decode("utf-8", "surrogateescape"), bool(slash)
            at = self._first(prefix + inside + b"0", at) if slash else at + 1

    def _first(self, name: bytes, low: int = 0) -> int:
        return bisect_left(range(len(self)), name, low, key=self._name)

    def _name(self, at: int) -> bytes:
        return self.names[self.starts[at] : self.starts[at + 1]]


class _Turn:
    """Whose turn it is to read the headers of a .tar, and how far that thread is; else each would read them all."""

    def __init__(self) -> None:
        self.lock, self.steps = threading.Lock(), 0

    def wait(self, progress: Callable[[], None]) -> None:
        """Wait for the lock; the thread that has it makes progress for those that wait, unless its disk hangs."""
        seen = self.steps
        while not self.lock.acquire(timeout=_TURN_SECONDS):
            if self.steps != seen:
                seen = self.steps
                progress()


_known: dict[str, TarIndex] = {}  # by absolute path
_turns: dict[str, _Turn] = {}  # by absolute path

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.clear)  # the child process has none of the threads that hold a lock


def index_of(path: str, progress: Callable[[], None] = no_progress) -> TarIndex:
    """The index of a .tar, read again only if the file has changed, and by one thread at a time.

    Args:
        path: of the .tar.
        progress: called while headers are read, by this thread or the one it waits for.

    Raises:
        DataError: it is not a whole .tar file, or breaks a rule of this module.
        OSError: it cannot be opened.
    """
    path = os.path.abspath(path)
    if (known := _unchanged(path)) is not None:
        return known
    turn = _turns.setdefault(path, _Turn())
    turn.wait(progress)

    def step() -> None:
        turn.steps += 1
        progress()

    try:
        if (known := _unchanged(path)) is not None:  # another thread has read it
            return known
        with open(path, "rb", buffering=0) as file:
            return _read(path, file, stamp_of(os.fstat(file.fileno())), step)
    finally:
        turn.lock.release()


def _unchanged(path: str) -> TarIndex | None:
    stamp = stamp_of(os.stat(path))
    known = _known.get(path)
    return known if known is not None and known.stamp == stamp else None


def known_indexes(paths: Iterable[str]) -> tuple[TarIndex, ...]:
    """The indexes read so far of the .tar files that lie on absolute paths."""
    found = {container for path in paths for container in containers_of(path)}
    return tuple(_known[path] for path in sorted(found) if path in _known)


def members(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The members of a .tar that is not compressed, in the order of the file; only headers are read.

    Args:
        file: can be sought in.

    Raises:
        OSError, tarfile.TarError, EOFError, ValueError: it is not a whole .tar file.
    """
    bounded = _Bounded(file)
    try:
        yield from _members(file, bounded)
    except RecursionError:  # tarfile calls itself for each header; how often it can depends on the caller
        raise tarfile.ReadError(_TOO_MANY) from None


_TOO_MANY = "too many headers in a row"


def _members(file: IO[bytes], bounded: "_Bounded") -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=bounded, mode="r:") as tar:  # type: ignore[call-overload]
        before = -1
        while (member := tar.next()) is not None:
            tar.members = []  # else all are kept in memory
            bounded.left = _MAX_HEADERS_BYTES
            if member.offset_data <= before:
                raise tarfile.ReadError("its headers lead back")
            if not (0 <= member.size < _MAX_POSITION and tar.offset < _MAX_POSITION):
                raise tarfile.ReadError(f"a file of {member.size} bytes")
            if len(tar.pax_headers) > _MAX_GLOBAL_KEYS:
                raise tarfile.ReadError("too many keys in a global header")
            before = member.offset_data
            yield member
        file.seek(tar.offset)  # tarfile takes a header that is cut off for the end
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("its end is missing")


class _Bounded:
    """A file that refuses to read headers which would cost tarfile much time or memory.

    Attributes:
        left: bytes that may still be read for the member.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.seek, self.tell = file, file.seek, file.tell
        self.left = _MAX_HEADERS_BYTES

    def read(self, count: int) -> bytes:
        if not 0 <= count <= _MAX_HEADER_BYTES:  # a negative one would read all the rest
            raise tarfile.ReadError(f"a header of {count} bytes")
        self.left -= count
        if self.left < 0:
            raise tarfile.ReadError(_TOO_MANY)
        data = self._file.read(count)
        if _MANY_DIGITS.search(data):
            raise tarfile.ReadError("a header with a very long number")
        return data


def _read(path: str, file: IO[bytes], stamp: tuple[int, int], progress: Callable[[], None]) -> TarIndex:
    rows: list[tuple[bytes, int, int]] = []
    length = 0
    try:
        for member in members(file):
            progress()
            if (name := _checked_name(path, member)) is None:
                continue
            length += len(name)
            if len(rows) == MAX_MEMBERS or length > MAX_NAMES_BYTES:
                raise _refused(path, "too many files", "divide it into smaller shards")
            rows.append((name, member.offset_data, member.size))
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(
            f"{path}: not a whole .tar file ({why.splitlines()[0]})",
            "copy it again; if it is compressed, unpack it first",
        ) from error
    rows.sort()
    progress()
    for (name, *_), (other, *_) in pairwise(rows):
        if name == other:
            raise _refused(path, f"contains {name.decode('utf-8', 'replace')} twice", "unpack it and give the folder")
    starts = np.cumsum([0, *(len(name) for name, _, _ in rows)], dtype=np.int64)
    places = np.array([row[1:] for row in rows], np.int64).reshape(-1, 2)
    joined = b"".join(name for name, _, _ in rows)
    return _remember(path, stamp, joined, starts, places[:, 0].copy(), places[:, 1].copy())


def _checked_name(path: str, member: tarfile.TarInfo) -> bytes | None:
    """The name of a member; None if it is not a file, or one that is never read."""
    if member.isdir():
        return None
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if ".." in parts or member.name.startswith("/") or "\0" in member.name:
        raise _refused(path, f"the member {member.name!r} leads out of it", "do not trust it; pack the folder again")
    if not parts or any(map(is_ignored, parts)):
        return None
    if not member.isreg() or member.issparse():
        if is_photo_name(parts[-1]):
            raise _refused(
                path,
                f"{member.name} is a link or a special file",
                "pack the files themselves: tar -h --hard-dereference",
            )
        return None
    name = _encoded("/".join(parts))
    if len(name) > MAX_NAME_BYTES:
        raise _refused(path, f"a name of {len(name)} bytes", "do not trust it; pack the folder again")
    return name


def _refused(path: str, what: str, remedy: str) -> DataError:
    return DataError(f"{path}: {what}", remedy)


def _remember(*fields: Any) -> TarIndex:
    index = TarIndex(*fields)
    _known[index.path] = index
    return index


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
