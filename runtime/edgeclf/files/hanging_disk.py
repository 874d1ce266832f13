"""Reading files with a time limit: a disk that hangs, such as a lost network mount, must not stop the whole batch.

A call that waits for a disk cannot be interrupted. So a helper thread makes it, and the caller goes on after
``EDGECLF_TIMEOUT`` seconds without progress (default 30; 0: call directly, without a limit). Helper threads are reused:
a call takes about 30 microseconds more. They are daemon threads, so the process can end while one is waiting.

While two calls hang in a folder, further calls in this folder fail at once; while 16 calls hang, every call fails at
once. That limits the number of threads, and the time that a folder of 100,000 photos takes.
"""

import os
import stat
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import IO, Any, Generic, TypeVar, cast

from edgeclf.errors import DataError, PhotoError, UsageError
from edgeclf.files.in_tar import open_part

TIMEOUT_VARIABLE = "EDGECLF_TIMEOUT"
DEFAULT_TIMEOUT_SECONDS = 30.0
_MAX_HANGING_IN_FOLDER, _MAX_HANGING = 2, 16  # calls
_CHUNK_BYTES = 2**18  # of one read; a disk that gives less within the time limit counts as hanging
T = TypeVar("T")
Progress = Callable[[], None]  # a long call calls it when it has made progress


def read_regular(name: str, limit: int) -> bytes:
    """Read a regular file. Pipes, sockets and devices are refused without opening them: they could block or never end.

    Args:
        name: a path.
        limit: largest number of bytes, also of a file that grows while it is read.

    Returns:
        All bytes of the file.

    Raises:
        PhotoError: the file cannot be read, is empty or too large, or its disk does not respond ("timeout").
        UsageError: ``EDGECLF_TIMEOUT`` is not a number of seconds.
    """

    def read(file: IO[bytes], size: int, progress: Progress) -> bytes:
        chunks, length = [], 0
        while chunk := file.read(min(_CHUNK_BYTES, size + 1)):
            chunks.append(chunk)
            length += len(chunk)
            if length > limit:
                raise too_many_bytes(name, limit)
            progress()
        return b"".join(chunks)

    return _with_file(name, limit, read)


def read_ends(name: str, head: int, tail: int) -> bytes:
    """Read the first ``head`` and the last ``tail`` bytes of a regular file, none twice. Raises as ``read_regular``."""

    def read(file: IO[bytes], size: int, progress: Progress) -> bytes:
        start = file.read(head)
        progress()
        left = size - len(start)
        if left > 0:
            file.seek(-min(left, tail), os.SEEK_END)
            start += file.read(tail)
        return start

    return _with_file(name, None, read)


def _with_file(name: str, limit: int | None, use: Callable[[IO[bytes], int, Progress], bytes]) -> bytes:
    """Call ``use`` with a file, which may lie in a .tar, its size in bytes and the function that notes progress."""

    def call(progress: Progress) -> bytes:
        try:
            _check(os.stat(name), name, limit)
        except (NotADirectoryError, FileNotFoundError):
            if (part := open_part(name, progress)) is None:
                raise
            with part:
                _check_size(part.size, name, limit)
                return use(cast(IO[bytes], part), part.size, progress)
        with open(name, "rb", buffering=0, opener=_open) as file:
            status = os.fstat(file.fileno())
            _check(status, name, limit)  # the name may belong to another file by now
            return use(file, status.st_size, progress)

    try:
        return with_time_limit(call, name)
    except FileNotFoundError as error:
        raise _missing(name) from error
    except IsADirectoryError as error:  # in a .tar
        raise _not_a_file(name, "a folder") from error
    except DataError as error:  # the .tar that it lies in
        raise PhotoError("damaged", error.message, error.remedy, name) from error
    except MemoryError as error:
        raise PhotoError("too-large", f"{name}: does not fit in memory", "save it smaller", name) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise PhotoError(
            "unreadable", f"{name}: {reason(error)}", "check the path and its permissions", name
        ) from error


def with_time_limit(call: Callable[[Progress], T], name: str) -> T:
    """Make a call that may wait for a disk, and stop waiting if it makes no progress within the time limit.

    Args:
        call: its argument is a function that it calls whenever it has made progress.
        name: the path that it reads.

    Returns:
        What the call returned.

    Raises:
        PhotoError: "timeout". What the call raises is raised too.
        UsageError: ``EDGECLF_TIMEOUT`` is not a number of seconds.
    """
    seconds = _timeout()
    if not seconds:
        return call(lambda: None)
    folder = os.path.dirname(name)
    if _hanging and (_hanging.count(folder) >= _MAX_HANGING_IN_FOLDER or len(_hanging) >= _MAX_HANGING):
        raise _timeout_error(name, "its disk does not respond (other reads are still waiting)")
    try:
        helper = _idle.pop()
    except IndexError:
        helper = _Helper()
    answer = helper.ask(call, seconds, folder)
    if answer is None:
        raise _timeout_error(name, f"its disk has not responded for {seconds:g} s")
    _idle.append(helper)
    if answer.error is not None:
        raise answer.error
    result: T = answer.value
    return result


