"""Ends this process if another of its training was lost and nothing else says so.

Lightning has a watcher for that, too, which looks every five seconds. It kills this process without a word, although
the next step would end with an error that says what happened and how to go on. But with NCCL a step may wait forever.
"""

import os
import sys
import threading
import time
from subprocess import Popen
from typing import Any

from edgeclf.errors import BackendError

_EVERY, _GRACE = 2, 60  # seconds between two looks, and for this process to end by itself
LOST = "another process of this training ended, most often because it was killed"


def take_over(started: list[Popen[Any]], children: list[Popen[Any]], remedy: str) -> None:
    """Watch processes in place of Lightning's watcher, which ends when its list is empty.

    Args:
        started: Lightning's list; it is emptied.
        children: gets them. They are watched until the list is empty.
        remedy: for the message.
    """
    if not started:
        return
    children += started
    started.clear()
    threading.Thread(target=_watch, args=(children, remedy), daemon=True).start()


def _watch(children: list[Popen[Any]], remedy: str) -> None:
    while children and not any(child.poll() for child in list(children)):
        time.sleep(_EVERY)
    deadline = time.monotonic() + _GRACE
    while children and time.monotonic() < deadline:
        time.sleep(0.1)
    if children:
        for child in children:
            child.kill()
        print(f"edgeclf: {LOST}; {remedy}", file=sys.stderr, flush=True)
        os._exit(BackendError.exit_code)
