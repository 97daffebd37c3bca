"""What a run says of itself every few seconds, so that it can be read from its folder meanwhile."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ds2.runtime.budgets import lost_facts
from ds2.runtime.lastword import LastWord
from ds2.runtime.stopping import current
from signatures.errors import DS2Error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ds2.engines.budget import Budget
    from ds2.engines.logged import LoggedEngine
    from ds2.runtime.runner import Progress
    from ds2.store import RunStore

EVERY_S = 2.0
WINDOW_S = 300.0  # the minutes that a rate is of
META = "heartbeat"
CUT_SHORT = "cut_short"  # in a heartbeat whose ledger is not that of the end
HISTORY = "history"
MOST_POINTS = 240

Phase = Literal["keywords", "rows", "writing", "ended"]


class _Point(NamedTuple):
    at_s: float
    calls: int
    rows: int


class Rate(NamedTuple):
    """How fast a run goes.

    Args:
        calls_per_min: new calls; those that the log answered do not count.
        rows_per_min: rows accepted meanwhile.
        window_s: seconds that were looked at.
    """

    calls_per_min: float
    rows_per_min: float
    window_s: float


class Pace:
    """The rate over the last minutes, from points handed in (pure: no clock).

    While a run reads its log again, rows come as fast as the processor allows, which says nothing of
    those that must be asked for: the window begins at the last point without a new call.
    """

    def __init__(self) -> None:
        self._points: deque[_Point] = deque()

    def note(self, at_s: float, calls: int, rows: int) -> None:
        """Take in how many new calls and rows there are at a moment, by a steady clock."""
        if calls == 0:
            self._points.clear()
        self._points.append(_Point(at_s, calls, rows))
        while len(self._points) > 2 and at_s - self._points[1].at_s >= WINDOW_S:
            self._points.popleft()

    @property
    def rate(self) -> Rate | None:
        """Return the rate, or None before the first new calls."""
        if len(self._points) < 2:
            return None
        first, last = self._points[0], self._points[-1]
        took_s = last.at_s - first.at_s
        if took_s <= 0 or last.calls <= 0:
            return None
        a_minute = 60 / took_s
        return Rate(
            (last.calls - first.calls) * a_minute, (last.rows - first.rows) * a_minute, took_s
        )


class Instant(NamedTuple):
    """A moment of a run: seconds of work so far, all calls logged, rows accepted, calls in flight.

    `limit` is the most that might be in flight then; 0 where that was not noted.
    """

    at_s: float
    calls: int
    rows: int
    in_flight: int
    limit: int = 0

    @classmethod
    def read(cls, noted: Sequence[float]) -> Instant:
        """Return a moment as the store keeps it, by this version or an earlier one."""
        at_s, *counts = noted
        return cls(at_s, *map(int, counts))


class History:
    """A run over its working time, all its processes one after the other; at most `MOST_POINTS`.

    When there are more, every second one goes, so that what is left spans the whole run evenly.
    `worked_s` is the working time up to the last moment that was noted, kept or not.

    Args:
        earlier: what earlier processes left; time goes on where they stopped.
    """

    def __init__(self, earlier: Sequence[Sequence[float]] = ()) -> None:
        self._points = [Instant.read(point) for point in earlier]
        self.worked_s = self._offset_s = self._points[-1].at_s if self._points else 0.0
        self._apart_s = 0.0

    def note(self, now: Instant) -> None:
        """Take in a moment; its time counts from the beginning of this process."""
        now = now._replace(at_s=round(self._offset_s + now.at_s, 1))
        self.worked_s = now.at_s
        if self._points and 0 < now.at_s - self._points[-1].at_s < self._apart_s:
            return
        self._points.append(now)
        if len(self._points) > MOST_POINTS:
            del self._points[1:-1:2]
            self._apart_s = 2 * self._points[-1].at_s / MOST_POINTS

    @property
    def points(self) -> list[Instant]:
        """Return the moments that are kept, earliest first."""
        return list(self._points)


def time_left_s(progress: Progress, unit_calls: int, rate: Rate | None) -> float | None:
    """Return the seconds until the target is met, or None where that cannot be told yet.

    In symbols: ((target - accepted) x d / accepted - o) / rate, with d the calls of decided units
    and o those of units that are under way. Calls that the log answers take part in d and o and not
    in the rate, so it is right after a resume.

    Args:
        progress: how far the run is.
        unit_calls: calls logged for units (those for keywords left out).
        rate: the rate of new calls.
    """
    accepted = progress.ledger.accepted
    missing = progress.target - accepted
    if missing <= 0:
        return 0.0
    if rate is None or rate.calls_per_min <= 0 or not accepted:
        return None
    under_way = max(0, unit_calls - progress.decided_calls)
    calls = max(0.0, missing * progress.decided_calls / accepted - under_way)
    return 60 * calls / rate.calls_per_min


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of a heartbeat: a steady one for rates, the calendar's for people."""

    steady_s: Callable[[], float] = time.monotonic
    calendar_s: Callable[[], float] = time.time


