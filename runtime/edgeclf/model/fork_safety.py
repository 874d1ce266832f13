"""onnxruntime sessions in processes that fork, such as servers that load a model once and predict in child processes.

A child process has the memory of its parent but only one of its threads. An inherited session would wait for threads
that do not exist, at the latest when it is destroyed. So in a child an inherited session is neither used nor destroyed,
and its owner opens a new one. A fork waits until sessions that are being opened are open.
"""

import os
import threading
import weakref
from typing import Any, Protocol

opening = threading.RLock()  # held while onnxruntime is imported or opens a session
_sessions: dict[int, "weakref.ref[Any]"] = {}
_owners: dict[int, "weakref.ref[Owner]"] = {}


class Owner(Protocol):
    """An object that owns sessions."""

    def after_fork(self) -> None:
        """Called in a child process, by its only thread: forget sessions, locks and threads."""


def never_destroy_in_children(session: Any) -> None:
    """Do not destroy the session in child processes."""
    _remember(_sessions, session)


def call_after_fork(owner: Owner) -> None:
    """Call the owner's ``after_fork`` in every child process."""
    _remember(_owners, owner)


def _remember(known: dict[int, "weakref.ref[Any]"], thing: Any) -> None:
    key = id(thing)
    known[key] = weakref.ref(thing, lambda _: known.pop(key, None))


def _in_child() -> None:
    opening.release()
    if sessions := [session for ref in list(_sessions.values()) if (session := ref()) is not None]:
        import ctypes

        for session in sessions:  # with one more reference, even the end of the process does not destroy it
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    _sessions.clear()
    for owner in list(_owners.values()):
        if (alive := owner()) is not None:
            alive.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=opening.acquire, after_in_parent=opening.release, after_in_child=_in_child)
