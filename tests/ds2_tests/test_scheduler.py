"""The order of decisions: the same rows whatever the timing, and a ledger that adds up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ds2.config import preset
from ds2.engines.budget import BudgetSpent
from ds2.runtime.plan import LevelPlan, Unit, make_plan
from ds2.runtime.scheduler import Decided, Scheduler
from ds2.screen.exact import ExactScreen, NoScreen
from signatures.records import Instruction, Rejection, Row, Sample, Vote, make_row

BANK = [f"keyword {i}" for i in range(30)]


def row_for(unit: Unit, instruction: Instruction) -> Row:
    vote = Vote(
        accepted=True,
        winner="1",
        agreement=1.0,
        counts=(("1", 1),),
        draws=1,
        reason="majority",
        response=0,
        samples=(Sample(number=0, answer="1", key="1"),),
    )
    return make_row(instruction, vote, response="1", task="t", teacher="test", model="m")


def no_wait(unit: Unit, step: str) -> float:
    return 0.0


@dataclass
class FakeWork:
    """Content is a function of the unit alone; latency is drawn anew in every run."""

    latency_s: Callable[[Unit, str], float] = no_wait
    reject: float = 0.3
    duplicate: float = 0.05
    malformed: float = 0.03
    level_bias: dict[str, float] = field(default_factory=dict)
    writes: Counter[int] = field(default_factory=Counter)
    votes: Counter[int] = field(default_factory=Counter)
    busy: int = 0
    peak: int = 0

    async def write(self, unit: Unit) -> Instruction | Rejection:
        self.writes[unit.place] += 1
        await self._wait(unit, "write")
        draw = random.Random(f"content/{unit.place}")
        if draw.random() < self.malformed:
            return Rejection(stage="writer", reason="unparsable")
        text = f"question {unit.place}"
        if draw.random() < self.duplicate:
            text = f"a question that many write {draw.randrange(3)}"
        return Instruction(keywords=unit.keywords, level=unit.level, question=text)

    async def vote(self, unit: Unit, instruction: Instruction) -> Row | Rejection:
        self.votes[unit.place] += 1
        await self._wait(unit, "vote")
        share = self.reject + self.level_bias.get(str(unit.level), 0.0)
        if random.Random(f"vote/{unit.place}").random() < share:
            return Rejection(stage="vote", reason="below_threshold", instruction=instruction)
        return row_for(unit, instruction)

    async def _wait(self, unit: Unit, step: str) -> None:
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            await asyncio.sleep(self.latency_s(unit, step))
        finally:
            self.busy -= 1


def heavy_tail(seed: int) -> Callable[[Unit, str], float]:
    """Pareto waits with a tail of some 60 times the median, at most 60 ms."""
    rng = random.Random(seed)
    return lambda unit, step: min(0.06, 0.0004 * rng.paretovariate(0.9))


def build(
    work: FakeWork,
    decided: list[Decided],
    *,
    target: int = 60,
    concurrency: int = 32,
    scheduler: type[Scheduler] = Scheduler,
    candidates: int = 10_000,
) -> Scheduler:
    config = preset("default", target)
    return scheduler(
        make_plan(BANK, config),
        work,
        committed=ExactScreen(),
        written=ExactScreen(),
        on_decided=decided.append,
        concurrency=concurrency,
        candidates=candidates,
    )


def decisions(decided: list[Decided]) -> list[tuple[int, str, str]]:
    """What must not depend on timing: every decision but the surplus ones, in order."""
    return [
        (d.unit.place, d.state, d.outcome.model_dump_json())
        for d in decided
        if d.outcome is not None
    ]


def run_once(
    *, concurrency: int, seed: int, scheduler: type[Scheduler] = Scheduler, target: int = 60
) -> tuple[list[tuple[int, str, str]], Scheduler, FakeWork]:
    decided: list[Decided] = []
    # Levels differ in yield, so their quotas fill at different times.
    work = FakeWork(heavy_tail(seed), level_bias={"Create": 0.4, "Remember": -0.25})
    running = build(work, decided, concurrency=concurrency, scheduler=scheduler, target=target)
    assert asyncio.run(running.run()) == "complete"
    return decisions(decided), running, work


REFERENCE: dict[str, list[tuple[int, str, str]]] = {}


def reference() -> list[tuple[int, str, str]]:
    if "rows" not in REFERENCE:
        REFERENCE["rows"] = run_once(concurrency=1, seed=0)[0]
    return REFERENCE["rows"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("concurrency", [1, 32, 256])
def test_decisions_are_the_same_at_any_concurrency_and_latency(concurrency: int, seed: int) -> None:
    rows, running, _ = run_once(concurrency=concurrency, seed=seed)
    assert rows == reference()
    assert running.ledger.accepted == 60
    assert running.ledger.balanced


class CompletionOrder(Scheduler):
    """The obvious scheduler, kept to show that the test above can fail: it decides what is done."""

    def _commit(self) -> None:
        ended = [f for f in self._flights.values() if f.ended and f.error is None]
        for flight in ended:
            if self._full(flight.unit.group):
                self._settle(flight, "surplus")
            else:
                self._decide(flight)
        if self._all_full():
            for flight in list(self._flights.values()):
                self._settle(flight, "surplus")


def test_a_scheduler_that_decides_in_order_of_completion_gives_other_rows() -> None:
    outcomes = {
        str(sorted(run_once(concurrency=32, seed=seed, scheduler=CompletionOrder)[0]))
        for seed in range(3)
    }
    assert len(outcomes) > 1 or str(sorted(reference())) not in outcomes


def test_rows_are_spread_evenly_over_the_levels() -> None:
    rows, running, _ = run_once(concurrency=64, seed=3, target=61)
    accepted = Counter(place % 6 for place, state, _ in rows if state == "accepted")
    assert sorted(accepted.values()) == [10, 10, 10, 10, 10, 11]
    assert accepted[2] == 11  # the remainder goes to Apply first
    assert running.ledger.accepted == 61


def test_duplicates_are_rejected_once_the_first_of_them_is_decided() -> None:
    rows, running, _ = run_once(concurrency=64, seed=1)
    texts = [record for _, state, record in rows if state == "accepted"]
    assert len(texts) == len(set(texts))
    assert running.ledger.rejected["duplicate"] > 0


def test_a_duplicate_of_an_undecided_unit_waits_and_pays_no_vote() -> None:
    """Units 0 and 6 say the same; unit 0's vote is slow, so unit 6 is parked until it is decided."""

    class Twins(FakeWork):
        async def write(self, unit: Unit) -> Instruction | Rejection:
            written = await super().write(unit)
            if unit.place in (0, 6):
                return Instruction(keywords=unit.keywords, level=unit.level, question="the same")
            return written

    work = Twins(
        lambda unit, step: 0.05 if (unit.place, step) == (0, "vote") else 0.0,
        reject=0,
        duplicate=0,
        malformed=0,
    )
    decided: list[Decided] = []
    running = build(work, decided, target=24, concurrency=32)
    assert asyncio.run(running.run()) == "complete"
    assert work.votes[6] == 0
    assert ("duplicate" in running.ledger.rejected) is True


