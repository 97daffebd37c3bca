from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import asked, dataset_bytes, go, tree

from ds2.engines.prices import FREE, given_price
from ds2.engines.teacher import simulated_backend
from ds2.runtime.assumptions import Assumptions, Given, from_assumptions
from ds2.runtime.duration import Limits
from ds2.runtime.foresight import (
    Forecast,
    Interval,
    Known,
    StageUse,
    UnitSample,
    Wanted,
    forecast,
    from_pilot,
    interval,
)
from ds2.runtime.pilot import NOTHING, look, pilot, wanted
from ds2.runtime.runahead import start_units
from ds2.runtime.runner import run
from ds2.runtime.session import Pilot
from ds2.runtime.voteplay import Voter
from signatures.errors import StoreError

GOOD = UnitSample(True, {"writer": StageUse(1, 400, 100, 0, 1), "answers": StageUse(4, 800, 400)})
BAD = UnitSample(False, {"writer": StageUse(1, 400, 100, 0, 1), "answers": StageUse(9, 1800, 900)})
EMPTY = NOTHING.known


def of(units: list[UnitSample], target: int = 60, known: Known = EMPTY, **changes: int) -> Forecast:
    options = {"candidates": 10_000, "concurrency": 16} | changes
    aim = Wanted({"all": target}, options["candidates"], Limits(options["concurrency"]))
    return forecast(aim, known, from_pilot(units), runs=60)


# How many units: the run-ahead.


def started(
    needs: list[int], rate: float, concurrency: int = 16, seed: int = 0, slower: float = 1.0
) -> tuple[float, ...]:
    rng = random.Random(seed)
    rates = [rate] * len(needs)
    options = {"concurrency": concurrency, "most": 10**6, "slower": slower}
    return start_units(needs, rates, **options, rng=rng)


def test_with_nothing_to_fill_nothing_is_started() -> None:
    assert started([0, 0], 0.5) == (0, 0, 0.0)
    assert started([], 0.5) == (0, 0, 0.0)


@pytest.mark.parametrize("needs", [[1], [10, 3], [500, 500, 0]])
def test_the_rows_that_are_needed_are_made_exactly(needs: list[int]) -> None:
    for seed in range(5):
        assert started(needs, 0.6, seed=seed)[0] == sum(needs)


def test_every_unit_of_a_perfect_yield_is_a_row() -> None:
    accepted, rejected, _ = started([40, 40], 1.0)
    assert (accepted, rejected) == (80, 0)


def test_units_follow_the_yield() -> None:
    rejected = [started([300], 0.75, seed=seed)[1] for seed in range(40)]
    assert sum(rejected) / 40 == pytest.approx(100, rel=0.1)


def test_a_wider_run_makes_more_surplus() -> None:
    def mean(concurrency: int) -> float:
        return sum(started([10] * 6, 0.75, concurrency, seed)[2] for seed in range(20)) / 20

    assert mean(1) < mean(16) < mean(256)
    assert mean(1) < 1


def test_rejections_that_come_late_leave_less_to_start_in_vain() -> None:
    def mean(slower: float) -> float:
        return sum(started([10] * 6, 0.75, 64, seed, slower)[2] for seed in range(20)) / 20

    assert mean(2.0) < 0.6 * mean(1.0)


def test_no_more_is_decided_than_the_cap() -> None:
    for needs in ([50], [5000]):
        made = start_units(
            needs, [0.01], concurrency=8, most=100, known=(0, 0), rng=random.Random(0)
        )
        assert made.accepted + made.rejected <= 100
        assert made.accepted < needs[0]


# What they use: the forecast.


def test_what_is_in_the_log_is_part_of_the_whole_and_costs_nothing_again() -> None:
    use = {"writer": StageUse(12, 4800, 1200), "answers": StageUse(60, 9000, 900)}
    known = Known(use, {"all": 60}, 70, 2, use)
    found = of([GOOD, BAD], 60, known)
    assert found.total("calls") == (72, 72, 72)
    assert found.over(lambda run: run.seconds) == (0, 0, 0)
    assert found.over(lambda run: run.units) == (72, 72, 72)


