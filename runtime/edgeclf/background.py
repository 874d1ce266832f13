"""Work that goes on in a thread while the caller does something else."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Start ``work`` in a thread; the function returned waits for it, then returns its result or raises its error.

    ``concurrent.futures`` would do the same, and costs a single photo more time to import than this module has lines.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again by whoever asks
            errors.append(error)

    thread = threading.Thread(target=run, name="edgeclf-background")
    thread.start()

    def wait() -> T:
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    return wait
