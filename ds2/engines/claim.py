"""What a run may have used, in its store before it is used: no end of a process hides a call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from math import ceil, inf
from typing import NamedTuple, TypeAlias

from ds2.engines.amounts import Amount

#: On calls, tokens and USD; None for none.
Limits: TypeAlias = tuple[int | None, int | None, float | None]

_SHARE = 4  # a mark is set ahead by one in so many of the calls on the wire


class Standing(NamedTuple):
    """How far a budget is used.

    Args:
        spent: settled or lost.
        wire: the most that calls on the wire could come to, at any moment since the mark was last set.
        limits: that it has.
    """

    spent: Amount
    wire: Amount
    limits: Limits


class Claim:
    """A mark in the store that the use of a run passes only after it was moved there.

    In symbols, for calls, tokens and USD each: m >= s + w at any moment, with m the mark as the store
    has it, s what is settled or lost, w the most that the calls on the wire can come to. So whatever
    ends the process, its calls come to m at most. What of m neither the call log nor the lost amounts
    show may have been billed.

    The mark is set to s + w and a quarter of w ahead, by one call at least, never past a limit. A
    commit of replies takes a new one along where half of that is used up, or where the old one is
    ahead by twice as much. So a call rarely has to wait for a commit of its own, as it does where it
    would pass the mark. One move is under way at a time, and until it has ended only what is within
    both marks counts as covered.

    Args:
        keep: queues a mark for the store; done once it is committed, in the order of the calls.
    """

    def __init__(self, keep: Callable[[Amount], Future[None]]) -> None:
        self._keep = keep
        self._sure: Amount | None = None  # whichever mark the store has, it is no less
        self._moving = False
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()

    @property
    def made(self) -> bool:
        """Return whether the store has any mark."""
        return self._sure is not None

    def covers(self, used: Amount) -> bool:
        """Return whether the store has a mark that is not below `used`."""
        return self._sure is not None and used.within(self._sure)

    def move(self, used: Amount, now: Standing) -> bool:
        """Queue the next mark, no less than `used`; return whether there was need of one.

        Its owner calls this and `covers` under the lock under which its standing changes.

        Raises:
            RuntimeError: the store is closed.
        """
        mark, ahead = _mark(used, now)
        with self._lock:
            if self._moving or (self.covers(used) and self._is_near(mark, ahead)):
                return False
            self._moving = True
            if self._sure is not None:
                self._sure = self._sure.least(mark)
        try:
            written = self._keep(mark)
        except BaseException as error:
            self._end(error)
            raise
        written.add_done_callback(partial(self._moved, mark))
        return True

    def _is_near(self, mark: Amount, ahead: Amount) -> bool:
        """Return whether the mark that stands is as good as a new one that is so far ahead."""
        if self._sure is None:
            return False
        half = Amount((ahead.calls + 1) // 2, (ahead.tokens + 1) // 2, ahead.usd / 2)
        return mark.less(half).within(self._sure) and self._sure.within(mark.plus(ahead))

    async def moved(self) -> None:
        """Wait until no mark is on its way.

        Raises:
            StoreError: it could not be written.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self._moving:
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((loop, future))
        await future

    def _moved(self, mark: Amount, done: Future[None]) -> None:
        error = done.exception()
        if error is None:
            self._sure = mark
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            self._moving = False
            waiters, self._waiters = self._waiters, []
        for loop, future in waiters:
            with suppress(RuntimeError):  # the loop was closed, and nobody waits there any more
                loop.call_soon_threadsafe(_tell, future, error)


def _mark(used: Amount, now: Standing) -> tuple[Amount, Amount]:
    """Return the mark to be set now, and how far ahead it is where no limit is near."""
    wire = now.wire
    ahead = max(1, wire.calls // _SHARE) / wire.calls if wire.calls else 0.0
    more = Amount(ceil(wire.calls * ahead), ceil(wire.tokens * ahead), wire.usd * ahead)
    whole = now.spent.plus(wire).plus(more)
    calls, tokens, usd = (inf if limit is None else limit for limit in now.limits)
    within = Amount(
        int(min(whole.calls, calls)), int(min(whole.tokens, tokens)), min(whole.usd, usd)
    )
    return within.most(used), more


def _tell(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():  # cancelled
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
