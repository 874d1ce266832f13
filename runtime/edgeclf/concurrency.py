"""Working on photos side by side: in threads, in order, and never more than a few ahead of who asks."""

import _thread
import atexit
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from edgeclf.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")
Answer: TypeAlias = "SimpleQueue[tuple[Any, BaseException | None]]"  # of one result, or what was raised instead

AHEAD = 4  # items taken in a worker: one that takes long does not keep the others waiting at once


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """The results of ``work``, done in threads, in the order of the items and as soon as they are there.

    Items are taken in the caller's thread, only while results are asked for, and at most ``AHEAD`` a worker beyond
    those answered. What ``work`` or the items raise is raised in its turn, after the results before it. When the
    iterator ends, is closed, or is interrupted, what has not begun is dropped, and no thread is left.

    ``concurrent.futures`` and ``threading.Thread.start`` do not bear Ctrl-C: they take locks in Python code, and a
    KeyboardInterrupt there leaves one taken for good, or free too early. What is done here photo by photo, in the
    thread that gets the signals, is written in C.

    Args:
        work: called in several threads at once.
        items: may be endless.
        workers: threads, at least 1.

    Raises:
        UsageError: it was begun in another process, of which this one is a fork.
    """
    source = iter(items)
    tasks: SimpleQueue[tuple[Item, Answer] | None] = SimpleQueue()
    pending: deque[Answer] = deque()
    failure: Exception | None = None
    busy: list[_thread.LockType] = []  # one for each thread, held as long as it lives
    process, idents = os.getpid(), set[int]()

    def serve(held: _thread.LockType) -> None:
        idents.add(_thread.get_ident())
        try:
            _serve(work, tasks)
        finally:
            idents.discard(_thread.get_ident())
            held.release()

    def same_process() -> None:
        if os.getpid() != process:  # its threads stayed behind: it would wait for ever
            raise UsageError("an iterator does not go on in a forked process", "make a new one there")

    def stop() -> None:
        """May be interrupted, and called again."""
        try:
            while True:
                tasks.get_nowait()
        except Empty:
            pass
        for _ in range(workers):
            tasks.put(None)
        if os.getpid() != process or _thread.get_ident() in idents:
            return  # no thread comes along into a fork; one that collects garbage cannot wait for itself
        for lock in busy:
            with lock:
                pass

    atexit.register(stop)  # for an iterator that is never ended: Python may fall over threads that work while it ends
    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            pending.append(SimpleQueue())
            tasks.put((item, pending[-1]))
            del item  # photos may be large
            if len(busy) < min(workers, len(pending)):
                held = _thread.allocate_lock()
                held.acquire()
                _thread.start_new_thread(serve, (held,))
                busy.append(held)
            while pending and (len(pending) > AHEAD * workers or not pending[0].empty()):
                yield _result(pending.popleft())
                same_process()
        while pending:
            yield _result(pending.popleft())
            same_process()
        if failure is not None:
            raise failure
    finally:
        stop()
        atexit.unregister(stop)


def _serve(work: Callable[[Any], Any], tasks: "SimpleQueue[tuple[Any, Answer] | None]") -> None:
    while (task := tasks.get()) is not None:
        item, answer = task
        try:
            answer.put((work(item), None))
        except BaseException as error:  # raised again by whoever asks
            answer.put((None, error))
        del task, item, answer  # else they live until the next one


def _result(answer: Answer) -> Any:
    value, error = answer.get()
    try:
        if error is not None:
            raise error
        return value
    finally:
        del value, error  # the error's trace holds what is named here, the error too
