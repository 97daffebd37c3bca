"""What a run says of itself while it goes: a rate of new calls, and the time that is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ds2.engines.budget import Budget
from ds2.engines.congestion import Congestion, CongestionConfig
from ds2.engines.limiter import Limiter
from ds2.runtime.heartbeat import (
    CUT_SHORT,
    META,
    MOST_POINTS,
    WINDOW_S,
    Heartbeat,
    History,
    Instant,
    Pace,
    Rate,
    time_left_s,
)
from ds2.runtime.ledger import Ledger
from ds2.runtime.runner import Progress
from ds2.store import RunStore
from signatures.errors import StageError


def progress(target: int = 100, accepted: int = 20, decided_calls: int = 160) -> Progress:
    ledger = Ledger(planned=accepted + 5, accepted=accepted)
    return Progress(target, ledger, decided_calls=decided_calls)


# The rate.


def test_a_rate_is_of_the_last_minutes_only() -> None:
    pace = Pace()
    pace.note(0.0, 0, 0)
    for second in range(10, 1210, 10):
        pace.note(float(second), second * (1 if second <= 600 else 3), second // 10)
    rate = pace.rate
    assert rate is not None
    assert rate.window_s == pytest.approx(WINDOW_S)
    assert rate.calls_per_min == pytest.approx(180)
    assert rate.rows_per_min == pytest.approx(6)


def test_rows_that_the_log_answers_are_no_rate() -> None:
    pace = Pace()
    for second in range(60):
        pace.note(float(second), 0, 100 * second)
    assert pace.rate is None
    pace.note(69.0, 20, 5_902)
    assert pace.rate == Rate(120.0, 12.0, 10.0)  # from second 59, of 5,900 rows, on


def test_one_point_is_no_rate() -> None:
    pace = Pace()
    assert pace.rate is None
    pace.note(1.0, 5, 1)
    assert pace.rate is None


# The history.


def test_a_history_spans_the_whole_run_evenly_with_few_points() -> None:
    history = History()
    for second in range(0, 20_000, 2):
        history.note(Instant(float(second), 10 * second, second, 5))
    points = history.points
    assert MOST_POINTS / 3 < len(points) <= MOST_POINTS
    assert points[0].at_s == 0
    assert points[-1].at_s > 19_000
    apart = [b.at_s - a.at_s for a, b in pairwise(points)]
    assert max(apart) <= 4 * min(apart)
    assert all(point.calls == 10 * point.at_s for point in points)


def test_a_history_goes_on_where_an_earlier_process_stopped() -> None:
    first = History()
    first.note(Instant(0.0, 0, 0, 0))
    first.note(Instant(8.0, 80, 8, 5))
    second = History([list(point) for point in first.points])
    second.note(Instant(2.0, 100, 10, 5))
    assert [point.at_s for point in second.points] == [0.0, 8.0, 10.0]


# The time that is left.


def test_the_time_left_is_that_of_the_calls_still_to_make() -> None:
    # 80 rows at 8 calls a row, 40 of which are made: 600 calls at 60 a minute.
    left = time_left_s(progress(), 200, Rate(60, 1, 100))
    assert left == pytest.approx(600)


def test_the_time_left_is_unknown_before_new_calls_and_rows() -> None:
    assert time_left_s(progress(), 200, None) is None
    assert time_left_s(progress(accepted=0), 200, Rate(60, 1, 100)) is None
    assert time_left_s(progress(), 200, Rate(0, 0, 100)) is None


def test_no_time_is_left_at_the_target() -> None:
    assert time_left_s(progress(accepted=100), 800, None) == 0


def test_more_calls_under_way_than_are_needed_leave_no_time() -> None:
    assert time_left_s(progress(accepted=99), 1_000, Rate(60, 1, 100)) == 0


# The beat.


def test_an_error_is_noted_as_the_end_and_a_bugs_message_is_kept_out(tmp_path: Path) -> None:
    def after(error: Exception) -> dict[str, Any]:
        with RunStore(tmp_path) as store:
            beat = Heartbeat(store, (), Budget(), progress())

            async def fail() -> None:
                async with beat.beating():
                    raise error

            with pytest.raises(type(error)):
                asyncio.run(fail())
            store.flush()
            return store.meta()[META]

    ours = after(StageError("The stage gives nothing usable."))
    assert (ours["phase"], ours["status"]) == ("ended", "error")
    assert ours["why"] == "The stage gives nothing usable."
    assert after(ValueError("sk-secret"))["why"] == "a bug: ValueError"


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt])
def test_an_interrupt_is_noted_as_one_and_not_as_a_bug(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    with RunStore(tmp_path) as store:
        beat = Heartbeat(store, (), Budget(), progress())
        with pytest.raises(kind), beat.noting_errors():
            raise kind
        store.flush()
        noted = store.meta()[META]
    assert (noted["phase"], noted["status"], noted["why"]) == ("ended", "interrupted", "")


def test_a_run_that_is_cut_short_says_so_before_it_is_gone(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        Heartbeat(store, (), Budget(), progress()).cut_short()
        noted = store.meta()[META]
    assert (noted["status"], noted[CUT_SHORT]) == ("interrupted", True)


def test_units_under_way_are_pending_in_flight() -> None:
    ledger = Ledger(planned=9, accepted=3, rejected=Counter(tie=2), surplus=1)
    assert ledger.under_way()["pending"] == {"in flight": 3}
    assert Ledger.from_dict(ledger.under_way()).imbalance() is None


def test_a_ledger_that_lost_a_unit_shows_it_under_way_too() -> None:
    assert Ledger.from_dict(Ledger(planned=1, accepted=2).under_way()).imbalance() is not None


# What holds the calls in flight.


def limiter(state: str, *, cuts: int = 0) -> Limiter:
    control = Congestion(CongestionConfig(start=1, ceiling=4))
    control.state, control.cuts = state, cuts  # type: ignore[assignment]
    made = Limiter(4, control)
    made.in_flight = made.limit
    return made


@pytest.mark.parametrize(
    ("state", "cuts", "said"),
    [
        ("slow start", 0, "slow start"),
        ("growing", 0, "growing"),
        ("growing", 2, "cut 2 x after 429 or overload, growing again"),
        ("saturated", 1, "more in flight would only wait longer"),
        ("at the ceiling", 3, "--concurrency"),
    ],
)
def test_a_limit_says_what_holds_it(state: str, cuts: int, said: str) -> None:
    assert limiter(state, cuts=cuts).holding == said


def test_a_limit_with_room_is_held_by_the_pipeline() -> None:
    made = Limiter(4)
    assert made.holding == "no more calls are ready"
    made.in_flight = 4
    assert made.holding == "--concurrency"


def test_a_pause_goes_before_all_else() -> None:
    made = limiter("growing", cuts=1)
    made._paused_until_s = float("inf")
    assert made.holding.startswith("paused for")
