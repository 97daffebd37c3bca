"""Whole runs under budgets: never past the line, not far before it, and then on to the same bytes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended
from dspy import lm15
from dspy.lm15 import Request, Response, Usage
from faulty_runs import hurried
from small_runs import Meddler, Witness, asked, dataset_bytes, go, gone, summary_of

from ds2.engines.budget import TEMPLATE_TOKENS
from ds2.engines.logged import sample_number
from ds2.engines.retry import RetryPolicy
from ds2.engines.teacher import simulated_backend
from ds2.runtime.budgets import open_budget
from ds2.runtime.runner import run
from ds2.runtime.session import backends_for
from ds2.runtime.status import read_status
from ds2.store import RunStore
from signatures.errors import ConfigError

ROWS = 12
PRICE = (0.4, 1.6)
LIMIT = 400  # --max-tokens of these runs
# No prompt of these runs has more bytes; a reply that was cut gets twice the room.
LONGEST = 4500 + TEMPLATE_TOKENS + 2 * LIMIT


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], int, float]:
    """Return the bytes of the run that no budget stops, its tokens and its cost."""
    out = tmp_path_factory.mktemp("whole")
    summary = go(out, ROWS, price=PRICE, max_tokens=LIMIT)
    assert summary.cost_usd is not None
    return dataset_bytes(out), tokens(summary.stages), summary.cost_usd


def tokens(stages: dict[str, dict[str, Any]]) -> int:
    return sum(s["input_tokens"] + s["output_tokens"] for s in stages.values())


@pytest.mark.parametrize("concurrency", [1, 64])
def test_a_budget_of_tokens_is_never_crossed_and_nearly_used(
    concurrency: int, tmp_path: Path, whole: tuple[dict[str, bytes], int, float]
) -> None:
    settings = {"price": PRICE, "max_tokens": LIMIT, "concurrency": concurrency}
    for limit in (8_000, 20_000):
        summary = go(tmp_path, ROWS, budget_tokens=limit, **settings)
        assert (summary.status, summary.stopped_by, summary.exit_code) == ("budget", "tokens", 3)
        assert limit - LONGEST < tokens(summary.stages) <= limit
        assert "more than is left" in " ".join(summary.notices)
    assert go(tmp_path, ROWS, **settings).exit_code == 0
    assert dataset_bytes(tmp_path) == whole[0]


def test_a_budget_of_dollars_is_never_crossed_and_nearly_used(
    tmp_path: Path, whole: tuple[dict[str, bytes], int, float]
) -> None:
    settings = {"price": PRICE, "max_tokens": LIMIT}
    longest_usd = (LONGEST * PRICE[0] + 2 * LIMIT * PRICE[1]) / 1e6
    for limit in (whole[2] / 4, whole[2] / 2):
        summary = go(tmp_path, ROWS, budget_usd=limit, **settings)
        assert (summary.status, summary.stopped_by) == ("budget", "usd")
        assert summary.cost_usd is not None
        assert limit - longest_usd < summary.cost_usd <= limit
    assert go(tmp_path, ROWS, budget_usd=100, **settings).exit_code == 0
    assert dataset_bytes(tmp_path) == whole[0]


def test_a_budget_that_no_call_fits_in_says_what_one_needs(tmp_path: Path) -> None:
    summary = go(tmp_path, 3, budget_tokens=100)
    assert (summary.status, summary.calls) == ("budget", 0)
    assert "The next call could use" in summary.notices[1]


def test_what_a_budget_lets_through_costs_nothing_again(tmp_path: Path) -> None:
    first = go(tmp_path, ROWS, budget_tokens=8_000, max_tokens=LIMIT)
    again = go(tmp_path, ROWS, budget_tokens=8_000, max_tokens=LIMIT)
    assert again.new_calls == 0
    assert again.calls == first.calls
    assert again.stopped_by == "tokens"


def flaky(every: int, error: Callable[[], BaseException]) -> Meddler:
    """Return a teacher whose replies get lost on their way, one of so many.

    None is lost so often that its call is given up.
    """
    lost: Counter[str] = Counter()

    async def lose(request: Request, call: int) -> Response | None:
        asked = f"{sample_number.get()} {request}"
        if call % every == 0 and lost[asked] < RetryPolicy().attempts - 1:
            lost[asked] += 1
            raise error()
        return None

    return Meddler(lose)


@pytest.mark.parametrize(
    "error",
    [
        lambda: lm15.TimeoutError("no reply within 1 s"),
        lambda: lm15.TransportError("reset in the middle of the body"),
        lambda: lm15.ServerError("not JSON", status=200),
    ],
    ids=["timeout", "reset", "not JSON"],
)
def test_no_endpoint_works_more_than_the_budget_allows(
    error: Callable[[], BaseException],
    tmp_path: Path,
    whole: tuple[dict[str, bytes], int, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    settings = {"price": PRICE, "max_tokens": LIMIT}
    meddler = flaky(4, error)
    summary = go(tmp_path, ROWS, budget_calls=60, resolve=meddler.resolve, **settings)
    assert (summary.status, summary.stopped_by, meddler.calls) == ("budget", "calls", 60)
    assert (summary.calls, summary.failed_calls, summary.cancelled_calls) == (45, 15, 0)
    assert read_status(tmp_path).failed_calls == summary_of(tmp_path)["failed_calls"] == 15
    assert go(tmp_path, ROWS, resolve=flaky(4, error).resolve, **settings).exit_code == 0
    assert dataset_bytes(tmp_path) == whole[0]


def test_the_tokens_of_replies_that_got_lost_are_held_by_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    meddler = flaky(4, lambda: lm15.TimeoutError("no reply within 1 s"))
    limit, settings = 20_000, {"max_tokens": LIMIT, "resolve": meddler.resolve}
    summary = go(tmp_path, ROWS, budget_tokens=limit, **settings)
    assert summary.stopped_by == "tokens"
    assert summary.failed_calls > 1
    # Each lost one counts with its prompt and the whole of its limit.
    assert tokens(summary.stages) + summary.failed_calls * LIMIT < limit


def test_what_was_lost_counts_after_a_resume(
    tmp_path: Path, whole: tuple[dict[str, bytes], int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    settings = {"price": PRICE, "max_tokens": LIMIT}
    sent = 0
    for limit in (30, 31, 60):
        meddler = flaky(4, lambda: lm15.TimeoutError("no reply within 1 s"))
        summary = go(tmp_path, ROWS, budget_calls=limit, resolve=meddler.resolve, **settings)
        sent += meddler.calls
        assert (summary.stopped_by, sent) == ("calls", limit)
        assert summary.calls + summary.failed_calls == limit
        assert read_status(tmp_path).failed_calls == summary.failed_calls
    calm = flaky(10**6, gone)
    ended = go(tmp_path, ROWS, resolve=calm.resolve, **settings)
    assert ended.failed_calls == summary.failed_calls
    assert dataset_bytes(tmp_path) == whole[0]


def test_what_was_cancelled_on_the_wire_counts_after_a_resume(tmp_path: Path) -> None:
    sent = 0
    for _ in range(2):

        async def hang(_: Request, call: int) -> Response | None:
            if call > 10:
                await asyncio.Event().wait()
            return None

        meddler = Meddler(hang)
        stopped = go(tmp_path, ROWS, budget_minutes=0.01, budget_calls=60, resolve=meddler.resolve)
        sent += meddler.calls
        assert (stopped.status, stopped.calls + stopped.cancelled_calls) == ("budget", sent)
    meddler = flaky(1000, gone)
    ended = go(tmp_path, ROWS, budget_calls=60, resolve=meddler.resolve)
    assert (ended.stopped_by, sent + meddler.calls) == ("calls", 60)
    assert ended.cancelled_calls == stopped.cancelled_calls > 0
    assert read_status(tmp_path).cancelled_calls == ended.cancelled_calls


@pytest.mark.parametrize("measured", [{"budget_calls": 100}, {"budget_usd": 1.0}], ids=str)
def test_the_tokens_and_dollars_that_were_lost_are_kept_too(
    measured: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    settings = {"price": PRICE, "max_tokens": LIMIT}
    meddler = flaky(4, lambda: lm15.TimeoutError("no reply within 1 s"))
    summary = go(tmp_path, 3, resolve=meddler.resolve, **measured, **settings)
    request = asked(tmp_path, 3, budget_usd=1.0, **settings)
    with RunStore(tmp_path) as store:
        lost = open_budget(request.budget, backends_for(request), store).lost
    assert lost.failed == summary.failed_calls > 0
    assert lost.tokens > lost.failed * LIMIT
    assert lost.usd > lost.failed * LIMIT * PRICE[1] / 1e6


def test_minutes_end_a_run_whose_calls_hang(tmp_path: Path) -> None:
    async def hang(_: Request, number: int) -> Response | None:
        if number > 10:
            await asyncio.Event().wait()
        return None

    meddler = Meddler(hang)
    summary = go(tmp_path, ROWS, budget_minutes=0.02, resolve=meddler.resolve)
    assert (summary.status, summary.stopped_by, summary.exit_code) == ("budget", "minutes", 3)
    assert set(summary.ledger["pending"]) <= {"budget"}
    assert meddler.open == 0
    assert go(tmp_path, ROWS).exit_code == 0


def test_a_timeout_of_another_kind_is_no_spent_budget(tmp_path: Path) -> None:
    class Broken(Witness):
        def grew(self, *_: object) -> None:
            raise TimeoutError("a bug")

    with pytest.raises(TimeoutError, match="a bug"):
        asyncio.run(run(asked(tmp_path, 3, budget_minutes=5), Broken()))


def silent(**changes: Any) -> Callable[..., Any]:
    """Return a resolver of a teacher that never reports its usage."""
    inner = simulated_backend(0)

    class Engine:
        async def complete(self, request: Request) -> Response:
            return replace(await inner.open().complete(request), usage=Usage())

    return lambda *_: replace(inner, open=Engine, **changes)


def test_replies_without_usage_count_at_their_bound_now_and_after_a_resume(tmp_path: Path) -> None:
    settings = {"resolve": silent(max_tokens=LIMIT), "price": PRICE}
    summary = go(tmp_path, ROWS, budget_tokens=60_000, **settings)
    assert summary.stopped_by == "tokens"
    assert summary.cost_usd is None
    request = asked(tmp_path, ROWS, budget_tokens=60_000, price=PRICE)
    with RunStore(tmp_path) as store:
        backends = backends_for(request, settings["resolve"])
        spent = open_budget(request.budget, backends, store).spent
    assert 60_000 - 2 * LONGEST < spent.tokens <= 60_000
    again = go(tmp_path, ROWS, budget_tokens=60_000, **settings)
    assert again.new_calls <= 1


def test_a_budget_without_a_price_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="--budget-usd must have a price for simulated"):
        go(out, 3, budget_usd=1, resolve=silent(price=None))
    assert not out.exists()


def test_a_budget_without_a_limit_on_replies_is_refused(tmp_path: Path) -> None:
    for limit in ({"budget_usd": 1}, {"budget_tokens": 1000}):
        with pytest.raises(ConfigError, match="--max-tokens must say how long a reply"):
            go(tmp_path, 3, resolve=silent(max_tokens=None), price=PRICE, **limit)
    go(tmp_path, 3, resolve=silent(max_tokens=None), budget_calls=5)


def test_dollars_are_refused_where_an_earlier_model_had_no_price(tmp_path: Path) -> None:
    go(tmp_path, 3, resolve=silent(price=None, model="old"), budget_calls=5)
    new = {"resolve": silent(model="new"), "price": PRICE, "accept_new_prompts": True}
    with pytest.raises(ConfigError, match="had a known price"):
        go(tmp_path, 3, budget_usd=1, **new)
    assert go(tmp_path, 3, **new).exit_code == 0


BAD = {
    "no dollars": ("--budget-usd", 0, "budget_usd must be greater than 0"),
    "negative": ("--budget-usd", -1, "budget_usd must be greater than 0"),
    "no end": ("--budget-usd", "inf", "budget_usd must be a finite number"),
    "no tokens": ("--budget-tokens", 0, "budget_tokens must be greater than or equal to 1"),
    "no time": ("--budget-minutes", 0, "budget_minutes must be greater than 0"),
    "not a number": ("--budget-minutes", "nan", "budget_minutes must be"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_budget_that_is_none_is_refused(
    case: tuple[str, object, str], ds2: Callable[..., Ended]
) -> None:
    option, value, words = case
    ended = ds2("run", "gsm8k", "-n", 3, option, value)
    assert ended.code == 2
    assert words in ended.err


def test_the_command_line_stops_and_says_how_to_go_on(ds2: Callable[..., Ended]) -> None:
    words = ("run", "gsm8k", "-n", 6, "--price", "0.4,1.6", "--max-tokens", LIMIT)
    stopped = ds2(*words, "--budget-usd", "0.01")
    assert stopped.code == 3
    assert stopped.out.splitlines()[-1].startswith("Stopped (the budget of USD is spent) with ")
    assert "larger --budget-usd" in stopped.out.splitlines()[-1]
    assert 0 < summary_of(Path("runs/gsm8k-6"))["cost_usd"] <= 0.01
    assert ds2(*words).code == 0


def test_an_unknown_price_is_told_on_the_command_line(ds2: Callable[..., Ended]) -> None:
    ended = ds2("run", "gsm8k", "--model", "ollama/llama3.1", "--budget-usd", 1)
    assert ended.code == 2
    assert "--budget-usd must have a price for llama3.1" in ended.err
    assert "--price IN,OUT" in ended.err
