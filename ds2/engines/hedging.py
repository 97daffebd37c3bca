"""A call that takes much longer than others is asked a second time; the first reply wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from ds2.engines.retry import WEATHER, may_be_billed

T = TypeVar("T")

#: How a call of a race ended. All but `unpaid` may be billed: `failed` met weather on its way back,
#: `cancelled` was given up on the wire, or brought a reply that came too late.
Fate: TypeAlias = Literal["won", "cancelled", "failed", "unpaid"]

FACTOR = 8.0
LEAST = 20


class Hedge:
    """Knows how long replies take, and when one is a straggler.

    In symbols: a call on the wire for longer than FACTOR x the mean of all replies so far, of which
    there must be LEAST. Time in our own queue counts for nothing. A call is asked a second time once
    at most. It changes no row: whichever reply is stored first stands.

    Source: Dean and Barroso (2013), The Tail at Scale.
    """

    def __init__(self) -> None:
        self.asked_twice = 0
        self._replies = 0
        self._sum_s = 0.0

    @property
    def limit_s(self) -> float | None:
        """Return how old a straggler is, seconds; None while too little is known."""
        return None if self._replies < LEAST else FACTOR * self._sum_s / self._replies

    def note(self, latency_s: float) -> None:
        """Take in how long a reply took."""
        self._replies += 1
        self._sum_s += latency_s

    async def race(
        self,
        attempt: Callable[[Callable[[], None]], Awaitable[T]],
        *,
        may_ask_twice: Callable[[], bool],
        ended: Callable[[Sequence[Fate]], None],
    ) -> T:
        """Return the result of `attempt`, or of a second one where the first is a straggler.

        Args:
            attempt: makes the call, and calls its argument when it is on the wire.
            may_ask_twice: reserves what a second call costs; False where that cannot be.
            ended: told how each call ended, the first one first, once none is under way.

        Raises:
            lm15.LM15Error: the last error, where neither brought a reply.
        """
        on_wire = asyncio.Event()
        first = asyncio.ensure_future(attempt(on_wire.set))
        racers = [first]
        sent = [on_wire]
        winner: asyncio.Future[T] | None = None
        try:
            if await self._straggles(first, on_wire) and may_ask_twice():
                self.asked_twice += 1
                sent.append(asyncio.Event())
                racers.append(asyncio.ensure_future(attempt(sent[1].set)))
            winner = await _winner(racers)
            return winner.result()
        finally:
            for racer in racers:
                racer.cancel()
            await asyncio.gather(*racers, return_exceptions=True)
            on_way = [event.is_set() for event in sent]
            ended([_fate(r, r is winner, was) for r, was in zip(racers, on_way, strict=True)])

    async def _straggles(self, call: asyncio.Future[T], on_wire: asyncio.Event) -> bool:
        sent = asyncio.ensure_future(on_wire.wait())
        try:
            both: set[asyncio.Future[Any]] = {call, sent}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not call.done() and self.limit_s is not None:
                await asyncio.wait({call}, timeout=self.limit_s)
                return not call.done()
            return False
        finally:
            sent.cancel()


def _fate(racer: asyncio.Future[Any], won: bool, sent: bool) -> Fate:
    error = None if racer.cancelled() else racer.exception()
    if won and error is None:
        return "won"
    if not sent:
        return "unpaid"
    if isinstance(error, Exception):
        return "failed" if may_be_billed(error) else "unpaid"
    return "cancelled"


async def _winner(racers: Sequence[asyncio.Future[T]]) -> asyncio.Future[T]:
    """Return who is done first; an error counts only where nobody is left who could do better."""
    waiting: set[asyncio.Future[Any]] = set(racers)
    while len(waiting) > 1:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for racer in done:
            if not isinstance(racer.exception(), WEATHER):
                return racer
        if not waiting:
            return done.pop()
    await asyncio.wait(waiting)
    return waiting.pop()
