from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import Meddler, go, summary_of

from ds2.cli.dollars import dollars
from ds2.config import BudgetConfig
from ds2.engines.base import Backend
from ds2.engines.prices import FREE, Price, given_price
from ds2.engines.teacher import simulated_backend
from ds2.runtime.budgets import open_budget
from ds2.runtime.costs import Cost, cost_of, keep_prices, run_cost, total
from ds2.runtime.status import read_status
from ds2.store import RunStore, Usage
from signatures.receipts import Receipt

PRICE = given_price(1.0, 10.0)


def backend(model: str = "m", **changes: object) -> Backend:
    return replace(simulated_backend(0), model=model, **{"price": PRICE, **changes})


def logged(store: RunStore, key: str, *, tokens: tuple[int | None, int | None] = (100, 10)) -> None:
    receipt = Receipt(key, "text", "stop", input_tokens=tokens[0], output_tokens=tokens[1])
    store.put(receipt, stage="answers", place=0, prompt="p", options="{}", latency_s=0.1).result()


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    with RunStore(tmp_path) as opened:
        yield opened


def test_no_calls_cost_nothing_and_unknown_prices_make_it_unknown() -> None:
    nothing, some = Usage(0, 0, 0, 0, 0), Usage(2, 1_000_000, 100_000, 0, 0)
    assert cost_of(nothing, None) == Cost(0.0, 0.0)
    assert cost_of(some, None) == Cost(None, 0.0, priced=False)
    assert cost_of(some, PRICE) == Cost(2.0, 2.0)
    assert cost_of(some, FREE) == Cost(0.0, 0.0)


def test_a_reply_without_usage_makes_the_cost_a_lower_figure() -> None:
    usage = Usage(3, 1_000_000, 100_000, 0, unreported=1)
    assert cost_of(usage, PRICE) == Cost(None, 2.0)
    assert cost_of(usage, FREE) == Cost(0.0, 0.0)


def test_one_unknown_stage_makes_the_sum_unknown() -> None:
    assert total({"a": Cost(1.0, 1.0), "b": Cost(None, 0.5)}) == Cost(None, 1.5)
    assert total({}) == Cost(0.0, 0.0)


def test_a_price_of_each_needs_something_to_divide_by() -> None:
    assert Cost(3.0, 3.0).each_usd(2) == 1.5
    assert Cost(3.0, 3.0).each_usd(0) is None
    assert Cost(None, 1.0).each_usd(2) is None


def test_the_store_alone_says_what_a_run_has_cost(store: RunStore) -> None:
    keep_prices(store, {"answers": backend()})
    logged(store, "1")
    logged(store, "2")
    assert run_cost(store)["answers"].usd == pytest.approx(2 * (100 + 100) / 1e6)


def test_a_store_without_prices_costs_an_unknown_amount(store: RunStore) -> None:
    logged(store, "1")
    assert run_cost(store)["answers"] == Cost(None, 0.0, priced=False)


def test_what_an_earlier_model_cost_is_settled_at_its_own_price(store: RunStore) -> None:
    keep_prices(store, {"answers": backend("dear", price=given_price(1000, 0))})
    logged(store, "1")
    keep_prices(store, {"answers": backend("cheap", price=given_price(1, 0))})
    logged(store, "2")
    assert total(run_cost(store)).usd == pytest.approx((1000 * 100 + 1 * 100) / 1e6)
    keep_prices(store, {"answers": backend("third", price=None)})
    assert total(run_cost(store)).usd == pytest.approx((1000 * 100 + 1 * 100) / 1e6)
    logged(store, "3")
    assert total(run_cost(store)).usd is None
    assert total(run_cost(store)).at_least_usd == pytest.approx((1000 * 100 + 100) / 1e6)


def test_a_price_that_was_not_known_before_is_that_of_all_its_calls(store: RunStore) -> None:
    keep_prices(store, {"answers": backend(price=None)})
    logged(store, "1")
    assert total(run_cost(store)).usd is None
    told = keep_prices(store, {"answers": backend(price=given_price(1, 0))}).notices
    assert total(run_cost(store)).usd == pytest.approx(100 / 1e6)
    assert told == ("The price of m was not known before: all its calls count at 1,0.",)


def test_another_price_is_that_of_later_calls_only(store: RunStore) -> None:
    keep_prices(store, {"answers": backend(price=given_price(1, 0))})
    logged(store, "1")
    told = keep_prices(store, {"answers": backend(price=given_price(10, 0))}).notices
    assert total(run_cost(store)).usd == pytest.approx(100 / 1e6)
    assert told == ("The price of m is now 10,0: what was used before stays at 1,0.",)
    logged(store, "2")
    keep_prices(store, {"answers": backend(price=given_price(1, 0))})
    logged(store, "3")
    assert total(run_cost(store)).usd == pytest.approx((100 + 1000 + 100) / 1e6)


TABLE = Price(3.0, 4.0, 4.0, "table")


@pytest.mark.parametrize("later", [None, FREE, TABLE], ids=["none", "free", "table"])
def test_a_price_that_was_given_stands_where_none_is_given_later(
    later: Price | None, store: RunStore
) -> None:
    keep_prices(store, {"answers": backend()})
    logged(store, "1")
    for _ in range(2):
        priced = keep_prices(store, {"answers": backend(price=later)})
        assert priced.backends["answers"].price == PRICE
        assert priced.notices == (
            "No price of m was given this time: that of before stands, 1,10.",
        )
    logged(store, "2")
    assert total(run_cost(store)).usd == pytest.approx(2 * 200 / 1e6)


