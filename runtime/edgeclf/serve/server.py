"""The HTTP server: connections, their time limits, and an orderly end."""

import asyncio
import os
import socket
import sys
from collections import Counter
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
_MAX_PARTS, _MIN_PART_BYTES = 1000, 256  # of a body: this many, and one more for each of these bytes
_REST_SECONDS = 2.0  # for what a client still sends after its answer
_SHARE_OF_ONE_ADDRESS = 0.5  # of all connections
_MIN_CONNECTIONS, _OTHER_DESCRIPTORS = 16, 100  # photos, sockets and libraries need some, too
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
            http=_protocol(limits),
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
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
            if os.name != "nt":  # there it would let two programs listen on one port
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


def _protocol(limits: Limits) -> type[H11Protocol]:
    """uvicorn's HTTP protocol with limits that it lacks.

    Of connections, in all and from one address; of time, until a request's head is complete, for an upload after its
    answer, and for reading answers; and of the number of parts in which a body comes. Without them a client holds
    connections for ever, or keeps the event loop busy with chunks of one byte.
    """
    most = min(limits.connections, max(_MIN_CONNECTIONS, _descriptors() - _OTHER_DESCRIPTORS))

    addresses: Counter[str] = Counter()  # open connections of each

    class Protocol(H11Protocol):
        _timers: dict[str, asyncio.TimerHandle]
        _unsent = _parts = _received = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._timers = {}
            next_event = self.conn.next_event

            def counted() -> Any:
                event = next_event()
                if isinstance(event, h11.Request):
                    self._parts = self._received = 0
                elif isinstance(event, h11.Data):
                    self._parts, self._received = self._parts + 1, self._received + len(event.data)
                    if self._parts > _MAX_PARTS + self._received // _MIN_PART_BYTES:
                        raise h11.RemoteProtocolError("the body comes in too many small parts")
                return event

            self.conn.next_event = counted  # type: ignore[method-assign]
            address = self.client[0] if self.client else ""
            addresses[address] += 1
            if addresses.total() > most or addresses[address] > most * _SHARE_OF_ONE_ADDRESS:
                transport.abort()
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.is_closing() and self.cycle is not None:  # not HTTP: the answer is sent already,
                self.cycle.disconnected = True  # and the request in work has nobody left to answer
                self.cycle.message_event.set()
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.conn.their_state is h11.SEND_BODY:
                self._later("the rest of an upload", _REST_SECONDS, self.transport.abort)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for name in list(self._timers):
                self._cancel(name)
            address = self.client[0] if self.client else ""
            addresses[address] -= 1
            if not addresses[address]:
                del addresses[address]

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unsent = self.transport.get_write_buffer_size()
            self._later("reader", limits.idle_seconds, self._check_reader)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._cancel("reader")

        def _check_reader(self) -> None:
            unsent = self.transport.get_write_buffer_size()
            if self._unsent - unsent < limits.bytes_per_second * limits.idle_seconds:
                self.transport.abort()
            else:
                self._unsent = unsent
                self._later("reader", limits.idle_seconds, self._check_reader)

        def _watch(self) -> None:
            idle = self.conn.their_state is h11.IDLE
            if idle and "head" not in self._timers:
                self._later("head", limits.idle_seconds, self.transport.close)
            elif not idle:
                self._cancel("head")

        def _later(self, name: str, seconds: float, what: Callable[[], Any]) -> None:
            self._cancel(name)
            self._timers[name] = self.loop.call_later(seconds, what)

        def _cancel(self, name: str) -> None:
            if (timer := self._timers.pop(name, None)) is not None:
                timer.cancel()

    return Protocol


def _descriptors() -> int:
    """How many files and connections this process may have open."""
    try:
        import resource
    except ImportError:  # Windows
        return 2**16
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**16 if soft == resource.RLIM_INFINITY else soft