def test_surplus_units_are_seen_by_no_screen() -> None:
    """A unit past its full quota must not make a later, wanted unit a duplicate."""
    decided: list[Decided] = []
    work = FakeWork(heavy_tail(2), reject=0.2)
    running = build(work, decided, target=30, concurrency=64)
    asyncio.run(running.run())
    seen = {d.unit.place for d in decided if d.state == "surplus"}
    assert isinstance(running._committed, ExactScreen)
    screened = set(running._committed._first.values())
    screened |= {place for places in running._committed._later.values() for place in places}
    assert running.ledger.surplus == len(seen)
    assert not seen & screened


def test_no_more_units_are_at_work_than_the_concurrency() -> None:
    for concurrency in (1, 5, 64):
        _, _, work = run_once(concurrency=concurrency, seed=4)
        assert work.peak <= concurrency


def test_every_unit_is_written_and_voted_at_most_once() -> None:
    _, _, work = run_once(concurrency=256, seed=0)
    assert set(work.writes.values()) == {1}
    assert set(work.votes.values()) == {1}


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_surplus_never_passes_its_bound_where_levels_fill_far_apart(concurrency: int) -> None:
    """Without the guard to thank: one level hardly ever passes, the others are long full."""
    decided: list[Decided] = []
    work = FakeWork(heavy_tail(3), reject=0.0, level_bias={"Create": 0.9})
    running = build(work, decided, target=24, candidates=96, concurrency=concurrency)
    asyncio.run(running.run())
    running.pend("candidates")
    assert running.ledger.balanced
    assert running.ledger.surplus <= 96 // 4 + concurrency