def test_alike_units_leave_only_the_luck_of_the_yield() -> None:
    found = of([GOOD] * 200, 60, concurrency=1)
    assert found.stage("writer", "calls").low >= 60
    assert found.stage("answers", "calls").mid == pytest.approx(4 * 60, rel=0.1)


def test_a_larger_pilot_narrows_the_interval() -> None:
    def width(units: list[UnitSample]) -> float:
        low, mid, high = of(units, 300).total("calls")
        return (high - low) / mid

    assert width([GOOD, GOOD, BAD] * 20) < width([GOOD, GOOD, BAD] * 2)


def test_a_pilot_without_a_rejection_does_not_promise_that_there_is_none() -> None:
    found = of([GOOD] * 6, 600)
    assert found.over(lambda run: run.units).high > 660


def test_a_pilot_without_a_row_ends_at_the_candidate_cap() -> None:
    found = of([BAD] * 20, 60, candidates=100)
    assert found.over(lambda run: run.rows).mid < 60
    assert found.over(lambda run: run.units).high <= 100 + 16 * 3


def test_the_cost_is_unknown_where_a_price_is() -> None:
    found = of([GOOD, BAD])
    some = {"writer": given_price(1, 1), "answers": None}
    assert found.cost_usd(some) is None
    assert found.cost_usd(some, "writer") is not None
    assert found.cost_usd({"writer": FREE, "answers": FREE}) == (0, 0, 0)
    assert found.cost_usd({"writer": given_price(1, 1), "answers": given_price(0, 0)}) == (
        found.cost_usd(some, "writer")
    )


def test_the_same_seed_gives_the_same_forecast() -> None:
    assert of([GOOD, BAD]).runs == of([GOOD, BAD]).runs


def test_an_interval_holds_the_middle_nine_tenths() -> None:
    assert interval(range(101)) == (5, 50, 95)
    assert interval([3.0]) == (3, 3, 3)


# Without a pilot: the assumptions.


PROMPTS = dict.fromkeys(("core", "expand", "extract", "writer", "answers"), 400.0)


def assumed(target: int = 60, **changes: object) -> Forecast:
    backends = dict.fromkeys(("keywords", "writer", "answers"), simulated_backend(0))
    given = Given("lead(3, 9)", 24, backends, PROMPTS, **changes)
    aim = Wanted({"all": target}, 10 * target, Limits(16))
    return forecast(aim, EMPTY, from_assumptions(given), runs=60)


def test_assumptions_give_every_stage_its_share() -> None:
    found = assumed()
    assert found.stage("keywords", "calls").low >= 3
    assert found.stage("writer", "calls").low >= 60
    assert found.stage("answers", "calls").low >= 3 * 60
    assert found.stage("judge", "calls").high == 0
    assert found.over(lambda run: run.rows) == (60, 60, 60)


def test_a_bank_that_is_there_is_not_grown_again() -> None:
    def keywords(known: Known) -> Interval:
        backends = dict.fromkeys(("keywords", "writer", "answers"), simulated_backend(0))
        draw = from_assumptions(Given("lead(3, 9)", 24, backends, PROMPTS))
        found = forecast(Wanted({"all": 60}, 600, Limits(16)), known, draw, runs=60)
        return found.stage("keywords", "calls")

    use = {"keywords": StageUse(4, 1600, 200)}
    assert keywords(Known(use, {}, 0, 0, use, grown=True)) == (4, 4, 4)
    fresh, begun = keywords(EMPTY), keywords(Known(use, {}, 0, 0, use))
    assert begun.high == fresh.high
    assert begun.low >= 4


def test_shared_prompts_are_paid_once_for_each_request() -> None:
    def answers(voter: Voter) -> tuple[float, float]:
        found = assumed(voter=voter)
        calls = found.stage("answers", "calls").mid
        return found.stage("answers", "input_tokens").mid / calls, calls

    alone, calls = answers(Voter(0.8))
    together, same_calls = answers(Voter(0.8, shares=True))
    assert same_calls == calls
    assert together < 0.75 * alone


