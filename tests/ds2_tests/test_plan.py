"""The global order: decided by the seed before the first call, and by nothing after it."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.config import preset
from ds2.runtime.plan import ALL, KEPT, KnownEnds, LevelPlan, ShuffledPlan, Unit, make_plan
from signatures.bloom import LEVELS

BANK = [f"keyword {i}" for i in range(8)]
CYCLE = 8 + 8 * 7 // 2


def level_plan(seed: int = 0, bank: list[str] = BANK, target: int = 60) -> LevelPlan:
    return LevelPlan(bank, preset("default", target, seed=seed))


def paper_plan(bank: list[str], target: int = 60, **changes: int) -> ShuffledPlan:
    return ShuffledPlan(bank, preset("paper", target, **changes))


def units_of(plan: ShuffledPlan) -> list[Unit]:
    units: list[Unit] = []
    while (unit := plan.unit(len(units))) is not None:
        units.append(unit)
    return units


def test_a_place_far_back_is_found_again_though_few_are_remembered() -> None:
    plan, fresh = level_plan(), level_plan()
    far = len(LEVELS) * (KEPT + 500)
    assert plan.unit(far) == fresh.unit(far)
    assert all(plan.unit(place) == level_plan().unit(place) for place in (0, 600, far - 6))
    assert plan.unit(far + 6) == fresh.unit(far + 6)


def test_levels_take_turns_from_the_first_place_on() -> None:
    plan = level_plan()
    assert [plan.unit(place).level for place in range(12)] == [*LEVELS, *LEVELS]
    assert [plan.group_of(place) for place in range(6)] == [str(level) for level in LEVELS]
    assert all(plan.unit(place).group == plan.group_of(place) for place in range(12))


@given(st.randoms(use_true_random=False))
def test_a_unit_does_not_depend_on_when_it_is_asked_for(rng: random.Random) -> None:
    places = list(range(120))
    in_order = [level_plan().unit(place) for place in places]
    rng.shuffle(places)
    plan = level_plan()
    mixed = {place: plan.unit(place) for place in places}
    assert [mixed[place] for place in range(120)] == in_order


def test_no_cell_comes_twice_before_all_came_once() -> None:
    plan = level_plan()
    for level in range(6):
        stream = [plan.unit(level + 6 * i) for i in range(2 * CYCLE)]
        for cycle, visit in ((stream[:CYCLE], 0), (stream[CYCLE:], 1)):
            assert len({frozenset(unit.keywords) for unit in cycle}) == CYCLE
            assert {unit.visit for unit in cycle} == {visit}


def test_two_in_five_units_are_pairs() -> None:
    plan = level_plan(bank=[f"keyword {i}" for i in range(100)])
    sizes = [len(plan.unit(6 * i).keywords) for i in range(100)]
    assert sizes.count(2) == 40


def test_each_level_and_each_seed_has_an_order_of_its_own() -> None:
    def words(seed: int, level: int) -> list[tuple[str, ...]]:
        plan = level_plan(seed)
        return [plan.unit(level + 6 * i).keywords for i in range(20)]

    assert words(0, 0) == words(0, 0)
    assert words(0, 0) != words(0, 1)
    assert words(0, 0) != words(1, 0)


def test_one_keyword_makes_a_plan_without_pairs() -> None:
    plan = level_plan(bank=["only"])
    assert [plan.unit(6 * i)[2:4] for i in range(3)] == [(("only",), i) for i in range(3)]


def test_the_papers_plan_crosses_keywords_and_pairs_with_six_levels_and_cuts() -> None:
    whole = units_of(paper_plan(BANK, 6000))
    assert len(whole) == CYCLE * 6
    assert len({(unit.level, unit.keywords) for unit in whole}) == len(whole)
    assert {unit.visit for unit in whole} == {0}
    cut = units_of(paper_plan(BANK, 60))
    assert len(cut) == 80
    assert cut == whole[:80]
    assert {unit.group for unit in cut} == {ALL}


def test_the_papers_plan_takes_two_thousand_pairs_and_eight_thousand_candidates() -> None:
    bank = [f"keyword {i}" for i in range(100)]
    uncut = paper_plan(bank, 6000, candidates=100_000)
    assert len(units_of(uncut)) == (100 + 2000) * 6
    assert len(units_of(paper_plan(bank, 6000))) == 8000


def test_another_seed_shuffles_the_papers_plan_anew() -> None:
    assert units_of(paper_plan(BANK, seed=0)) != units_of(paper_plan(BANK, seed=1))
    assert units_of(paper_plan(BANK, seed=1)) == units_of(paper_plan(BANK, seed=1))


@pytest.mark.parametrize(("name", "kind"), [("default", LevelPlan), ("paper", ShuffledPlan)])
def test_a_configuration_says_which_plan_it_is(name: str, kind: type) -> None:
    assert isinstance(make_plan(BANK, preset(name, 60)), kind)


def test_known_ends_leave_out_what_comes_after_them_and_nothing_else() -> None:
    plan = level_plan()
    last = {str(level): 6 * i + i for i, level in enumerate(LEVELS) if i}
    known = KnownEnds(plan, last)
    kept = [place for place in range(60) if known.unit(place) is not None]
    assert kept == [p for p in range(60) if p % 6 and p <= last[plan.group_of(p)]]
    assert all(known.unit(place) == plan.unit(place) for place in kept)
    assert list(islice(known.quotas.items(), 6)) == list(plan.quotas.items())