def test_the_guard_keeps_surplus_low() -> None:
    """At 256 units at once and a yield of some 0.65, 60 rows must not cost three times their units."""
    _, running, _ = run_once(concurrency=256, seed=1)
    assert running.ledger.surplus <= 0.5 * running.ledger.decided


def test_the_candidate_cap_ends_the_run_with_what_is_there() -> None:
    decided: list[Decided] = []
    work = FakeWork(heavy_tail(0), reject=1.0)
    running = build(work, decided, target=10, candidates=40)
    assert asyncio.run(running.run()) == "candidates"
    running.pend("candidates")
    assert running.ledger.decided == 40
    assert running.ledger.balanced


@pytest.mark.parametrize("concurrency", [1, 16])
def test_without_quotas_the_plan_ends_the_run(concurrency: int) -> None:
    config = preset("paper", 60)
    decided: list[Decided] = []
    work = FakeWork(heavy_tail(0), reject=0.6)
    running = Scheduler(
        make_plan(BANK, config),
        work,
        committed=NoScreen(),
        written=NoScreen(),
        on_decided=decided.append,
        concurrency=concurrency,
        candidates=config.candidates,
    )
    assert asyncio.run(running.run()) in {"exhausted", "candidates"}
    assert running.ledger.decided == config.candidates == 80
    assert 0 < running.ledger.accepted < 60
    assert running.ledger.balanced


class WeatherError(Exception):
    """An endpoint that stays away."""


def failing(place: int, error: BaseException) -> type[FakeWork]:
    class Failing(FakeWork):
        async def vote(self, unit: Unit, instruction: Instruction) -> Row | Rejection:
            if unit.place == place:
                raise error
            return await super().vote(unit, instruction)

    return Failing


def test_a_failure_stops_the_run_and_leaves_its_units_pending() -> None:
    decided: list[Decided] = []
    running = build(failing(13, WeatherError())(heavy_tail(0), duplicate=0, malformed=0), decided)
    with pytest.raises(WeatherError):
        asyncio.run(running.run())
    running.pend("endpoint")
    assert running.ledger.pending["endpoint"] > 0
    assert running.ledger.balanced
    assert all(d.unit.place < 13 for d in decided if d.outcome is not None)
    # What was decided is a prefix of the calm run's decisions at the same content.
    calm: list[Decided] = []
    asyncio.run(build(FakeWork(duplicate=0, malformed=0), calm).run())
    assert decisions(calm)[: len(decisions(decided))] == decisions(decided)


def test_a_spent_budget_lets_the_calls_that_are_paid_come_home() -> None:
    finished: list[int] = []

    class Spent(FakeWork):
        async def vote(self, unit: Unit, instruction: Instruction) -> Row | Rejection:
            if unit.place == 8:
                raise BudgetSpent
            await asyncio.sleep(0.02)
            finished.append(unit.place)
            return row_for(unit, instruction)

    decided: list[Decided] = []
    running = build(Spent(duplicate=0, malformed=0), decided, concurrency=16)
    with pytest.raises(BudgetSpent):
        asyncio.run(running.run())
    running.pend("budget")
    assert len(finished) == 15
    assert running.ledger.accepted == 8
    assert running.ledger.balanced


def test_an_interrupted_run_ends_its_tasks_and_adds_up() -> None:
    async def main() -> Scheduler:
        running = build(FakeWork(lambda unit, step: 0.01), [])
        task = asyncio.create_task(running.run())
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        running.pend("interrupted")
        assert len(asyncio.all_tasks()) == 1
        return running

    running = asyncio.run(main())
    assert running.ledger.balanced
    assert running.ledger.pending["interrupted"] > 0


def test_units_of_a_level_start_in_the_global_order() -> None:
    started: list[int] = []

    class Noting(FakeWork):
        async def write(self, unit: Unit) -> Instruction | Rejection:
            started.append(unit.place)
            return await super().write(unit)

    decided: list[Decided] = []
    asyncio.run(build(Noting(heavy_tail(0)), decided, concurrency=4).run())
    for level in range(6):
        of_level = [place for place in started if place % 6 == level]
        assert of_level == sorted(of_level)


def test_plan_places_are_visit_times_six_plus_level() -> None:
    plan = LevelPlan(BANK, preset("default", 60))
    for place in (0, 5, 6, 23, 600):
        unit = plan.unit(place)
        assert unit.place == place
        assert unit.level.rank == place % 6
