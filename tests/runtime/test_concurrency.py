"""The ordered thread pool: order, limits, and no thread left after any way of ending."""

import faulthandler
import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from edgeclf.concurrency import in_order
from helpers import workers

WORKERS = 3


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert workers() == []


def test_threads_do_work_side_by_side_and_results_keep_their_order() -> None:
    meeting = threading.Barrier(WORKERS, timeout=30)

    def work(item: int) -> int:
        meeting.wait()  # nobody leaves before all workers are here
        return item * item

    assert list(in_order(work, range(4 * WORKERS), WORKERS)) == [n * n for n in range(4 * WORKERS)]


def test_slow_first_item_does_not_keep_the_others_waiting() -> None:
    others, done = threading.Event(), []

    def work(item: int) -> int:
        if item == 0:
            assert others.wait(30)
        done.append(item)
        if len(done) == 2 * WORKERS:
            others.set()
        return item

    assert list(in_order(work, range(20), WORKERS)) == list(range(20))
    assert done[0] != 0


def test_what_the_work_or_the_items_raise_comes_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise LookupError("no more")

    results = in_order(lambda item: item, items(), WORKERS)
    assert list(itertools.islice(results, 5)) == list(range(5))
    with pytest.raises(LookupError, match="no more"):
        next(results)
    results = in_order(lambda item: 1 // (item - 2), range(9), WORKERS)
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_drops_what_has_not_begun() -> None:
    begun, go = [], threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        assert item == 0 or go.wait(30)
        return item

    results = in_order(work, itertools.count(), WORKERS)
    assert next(results) == 0
    threading.Timer(0.1, go.set).start()
    results.close()
    assert len(begun) <= 2 * WORKERS + 1
    assert workers() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_iterator_that_is_forked_does_not_keep_the_child_from_ending() -> None:
    script = """
import os, sys, time
from edgeclf.concurrency import in_order
results = in_order(lambda item: time.sleep(0.01), range(1000), 2)
next(results)
if os.fork() == 0:
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
results.close()
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_iterator_that_its_own_worker_throws_away_ends() -> None:
    """Part of a cycle, it is found by the garbage collector, which runs in any thread."""
    alone, collected = threading.Event(), threading.Event()

    def work(item: int) -> int:
        if item:
            assert alone.wait(30)
            gc.collect()
            collected.set()
        return item

    class Holder:
        def __init__(self) -> None:
            self.results = in_order(work, self.items(), 1)

        def items(self) -> Iterator[int]:
            yield from itertools.count()

    holder = Holder()
    assert next(holder.results) == 0
    del holder
    alone.set()
    assert collected.wait(30)
    end = time.monotonic() + 30
    while workers() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupts_at_any_moment_end_the_iterator() -> None:
    """In CPython's own pools about one in a thousand ends in a RuntimeError or in a lock that nobody frees."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def until_interrupted() -> None:
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, 0.003))
        for _ in in_order(int, itertools.count(), WORKERS):
            pass

    before = signal.signal(signal.SIGALRM, interrupt)
    chance = random.Random(0)
    faulthandler.dump_traceback_later(60, exit=True)  # nothing else ends a deadlock
    try:
        for _ in range(1500):
            with pytest.raises(KeyboardInterrupt):
                until_interrupted()
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