class Heartbeat:
    """Writes into the store's meta table, under `heartbeat`, how a run does.

    Args:
        store: the open store of the run.
        engines: the engines of its stages, whose limits are told.
        budget: counts the calls that brought no reply and may be billed.
        progress: how far the run is.
        clock: what tells the time.
    """

    def __init__(
        self,
        store: RunStore,
        engines: Sequence[LoggedEngine],
        budget: Budget,
        progress: Progress,
        clock: Clock | None = None,
    ) -> None:
        self._store, self._engines, self._budget = store, engines, budget
        self._progress = progress
        self._clock = clock or Clock()
        self._began_s = self._clock.calendar_s()
        self._pace = Pace()
        self._history = History(store.meta().get(HISTORY, ()))
        self._began_steady_s = self._clock.steady_s()
        self._stop = current()
        self._last_word = LastWord(store.folder)

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat while the block runs; what it raises is noted as the end of the run."""
        self._last_word.reserve()
        with self.noting_errors():
            task = asyncio.get_running_loop().create_task(self._beat_on())
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @contextmanager
    def noting_errors(self) -> Iterator[None]:
        """Note an error that leaves the block as the end of the run."""
        try:
            yield
        except (KeyboardInterrupt, asyncio.CancelledError):
            self.beat("ended", status="interrupted", why=self._stop.words)
            raise
        except BaseException as error:
            # Only messages of our own are known to hold no secret.
            why = str(error) if isinstance(error, DS2Error) else f"a bug: {type(error).__name__}"
            self.beat("ended", status="error", why=why)
            raise

    def cut_short(self) -> None:
        """Note, and wait until it is written, that the run ends at once, whatever goes on beside."""
        facts = self.facts("ended", status="interrupted", why=self._stop.words)
        self._write({**facts, CUT_SHORT: True})
        self._store.flush()

    def beat(self, phase: Phase, *, status: str | None = None, why: str = "") -> None:
        """Queue one beat; whether it could be written is not waited for.

        Args:
            phase: what the run is at.
            status: how it ended, as in its summary, or `error`; None while it goes on.
            why: one paragraph on that.
        """
        facts = self.facts(phase, status=status, why=why)
        behind = status is not None and self._progress.behind
        self._write({**facts, CUT_SHORT: True} if behind else facts)

    def _write(self, facts: Mapping[str, Any]) -> None:
        with suppress(RuntimeError):  # the store's writer is gone: so will be the run
            noted = {META: facts, HISTORY: self._history.points, **lost_facts(self._budget)}
            written = self._store.note_meta(noted)
            if facts["status"] is not None:
                written.add_done_callback(lambda done: self._ended(facts, done.exception()))

    def _ended(self, facts: Mapping[str, Any], failure: BaseException | None) -> None:
        if failure is None:
            self._last_word.drop()
        else:
            self._last_word.say(**{k: facts[k] for k in ("status", "why", "pid", "beat_s")})

    def facts(self, phase: Phase, *, status: str | None = None, why: str = "") -> dict[str, Any]:
        """Return what a beat says, as plain data."""
        progress, ledger = self._progress, self._progress.ledger
        now_s = self._clock.steady_s()
        self._pace.note(now_s, self._store.added, ledger.accepted)
        rate = self._pace.rate
        usage, limits = self._store.usage(), self._limits()
        calls = sum(used.calls for used in usage.values())
        flying, most = (sum(limit[name] for limit in limits) for name in ("in_flight", "limit"))
        at_s = now_s - self._began_steady_s
        self._history.note(Instant(at_s, calls, ledger.accepted, flying, most))
        unit_calls = sum(used.calls for stage, used in usage.items() if stage != "keywords")
        return {
            "pid": os.getpid(),
            "began_s": round(self._began_s, 3),
            "beat_s": round(self._clock.calendar_s(), 3),
            "phase": phase,
            "status": status,
            "why": why,
            "target": progress.target,
            "ledger": ledger.under_way(),
            "by_level": dict(progress.by_level),
            "worked_s": self._history.worked_s,
            "new_calls": self._store.added,
            "cancelled_calls": self._budget.lost.cancelled,
            "failed_calls": self._budget.lost.failed,
            "killed_calls": self._budget.lost.killed,
            "stopped_by": self._budget.stopped_by,
            "rate": None if rate is None else {k: round(v, 2) for k, v in rate._asdict().items()},
            "time_left_s": time_left_s(progress, unit_calls, rate),
            "limits": limits,
        }

    def _limits(self) -> list[dict[str, Any]]:
        by_limiter = {id(engine.limiter): engine for engine in self._engines}
        return [
            {
                "model": engine.backend.model,
                "in_flight": engine.limiter.in_flight,
                "waiting": engine.limiter.waiting,
                "limit": engine.limiter.limit,
                "most": engine.limiter.concurrency,
                "holding": engine.limiter.holding,
            }
            for engine in by_limiter.values()
        ]

    async def _beat_on(self) -> None:
        while True:
            phase: Phase = "rows" if self._progress.ledger.planned else "keywords"
            # Adding up the calls of a large run takes longer than its event loop should wait. Only the
            # loop writes: a beat that was cancelled must not come after the last one.
            self._write(await asyncio.to_thread(self.facts, phase))
            await asyncio.sleep(EVERY_S)
