from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from rich.console import Console
from small_runs import asked, go, rows_of

from ds2.cli.plan_views import figures, rounded
from ds2.cli.preview import panel
from ds2.runtime.foresight import Interval
from ds2.runtime.pilot import look
from signatures.records import Row

Command = Callable[..., Ended]


@pytest.fixture
def paid(ds2: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `ds2 ...` with a key for a model that a table lists; a plan asks nothing of it."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    return ds2


def test_a_plan_without_a_pilot_asks_nothing_and_says_what_it_assumes(
    ds2: Command, tmp_path: Path
) -> None:
    ended = ds2("plan", "gsm8k", "--target", 60, "--price", "0.4,1.6")
    assert ended.code == 0
    assert not (tmp_path / "runs").exists()
    assert "- a draw gives the most frequent answer with a chance of 0.6 to 0.95" in ended.out
    assert "60 rows take" in ended.out


def test_a_plan_with_a_pilot_is_continued_by_the_run(ds2: Command, tmp_path: Path) -> None:
    words = ("gsm8k", "-n", 18, "--price", "0.4,1.6")
    plan = json.loads(ds2("plan", *words, "--pilot", 8, "--json").out)
    assert plan["units_seen"] == 8
    assert plan["assumptions"] == []
    assert plan["out"] == "runs/gsm8k-18"
    summary = json.loads(ds2("run", *words, "--json").out.splitlines()[-1])["summary"]
    assert summary["calls"] == summary["new_calls"] + plan["calls_made"]
    for name, real in (("usd", summary["cost_usd"]), ("calls", summary["calls"])):
        low, mid, high = plan[name]
        assert low <= mid <= high
        assert low <= real <= high
        assert high < 2.5 * low
    assert set(plan["stages"]) == {"keywords", "writer", "answers"}
    for stage, use in plan["stages"].items():
        low, _, high = use["calls"]
        assert low <= summary["stages"][stage]["calls"] <= high


def test_a_plan_without_a_pilot_holds_what_the_run_takes(ds2: Command) -> None:
    words = ("medqa", "-n", 18, "--price", "0.4,1.6")
    plan = json.loads(ds2("plan", *words, "--json").out)
    summary = json.loads(ds2("run", *words, "--json").out.splitlines()[-1])["summary"]
    for name, real in (("usd", summary["cost_usd"]), ("calls", summary["calls"])):
        low, _, high = plan[name]
        assert low <= real <= high
    for stage, use in plan["stages"].items():
        low, _, high = use["calls"]
        assert low <= summary["stages"][stage]["calls"] <= high


def test_limits_by_hand_are_a_floor_of_the_minutes_and_are_named(paid: Command) -> None:
    words = ("plan", "gsm8k", "-n", 120, "--model", "openai/gpt-4.1-mini")
    free = json.loads(paid(*words, "--json").out)
    assert free["pace"]["set_by"] == "concurrency"
    for limits, name, per_minute in (
        (("--rpm", 60), "rpm", 60),
        (("--tpm", 20_000), "tpm", 20_000),
    ):
        held = json.loads(paid(*words, *limits, "--json").out)
        taken = held["calls"] if name == "rpm" else held["tokens"]
        assert held["pace"] == {"concurrency": 64, "rpm": None, "tpm": None} | {
            "set_by": name,
            name: per_minute,
        }
        assert held["minutes_to_go"][0] > free["minutes_to_go"][0]
        for took, of in zip(held["minutes_to_go"], taken, strict=True):
            assert of / per_minute * 0.99 < took < of / per_minute * 1.2
    assert "--rpm 60 sets the pace" in paid(*words, "--rpm", 60).out


def test_a_pilot_does_not_hide_a_limit_by_hand(ds2: Command) -> None:
    words = ("plan", "gsm8k", "-n", 60, "--rpm", 6000, "--pilot", 8)
    assert ds2(*words).code == 0
    plan = json.loads(ds2("plan", "gsm8k", "-n", 60, "--rpm", 60, "--json").out)
    assert plan["units_seen"] == 8
    left = plan["calls"][1] - plan["calls_made"]
    assert plan["minutes_to_go"][1] == pytest.approx(left / 60, rel=0.15)


def test_the_minutes_of_the_stages_add_up(paid: Command) -> None:
    words = ("plan", "gsm8k", "-n", 60, "--model", "openai/gpt-4.1-mini")
    plan = json.loads(paid(*words, "--json").out)
    parts = [use["minutes_to_go"][1] for use in plan["stages"].values()]
    assert sum(parts) == pytest.approx(plan["minutes_to_go"][1], rel=0.2)
    assert all(part > 0 for part in parts)
    shown = paid(*words).out
    assert "minutes" in shown.splitlines()[0]
    assert "parts of the whole" in shown


def test_a_plan_says_whether_each_budget_is_enough(paid: Command) -> None:
    words = ("plan", "gsm8k", "-n", 60, "--model", "openai/gpt-4.1-mini")
    little = ("--budget-usd", 0.02, "--budget-tokens", 30_000, "--budget-calls", 90)
    little = (*little, "--budget-minutes", 0.05)
    short = paid(*words, *little).out
    assert short.count("is below the expected") == 4
    assert short.count("the run would stop at about") == 4
    budgets = json.loads(paid(*words, *little, "--json").out)["budgets"]
    assert len(budgets) == 4
    assert all(0 <= budget["rows"][1] < 45 for budget in budgets)
    much = ("--budget-usd", 90, "--budget-tokens", 10**9, "--budget-calls", 10**7)
    assert paid(*words, *much, "--budget-minutes", 9000).out.count("is enough: ") == 4
    assert "is enough: " in paid(*words, "--budget-calls", 10**7).out  # one by itself


def test_a_budget_stops_a_run_near_the_rows_that_its_plan_said(ds2: Command) -> None:
    words = ("gsm8k", "-n", 60, "-c", 8, "--budget-calls", 200, "--json")
    (budget,) = json.loads(ds2("plan", *words).out)["budgets"]
    ended = ds2("run", *words)
    assert ended.code == 3
    rows = json.loads(ended.out.splitlines()[-1])["summary"]["ledger"]["accepted"]
    low, _, high = budget["rows"]
    # Units in flight at the line bring no row.
    assert low - 8 <= rows <= high


def test_shared_requests_lower_the_tokens_and_requests_of_a_plan(paid: Command) -> None:
    words = ("plan", "gsm8k", "-n", 60, "--model", "openai/gpt-4.1-mini", "--rpm", 60, "--json")
    apart = json.loads(paid(*words).out)
    for how in ("on", "auto"):
        shared = json.loads(paid(*words, "--coalesce", how).out)
        assert shared["calls"] == apart["calls"]
        before, after = (p["stages"]["answers"]["input_tokens"][1] for p in (apart, shared))
        assert after < 0.7 * before
        assert shared["minutes_to_go"][1] < 0.8 * apart["minutes_to_go"][1]


def test_a_plan_says_where_the_run_will_refuse_its_budget(ds2: Command) -> None:
    words = ("gsm8k", "--model", "ollama/qwen3:8b", "-n", 12, "--budget-usd", 1)
    ended, refused = ds2("plan", *words), ds2("run", *words)
    assert (ended.code, refused.code) == (0, 2)
    assert "`ds2 run` will refuse these options." in ended.out
    said = json.loads(ds2("plan", *words, "--json").out)["refused"]
    assert said in ended.out
    assert said in refused.err
    assert "Give --price IN,OUT" in said
    assert json.loads(ds2("plan", *words, "--price", "1,4", "--json").out)["refused"] is None


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
    assert rounded(value) == text


def test_a_figure_without_a_range_is_one_number() -> None:
    assert figures(Interval(5, 5, 5)) == "5"
    assert figures(Interval(1, 5, 9)) == "5 (1 to 9)"
    assert figures(None) == "unknown"
