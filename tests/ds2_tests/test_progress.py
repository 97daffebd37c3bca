"""What a person sees: notices, a line that moves on a terminal only, a table at the end."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_runs import Meddler, Witness, asked, go

from ds2.cli.progress import Watcher, closing_line, print_summary, summary_table
from ds2.engines.teacher import simulated_backend
from ds2.runtime.summary import RunSummary

SUMMARY = RunSummary(
    status="complete",
    task="gsm8k",
    model="m",
    teacher="model",
    target=1500,
    out="runs/x",
    ledger={
        "planned": 2100,
        "accepted": 1500,
        "rejected": {"below_threshold": 200, "tie": 300},
        "surplus": 98,
        "pending": {"budget": 2},
    },
    keywords={},
    stages={
        "answers": {
            "calls": 10_000,
            "input_tokens": 900_000,
            "output_tokens": 100_000,
            "reasoning_tokens": 0,
            "unreported": 7,
        }
    },
    calls=10_000,
    new_calls=1,
    requests=1,
    surplus_calls=490,
    cancelled_calls=0,
    failed_calls=0,
    killed_calls=0,
    samples_per_row=6.666,
    mean_agreement=0.875,
    fingerprint="f",
    wall_s=3661,
    notices=("A [bold]notice[/bold].",),
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_table_says_all_that_was_promised(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(SUMMARY)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "planned 2,100 units",
        "accepted 1,500 of 1,500 wanted mean agreement 0.88",
        "rejected 500 tie 300, below threshold 200",
        "surplus 98 490 calls",
        "pending 2 budget 2",
        "calls 10,000 answers 10,000",
        "tokens 1,000,000 900,000 in, 100,000 out; 7 calls did not report theirs",
        "cost unknown a price is not known, see --price",
        "samples an accepted row 6.7 all answers drawn, over the rows accepted",
        "time 01:01:01 1 calls made now",
        "A [bold]notice[/bold].",
        "Dataset: runs/x/dataset",
    ]


def test_a_run_without_rows_has_a_table_too(capsys: pytest.CaptureFixture[str]) -> None:
    ledger = {"planned": 0, "accepted": 0, "rejected": {}, "surplus": 0, "pending": {}}
    empty = replace(
        SUMMARY,
        ledger=ledger,
        stages={},
        samples_per_row=None,
        mean_agreement=None,
        status="budget",
    )
    print_summary(empty)
    assert "0   of 1,500 wanted" in capsys.readouterr().out
    assert summary_table(empty).row_count == 10


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ({"cost_usd": 15.0, "row_usd": 0.01}, "cost 15.00 USD 0.0100 USD an accepted row"),
        ({"cost_usd": 15.0, "row_usd": None}, "cost 15.00 USD"),
        ({"cost_usd": None, "cost_at_least_usd": 12.0}, "cost at least 12.00 USD"),
        ({"cost_usd": 0.0, "row_usd": 0.0}, "cost 0 USD 0 USD an accepted row"),
    ],
)
def test_the_cost_is_told_as_far_as_it_is_known(
    capsys: pytest.CaptureFixture[str], known: dict[str, Any], line: str
) -> None:
    print_summary(replace(SUMMARY, **known))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert line in lines


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("usd", "budget of USD"),
        ("minutes", "larger --budget-minutes"),
        ("tokens", "--budget-tokens"),
    ],
)
def test_a_budget_stop_names_its_budget(which: str, words: str) -> None:
    assert words in closing_line(replace(SUMMARY, status="budget", stopped_by=which))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("budget", "larger --budget-calls"),
        ("candidates", "--max-candidates"),
        ("exhausted", "--target"),
        ("endpoint", "same command again"),
    ],
)
def test_a_stop_says_why_and_the_one_thing_to_do(status: str, words: str) -> None:
    line = closing_line(replace(SUMMARY, status=status))
    assert line.startswith("Stopped (the ")
    assert "with 1,500 of 1,500 rows. " in line
    assert words in line


@pytest.mark.parametrize(
    ("status", "code"),
    [("complete", 0), ("budget", 3), ("candidates", 3), ("endpoint", 3), ("interrupted", 130)],
)
def test_a_status_has_its_exit_code(status: str, code: int) -> None:
    assert replace(SUMMARY, status=status).exit_code == code


def began(capsys: pytest.CaptureFixture[str], tmp_path: Path, **settings: Any) -> str:
    remote = replace(simulated_backend(0), model="gpt", teacher="model", remote=True)
    backends = dict.fromkeys(("keywords", "writer", "answers"), remote)
    if settings.pop("mixed", False):
        backends["writer"] = simulated_backend(0)
    with Watcher(quiet=settings.pop("quiet", False)) as watcher:
        watcher.began(asked(tmp_path, **settings), backends, 2691)
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_the_worst_case_is_told_of_a_model_that_may_cost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert began(capsys, tmp_path) == "Asking gpt: at worst 2,691 calls.\n"
    assert began(capsys, tmp_path, mixed=True) == "Asking gpt: at worst 2,691 calls.\n"
    assert (
        began(capsys, tmp_path, budget_calls=500)
        == "Asking gpt: at worst 2,691 calls, held to 500 calls.\n"
    )
    assert began(capsys, tmp_path, budget_usd=2.5, budget_tokens=10_000).endswith(
        ", held to 2.5 USD and 10,000 tokens.\n"
    )
    assert began(capsys, tmp_path, quiet=True) == ""


def test_the_worst_case_is_told_before_the_first_call(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    heard: list[str] = []

    async def listen(_: object, number: int) -> None:
        if number == 1:
            heard.append(capsys.readouterr().err)

    backend = Meddler(listen).backend(remote=True, teacher="model", model="gpt")
    with Watcher() as watcher:
        go(tmp_path, 1, observer=watcher, resolve=lambda *_: backend)
    witness = Witness()
    go(tmp_path / "again", 1, observer=witness, resolve=lambda *_: backend)
    assert heard[0] == f"Asking gpt: at worst {witness.worst:,} calls.\n"


def test_a_terminal_shows_a_picture_that_moves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Watcher() as watcher:
        go(tmp_path, 12, observer=watcher)
    drawn = screen.getvalue()
    assert "asking for keywords" in drawn
    assert drawn.index("24 keywords.") < drawn.index("12 of 12 rows (100%)")
    for word in ("Remember 2/2", "accepted of decided", "tokens a second", "(held by: "):
        assert word in drawn
    assert "mean agreement 0.00" not in drawn


def test_a_terminal_that_cannot_move_gets_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "dumb")
    with Watcher() as watcher:
        go(tmp_path, 2, observer=watcher)
    assert screen.getvalue().splitlines()[1:] == ["6 keywords."]


def test_without_a_terminal_nothing_moves(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Watcher() as watcher:
        go(tmp_path, 1, observer=watcher)
    assert capsys.readouterr().err.splitlines()[1:] == ["6 keywords."]


def test_a_watcher_can_be_stopped_twice() -> None:
    watcher = Watcher()
    watcher.stop()
    watcher.stop()
