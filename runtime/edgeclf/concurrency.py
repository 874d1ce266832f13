"""A pool of threads that yields results in the order of the items and works only a few items ahead."""

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
Answer: TypeAlias = "SimpleQueue[tuple[Any, BaseException | None]]"  # gets one result, or the exception that was raised

AHEAD = 4  # items per worker that are taken in advance, so that a slow item does not block the others at once


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """Call ``work`` on each item in threads, and yield the results in the order of the items.

    Items are taken in the caller's thread, only when a result is requested, at most ``AHEAD`` per worker in advance.
    An exception of ``work`` or of the items is raised in its turn, after the results before it. When the iterator ends,
    is closed, or is interrupted, waiting items are dropped and all threads end.

    ``concurrent.futures`` and ``threading.Thread.start`` are not safe with Ctrl-C: they use locks in Python code, and
    after a KeyboardInterrupt there a lock may stay locked, or be released too early. The operations that are used here
    for each item, in the main thread, are implemented in C.

    Args:
        work: called in several threads at once.
        items: may be endless.
        workers: number of threads, at least 1.

    Returns:
        An iterator over the results.

    Raises:
        UsageError: the iterator was started in the parent process, before a fork.
    """
    source = iter(items)
    tasks: SimpleQueue[tuple[Item, Answer] | None] = SimpleQueue()
    pending: deque[Answer] = deque()
    failure: Exception | None = None
    busy: list[_thread.LockType] = []  # one for each thread, locked until the thread ends
    process, idents = os.getpid(), set[int]()

    def serve(held: _thread.LockType) -> None:
        idents.add(_thread.get_ident())
        try:
            _serve(work, tasks)
        finally:
            idents.discard(_thread.get_ident())
            held.release()

    def same_process() -> None:
        if os.getpid() != process:  # the threads do not exist in this process: it would wait for ever
            raise UsageError("an iterator cannot be continued in a forked process", "create a new one there")

    def stop() -> None:
        """End all threads. It may be interrupted and called again."""
        try:
            while True:
                tasks.get_nowait()
        except Empty:
            pass
        for _ in range(workers):
            tasks.put(None)
        if os.getpid() != process or _thread.get_ident() in idents:
            return  # a forked process has no threads; a thread that runs the garbage collector cannot wait for itself
        for lock in busy:
            with lock:
                pass

    atexit.register(stop)  # for an iterator that is never closed: Python may crash if threads work while it exits
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
            del item  # it may be large
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
        except BaseException as error:  # raised again in the caller's thread
            answer.put((None, error))
        del task, item, answer  # else they stay in memory until the next task


def _result(answer: Answer) -> Any:
    value, error = answer.get()
    try:
        if error is not None:
            raise error
        return value
    finally:
        del value, error  # the error's traceback refers to these variables, also to the error itself
