"""The work of a service: who is let in, how much memory photos take, and the threads that classify them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from edgeclf.serve.problems import busy
from edgeclf.serve.settings import Limits

Result = TypeVar("Result")


class Work:
    """Admits requests within the limits, and runs functions in threads. Used from the event loop only.

    Args:
        threads: how many photos are worked on at once.
        limits: those of the service.

    Attributes:
        requests: how many are in work or wait.
        photo_bytes: of photos that were received and not classified yet.
    """

    def __init__(self, threads: int, limits: Limits) -> None:
        self._limits, self._threads = limits, anyio.CapacityLimiter(threads)
        self._clients: Counter[str] = Counter()
        self.requests = self.photo_bytes = 0

    @property
    def threads(self) -> int:
        """How many photos are worked on at once."""
        return int(self._threads.total_tokens)

    @property
    def running(self) -> int:
        """Photos that are being decoded and classified."""
        return int(self._threads.borrowed_tokens)

    @contextmanager
    def admitted(self, client: str) -> Iterator[None]:
        """A context for one request of a client.

        Raises:
            RequestError: 503, there are too many.
        """
        if self.requests >= self._limits.waiting:
            raise busy(f"{self.requests} requests are waiting already")
        if self._clients[client] >= self._limits.per_client:
            raise busy(f"{self._clients[client]} requests of yours are waiting already")
        self.requests += 1
        self._clients[client] += 1
        try:
            yield
        finally:
            self.requests -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]  # else the table grows with every address that ever came

    def take(self, count: int) -> None:
        """Count bytes that were received.

        Raises:
            RequestError: 503, photos take all memory that they may take.
        """
        if self.photo_bytes + count > self._limits.memory_bytes:
            raise busy("too many photos are waiting")
        self.photo_bytes += count

    def give_back(self, count: int) -> None:
        """Count bytes that are not needed any more."""
        self.photo_bytes -= count

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in a thread, as soon as one is free. It is not interrupted if the client goes away."""
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._threads)
