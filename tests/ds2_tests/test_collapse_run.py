"""A teacher whose questions on one keyword converge: that keyword is ended, the run goes on elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from dspy import lm15
from small_runs import Meddler, asks_for, dataset_bytes, go, rows_of, saying, summary_of
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.runtime.summary import RunSummary
from ds2.runtime.verifying import verify_run
from ds2.store import RunStore
from signatures.records import Rejection

TARGET = 150
STALE = "elapsed time"
SETTINGS: dict[str, Any] = {"bank": 4, "family_cap": 0, "pair_share": 0.2}
TEMPLATE = (
    "A train leaves the harbour at noon and runs {n} km along the coast without any stop on its way. "
    "How many km has it left behind when it gets to the other end of the line?"
)


def converging(everything: bool = False, latency_s: float = 0.0) -> Meddler:
    """Return a teacher that knows one question more and more: by the visit of the cell, from the second.

    The reply follows from the request and its sample number alone, as a stored call must.
    """

    async def meddle(request: lm15.Request, _: int) -> lm15.Response | None:
        await asyncio.sleep(latency_s)
        text = request.messages[-1].text or ""
        stage = asks_for(request)
        visit = (request.config.seed or 0) // 16
        if stage == "writer" and (everything or (f"\n{STALE}\n" in text and visit >= 1)):
            number = crc32(text.encode()) + visit  # each its own, so that none is a repeat
            return saying(
                f"[[ ## question ## ]]\n{TEMPLATE.format(n=number)}\n\n[[ ## completed ## ]]"
            )
        if stage == "answers" and "along the coast" in text:
            said = "[[ ## reasoning ## ]]\nAll of it.\n\n[[ ## answer ## ]]\n7\n\n[[ ## completed ## ]]"
            return saying(said)
        return None

    return Meddler(meddle)


def make(out: Path, *, latency_s: float = 0.0, **settings: Any) -> RunSummary:
    teacher = converging(latency_s=latency_s)
    return go(out, TARGET, resolve=teacher.resolve, **(SETTINGS | settings))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converging") / "run"
    assert make(out, concurrency=1).status == "complete"
    return out


def test_the_keyword_that_converges_is_ended_and_no_other(made: Path) -> None:
    summary = summary_of(made)
    assert list(summary["retired"]) == [STALE]
    assert summary["ledger"]["accepted"] == TARGET
    assert summary["ledger"]["rejected"]["collapsed"] > 5
    assert "duplicate" not in summary["ledger"]["rejected"]
    told = next(notice for notice in summary["notices"] if "collapse alarm" in notice)
    for part in (
        f"'{STALE}'",
        "last 10 questions",
        "% of their word pairs were different",
        "first 100",
        "--config",
    ):
        assert part in told
    texts = Counter(row["instruction"].startswith("A train leaves") for row in rows_of(made))
    assert 10 <= texts[True] <= 25  # alone and in pairs, until either is ended
    assert set(Counter(row["level"] for row in rows_of(made)).values()) == {TARGET // 6}


def test_what_is_ended_stays_so_and_says_why(made: Path) -> None:
    with RunStore(made) as store:
        rejected = [
            (unit.place, Rejection.model_validate_json(unit.record))
            for unit in store.units("rejected")
            if unit.reason == "collapsed"
        ]
        first = rejected[0][0]
        later = [unit for unit in store.units("accepted") if unit.place > first]
    for _, rejection in rejected:
        assert rejection.instruction is None
        assert f"'{STALE}'" in rejection.detail
        assert "its last 10 questions grew alike" in rejection.detail
    keywords = [json.loads(unit.record)["instruction"]["keywords"] for unit in later]
    assert sum(STALE in pair for pair in keywords) <= 10
    assert [STALE] not in keywords
    assert len(keywords) > 50
    story = CliRunner().invoke(app, ["explain", str(made), str(first), "--json"])
    assert "word pairs" in story.output
    shown = CliRunner().invoke(app, ["stats", str(made)])
    assert "1 keyword by the collapse alarm" in shown.output
    assert STALE in shown.output
    card = (made / "dataset" / "README.md").read_text("utf-8")
    assert f"first spread; {len(rejected)} turned away" in card


def test_concurrency_changes_no_byte(made: Path, tmp_path: Path) -> None:
    make(tmp_path / "run", concurrency=64)
    assert dataset_bytes(tmp_path / "run") == dataset_bytes(made)
    assert summary_of(tmp_path / "run")["retired"] == summary_of(made)["retired"]


def test_stops_and_goes_change_no_byte(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for calls in (150, 500, 800):
        assert make(out, concurrency=8, budget_calls=calls).status == "budget"
    assert make(out, concurrency=8).status == "complete"
    assert dataset_bytes(out) == dataset_bytes(made)
    assert summary_of(out)["retired"] == summary_of(made)["retired"]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.slow  # that kills change no byte of any run is tested in test_run_kill
def test_kills_change_no_byte(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; "
        f"from test_collapse_run import make; make(Path({str(out)!r}), latency_s=0.01, concurrency=8)"
    )
    for calls in (150, 600):
        process = subprocess.Popen([sys.executable, "-c", program])
        while calls_in(out) < calls and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert make(out, concurrency=8).status == "complete"
    assert dataset_bytes(out) == dataset_bytes(made)


def calls_in(out: Path) -> int:
    if not (out / "store.sqlite").exists():
        return 0
    with closing(sqlite3.connect(f"file:{out}/store.sqlite?mode=ro", uri=True)) as store:
        try:
            return int(store.execute("SELECT count(*) FROM calls").fetchone()[0])
        except sqlite3.OperationalError:  # its tables are being made
            return 0


def test_a_finished_run_that_is_given_again_keeps_its_warning(made: Path, tmp_path: Path) -> None:
    first = summary_of(made)
    again = make(shutil.copytree(made, tmp_path / "run"))
    assert again.new_calls == 0
    assert again.retired == first["retired"] != {}
    assert list(again.notices) == first["notices"] != []


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run without a least spread."""
    out = tmp_path_factory.mktemp("unwatched") / "run"
    assert make(out, collapse_spread=0.0).status == "complete"
    return out


