"""The bytes of a checked model, which every session is opened from, whatever becomes of the file's name.

On Linux a copy is kept in a memory file that is sealed: it has a path for onnxruntime, nobody can write to it, and it
is no part of the process's own memory. Elsewhere, and in a process that answers once, a descriptor of the file is kept:
it outlives renaming, deletion, a change of the working folder and forks, and a file that is written over in place is
noticed before and after onnxruntime has read it.
"""

import contextlib
import hashlib
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from edgeclf.errors import ModelDamagedError

_COARSE = 3.0  # seconds: FAT counts the time of a change in twos
_CHUNK = 2**20


class ModelBytes:
    """Bytes that passed the checks.

    Args:
        name: for messages.
        digest: SHA-256 (hex) of all of them.
        data: the bytes themselves, where there is no file to keep open.
        descriptor: of the file they were read from; closed when this object goes.
        status: of the descriptor, from before they were read.
        sealed: nobody can write to what the descriptor is of.
    """

    def __init__(
        self,
        name: str,
        digest: str,
        *,
        data: bytes | None = None,
        descriptor: int = -1,
        status: os.stat_result | None = None,
        sealed: bool = False,
    ) -> None:
        self._name, self._digest, self._data = name, digest, data
        self._sealed = sealed
        self._descriptor, self._stamp = descriptor, None if status is None else _stamp(status)
        if status is not None:
            weakref.finalize(self, _close, descriptor, _stamp(status)[:2])

    def is_whole(self) -> bool:
        """Whether the bytes are still those that were checked."""
        if self._data is not None:
            return True
        try:
            stamp = _stamp(os.fstat(self._descriptor))
        except OSError:  # somebody closed what is not theirs
            return False
        if self._sealed:
            return stamp[:3] == self._stamp[:3]  # type: ignore[index]
        if stamp == self._stamp and abs(time.time() - stamp[3] / 1e9) > _COARSE:
            return True
        if stamp[:3] != self._stamp[:3] or _digest(self._descriptor) != self._digest:  # type: ignore[index]
            return False
        self._stamp = stamp  # renamed, linked, or written with the same
        return True

    def read(self) -> bytes:
        """All of them.

        Raises:
            ModelDamagedError: they are not there any more.
        """
        if self._data is not None:
            return self._data
        self._check()
        data = b"".join(_blocks(self._descriptor))
        self._check()
        return data

    @contextmanager
    def opened(self) -> Iterator[str | bytes]:
        """What onnxruntime is to open: a path that leads to the descriptor, where the system has one, or the bytes.

        Raises:
            ModelDamagedError: they are not there any more, now or after onnxruntime has read them.
        """
        if self._data is not None:
            yield self._data
            return
        self._check()
        path = f"/proc/self/fd/{self._descriptor}"
        try:
            yield path if _can_open(path) else self.read()
        finally:
            self._check()

    def _check(self) -> None:
        if not self.is_whole():
            raise ModelDamagedError(
                f"{self._name}: was written over while in use",
                "start again; replace a model in use by renaming the new file to its name",
            )


def sealed_copy(source: int | bytes, size: int) -> int | None:
    """A memory file that nobody can write to; None where there is none, or no room.

    Args:
        source: a descriptor, or the bytes.
        size: how many bytes.

    Returns:
        Its descriptor, which the caller closes.
    """
    try:
        descriptor = os.memfd_create("edgeclf-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (OSError, AttributeError):
        return None
    try:
        done = 0
        while done < size:
            part = (
                os.sendfile(descriptor, source, done, size - done)
                if isinstance(source, int)
                else os.write(descriptor, memoryview(source)[done:])
            )
            if not part:  # the file became shorter meanwhile: what is there does not pass the checks
                break
            done += part
        import fcntl

        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:  # a limit of memory or of file sizes
        os.close(descriptor)
        return None
    return descriptor


def _blocks(descriptor: int) -> Iterator[bytes]:
    offset = 0
    while block := os.pread(descriptor, _CHUNK, offset):  # not read(): forks share its position
        yield block
        offset += len(block)


def _digest(descriptor: int) -> str:
    found = hashlib.sha256()
    with contextlib.suppress(OSError):
        for block in _blocks(descriptor):
            found.update(block)
    return found.hexdigest()


def _stamp(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _can_open(path: str) -> bool:
    """Not without /proc, nor where the process has given up the right to the file since."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _close(descriptor: int, file: tuple[int, int]) -> None:
    """Close a descriptor, unless it was closed by others and its number stands for another file now."""
    with contextlib.suppress(OSError):
        if _stamp(os.fstat(descriptor))[:2] == file:
            os.close(descriptor)
