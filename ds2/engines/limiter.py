"""At most so many calls in flight, the oldest unit of work first, over any number of event loops."""

from __future__ import annotations

import asyncio
import heapq
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from math import inf
from typing import NamedTuple

from dspy import lm15

from ds2.engines.breaker import Breaker
from ds2.engines.congestion import Congestion
from ds2.engines.flights import running_loop
from ds2.engines.pace import Pace
from ds2.engines.retry import is_full
from ds2.engines.slot import Slot, pay, words_of

# The place of the running unit in the global order, -1 before the first: lower places go first, and
# the call log notes for whom a call was made.
place: ContextVar[int] = ContextVar("ds2_place", default=-1)

PAUSE_CAP_S = 60.0  # longest pause that a server can ask of everyone
_SOON_S = 0.001  # an alarm that rings so soon after the moment is as good


class _Waiter(NamedTuple):
    place: int
    number: int
    loop: asyncio.AbstractEventLoop
    granted: asyncio.Future[None]
    slot: Slot


class Limiter:
    """The limit on calls in flight of one (endpoint, model), shared by all stages.

    Waiters are served by `place`, then in the order of arrival. Waiting never times out. With a
    `control` the limit follows what the endpoint can take; a `Retry-After` pauses all of it, within
    a cap and with a little jitter. With a `breaker` an endpoint that is down is left alone until it
    is back. With a `pace` no more requests and tokens leave in a minute than were allowed.

    Args:
        concurrency: most calls in flight at once, at least 1.
        control: finds the limit below that; None keeps it at `concurrency`.
        breaker: holds calls back while the endpoint is down; None never does.
        pace: the limits by hand; None for none.
        on_notice: told when calls begin to be held back, and when they go on; must be quick.
    """

    def __init__(
        self,
        concurrency: int,
        control: Congestion | None = None,
        *,
        breaker: Breaker | None = None,
        pace: Pace | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.control, self.breaker, self.pace = control, breaker, pace
        self.on_notice = on_notice
        self.in_flight = 0
        self.peak = 0
        self._waiters: list[_Waiter] = []
        self._arrivals = 0
        self._paused_until_s = 0.0
        self._given_up = ""
        self._alarm: tuple[float, asyncio.AbstractEventLoop] | None = None
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
        now_s = time.monotonic()
        if self.breaker is not None and self.breaker.state != "closed":
            return self._outage(self.breaker, now_s)
        if self._paused_until_s > now_s:
            return f"paused for {self._paused_until_s - now_s:.0f} s, as the endpoint asked"
        if self.in_flight < self.limit and not self._waiters:
            return "no more calls are ready"
        if self.in_flight < self.limit and self.pace is not None:
            return "--rpm or --tpm"
        if self.control is None or self.control.state == "at the ceiling":
            return "--concurrency"
        if self.control.state == "saturated":
            return "more in flight would only wait longer"
        if self.control.cuts:
            return f"cut {self.control.cuts} x after 429 or overload, growing again"
        return "slow start" if self.control.state == "slow start" else "growing"

    @asynccontextmanager
    async def slot(self, characters: int = 0, choices: int = 1) -> AsyncIterator[Slot]:
        """Hold one slot for the duration of the block, which notes in it how the call went.

        Args:
            characters: of the prompt, by which the tokens of the call are estimated.
            choices: replies that the call asks for.

        Raises:
            lm15.ServerError: the endpoint has been down for longer than the patience.
        """
        slot = Slot(characters, choices)
        await self._acquire(slot)
        try:
            yield slot
        finally:
            self._release(slot)

    async def _acquire(self, slot: Slot) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            gone = self._gone()
            if gone is not None:
                raise gone
            if not self._waiters and self._room(slot):
                self._take(slot)
                return
            waiter = _Waiter(place.get(), self._arrivals, loop, loop.create_future(), slot)
            self._arrivals += 1
            heapq.heappush(self._waiters, waiter)
            self._set_alarm()
        try:
            await waiter.granted
        except BaseException:  # a cancellation, a loop that is torn down, an endpoint given up
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                    heapq.heapify(self._waiters)
            if slot.sent_s is not None:  # granted in the same moment: hand the slot on
                self._release(slot, unsent=True)
            raise

    def _release(self, slot: Slot, *, unsent: bool = False) -> None:
        with self._lock:
            notice = self._note(slot, time.monotonic(), unsent=unsent)
            self.in_flight -= 1
            self._grant_waiters()
        if notice and self.on_notice is not None:
            self.on_notice(notice)

    def _untake(self, slot: Slot) -> None:
        """Put back what a call took that will never be sent: nobody will release it."""
        self._note(slot, time.monotonic(), unsent=True)
        slot.sent_s = None
        self.in_flight -= 1

    def _note(self, slot: Slot, now_s: float, *, unsent: bool) -> str:
        """Take in how a call went; return what people should be told."""
        if self.pace is not None:
            pay(self.pace, slot, now_s, unsent=unsent)
        if self.control is not None:
            if slot.replied:
                self.control.replied(now_s, slot.sent_s or now_s, slot.limit)
            elif slot.overloaded:
                self.control.overloaded(now_s, slot.sent_s or now_s)
        if slot.retry_after_s is not None:
            # A little more for each run, so that not all of a server's clients come back at once.
            pause_s = min(PAUSE_CAP_S, slot.retry_after_s) * (1 + random.random() / 10)
            self._paused_until_s = max(self._paused_until_s, now_s + pause_s)
        return "" if self.breaker is None else self._tell(self.breaker, slot, now_s)

    def _tell(self, breaker: Breaker, slot: Slot, now_s: float) -> str:
        if slot.replied or isinstance(slot.error, lm15.RateLimitError):
            outage_s = breaker.outage_s(now_s)
            if not breaker.replied():
                return ""
            return f"The endpoint answers again, after {outage_s:.0f} s."
        if slot.error is None:
            if slot.probe:
                breaker.abandoned()
            return ""
        paused = breaker.failed(
            now_s,
            words_of(slot.error),
            probe=slot.probe,
            full=is_full(slot.error),
            jitter=random.random(),
        )
        return f"Run {self._outage(breaker, now_s)}." if paused else ""

    def _outage(self, breaker: Breaker, now_s: float) -> str:
        said = f"paused: the endpoint answers {breaker.words}"
        if breaker.state == "given up":
            return f"given up after {breaker.outage_s(now_s):.0f} s: {said}"
        if breaker.state == "probing":
            return f"{said}, one call looks whether it is back"
        return f"{said}, next try in {max(0.0, breaker.until_s - now_s):.0f} s"

    def give_up(self, words: str) -> None:
        """Let nobody wait any longer, and nobody in any more: each is told `words`."""
        with self._lock:
            self._given_up = words
            if self.breaker is not None:
                self.breaker.give_up()
            self._grant_waiters()

    def _gone(self) -> lm15.ServerError | None:
        """Return what to tell everyone who asks for a slot at an endpoint that was given up."""
        breaker = self.breaker
        if self._given_up:
            return lm15.ServerError(self._given_up)
        if breaker is None or breaker.state != "given up":
            return None
        return lm15.ServerError(f"{breaker.words}, for more than {breaker.config.patience_s:g} s")

    def _grant_waiters(self) -> None:
        gone, here = self._gone(), running_loop()
        while self._waiters and (gone or self._room(self._waiters[0].slot)):
            waiter = heapq.heappop(self._waiters)
            if waiter.loop.is_closed():
                continue
            if gone is None:
                self._take(waiter.slot)
            if (
                waiter.loop is here
            ):  # told at once, a slot stands idle for one turn of the loop less
                _settle(waiter.granted, gone)
                continue
            try:
                waiter.loop.call_soon_threadsafe(_settle, waiter.granted, gone)
            except RuntimeError:  # its loop was closed since
                if gone is None:
                    self._untake(waiter.slot)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Look again when what holds back the first waiter, other than the limit, is over."""
        if not self._waiters or self.in_flight >= self.limit:
            return
        first, now_s = self._waiters[0], time.monotonic()
        ready_in_s = self._ready_in_s(now_s, first.slot)
        if not 0 < ready_in_s < inf or first.loop.is_closed():
            return
        at_s = now_s + ready_in_s
        if self._alarm is not None:
            set_s, loop = self._alarm
            if now_s < set_s <= at_s + _SOON_S and not loop.is_closed():
                return
        self._alarm = (at_s, first.loop)
        with suppress(RuntimeError):  # its loop was closed since; the next who comes sets another
            first.loop.call_soon_threadsafe(first.loop.call_later, ready_in_s, self._ring)

    def _ring(self) -> None:
        with self._lock:
            self._alarm = None
            self._grant_waiters()

    def _ready_in_s(self, now_s: float, slot: Slot) -> float:
        """Return how long a call has to wait, its turn and the limit aside; 0 or below for not at all."""
        ready_in_s = self._paused_until_s - now_s
        if self.pace is not None:
            tokens = self.pace.estimate.of(slot.characters, slot.choices)
            ready_in_s = max(ready_in_s, self.pace.wait_s(now_s, tokens))
        if self.breaker is not None and not self.breaker.admits(now_s):
            # While the probe is out its return is the next moment.
            probing = self.breaker.state == "probing"
            ready_in_s = max(ready_in_s, inf if probing else self.breaker.until_s - now_s)
        return ready_in_s

    def _room(self, slot: Slot) -> bool:
        return self.in_flight < self.limit and self._ready_in_s(time.monotonic(), slot) <= 0

    def _take(self, slot: Slot) -> None:
        slot.sent_s = time.monotonic()
        slot.probe = self.breaker is not None and self.breaker.left()
        if self.pace is not None:
            slot.tokens = self.pace.estimate.of(slot.characters, slot.choices)
            self.pace.take(slot.sent_s, slot.tokens)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if self.control is not None:
            slot.limit = self.control.sent(slot.sent_s, self.in_flight)


def _settle(granted: asyncio.Future[None], gone: Exception | None) -> None:
    if granted.done():
        return
    if gone is None:
        granted.set_result(None)
    else:
        granted.set_exception(gone)
