"""A run under way: what a snapshot holds, when it is shown, and as what."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_runs import asked, go

from ds2.cli.events import Events
from ds2.cli.live import SPEED_WINDOW_S, Gauge, Snapshot, Speed, Speedometer
from ds2.cli.live_views import line, lines, screen
from ds2.cli.progress import Watcher
from ds2.cli.run import interruptible
from ds2.engines.teacher import simulated_backend
from ds2.runtime.costs import Cost
from ds2.runtime.heartbeat import META
from ds2.runtime.ledger import Ledger
from ds2.runtime.runner import Progress
from ds2.store import RunStore
from signatures.errors import StageError

LIMIT = {
    "model": "gpt",
    "in_flight": 12,
    "waiting": 3,
    "limit": 16,
    "most": 64,
    "holding": "cut 2 x after 429 or overload, growing again",
}
SEEN = Snapshot(
    target=100,
    ledger={
        "planned": 60,
        "accepted": 40,
        "rejected": {"tie": 6, "no_lead": 4},
        "surplus": 2,
        "pending": {"in flight": 8},
    },
    by_level={"Remember": (7, 17), "Create": (3, 16)},
    mean_agreement=0.875,
    stages={
        "answers": {"calls": 300, "input_tokens": 90_000, "output_tokens": 10_000},
        "keywords": {"calls": 4, "input_tokens": 2_000, "output_tokens": 345},
    },
    cost=Cost(0.5, 0.5),
    speed=Speed(14.25, 5_420.0),
    rows_per_min=61.04,
    time_left_s=754.0,
    limits=(LIMIT,),
)
NOTHING = Snapshot(
    target=100,
    ledger=Ledger().under_way(),
    by_level={},
    mean_agreement=None,
    stages={},
    cost=Cost(None, 0.0, priced=False),
    speed=None,
    rows_per_min=None,
    time_left_s=None,
    limits=(),
)


def drawn(seen: Snapshot, width: int = 120, **console: Any) -> str:
    shown = Console(width=width, **console)
    with shown.capture() as captured:
        shown.print(screen(seen))
    return captured.get()


# The speed.


def test_a_speed_is_of_the_last_half_minute() -> None:
    meter = Speedometer()
    assert meter.speed is None
    for second in range(101):
        meter.note(float(second), 2 * second + 50 * (second > 60), 100 * second)
    assert meter.speed == Speed(2.0, 100.0)
    meter.note(100.0 + SPEED_WINDOW_S, 250, 10_000)
    assert meter.speed == Speed(0.0, 0.0)


def test_one_moment_is_no_speed() -> None:
    meter = Speedometer()
    meter.note(3.0, 5, 5)
    assert meter.speed is None
    meter.note(3.0, 6, 6)
    assert meter.speed is None


# What is shown.


def test_a_screen_says_all_that_a_run_is_doing() -> None:
    shown = " ".join(drawn(SEEN).split())
    for words in (
        "40 of 100 rows (40%), 00:12:34 left",
        "60 begun: 40 accepted, 10 rejected (tie 6, no lead 4), 2 surplus, 8 in work",
        "Remember 7/17, Create 3/16",
        "0.80 accepted of decided, mean agreement 0.88",
        "14.2 calls and 5.4k tokens a second, 61.0 rows a minute",
        "304 (answers 300, keywords 4), 102.3k tokens",
        "12 of 16 (held by: cut 2 x after 429 or overload, growing again)",
        "0.500 USD, 0.0125 USD an accepted row",
    ):
        assert words in shown


def test_a_line_says_it_in_one() -> None:
    assert line(SEEN) == (
        "40 of 100 rows (40%), 60 units, yield 0.80, agreement 0.88, 304 calls, 14.2 calls and "
        "5.4k tokens a second, 61.0 rows a minute, in flight 12 of 16 (held by: cut 2 x after 429 or "
        "overload, growing again), cost 0.500 USD, 0.0125 USD an accepted row, 00:12:34 left"
    )


def test_what_is_not_known_yet_is_said_so() -> None:
    assert line(NOTHING) == (
        "0 of 100 rows (0%), 0 units, yield -, agreement -, 0 calls, cost unknown, "
        "time left not known yet"
    )
    assert "none yet" in drawn(NOTHING)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_narrow_terminal_wraps_and_loses_nothing(width: int) -> None:
    bar, *rows = drawn(SEEN, width).splitlines()
    assert not re.search(r"\w", bar), "the bar has a line of its own"
    assert all(len(row) <= width for row in (bar, *rows))
    assert rows[0].split()[0] == "rows"
    text = re.sub(r"\s", "", "".join(row[len("in flight") :] for row in rows))
    for _, value in lines(SEEN):
        assert re.sub(r"\s", "", value) in text


def test_without_unicode_the_bar_is_plain() -> None:
    import io

    page = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    console = Console(file=page, width=60, force_terminal=True)
    console.print(screen(SEEN))  # would raise UnicodeEncodeError
    page.flush()


# When it is shown.


class Face:
    """Notes what it is shown."""

    every_s, shows_end = 30.0, False

    def __init__(self) -> None:
        self.shown: list[Snapshot] = []

    def open(self) -> None: ...

    def show(self, seen: Snapshot) -> None:
        self.shown.append(seen)

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class StandingGauge:
    def __init__(self) -> None:
        self.read_at: list[float] = []

    def read(self, now_s: float) -> Snapshot:
        self.read_at.append(now_s)
        return SEEN


def test_a_line_comes_every_thirty_seconds() -> None:
    watcher, face, gauge = Watcher(), Face(), StandingGauge()
    watcher._face, watcher._gauge = face, gauge  # type: ignore[assignment]
    due = []
    for half_second in range(190):
        before = len(face.shown)
        watcher.look(half_second / 2)
        due += [half_second / 2] * (len(face.shown) - before)
    assert due == [30.0, 60.0, 90.0]
    assert len(gauge.read_at) == 190


# What a snapshot reads.


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(tmp_path) as opened:
        yield opened


def test_a_gauge_takes_the_time_left_and_the_limits_from_the_heartbeat(store: RunStore) -> None:
    beat = {"time_left_s": 60.0, "limits": [LIMIT], "rate": {"rows_per_min": 3.5}}
    store.set_meta({META: beat})
    ledger = Ledger(planned=9, accepted=4, rejected=Counter(tie=1))
    progress = Progress(12, ledger, agreement_sum=3.0, by_level=Counter(Apply=4))
    seen = Gauge(progress, store, {"Remember": 2, "Apply": 2}).read(5.0)
    assert (seen.time_left_s, seen.limits, seen.rows_per_min) == (60.0, (LIMIT,), 3.5)
    assert seen.by_level == {"Remember": (0, 2), "Apply": (4, 2)}
    assert (seen.yielded, seen.mean_agreement) == (0.8, 0.75)
    assert seen.ledger["pending"] == {"in flight": 4}


def test_calls_of_earlier_processes_are_no_speed(tmp_path: Path) -> None:
    go(tmp_path, 6)
    with RunStore(tmp_path) as store:
        gauge = Gauge(Progress(6, Ledger()), store, {})
        gauge.read(0.0)
        seen = gauge.read(1.0)
        assert seen.calls > 0
        assert seen.speed == Speed(0.0, 0.0)


# Events.

PROGRESS = {
    "accepted", "by_level", "calls", "calls_per_s", "cost_at_least_usd", "cost_usd", "event",
    "limits", "mean_agreement", "pending", "planned", "rejected", "row_usd", "rows_per_min",
    "stages", "surplus", "target", "time_left_s", "tokens", "tokens_per_s", "yield",
}  # fmt: skip


def test_the_fields_of_events_are_those_that_are_documented(tmp_path: Path) -> None:
    told: list[str] = []
    events = Events(told.append)
    with Watcher(quiet=True, events=events) as watcher:
        summary = go(tmp_path, 6, observer=watcher)
        watcher.noticed("\u201cdown\u201d")
    events.ended(0, summary)
    assert all(text.isascii() and "\n" not in text for text in told)
    fields = {event["event"]: set(event) for event in map(json.loads, told)}
    assert set(fields) == {"began", "keywords", "progress", "notice", "ended"}
    assert fields["progress"] == PROGRESS
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    assert set().union(*fields.values()) <= named


def test_an_interrupted_run_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ds2.cli import run as command

    def interrupted(*_: Any, **__: Any) -> Any:
        async def stop() -> None:
            raise asyncio.CancelledError

        request = asked(tmp_path, 2)
        return interruptible(stop(), Watcher(), request)

    told: list[str] = []
    monkeypatch.setattr(command, "_run", interrupted)
    monkeypatch.setattr("ds2.cli.events.to_stdout", told.append)
    with pytest.raises(command.typer.Exit):
        command._tell(asked(tmp_path, 2), quiet=True)
    last = json.loads(told[-1])
    assert (last["event"], last["exit_code"], last["summary"]) == ("ended", 130, None)


def test_an_error_on_the_way_is_the_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ds2.cli import run as command

    def failed(*_: Any, **__: Any) -> Any:
        raise StageError("The writer failed.")

    told: list[str] = []
    monkeypatch.setattr(command, "_run", failed)
    monkeypatch.setattr("ds2.cli.events.to_stdout", told.append)
    with pytest.raises(StageError):
        command._tell(asked(tmp_path, 2), quiet=True)
    assert json.loads(told[-1])["error"] == "The writer failed."


def test_events_name_the_models_that_are_asked(tmp_path: Path) -> None:
    told: list[str] = []
    backend = replace(simulated_backend(0), model="gpt", teacher="model", remote=True)
    Events(told.append).began(asked(tmp_path, 3), {"answers": backend}, 99)
    began = json.loads(told[0])
    assert (began["models"], began["worst_calls"]) == ({"answers": "gpt"}, 99)
