"""The collapse alarm and the other screens at the frontier: the same decisions at any concurrency."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.config import preset
from ds2.runtime.plan import Unit, make_plan
from ds2.runtime.scheduler import Decided, Scheduler
from ds2.screen.collapse import RUN_WINDOW, CollapseAlarm
from ds2.screen.family import Families
from ds2.screen.near import NearScreen
from signatures.records import Instruction, Rejection, Row, Sample, Vote, make_row

BANK = ["dry", "half dry", *(f"keyword {i}" for i in range(8))]
STEM = (
    "Karim takes {n} plant pots at 5 dollars each from the {shop} near the harbour, and a voucher takes "
    "a part off the whole bill. How much does he pay in dollars?"
)


def test_a_keyword_is_retired_by_repeats_in_a_row_only() -> None:
    alarm = CollapseAlarm(window=3)
    for repeat in (True, True, False, True, True):
        alarm.note(["a"], "what is it", repeat=repeat)
    assert not alarm.ended(["a"])
    alarm.note(["a", "b"], "what is it", repeat=True)
    assert alarm.ended(["a"])
    assert alarm.retired == {"a": 6}
    assert not alarm.ended(["a", "b"])
    alarm.note(["a"], "what is it", repeat=False)
    assert alarm.ended(["a"])


def test_without_a_window_nothing_is_retired_or_told() -> None:
    alarm = CollapseAlarm(window=0)
    for _ in range(3 * RUN_WINDOW):
        alarm.note(["a"], "what is it", repeat=True)
    assert not alarm.ended(["a"])
    assert not alarm.warnings


def test_a_run_that_repeats_itself_or_grows_alike_is_told_once() -> None:
    repeating, alike, sound = CollapseAlarm(), CollapseAlarm(), CollapseAlarm()
    for i in range(4 * RUN_WINDOW):
        fresh = f"w{i} x{i} y{i} z{i}"
        repeating.note([str(i)], fresh, repeat=i >= RUN_WINDOW)
        alike.note([str(i)], fresh if i < RUN_WINDOW else "always the same words", repeat=False)
        sound.note([str(i)], fresh, repeat=i % 3 == 0)
    assert len(repeating.warnings) == len(alike.warnings) == 1
    assert "before the 200th" in repeating.warnings[0]
    assert "word pairs" in alike.warnings[0]
    assert not sound.warnings


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=60))
def test_once_ended_a_keyword_stays_ended(units: list[tuple[str, bool]]) -> None:
    alarm = CollapseAlarm(window=2)
    ended: set[str] = set()
    for keyword, repeat in units:
        alarm.note([keyword], "what is it", repeat=repeat)
        now = {k for k in "abc" if alarm.ended([k])}
        assert ended <= now
        ended = now


class Repeating:
    """Writes repeats, near-repeats and variants with other numbers; content is of the unit alone."""

    def __init__(self, latency_s: Callable[[], float]) -> None:
        self.latency_s = latency_s
        self.writes: Counter[int] = Counter()

    async def write(self, unit: Unit) -> Instruction | Rejection:
        self.writes[unit.place] += 1
        await asyncio.sleep(self.latency_s())
        draw = random.Random(f"content/{unit.place}")
        kind = draw.random()
        text = " ".join("".join(draw.choices("abcdefghijklmnop", k=7)) for _ in range(9))
        if unit.keywords == ("dry",) or (set(unit.keywords) & {"half dry"} and kind < 0.5):
            text = STEM.format(n=3, shop="store")
        elif kind < 0.1:
            text = STEM.format(n=3, shop=draw.choice(["store", "shop", "stall"]))
        elif kind < 0.3:
            text = STEM.format(n=draw.randrange(50), shop="store")
        return Instruction(keywords=unit.keywords, level=unit.level, question=text)

    async def vote(self, unit: Unit, instruction: Instruction) -> Row | Rejection:
        await asyncio.sleep(self.latency_s())
        if random.Random(f"vote/{unit.place}").random() < 0.25:
            return Rejection(stage="vote", reason="tie", instruction=instruction)
        vote = Vote(
            accepted=True,
            winner="1",
            agreement=1.0,
            counts=(("1", 1),),
            draws=1,
            reason="lead",
            response=0,
            samples=(Sample(number=0, answer="1", key="1"),),
        )
        return make_row(instruction, vote, response="1", task="t", teacher="test", model="m")


def run_once(
    concurrency: int, seed: int
) -> tuple[list[tuple[int, str, str]], Scheduler, Repeating]:
    rng = random.Random(seed)
    work = Repeating(lambda: min(0.03, 0.0003 * rng.paretovariate(0.9)))
    decided: list[Decided] = []
    config = preset("default", 90, pair_share=0.2)
    scheduler = Scheduler(
        make_plan(BANK, config),
        work,
        committed=NearScreen(),
        written=NearScreen(),
        on_decided=decided.append,
        concurrency=concurrency,
        candidates=10_000,
        families=Families(cap=4),
        alarm=CollapseAlarm(window=3),
    )
    assert asyncio.run(scheduler.run()) == "complete"
    told = [
        (d.unit.place, d.state, d.outcome.model_dump_json())
        for d in decided
        if d.outcome is not None
    ]
    return told, scheduler, work


@pytest.fixture(scope="module")
def calm() -> tuple[list[tuple[int, str, str]], Scheduler, Repeating]:
    return run_once(1, 0)


@pytest.mark.parametrize(("concurrency", "seed"), [(1, 5), (16, 1), (64, 2), (64, 3), (256, 4)])
def test_screens_at_the_frontier_decide_the_same_at_any_concurrency(
    concurrency: int,
    seed: int,
    calm: tuple[list[tuple[int, str, str]], Scheduler, Repeating],
) -> None:
    told, scheduler, _ = run_once(concurrency, seed)
    assert told == calm[0]
    assert scheduler.ledger.balanced
    assert {"duplicate", "near_duplicate", "family", "collapsed"} <= set(scheduler.ledger.rejected)
    assert scheduler.accepted.total() == 90
    assert not scheduler._written._kept  # type: ignore[attr-defined]


def test_units_of_a_retired_keyword_are_spared_their_calls(
    calm: tuple[list[tuple[int, str, str]], Scheduler, Repeating],
) -> None:
    told, scheduler, work = calm
    collapsed = [place for place, _, record in told if '"collapsed"' in record]
    assert len(collapsed) == scheduler.ledger.rejected["collapsed"] > 5
    assert not any(work.writes[place] for place in collapsed)


def test_every_repeat_names_the_unit_it_repeats_and_no_family_passes_its_cap(
    calm: tuple[list[tuple[int, str, str]], Scheduler, Repeating],
) -> None:
    families: Counter[str] = Counter()
    for place, state, record in calm[0]:
        if state == "accepted":
            row = Row.model_validate_json(record)
            families[row.family] += 1
            continue
        rejection = Rejection.model_validate_json(record)
        if rejection.reason in {"duplicate", "near_duplicate", "family"}:
            assert rejection.evidence is not None
            assert rejection.evidence.place is not None
            assert rejection.evidence.place < place
            assert rejection.evidence.similarity is not None
            assert rejection.vote is None
    assert max(families.values()) == 4


def test_a_run_of_nothing_but_repeats_ends_at_its_cap_and_soon_costs_nothing() -> None:
    class Broken(Repeating):
        async def write(self, unit: Unit) -> Instruction | Rejection:
            self.writes[unit.place] += 1
            return Instruction(keywords=unit.keywords, level=unit.level, question=STEM)

    work = Broken(lambda: 0.0)
    config = preset("default", 60, pair_share=0.2)
    scheduler = Scheduler(
        make_plan(BANK, config),
        work,
        committed=NearScreen(),
        written=NearScreen(),
        on_decided=lambda _: None,
        concurrency=1,
        candidates=config.candidates,
        alarm=CollapseAlarm(window=3),
    )
    assert asyncio.run(scheduler.run()) == "candidates"
    scheduler.pend("candidates")
    assert scheduler.ledger.balanced
    assert scheduler.ledger.decided == config.candidates == 240
    assert work.writes.total() < 60
