"""The work of a service: who is let in, how much memory photos take, and the threads that classify them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio.to_thread

from edgeclf.serve.problems import busy
from edgeclf.serve.settings import Limits

Result = TypeVar("Result")


async def in_thread(free: asyncio.Semaphore, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function that waits for a disk, in a thread that classifies no photos.

    Args:
        free: as many as may run at once. Not anyio's limiter: its earlier versions make one only while a service runs.
        function, arguments: what is called; it is not interrupted if the client goes away.
    """
    async with free:
        return await anyio.to_thread.run_sync(function, *arguments)


class Work:
    """Admits requests within the limits, and runs functions in threads. Used from the event loop only.

    Args:
        threads: how many photos are worked on at once.
        limits: those of the service.

    Attributes:
        threads: how many photos are worked on at once.
        requests: how many are in work or wait.
        photos: that are being classified or wait for a thread.
        photo_bytes: of photos that were received and not classified yet.
    """

    def __init__(self, threads: int, limits: Limits) -> None:
        self.threads, self._limits = threads, limits
        # Its threads take the next photo from a queue by themselves. With anyio's pool each photo goes through the
        # event loop when a thread is free: a fifth of the throughput was lost to that.
        self._pool = ThreadPoolExecutor(threads, "edgeclf-photos")
        self._clients: Counter[str] = Counter()
        self.requests = self.photo_bytes = self.photos = 0

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
        self.photos += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self.photos -= 1

    def close(self) -> None:
        """End the threads when they are done; what waits for them is dropped."""
        self._pool.shutdown(cancel_futures=True)