def test_a_price_of_the_table_that_changes_is_another_price(store: RunStore) -> None:
    keep_prices(store, {"answers": backend(price=TABLE)})
    logged(store, "1", tokens=(100, 0))
    keep_prices(store, {"answers": backend(price=replace(TABLE, input_usd=30.0))})
    logged(store, "2", tokens=(100, 0))
    assert total(run_cost(store)).usd == pytest.approx((300 + 3000) / 1e6)
    assert (
        keep_prices(store, {"answers": backend(price=None)}).backends["answers"].price is not None
    )


def test_the_same_price_again_changes_and_tells_nothing(store: RunStore) -> None:
    for key in "12":
        assert keep_prices(store, {"answers": backend()}).notices == ()
        logged(store, key)
    assert store.meta()["settled"] == {}


def test_a_run_keeps_its_price_and_all_figures_agree(tmp_path: Path) -> None:
    settings = {"concurrency": 1, "resolve": lambda *_: simulated_backend(0)}
    first = go(tmp_path, 6, price=(1, 4), budget_calls=40, **settings)
    kept = go(tmp_path, 6, budget_calls=40, **settings)
    assert kept.cost_usd == first.cost_usd > 0
    dearer = go(tmp_path, 6, price=(10, 40), budget_calls=40, **settings)
    assert dearer.cost_usd == pytest.approx(first.cost_usd)
    assert any("stays at 1,4" in notice for notice in dearer.notices)
    ended = go(tmp_path, 6, **settings)
    assert ended.cost_usd > 2 * first.cost_usd
    with RunStore(tmp_path) as opened:
        spent = open_budget(BudgetConfig(budget_usd=9), {}, opened).spent.usd
    by_stage = sum(stage["cost_usd"] for stage in ended.stages.values())
    for figure in (spent, by_stage, read_status(tmp_path).cost.usd):
        assert figure == pytest.approx(ended.cost_usd)


def test_leaving_the_price_out_evades_no_budget(tmp_path: Path) -> None:
    unknown = {"resolve": lambda *_: replace(simulated_backend(0), price=None)}
    first = go(tmp_path, 6, price=(1, 4), budget_usd=0.02, **unknown)
    assert first.stopped_by == "usd"
    again = go(tmp_path, 6, budget_usd=0.02, **unknown)
    assert (again.stopped_by, again.new_calls) == ("usd", 0)


def test_the_cost_of_a_run_is_right_across_its_stops(tmp_path: Path) -> None:
    whole = go(tmp_path / "whole", 6, price=(0.4, 1.6), concurrency=1)
    for stop in (20, 45):
        stopped = go(tmp_path / "parts", 6, price=(0.4, 1.6), concurrency=1, budget_calls=stop)
        assert stopped.cost_usd is not None
        assert whole.cost_usd is not None
        assert 0 < stopped.cost_usd < whole.cost_usd
    parts = go(tmp_path / "parts", 6, price=(0.4, 1.6), concurrency=1)
    assert parts.cost_usd == pytest.approx(whole.cost_usd)
    assert parts.row_usd == pytest.approx(parts.cost_usd / 6)
    stages = summary_of(tmp_path / "parts")["stages"].values()
    assert sum(stage["cost_usd"] for stage in stages) == pytest.approx(parts.cost_usd)


def test_an_unknown_price_is_null_in_the_summary(tmp_path: Path) -> None:
    async def nobody(*_: object) -> None:
        return None

    meddler = Meddler(nobody)
    summary = go(tmp_path, 3, resolve=lambda *_: meddler.backend(price=None))
    assert summary.cost_usd is None
    assert summary.row_usd is None
    assert summary_of(tmp_path)["stages"]["writer"]["cost_usd"] is None


def test_a_stage_with_a_model_of_its_own_does_not_take_the_price_of_the_other(
    tmp_path: Path,
) -> None:
    async def nobody(*_: object) -> None:
        return None

    settings = {"model": "a", "model_for": {"answers": "b"}, "price": (1, 1)}
    meddler = Meddler(nobody)
    mixed = go(
        tmp_path / "1",
        3,
        resolve=lambda name, *_: meddler.backend(model=name, price=None),
        **settings,
    )
    assert mixed.stages["writer"]["cost_usd"] is not None
    assert mixed.stages["answers"]["cost_usd"] is None
    assert mixed.cost_usd is None
    assert mixed.cost_at_least_usd > 0
    both = go(
        tmp_path / "2",
        3,
        resolve=lambda name, *_: meddler.backend(model=name, price=None),
        **settings,
        price_for={"answers": (2, 2)},
    )
    assert both.cost_usd is not None


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0.0, "0 USD"),
        (1.0, "1.00 USD"),
        (1234.5, "1,234.50 USD"),
        (0.5, "0.500 USD"),
        (0.0999, "0.0999 USD"),
        (1e-7, "0.000000100 USD"),
    ],
)
def test_small_amounts_keep_the_digits_that_matter(usd: float, text: str) -> None:
    assert dollars(usd) == text