def test_the_rows_pass_the_alarm_again_and_one_that_should_not_be_is_told(
    made: Path, unwatched: Path, tmp_path: Path
) -> None:
    assert verify_run(made).problems == ()
    out = shutil.copytree(unwatched, tmp_path / "run")
    config = json.loads((out / "config.json").read_text("utf-8"))
    config["run"]["collapse_spread"] = 0.4
    (out / "config.json").write_text(json.dumps(config), "utf-8")
    problems = verify_run(out).problems
    assert any("the collapse alarm had ended" in problem for problem in problems)


def test_without_a_least_spread_nothing_is_ended(unwatched: Path) -> None:
    summary = summary_of(unwatched)
    assert not summary["retired"]
    assert "collapsed" not in summary["ledger"]["rejected"]


def test_a_run_without_any_keyword_left_ends_so_with_3(tmp_path: Path) -> None:
    """All questions are one from the start on: repeats end the keywords, and the run with them."""
    ends = []
    for name, concurrency in (("one", 1), ("many", 32)):
        summary = go(
            tmp_path / name,
            TARGET,
            resolve=converging(everything=True).resolve,
            concurrency=concurrency,
            **(SETTINGS | {"family_cap": 1}),
        )
        assert (summary.status, summary.exit_code) == ("collapsed", 3)
        assert len(summary.retired) == 4
        assert sum(summary.ledger["rejected"].values()) < 300
        ends.append(dataset_bytes(tmp_path / name))
    assert ends[0] == ends[1]
    assert verify_run(tmp_path / "many").problems == ()


def test_a_sound_teacher_ends_no_keyword(tmp_path: Path) -> None:
    summary = go(tmp_path / "run", TARGET, "logiqa", bank=8, pair_share=0.2)
    assert not summary.retired
    assert not any("word pairs" in notice for notice in summary.notices)
