"""The scheduler: many units in flight, decided one by one in the global order.

Only `_commit` at the frontier (the lowest undecided place) decides, and it reads only earlier
decisions; so the rows do not depend on timing. Dispatch may be as clever as it likes, for it
decides nothing. The rules are those of docs/design/run.md.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ds2.engines.budget import BudgetSpent
from ds2.runtime.ledger import Ledger
from ds2.runtime.plan import Plan, Unit
from ds2.runtime.remembered import Known
from ds2.screen.collapse import CollapseAlarm
from ds2.screen.exact import Screen
from ds2.screen.family import Families
from ds2.screen.verdicts import collapsed, crowded, repeated
from signatures.records import Instruction, Rejection, Row

WINDOW = 16  # undecided units, times the concurrency
HEDGED_WINDOW = 4  # the same where stragglers are asked twice, so that the frontier waits less
GUARD_Z = 1.0  # how many standard deviations of luck the guard against run-ahead allows for
PRIOR_ACCEPTED, PRIOR_DECIDED = 3.0, 4.0  # what is believed of the yield before anything is decided


def most_surplus(candidates: int, concurrency: int) -> int:
    """Return the most units that a run lets become surplus: a quarter of the cap, and one full house.

    Runs are far below it; it is there so that the worst case of a run can be told before it.
    """
    return candidates // 4 + concurrency


class Work(Protocol):
    """What a unit of work means. Both may be slow; neither decides.

    `write` gives the instruction or the reason why not, `vote` the row or the reason why not. They
    raise only for the weather and for what stops the whole run.
    """

    async def write(self, unit: Unit) -> Instruction | Rejection: ...

    async def vote(self, unit: Unit, instruction: Instruction) -> Row | Rejection: ...


@dataclass(frozen=True, slots=True)
class Decided:
    """What `_commit` decided of one unit; `outcome` is None for a surplus unit."""

    unit: Unit
    state: Literal["accepted", "rejected", "surplus"]
    outcome: Row | Rejection | None


@dataclass(slots=True)
class _Flight:
    unit: Unit
    task: asyncio.Task[None] | None = None
    instruction: Instruction | None = None
    outcome: Row | Rejection | None = None
    error: BaseException | None = None
    good: bool = False  # it came out as a row, before any screen at its turn
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.outcome is not None or self.error is not None


class Scheduler:
    """Runs a plan to its quotas.

    Args:
        plan: the order of units and the quotas.
        work: what a unit means.
        committed: index of the instructions of decided units that were not surplus.
        written: an empty index of the same kind, for units that are written and undecided.
        on_decided: told of every decision, in the global order.
        concurrency: units at work at once; each keeps at least one call going.
        candidates: most units that may be accepted or rejected.
        rows: rows after which the caller has enough, whatever the quotas say; None for the quotas.
        window: most undecided units, times the concurrency.
        families: the families of the rows accepted so far, none at first.
        alarm: retires keywords that give nothing but repeats or grow alike; None for no alarm.
        known: what an earlier process found out about a unit, so that it need not be worked on; None
            where nothing is known.
    """

    def __init__(
        self,
        plan: Plan,
        work: Work,
        *,
        committed: Screen,
        written: Screen,
        on_decided: Callable[[Decided], None],
        concurrency: int,
        candidates: int,
        rows: int | None = None,
        window: int = WINDOW,
        families: Families | None = None,
        alarm: CollapseAlarm | None = None,
        known: Callable[[Unit], Known | None] = lambda _: None,
    ) -> None:
        self.ledger = Ledger()
        self.accepted: Counter[str] = Counter()
        self.frontier = 0
        self._plan, self._work = plan, work
        self._committed, self._written = committed, written
        self._families = families or Families(cap=0)
        self._alarm = alarm or CollapseAlarm(window=0)
        self._on_decided, self._known = on_decided, known
        self._recalled = False  # a unit that was known waits for its turn
        self._concurrency, self._candidates, self._rows = concurrency, candidates, rows
        self._window = window * concurrency
        self._flights: dict[int, _Flight] = {}
        self._next: dict[str, int] = {}  # lowest place of a group that is not started
        self._active = 0
        self._wake = asyncio.Event()
        self._unknown: Counter[str] = Counter()  # units in flight whose outcome is open
        self._sure: Counter[str] = Counter()  # units in flight that came out well
        self._failures: list[_Flight] = []
        self._ended: set[str] = set()  # groups whose plan has no more units
        self._groups = {plan.group_of(place) for place in range(6)}
        for group in self._groups:
            self._next[group] = self._place_from(0, group)

    async def run(self) -> Literal["complete", "exhausted", "candidates", "collapsed"]:
        """Run until every quota is met, the plan has no more units or no keyword that is not retired,
        or the candidate cap is reached.

        Raises:
            BaseException: what a unit raised at the frontier or before it; units in flight are then
                in flight until `pend` books them.
        """
        try:
            while True:
                self._commit()
                if self._all_full():
                    return "complete"
                if self._capped():
                    return "candidates"
                if self._spent():
                    return "collapsed"
                if not self._failed():
                    self._dispatch()
                if not self._flights:
                    return "exhausted"
                await self._news()
        finally:
            await self._stop()

    async def _news(self) -> None:
        """Wait until there may be something to decide or to start."""
        if self._recalled:
            self._recalled = False
            await asyncio.sleep(0)
            return
        self._wake.clear()
        await self._wake.wait()

    def pend(self, cause: str) -> None:
        """Book every unit that is started and undecided as pending, for one cause."""
        if self._flights:
            self.ledger.pending[cause] += len(self._flights)
            self._flights.clear()

    # Deciding: at the frontier only, from earlier decisions only.

    def _commit(self) -> None:
        while not (self._capped() or self._all_full() or self._spent()):
            place = self.frontier
            flight = self._flights.get(place)
            if self._full(self._plan.group_of(place)):
                if flight is not None:
                    self._settle(flight, "surplus")
            elif flight is not None and self._alarm.ended(flight.unit.keywords):
                # Whatever it has written by now, it would not have begun had it been later.
                self._settle(flight, "rejected", self._collapsed(flight.unit))
            elif flight is None or not flight.ended or flight.error is not None:
                return
            else:
                self._decide(flight)
            self.frontier += 1
        if self._all_full():
            for flight in [self._flights[place] for place in sorted(self._flights)]:
                self._settle(flight, "surplus")

    def _decide(self, flight: _Flight) -> None:
        outcome = flight.outcome
        instruction = flight.instruction
        if instruction is not None:
            unit = flight.unit
            repeat = self._repeat(unit, instruction)
            outcome = repeat or outcome
            self._committed.add(unit.place, instruction)
            self._alarm.note(unit.keywords, instruction.question, repeat=repeat is not None)
            if isinstance(outcome, Row):
                family = self._families.join(unit.place, instruction)
                outcome = outcome.model_copy(update={"family": family})
        if isinstance(outcome, Row):
            self.accepted[flight.unit.group] += 1
        self._settle(flight, "accepted" if isinstance(outcome, Row) else "rejected", outcome)

    def _repeat(self, unit: Unit, instruction: Instruction) -> Rejection | None:
        """Return why an instruction is one too many beside the decided ones, or None."""
        earlier = self._committed.match(instruction, unit.place)
        if earlier is not None:
            return repeated(instruction, earlier)
        full = self._families.full(instruction)
        return None if full is None else crowded(instruction, *full)

    def _collapsed(self, unit: Unit) -> Rejection:
        return collapsed(unit.keywords, self._alarm.why(unit.keywords))

    def _settle(
        self,
        flight: _Flight,
        state: Literal["accepted", "rejected", "surplus"],
        outcome: Row | Rejection | None = None,
    ) -> None:
        place, group = flight.unit.place, flight.unit.group
        del self._flights[place]
        if flight.ended:
            self._sure[group] -= flight.good
        else:
            self._unknown[group] -= 1
        if flight.instruction is not None:
            self._written.remove(place, flight.instruction)
        if flight.task is not None and not flight.task.done():
            flight.task.cancel()
        flight.settled.set()
        if state == "accepted":
            self.ledger.accepted += 1
        elif state == "surplus":
            self.ledger.surplus += 1
        elif isinstance(outcome, Rejection):
            self.ledger.rejected[outcome.reason] += 1
        self._on_decided(Decided(flight.unit, state, outcome))

    def _full(self, group: str) -> bool:
        return self.accepted[group] >= self._plan.quotas[group]

    def _capped(self) -> bool:
        enough = self._rows is not None and self.ledger.accepted >= self._rows
        return enough or self.ledger.decided >= self._candidates

    def _spent(self) -> bool:
        return self._alarm.all_ended(self._plan.bank)

    def _all_full(self) -> bool:
        return all(self._full(group) for group in self._groups)

    def _failed(self) -> bool:
        """Return whether a unit has failed, and no more may start; raise once nothing is to wait for.

        A spent budget lets the calls that are paid come home; anything else stops the run at once.
        """
        if not self._failures:
            return False
        first = min(self._failures, key=lambda f: (isinstance(f.error, BudgetSpent), f.unit.place))
        if self._active == 0 or not isinstance(first.error, BudgetSpent):
            raise first.error or AssertionError
        return True

    # Dispatching: which units to start, and when.

    def _dispatch(self) -> None:
        while self._active < self._concurrency:
            groups = [group for group in self._groups if self._may_start(group)]
            if not groups:
                return
            group = min(groups, key=self._next.__getitem__)
            # The frontier's own unit always finds room, or a full window would wait for it for ever.
            if len(self._flights) >= self._room() and self._next[group] != self.frontier:
                return
            unit = self._plan.unit(self._next[group])
            if unit is None:
                self._ended.add(group)
                continue
            known = self._known(unit)
            if known is None and self._recalled:
                return  # what is known is decided first: it says how many more are needed
            self._start(unit, known)

    def _room(self) -> int:
        # Only what is in flight can become surplus: together with what has, it never passes the most.
        surplus = most_surplus(self._candidates, self._concurrency) - self.ledger.surplus
        return min(self._window, self._candidates - self.ledger.decided, surplus)

    def _may_start(self, group: str) -> bool:
        """Return whether the guard against run-ahead lets another unit of a group start.

        With n units of unknown outcome in flight and `sure` known to be good, it does while
        sure + n p - z sqrt(n p (1 - p)) is below what the group still needs, p being the yield.
        """
        need = self._plan.quotas[group] - self.accepted[group]
        if need <= 0 or group in self._ended:
            return False
        rate = (self.ledger.accepted + PRIOR_ACCEPTED) / (self.ledger.decided + PRIOR_DECIDED)
        unknown = self._unknown[group]
        luck = GUARD_Z * math.sqrt(unknown * rate * (1 - rate))
        return self._sure[group] + unknown * rate - luck < need

    def _start(self, unit: Unit, known: Known | None) -> None:
        flight = _Flight(unit)
        self._flights[unit.place] = flight
        self._next[unit.group] = self._place_from(unit.place + 1, unit.group)
        self._unknown[unit.group] += 1
        self.ledger.planned += 1
        if known is not None:
            self._recall(flight, known)
            return
        self._active += 1
        flight.task = asyncio.get_running_loop().create_task(self._work_on(flight))

    def _recall(self, flight: _Flight, known: Known) -> None:
        flight.instruction, flight.outcome = known
        if flight.instruction is not None:
            self._written.add(flight.unit.place, flight.instruction)
        self._came_out(flight)
        self._recalled = True

    def _came_out(self, flight: _Flight) -> None:
        flight.good = isinstance(flight.outcome, Row)
        self._unknown[flight.unit.group] -= 1
        self._sure[flight.unit.group] += flight.good

    def _place_from(self, place: int, group: str) -> int:
        while self._plan.group_of(place) != group:
            place += 1
        return place

    async def _work_on(self, flight: _Flight) -> None:
        try:
            await self._write_and_vote(flight)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again by the run, at this unit's turn
            flight.error = error
            self._failures.append(flight)
        finally:
            self._active -= 1
            self._wake.set()
            if flight.unit.place in self._flights and flight.ended:
                self._came_out(flight)

    async def _write_and_vote(self, flight: _Flight) -> None:
        unit = flight.unit
        if self._alarm.ended(unit.keywords):
            flight.outcome = self._collapsed(unit)
            return
        written = await self._work.write(unit)
        if isinstance(written, Rejection):
            flight.outcome = written
            return
        flight.instruction = written
        self._written.add(unit.place, written)
        # A repeat of a decided unit needs no vote; one of an undecided unit waits for its fate.
        while (repeat := self._repeat(unit, written)) is None:
            pending = self._written.match(written, unit.place)
            if pending is None:
                flight.outcome = await self._work.vote(unit, written)
                return
            await self._park(self._flights[pending.place])
        flight.outcome = repeat

    async def _park(self, earlier: _Flight) -> None:
        self._active -= 1
        self._wake.set()
        try:
            await earlier.settled.wait()
        finally:
            self._active += 1

    async def _stop(self) -> None:
        tasks = [f.task for f in self._flights.values() if f.task is not None]
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
