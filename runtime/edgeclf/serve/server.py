"""The HTTP server: connections, their time limits, and an orderly end."""

import asyncio
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeclf.errors import UsageError
from edgeclf.serve.settings import Limits

_SWITCH_SECONDS = 0.0005  # how long the event loop waits for Python's lock: with the usual 5 ms it starves the threads
_BACKLOG = 256  # connections that the system accepts before they are served


class _Server(uvicorn.Server):
    """uvicorn's server without its own signal handlers: the command decides what signals do."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Service:
    """A service that listens, and ends when it is told to.

    Args:
        app: what answers.
        listener: a socket that listens already.
        limits: those of the service.
    """

    def __init__(self, app: Starlette, listener: socket.socket, limits: Limits) -> None:
        self._listener = listener
        config = uvicorn.Config(
            app,
            http=_protocol(limits.idle_seconds),
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=max(1, round(limits.stop_seconds)),
        )
        self._server = _Server(config)

    def run(self) -> None:
        """Serve until ``stop`` is called and what is in work is answered, at most ``Limits.stop_seconds`` later."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            asyncio.run(self._server.serve([self._listener]))
        finally:
            sys.setswitchinterval(before)

    def stop(self) -> None:
        """End: accept nothing new, answer what is in work. Called again, end at once. May be called by a signal."""
        if self._server.should_exit:
            self._server.force_exit = True
        self._server.should_exit = True

    @property
    def started(self) -> bool:
        """Whether it answers."""
        return bool(self._server.started)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address of this machine, or a name of one.
        port: 0 for any free one.

    Raises:
        UsageError: the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if hasattr(socket, "SO_REUSEADDR") and socket.has_ipv6 is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(
            f"cannot listen on {host}, port {port} ({reason})", "choose another --port or --host"
        ) from error
    listener.setblocking(False)
    return listener


def _protocol(idle_seconds: float) -> type[H11Protocol]:
    """uvicorn's HTTP protocol with two more time limits: until a request's head is complete, and for reading answers.

    Without them a client that sends a byte now and then, or reads none, holds its connection for ever.
    """

    class Protocol(H11Protocol):
        _waiting_for_head: asyncio.TimerHandle | None = None
        _waiting_for_reader: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.is_closing() and self.cycle is not None:  # not HTTP: the answer is sent already,
                self.cycle.disconnected = True  # and the request in work has nobody left to answer
                self.cycle.message_event.set()
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for timer in (self._waiting_for_head, self._waiting_for_reader):
                if timer is not None:
                    timer.cancel()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._waiting_for_reader = self._later(self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._waiting_for_reader is not None:
                self._waiting_for_reader.cancel()

        def _watch(self) -> None:
            idle = self.conn.their_state is h11.IDLE
            if idle and self._waiting_for_head is None:
                self._waiting_for_head = self._later(self.transport.close)
            elif not idle and self._waiting_for_head is not None:
                self._waiting_for_head.cancel()
                self._waiting_for_head = None

        def _later(self, what: Callable[[], Any]) -> asyncio.TimerHandle:
            return self.loop.call_later(idle_seconds, what)

    return Protocol
