"""Working on photos side by side: in threads, in order, and never more than a few ahead of who asks."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # items taken in a worker: one that takes long does not keep the others waiting at once


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """The results of ``work``, done in threads, in the order of the items and as soon as they are there.

    Items are taken in the caller's thread, only while results are asked for, and at most ``AHEAD`` a worker beyond
    those answered. What ``work`` or the items raise is raised in its turn, after the results before it. When the
    iterator ends, is closed, or is interrupted, what has not begun is dropped, and no thread is left.

    Args:
        work: called in several threads at once.
        items: may be endless.
        workers: threads, at least 1.
    """
    source = iter(items)
    pending: deque[Future[Result]] = deque()
    failure: Exception | None = None
    pool = ThreadPoolExecutor(workers, "edgeclf")
    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            pending.append(pool.submit(work, item))
            del item  # photos may be large
            while pending and (len(pending) > AHEAD * workers or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)
