"""At most so many calls in flight, the oldest unit of work first, over any number of event loops."""

from __future__ import annotations

import asyncio
import heapq
import random
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from ds2.engines.congestion import Congestion

# The place of the running unit in the global order, -1 before the first: lower places go first, and
# the call log notes for whom a call was made.
place: ContextVar[int] = ContextVar("ds2_place", default=-1)

PAUSE_CAP_S = 60.0  # longest pause that a server can ask of everyone


class _Waiter(NamedTuple):
    place: int
    number: int
    loop: asyncio.AbstractEventLoop
    granted: asyncio.Future[None]


@dataclass(slots=True)
class Slot:
    """One call in flight: when it was sent, by the steady clock, and how it went.

    Args:
        sent_s: when it was sent, seconds.
        overloaded: the endpoint turned it away because it has too much to do.
        retry_after_s: how long the endpoint asked everyone to wait; None where it did not say.
        replied: it brought a reply.
    """

    sent_s: float
    overloaded: bool = False
    retry_after_s: float | None = None
    replied: bool = False


class Limiter:
    """The limit on calls in flight of one (endpoint, model), shared by all stages.

    Waiters are served by `place`, then in the order of arrival. Waiting never times out. With a
    `control` the limit follows what the endpoint can take; a `Retry-After` pauses all of it.

    Args:
        concurrency: most calls in flight at once, at least 1.
        control: finds the limit below that; None keeps it at `concurrency`.
    """

    def __init__(self, concurrency: int, control: Congestion | None = None) -> None:
        self.concurrency = concurrency
        self.control = control
        self.in_flight = 0
        self.peak = 0
        self._waiters: list[_Waiter] = []
        self._arrivals = 0
        self._paused_until_s = 0.0
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Return how many calls may be in flight now."""
        return self.concurrency if self.control is None else self.control.limit

    @property
    def waiting(self) -> int:
        """Return how many calls wait for a slot."""
        return len(self._waiters)

    @property
    def holding(self) -> str:
        """Return in a few words what keeps the calls in flight at their number now."""
        pause_s = self._paused_until_s - time.monotonic()
        if pause_s > 0:
            return f"paused for {pause_s:.0f} s, as the endpoint asked"
        if self.in_flight < self.limit and not self._waiters:
            return "no more calls are ready"
        if self.control is None or self.control.state == "at the ceiling":
            return "--concurrency"
        if self.control.state == "saturated":
            return "the endpoint: more in flight only wait longer"
        if self.control.cuts:
            return f"cut {self.control.cuts} x after 429 or overload, growing again"
        return "slow start" if self.control.state == "slow start" else "growing"

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Hold one slot for the duration of the block, which notes in it how the call went."""
        await self._acquire()
        slot = Slot(time.monotonic())
        try:
            yield slot
        finally:
            self._release(slot)

    async def _acquire(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._room() and not self._waiters:
                self._take()
                return
            waiter = _Waiter(place.get(), self._arrivals, loop, loop.create_future())
            self._arrivals += 1
            heapq.heappush(self._waiters, waiter)
            self._wake_after_pause(loop)
        try:
            await waiter.granted
        except BaseException:  # a cancellation, or a loop that is torn down
            with self._lock:
                mine = waiter in self._waiters
                if mine:
                    self._waiters.remove(waiter)
                    heapq.heapify(self._waiters)
            if not mine:  # granted in the same moment: hand the slot on
                self._release(None)
            raise

    def _release(self, slot: Slot | None) -> None:
        with self._lock:
            if slot is not None and self.control is not None:
                self._note(slot, self.control)
            self.in_flight -= 1
            self._grant_waiters()

    def _note(self, slot: Slot, control: Congestion) -> None:
        now_s = time.monotonic()
        if slot.replied:
            control.replied(now_s, self.in_flight)
        elif slot.overloaded:
            control.overloaded(now_s, slot.sent_s)
            if slot.retry_after_s is not None:
                # A little more for each run, so that not all of a server's clients come back at once.
                pause_s = min(PAUSE_CAP_S, slot.retry_after_s) * (1 + random.random() / 10)
                self._paused_until_s = max(self._paused_until_s, now_s + pause_s)

    def _grant_waiters(self) -> None:
        while self._waiters and self._room():
            waiter = heapq.heappop(self._waiters)
            if waiter.loop.is_closed():
                continue
            self._take()
            try:
                waiter.loop.call_soon_threadsafe(_grant, waiter.granted)
            except RuntimeError:  # its loop was closed since
                self.in_flight -= 1
        if self._waiters:
            self._wake_after_pause(self._waiters[0].loop)

    def _wake_after_pause(self, loop: asyncio.AbstractEventLoop) -> None:
        pause_s = self._paused_until_s - time.monotonic()
        if pause_s > 0 and not loop.is_closed():
            loop.call_soon_threadsafe(loop.call_later, pause_s, self._after_pause)

    def _after_pause(self) -> None:
        with self._lock:
            self._grant_waiters()

    def _room(self) -> bool:
        return self.in_flight < self.limit and time.monotonic() >= self._paused_until_s

    def _take(self) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)


def _grant(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
