"""Photo files from disks that may hang: a network mount that has gone must not take the rest of the batch with it.

A call that waits for such a disk cannot be interrupted, so it is made in a helper thread, and whoever wanted it goes on
after ``EDGECLF_TIMEOUT`` seconds without progress (30; 0 calls in place, without limit). Helpers are kept and used
again: a call costs about 30 microseconds more. They are daemons, so a process can end while one is stuck.

Where two calls hang, further ones in that folder fail at once until one of them comes back; so does every call once 16
hang. What hangs is so bounded: in threads, and in the time a folder of 100,000 photos costs.
"""

import os
import stat
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import IO, Any, Generic, TypeVar

from edgeclf.errors import PhotoError, UsageError

TIMEOUT_VARIABLE = "EDGECLF_TIMEOUT"
TIMEOUT = 30.0
_STUCK_IN_FOLDER, _STUCK = 2, 16
_CHUNK = 2**18  # bytes of one read; a disk that gives less in all that time counts as hanging
T = TypeVar("T")
Progress = Callable[[], None]  # a long call says with it that it is not stuck


def read_regular(name: str, limit: int) -> bytes:
    """All of a regular file; pipes, sockets and devices could block or never end and are refused unopened.

    Args:
        name: a path.
        limit: a file of more bytes is refused, also one that grows while it is read.

    Raises:
        PhotoError: it cannot be read, is empty or too long, or its disk does not answer ("timeout").
        UsageError: ``EDGECLF_TIMEOUT`` is no number of seconds.
    """

    def read(file: IO[bytes], progress: Progress) -> bytes:
        chunks, length = [], 0
        size = min(_CHUNK, os.fstat(file.fileno()).st_size + 1)
        while chunk := file.read(size):
            chunks.append(chunk)
            length += len(chunk)
            if length > limit:
                raise too_many_bytes(name, limit)
            progress()
        return b"".join(chunks)

    return _with_file(name, limit, read)


def read_ends(name: str, head: int, tail: int) -> bytes:
    """The first ``head`` bytes of a regular file and the last ``tail``, none twice; errors as ``read_regular``'s."""

    def read(file: IO[bytes], progress: Progress) -> bytes:
        start = file.read(head)
        progress()
        left = os.fstat(file.fileno()).st_size - len(start)
        if left > 0:
            file.seek(-min(left, tail), os.SEEK_END)
            start += file.read(tail)
        return start

    return _with_file(name, None, read)


def _with_file(name: str, limit: int | None, use: Callable[[IO[bytes], Progress], bytes]) -> bytes:
    def call(progress: Progress) -> bytes:
        _check(os.stat(name), name, limit)
        with open(name, "rb", buffering=0, opener=_open) as file:
            _check(os.fstat(file.fileno()), name, limit)  # another file may have taken the name
            return use(file, progress)

    try:
        return patiently(call, name)
    except FileNotFoundError as error:
        raise _missing(name) from error
    except MemoryError as error:
        raise PhotoError("too-large", f"{name}: does not fit in memory", "save it smaller", name) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise PhotoError(
            "unreadable", f"{name}: {reason(error)}", "check the path and its permissions", name
        ) from error


def patiently(call: Callable[[Progress], T], name: str) -> T:
    """Make a call that may wait for a disk, and give up on it when it does not get on.

    Args:
        call: gets a function to call whenever it has got on.
        name: the path it is about.

    Raises:
        PhotoError: "timeout". Whatever the call raises comes through.
        UsageError: ``EDGECLF_TIMEOUT`` is no number of seconds.
    """
    seconds = _timeout()
    if not seconds:
        return call(lambda: None)
    folder = os.path.dirname(name)
    if _stuck and (_stuck.count(folder) >= _STUCK_IN_FOLDER or len(_stuck) >= _STUCK):
        raise _hangs(name, "its disk does not answer (other reads of it are waiting still)")
    try:
        helper = _idle.pop()
    except IndexError:
        helper = _Helper()
    answer = helper.ask(call, seconds, folder)
    if answer is None:
        raise _hangs(name, f"its disk has not answered for {seconds:g} s")
    _idle.append(helper)
    if answer.error is not None:
        raise answer.error
    result: T = answer.value
    return result


class _Answer(Generic[T]):
    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value, self.error = value, error


class _Helper:
    """A thread that makes one call after another, until one of them is given up."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[Progress], Any]] = SimpleQueue()
        self._answers: SimpleQueue[_Answer[Any]] = SimpleQueue()
        self._steps = 0
        self._given_up: str | None = None  # the folder of the call nobody waits for any more
        threading.Thread(target=self._serve, name="edgeclf-read", daemon=True).start()

    def ask(self, call: Callable[[Progress], Any], seconds: float, folder: str) -> _Answer[Any] | None:
        """What came of a call; None if it got no further for ``seconds``, and the helper is of no use any more."""
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
                return self._answers.get_nowait()  # in the last moment
            except Empty:
                self._given_up = folder
                _stuck.append(folder)
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
                    _stuck.remove(self._given_up)
                    return
                self._answers.put(answer)
            del call, answer  # else they live until the next call

    def _step(self) -> None:
        self._steps += 1


_idle: list[_Helper] = []  # append and pop are atomic
_stuck: list[str] = []  # the folder of each call that was given up and has not come back; under _lock
_lock = threading.Lock()


def _forget() -> None:
    """After a fork: no thread comes along."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()
    _stuck.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _timeout() -> float:
    given = os.environ.get(TIMEOUT_VARIABLE)
    if not given:
        return TIMEOUT
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise UsageError(f"{TIMEOUT_VARIABLE} is {given!r}", "give seconds, or 0 to wait without limit")
    return seconds


def _open(name: str, flags: int) -> int:
    """So that a pipe that has just taken the file's name does not block."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _check(status: os.stat_result, name: str, limit: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise PhotoError("not-a-file", f"{name}: is {what}", "give an image file", name)
    if status.st_size == 0:
        raise PhotoError("empty", f"{name}: the file is empty (0 bytes)", "copy it again from the camera", name)
    if limit is not None and status.st_size > limit:
        raise too_many_bytes(name, limit)


def too_many_bytes(name: str | None, limit: int) -> PhotoError:
    """The error of a file of more than ``limit`` bytes."""
    return PhotoError("too-large", f"{name or 'the photo'}: more than {limit >> 20} MiB", "save it smaller", name)


def reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0]


def _missing(name: str) -> PhotoError:
    scheme, is_address, rest = name.partition("://")
    if not (is_address and scheme.isalnum()):
        what = "no such file or folder"
        remedy = "give each path as an argument of its own" if "\n" in name else "check the path"
    elif scheme.lower() == "file":
        from urllib.parse import unquote  # only now: single photos must not wait for imports

        what, remedy = "is an address, not a path", f"give {unquote(rest.removeprefix('localhost'))}"
    else:
        what, remedy = "is an address, and edgeclf opens none", "download the photo first, or pipe it in: predict -"
    return PhotoError("not-found", f"{name}: {what}", remedy, name)


def _hangs(name: str, what: str) -> PhotoError:
    return PhotoError("timeout", f"{name}: {what}", f"check the mount; {TIMEOUT_VARIABLE} sets the seconds", name)
