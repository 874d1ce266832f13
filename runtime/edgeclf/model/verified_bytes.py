"""The bytes of a checked model. Every session is opened from them, even if the file is renamed or deleted.

On Linux a copy is kept in a sealed memory file: onnxruntime can open it by a path, nobody can write to it, and it does
not count as memory of the process. On other systems, and in a process that predicts once, a descriptor of the file is
kept. It stays valid after renaming, deletion, a change of the working folder and forks. If the file was overwritten in
place, that is detected before and after onnxruntime reads it.
"""

import contextlib
import hashlib
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from edgeclf.errors import ModelDamagedError

_CLOCK_TOLERANCE_SECONDS = 3.0  # FAT stores modification times in steps of 2 seconds
_CHUNK_BYTES = 2**20


class ModelBytes:
    """The bytes of a model that passed the checks.

    Args:
        name: the model's name in error messages.
        digest: SHA-256 (hex) of all bytes.
        data: the bytes themselves, if no file is kept open.
        descriptor: of the file that they were read from; closed together with this object.
        status: of the descriptor, from before they were read.
        sealed: the descriptor is a memory file that nobody can write to.
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
        except OSError:  # other code closed the descriptor
            return False
        if self._sealed:
            return stamp[:3] == self._stamp[:3]  # type: ignore[index]
        if stamp == self._stamp and abs(time.time() - stamp[3] / 1e9) > _CLOCK_TOLERANCE_SECONDS:
            return True
        if stamp[:3] != self._stamp[:3] or _digest(self._descriptor) != self._digest:  # type: ignore[index]
            return False
        self._stamp = stamp  # renamed, linked, or overwritten with the same bytes
        return True

    def read(self) -> bytes:
        """Read all bytes.

        Raises:
            ModelDamagedError: the file was overwritten.
        """
        if self._data is not None:
            return self._data
        self._check()
        data = b"".join(_blocks(self._descriptor))
        self._check()
        return data

    @contextmanager
    def opened(self) -> Iterator[str | bytes]:
        """What onnxruntime opens: a path of the descriptor if the system has one, else the bytes.

        Raises:
            ModelDamagedError: the file was overwritten, before or while onnxruntime read it.
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
                f"{self._name}: was overwritten while in use",
                "start again; replace a model in use by renaming the new file to its name",
            )


def sealed_copy(source: int | bytes, size: int) -> int | None:
    """Copy a file into a memory file that nobody can write to.

    Args:
        source: a descriptor, or the bytes.
        size: how many bytes.

    Returns:
        The descriptor of the memory file, which the caller closes; None if the system has no memory files or not enough
        memory.
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
            if not part:  # the file has become shorter: the copy will not pass the checks
                break
            done += part
        import fcntl

        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:  # a limit of memory or of file size
        os.close(descriptor)
        return None
    return descriptor


def _blocks(descriptor: int) -> Iterator[bytes]:
    offset = 0
    while block := os.pread(descriptor, _CHUNK_BYTES, offset):  # not read(): forked processes share the position
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
    """Whether a path can be opened: not without /proc, nor if the process has lost its permission."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _close(descriptor: int, file: tuple[int, int]) -> None:
    """Close a descriptor, unless other code closed it and its number now belongs to another file."""
    with contextlib.suppress(OSError):
        if _stamp(os.fstat(descriptor))[:2] == file:
            os.close(descriptor)
