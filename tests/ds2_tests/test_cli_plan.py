from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from rich.console import Console
from small_runs import asked, go, rows_of

from ds2.cli.plan import _figures, _rounded
from ds2.cli.preview import panel
from ds2.runtime.foresight import Interval
from ds2.runtime.pilot import look
from signatures.records import Row

Command = Callable[..., Ended]


def test_a_plan_without_a_pilot_asks_nothing_and_says_what_it_assumes(
    ds2: Command, tmp_path: Path
) -> None:
    ended = ds2("plan", "gsm8k", "--target", 600, "--price", "0.4,1.6")
    assert ended.code == 0
    assert not (tmp_path / "runs").exists()
    assert "- a draw gives the most frequent answer with a chance of 0.6 to 0.95" in ended.out
    assert "600 rows take" in ended.out


def test_a_plan_with_a_pilot_is_continued_by_the_run(ds2: Command, tmp_path: Path) -> None:
    words = ("gsm8k", "-n", 18, "--price", "0.4,1.6")
    plan = json.loads(ds2("plan", *words, "--pilot", 8, "--json").out)
    assert plan["units_seen"] == 8
    assert plan["assumptions"] == []
    assert plan["out"] == "runs/gsm8k-18"
    summary = json.loads(ds2("run", *words, "--json").out.splitlines()[-1])["summary"]
    assert summary["calls"] == summary["new_calls"] + plan["calls_made"]
    low, mid, high = plan["usd"]
    assert low <= mid <= high
    assert low / 2 < summary["cost_usd"] < high * 2
    assert set(plan["stages"]) == {"keywords", "writer", "answers"}


def test_a_plan_of_a_model_without_a_price_says_so(ds2: Command) -> None:
    words = ("plan", "gsm8k", "--model", "ollama/qwen3:8b", "-n", 12)
    ended = ds2(*words)
    assert ended.code == 0
    assert "The cost is unknown" in ended.out
    assert "thinking takes 300 to 4,000 tokens more" in ended.out
    plan = json.loads(ds2(*words, "--json").out)
    assert plan["usd"] is None
    assert plan["stages"]["writer"]["usd"] is None
    assert plan["tokens"] is not None


def test_a_plan_knows_the_judge_of_open_answers(ds2: Command) -> None:
    plan = json.loads(ds2("plan", "math", "--merger", "judge", "-n", 6, "--json").out)
    assert plan["stages"]["judge"]["calls"][1] > 0


def test_a_plan_says_when_the_cap_may_end_the_run(ds2: Command) -> None:
    ended = ds2("plan", "gsm8k", "-n", 12, "--max-candidates", 13)
    assert "The candidate cap may end it earlier" in ended.out


@pytest.mark.parametrize(
    "words",
    [("--pilot", 0), ("--pilot", "x"), ("--target", 0), ("--policy", "never")],
    ids=["no unit", "no number", "no target", "no policy"],
)
def test_options_that_make_no_sense_are_refused(words: tuple[object, ...], ds2: Command) -> None:
    assert ds2("plan", "gsm8k", *words).code == 2
    assert ds2("preview", "gsm8k", "--rows", 0).code == 2


def test_a_preview_shows_rows_that_the_run_then_has(ds2: Command, tmp_path: Path) -> None:
    ended = ds2("preview", "gsm8k", "-n", 18, "--rows", 3)
    assert ended.code == 0
    assert "3 of 3 rows" in ended.out
    ds2("run", "gsm8k", "-n", 18, "-q")
    shown = " ".join(ended.out.replace("│", " ").split())
    for row in rows_of(tmp_path / "runs" / "gsm8k-18")[:3]:
        assert " ".join(row["instruction"].split()) in shown


def test_a_preview_that_a_budget_stops_says_how_far_it_came(ds2: Command) -> None:
    ended = ds2("preview", "gsm8k", "-n", 18, "--budget-calls", 12)
    assert ended.code == 3
    assert " of 5 rows" in ended.out


def test_what_a_model_wrote_is_shown_as_plain_text(tmp_path: Path) -> None:
    go(tmp_path, 3)
    row = look(asked(tmp_path, 3), rows=1).rows[0]
    evil = "[red]not markup[/red] \x1b]0;title\x07 \u202eright\u202c [link=http://x]y[/link]"
    instruction = row.instruction.model_copy(update={"question": evil, "keywords": (evil,)})
    changed = Row.model_construct(
        **{**dict(row), "instruction": instruction, "response": evil, "answer": evil}
    )
    console = Console(width=200, record=True, force_terminal=False, file=io.StringIO())
    console.print(panel(changed, 1))
    text = console.export_text()
    assert text.count("[red]not markup[/red]") == 4
    assert not set(text) & {"\x1b", "\x07", "\u202e", "\u202c"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9_999.4, "9,999"),
        (10_000, "10.0k"),
        (123_456, "123k"),
        (1_234_567, "1.23M"),
        (99e9, "99.0G"),
        (5e15, "5,000,000G"),
    ],
)
def test_large_figures_keep_three_digits(value: float, text: str) -> None:
    assert _rounded(value) == text


def test_a_figure_without_a_range_is_one_number() -> None:
    assert _figures(Interval(5, 5, 5)) == "5"
    assert _figures(Interval(1, 5, 9)) == "5 (1 to 9)"
    assert _figures(None) == "unknown"