def test_what_is_assumed_is_said() -> None:
    def lines(**changes: object) -> list[str]:
        stages = ("keywords", "writer", "answers", "judge")
        chosen = {stage: simulated_backend(0) for stage in stages[: changes.pop("stages", 4)]}
        remote = {k: replace(v, remote=True, thinking=True) for k, v in chosen.items()}
        far = changes.pop("far", True)
        given = Given("lead(3, 9)", 24, remote if far else chosen, PROMPTS, **changes)
        return list(Assumptions().lines(given))

    everything = lines(compares=True, verify_level=True, passages=9)
    assert "a call takes 0.7 to 10 seconds" in everything
    assert "thinking takes 300 to 4,000 tokens more" in everything
    assert any("passage" in line for line in everything)
    assert any("worded" in line for line in everything)
    plain = lines(stages=3, far=False)
    words = ("judge", "thinking", "seconds", "passage", "worded", "level")
    assert not any(word in line for line in plain for word in words)


# The pilot: the beginning of the run itself.


def test_a_run_goes_on_from_its_pilot_and_asks_nothing_twice(tmp_path: Path) -> None:
    whole = go(tmp_path / "whole", 12, concurrency=1)
    request = asked(tmp_path / "piloted", 12, concurrency=1)
    seen = asyncio.run(pilot(request, Pilot(units=6)))
    assert len(seen.units) == 6
    rest = asyncio.run(run(request))
    assert rest.new_calls == whole.calls - seen.known.calls
    assert rest.calls == whole.calls
    assert dataset_bytes(tmp_path / "piloted") == dataset_bytes(tmp_path / "whole")


def test_a_pilot_stops_after_its_units_or_its_rows(tmp_path: Path) -> None:
    units = asyncio.run(pilot(asked(tmp_path / "u", 60, concurrency=64), Pilot(units=12)))
    assert len(units.units) == 12
    rows = asyncio.run(pilot(asked(tmp_path / "r", 60, concurrency=64), Pilot(rows=5)))
    assert len(rows.rows) == 5
    assert rows.known.calls < 100


def test_a_pilot_that_was_made_is_not_made_again(tmp_path: Path) -> None:
    request = asked(tmp_path, 30)
    first = asyncio.run(pilot(request, Pilot(units=6)))
    before = tree(tmp_path)
    again = asyncio.run(pilot(request, Pilot(units=6)))
    assert again == first
    assert tree(tmp_path).keys() == before.keys()
    assert {n: b for n, b in tree(tmp_path).items() if "store" not in n} == {
        n: b for n, b in before.items() if "store" not in n
    }


def test_a_finished_run_is_its_own_pilot_and_stays_as_it_is(tmp_path: Path) -> None:
    summary = go(tmp_path, 6)
    before = dataset_bytes(tmp_path)
    seen = asyncio.run(pilot(asked(tmp_path, 6), Pilot(rows=5)))
    assert seen.known.calls == summary.calls
    assert dataset_bytes(tmp_path) == before
    assert seen.known.grown
    found = forecast(wanted(asked(tmp_path, 6)), seen.known, from_pilot(seen.units))
    assert found.total("calls") == (summary.calls,) * 3
    assert found.over(lambda run: run.units).mid == summary.ledger["planned"]


def test_the_folder_of_another_run_is_no_pilot(tmp_path: Path) -> None:
    go(tmp_path, 6)
    with pytest.raises(StoreError, match="the same as when the run began"):
        look(asked(tmp_path, 6, seed=1))
    assert look(asked(tmp_path / "nowhere", 6)) == NOTHING


def test_a_pilot_of_the_paper_preset_cuts_nothing_of_its_run(tmp_path: Path) -> None:
    request = asked(tmp_path / "piloted", 9, preset_name="paper")
    asyncio.run(pilot(request, Pilot(units=4)))
    asyncio.run(run(request))
    go(tmp_path / "whole", 9, preset_name="paper")
    assert dataset_bytes(tmp_path / "piloted") == dataset_bytes(tmp_path / "whole")
