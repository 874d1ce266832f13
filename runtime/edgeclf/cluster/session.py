"""Starting Ray here, or connecting to a cluster: without telemetry, and on loopback unless told otherwise."""

import logging
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgeclf.errors import BackendError, EdgeclfError, UsageError
from edgeclf.telemetry import disable_telemetry

LOCAL = "local"
# Ray's own limits are too short for machines that are busy with other work. One of them cannot be set: its node process
# ends itself if a helper that it started is not ready after 15 seconds, and nobody tells this process. (23 seconds were
# seen on two busy cores.) So this process does not wait very long, and starts Ray again.
_START_SECONDS, _STARTS = 90, 3
_OBJECT_STORE_BYTES = 512 * 2**20  # of a local cluster: blocks of paths and counts are small


def is_ray_address(text: str) -> bool:
    """Whether a text is what ``connected`` takes, not a path that was typed behind an option."""
    host, colon, port = text.rpartition(":")
    return text in (LOCAL, "auto") or bool(colon and host and port.isdecimal())


@contextmanager
def connected(address: str | None, *, cpus: int | None = None, dashboard: bool = False) -> Iterator[None]:
    """Use Ray's session of this process if there is one, else start or join a cluster, and leave it at the end.

    Args:
        address: "local" or None: a cluster of this process on this machine, on 127.0.0.1 only, ended with it. "auto":
            the one that `ray start` started on this machine. ``host:port``: the cluster with this head node.
        cpus: CPUs of a local cluster; None: those that this process may use.
        dashboard: start Ray's web page too, on a local cluster.

    Raises:
        BackendError: Ray is not installed, or there is no cluster at the address.
        UsageError: the address is not valid.
    """
    ray, began = connect(address, cpus=cpus, dashboard=dashboard)
    try:
        yield
    finally:
        if began:
            ray.shutdown()


def connect(address: str | None, *, cpus: int | None = None, dashboard: bool = False) -> tuple[Any, bool]:
    """As ``connected``, but the session stays until ``ray.shutdown()`` or the end of the process.

    Returns:
        The module ``ray``, and whether this call began the session.
    """
    if address is not None and not is_ray_address(address):
        raise UsageError(f"{address}: is not the address of a cluster", "give local, auto or HOST:PORT")
    disable_telemetry("ray")
    local = address in (None, LOCAL)
    if local:
        _stay_on_this_machine()
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise BackendError(f"a cluster needs {error.name}", 'pip install "edgeclf[ray]" on every node') from error
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if local:
        from edgeclf.model.session import usable_threads

        options |= {
            "num_cpus": cpus or usable_threads(),
            "include_dashboard": dashboard,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    try:
        _start(ray, address or LOCAL, options)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = f"no Ray cluster at {address or LOCAL} ({' '.join(str(error).split())[:200]})"
        raise BackendError(what, "start one with `ray start --head`, or leave the address out") from error
    except Exception as error:  # Ray raises a plain Exception if a process did not start in time
        raise BackendError(
            f"Ray did not start ({' '.join(str(error).split())[:200]})",
            "try again when the machine has less work, or free memory; Ray's own logs say more: session_latest/logs in "
            "its temporary folder",
        ) from error
    return ray, True


def _start(ray: Any, address: str, options: dict[str, Any]) -> None:
    """``ray.init``; a local cluster that did not start in time is started again, with new names and ports.

    What was started in vain, but for the node process, ends with this process.
    """
    for left in reversed(range(_STARTS)):
        try:
            ray.init(address=address, **options)
            return
        except (ConnectionError, RuntimeError, ValueError):
            raise
        except Exception:  # as in ``connect``: a process did not start in time
            if address != LOCAL or not left:
                raise


def _stay_on_this_machine() -> None:
    """Settings of a local cluster; Ray reads them while it is imported. All its ports then listen on 127.0.0.1."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Without a token of our own Ray would write one into the home folder.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_raylet_start_wait_time_s", str(_START_SECONDS))
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")


@dataclass(frozen=True)
class Actors:
    """How many actors work, and what each takes: CPUs, which are its threads too, and GPUs."""

    count: int
    cpus: int
    gpus: int


def actors_for(cpus: float, gpus: float, threads: int | None) -> Actors:
    """Size the pool of actors.

    Without GPUs, an actor for each ``threads`` CPUs, 1 if None: photos are independent, and processes share nothing.
    With GPUs, an actor for each, and the CPUs are shared among them to decode.

    Args:
        cpus, gpus: of the whole cluster.
        threads: CPU threads of an actor.

    Raises:
        UsageError: no node can have that many.
    """
    if gpus >= 1:
        count = int(gpus)
        return Actors(count, threads or max(1, int(cpus) // count), 1)
    each = threads or 1
    if each > cpus:
        raise UsageError(f"--threads {each}: the cluster has {math.floor(cpus)} CPUs", "give fewer threads")
    return Actors(max(1, int(cpus) // each), each, 0)


@contextmanager
def errors_of_edgeclf() -> Iterator[None]:
    """Raise the error that ended an actor's work as it was raised there, without Ray's own around it."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            inner = getattr(cause, "cause", None)
            if isinstance(cause, EdgeclfError):
                raise _plain(cause) from error
            cause = inner if isinstance(inner, BaseException) else cause.__cause__
        raise


def _plain(error: EdgeclfError) -> EdgeclfError:
    """Ray's copy of an error is of a class that also is a RayTaskError: the same as its own class."""
    for kind in type(error).__mro__:
        if kind.__module__.startswith("edgeclf."):
            return kind(error.message, error.remedy) if kind is not EdgeclfError else error
    return error
