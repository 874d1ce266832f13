"""What becomes of onnxruntime when a process forks, as servers do that load a model once and answer in children.

A child gets the memory of its parent but only one of its threads. A session that came along would wait for threads
that are not there, at the latest when it is taken apart. So in a child each is left alone for good, and whoever owns
one opens it anew. No session is half open when a process forks: a fork waits until opening has ended.
"""

import os
import threading
import weakref
from typing import Any, Protocol

opening = threading.RLock()  # held while onnxruntime is imported or opens a session
_sessions: dict[int, "weakref.ref[Any]"] = {}
_owners: dict[int, "weakref.ref[Owner]"] = {}


class Owner(Protocol):
    """Whoever holds sessions."""

    def after_fork(self) -> None:
        """Called in a child, whose only thread runs this: forget sessions, locks and threads."""


def leave_behind(session: Any) -> None:
    """In children of this process the session is never used, and never taken apart."""
    _remember(_sessions, session)


def renew(owner: Owner) -> None:
    """Tell the owner in every child of this process."""
    _remember(_owners, owner)


def _remember(known: dict[int, "weakref.ref[Any]"], thing: Any) -> None:
    key = id(thing)
    known[key] = weakref.ref(thing, lambda _: known.pop(key, None))


def _in_child() -> None:
    opening.release()
    if sessions := [session for ref in list(_sessions.values()) if (session := ref()) is not None]:
        import ctypes

        for session in sessions:  # one reference too many: not even the end of the process takes it apart
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    _sessions.clear()
    for owner in list(_owners.values()):
        if (alive := owner()) is not None:
            alive.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=opening.acquire, after_in_parent=opening.release, after_in_child=_in_child)
