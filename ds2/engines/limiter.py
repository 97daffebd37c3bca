"""At most so many calls in flight, the oldest unit of work first, over any number of event loops."""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import NamedTuple

# The place of the running unit in the global order, -1 before the first: lower places go first, and
# the call log notes for whom a call was made.
place: ContextVar[int] = ContextVar("ds2_place", default=-1)


class _Waiter(NamedTuple):
    place: int
    number: int
    loop: asyncio.AbstractEventLoop
    granted: asyncio.Future[None]


class Limiter:
    """A counting limit for one (endpoint, model), shared by all stages.

    Waiters are served by `place`, then in the order of arrival. Waiting never times out.

    Args:
        concurrency: calls in flight at once, at least 1.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.in_flight = 0
        self.peak = 0
        self._waiters: list[_Waiter] = []
        self._arrivals = 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Return how many calls wait for a slot."""
        return len(self._waiters)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot for the duration of the block."""
        await self._acquire()
        try:
            yield
        finally:
            self._release()

    async def _acquire(self) -> None:
        with self._lock:
            if self.in_flight < self.concurrency and not self._waiters:
                self._take()
                return
            loop = asyncio.get_running_loop()
            waiter = _Waiter(place.get(), self._arrivals, loop, loop.create_future())
            self._arrivals += 1
            heapq.heappush(self._waiters, waiter)
        try:
            await waiter.granted
        except BaseException:  # a cancellation, or a loop that is torn down
            with self._lock:
                mine = waiter in self._waiters
                if mine:
                    self._waiters.remove(waiter)
                    heapq.heapify(self._waiters)
            if not mine:  # granted in the same moment: hand the slot on
                self._release()
            raise

    def _release(self) -> None:
        with self._lock:
            self.in_flight -= 1
            while self._waiters and self.in_flight < self.concurrency:
                waiter = heapq.heappop(self._waiters)
                if waiter.loop.is_closed():
                    continue
                self._take()
                try:
                    waiter.loop.call_soon_threadsafe(_grant, waiter.granted)
                except RuntimeError:  # its loop was closed since
                    self.in_flight -= 1

    def _take(self) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)


def _grant(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