class _Answer(Generic[T]):
    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value, self.error = value, error


class _Helper:
    """A thread that makes one call after another, until a call hangs."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[Progress], Any]] = SimpleQueue()
        self._answers: SimpleQueue[_Answer[Any]] = SimpleQueue()
        self._steps = 0
        self._given_up: str | None = None  # the folder of a call whose result nobody waits for
        threading.Thread(target=self._serve, name="edgeclf-read", daemon=True).start()

    def ask(self, call: Callable[[Progress], Any], seconds: float, folder: str) -> _Answer[Any] | None:
        """The result of a call; None if it made no progress for ``seconds``: the helper is then not used again."""
        self._calls.put(call)
        try:
            while True:
                seen = self._steps
                try:
                    return self._answers.get(timeout=seconds)
                except Empty:
                    if self._steps == seen:
                        break
        except BaseException:  # Ctrl-C
            self._give_up(folder)
            raise
        return self._give_up(folder)

    def _give_up(self, folder: str) -> _Answer[Any] | None:
        with _lock:
            try:
                return self._answers.get_nowait()  # the result came at the last moment
            except Empty:
                self._given_up = folder
                _hanging.append(folder)
                return None

    def _serve(self) -> None:
        while True:
            call = self._calls.get()
            try:
                answer: _Answer[Any] = _Answer(call(self._step))
            except BaseException as error:
                answer = _Answer(error=error)
            with _lock:
                if self._given_up is not None:
                    _hanging.remove(self._given_up)
                    return
                self._answers.put(answer)
            del call, answer  # else they live until the next call

    def _step(self) -> None:
        self._steps += 1


_idle: list[_Helper] = []  # append and pop are atomic
_hanging: list[str] = []  # the folder of each call that hangs; protected by _lock
_lock = threading.Lock()


def _forget() -> None:
    """After a fork: the child process has none of these threads."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()
    _hanging.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _timeout() -> float:
    given = os.environ.get(TIMEOUT_VARIABLE)
    if not given:
        return DEFAULT_TIMEOUT_SECONDS
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise UsageError(f"{TIMEOUT_VARIABLE} is {given!r}", "give seconds, or 0 to wait without limit")
    return seconds


def _open(name: str, flags: int) -> int:
    """Open without blocking, in case a pipe has just got this name."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _check(status: os.stat_result, name: str, limit: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _not_a_file(name, "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    _check_size(status.st_size, name, limit)


def _not_a_file(name: str, what: str) -> PhotoError:
    return PhotoError("not-a-file", f"{name}: is {what}", "give an image file", name)


def _check_size(size: int, name: str, limit: int | None) -> None:
    if size == 0:
        raise PhotoError("empty", f"{name}: the file is empty (0 bytes)", "copy it again from the camera", name)
    if limit is not None and size > limit:
        raise too_many_bytes(name, limit)


def size_in_words(count: int) -> str:
    """A number of bytes for people: "64 MiB", or "4096 bytes" if it is not that round."""
    return f"{count >> 20} MiB" if count and count % 2**20 == 0 else f"{count} bytes"


def too_many_bytes(name: str | None, limit: int) -> PhotoError:
    """The error for a file of more than ``limit`` bytes."""
    return PhotoError("too-large", f"{name or 'the photo'}: more than {size_in_words(limit)}", "save it smaller", name)


def reason(error: BaseException) -> str:
    """The message of an exception, in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0]


def _missing(name: str) -> PhotoError:
    scheme, is_address, rest = name.partition("://")
    if not (is_address and scheme.isalnum()):
        what = "no such file or folder"
        remedy = "give each path as a separate argument" if "\n" in name else "check the path"
    elif scheme.lower() == "file":
        from urllib.parse import unquote  # imported only here: it would delay the prediction of a single photo

        what, remedy = "is an address, not a path", f"give {unquote(rest.removeprefix('localhost'))}"
    else:
        what, remedy = "is an address; edgeclf reads files only", "download the photo first, or pipe it in: predict -"
    return PhotoError("not-found", f"{name}: {what}", remedy, name)


def _timeout_error(name: str, what: str) -> PhotoError:
    return PhotoError("timeout", f"{name}: {what}", f"check the mount; {TIMEOUT_VARIABLE} sets the seconds", name)
