"""The collapse alarm and the other screens at the frontier: the same decisions at any concurrency."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.config import preset
from ds2.runtime.plan import Unit, make_plan
from ds2.runtime.scheduler import Decided, Scheduler
from ds2.screen.collapse import FIRST_WINDOWS, RUN_WINDOW, CollapseAlarm
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
    assert alarm.retired == {"a": "its last 3 questions were all repeats"}
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
    assert all("--config" in alarm.warnings[0] for alarm in (repeating, alike))
    assert not sound.warnings


def fresh(number: int) -> str:
    return " ".join(f"{letter}{number}" for letter in "bcdfghjklm")


def begun(**settings: Any) -> CollapseAlarm:
    """Return an alarm that knows the spread of its run: that of questions without a pair in common."""
    alarm = CollapseAlarm(**settings)
    for i in range(FIRST_WINDOWS * alarm.window):
        alarm.note([f"other {i}"], fresh(i), repeat=False)
    return alarm


@pytest.mark.parametrize(
    ("alike", "least", "ends"),
    [
        (10, 0.4, True),
        (8, 0.4, True),
        (7, 0.4, False),
        (7, 0.41, True),
        (0, 1.0, False),
        (10, 0, False),
    ],
    ids=["all", "eight", "at the line", "below it", "none", "never"],
)
def test_a_keyword_is_retired_once_its_last_questions_grow_alike(
    alike: int, least: float, ends: bool
) -> None:
    alarm = begun(least_spread=least)
    for i in range(10):
        alarm.note(["a", "b"], fresh(0 if i < alike else 1_000 + i), repeat=False)
    assert alarm.ended(["a", "b"]) == ends
    assert set(alarm.retired) == ({"a", "b"} if ends else set())
    if ends:
        share = (1 + 10 - alike) * 10
        assert f"last 10 questions grew alike: {share}% of their word pairs" in alarm.why(["a"])
        assert "100% in windows of the run's first 100" in alarm.why(["a"])


def test_before_its_window_is_full_or_the_first_are_known_no_keyword_grows_alike() -> None:
    alarm = begun(window=5)
    for _ in range(4):
        alarm.note(["a"], fresh(0), repeat=False)
    assert not alarm.ended(["a"])
    alarm.note(["a"], fresh(0), repeat=False)
    assert alarm.ended(["a"])
    young = CollapseAlarm(window=5)
    for _ in range(FIRST_WINDOWS * 5 - 1):
        young.note(["a"], fresh(0), repeat=False)
    assert not young.retired


@pytest.mark.parametrize("text", ["", "word", "\ud800", "一", "😀 😀"])
def test_a_question_without_word_pairs_is_no_sign_of_anything(text: str) -> None:
    alarm = begun()
    for _ in range(30):
        alarm.note(["a"], text, repeat=False)
    assert not alarm.ended(["a"])


def test_pairs_of_a_retired_keyword_go_on_until_they_grow_alike_too() -> None:
    alarm = begun(window=3)
    for _ in range(3):
        alarm.note(["a"], fresh(0), repeat=False)
    for number in (1, 2, 0, 0):
        assert alarm.ended(["a"])
        assert not alarm.ended(["a", "b"])
        alarm.note(["a", "b"], fresh(number), repeat=False)
        alarm.note(["b"], fresh(100 + number), repeat=False)
    alarm.note(["a", "c"], fresh(0), repeat=False)
    assert alarm.ended(["a", "b"])
    assert alarm.ended(["a", "anything"])
    assert not alarm.ended(["b"])
    assert alarm.why(["a", "b"]).endswith("then the same in its pairs)")


def test_a_bank_is_spent_once_its_last_keyword_is_retired() -> None:
    alarm = CollapseAlarm(window=1)
    assert not alarm.all_ended([])
    alarm.note(["a"], "what is it", repeat=True)
    assert not alarm.all_ended(["a", "b"])
    alarm.note(["b", "a"], "what is it", repeat=True)
    assert alarm.all_ended(["a", "b"])


def told_plainly(units: list[tuple[str, int, bool]], window: int, least: float) -> dict[str, int]:
    """Return which keyword is retired by which unit: the rule word by word, without a memory."""
    texts = [fresh(number).split() for _, number, _ in units]
    pairs = [list(pairwise(text)) for text in texts]

    def spread_of(some: list[list[tuple[str, str]]]) -> float:
        every = [pair for one in some for pair in one]
        return len(set(every)) / len(every)

    retired: dict[str, int] = {}
    for i, (keyword, _, _) in enumerate(units):
        own = [j for j in range(i + 1) if units[j][0] == keyword][-window:]
        if keyword in retired or len(own) < window:
            continue
        starts = range(0, FIRST_WINDOWS * window, window)
        known = i + 1 >= FIRST_WINDOWS * window
        first = [spread_of(pairs[s : s + window]) for s in starts] if known else []
        alike = known and spread_of([pairs[j] for j in own]) < least * sum(first) / len(first)
        if all(units[j][2] for j in own) or alike:
            retired[keyword] = i
    return retired


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.booleans()),
        min_size=20,
        max_size=60,
    ),
    st.integers(1, 4),
    st.sampled_from([0.3, 0.6, 0.9]),
)
def test_the_alarm_retires_what_the_rule_says_when_it_says_so(
    units: list[tuple[str, int, bool]], window: int, least: float
) -> None:
    alarm = CollapseAlarm(window=window, least_spread=least)
    retired: dict[str, int] = {}
    for i, (keyword, number, repeat) in enumerate(units):
        alarm.note([keyword], fresh(number), repeat=repeat)
        for new in alarm.retired.keys() - retired.keys():
            retired[new] = i
    assert retired == told_plainly(units, window, least)


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


def test_a_run_of_nothing_but_repeats_ends_once_no_keyword_is_left() -> None:
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
    assert asyncio.run(scheduler.run()) == "collapsed"
    scheduler.pend("collapsed")
    assert scheduler.ledger.balanced
    assert scheduler.ledger.decided == work.writes.total() + scheduler.ledger.rejected["collapsed"]
    assert work.writes.total() < 60 < config.candidates
