from __future__ import annotations

import pytest

from ds2.config import BudgetConfig
from ds2.engines.prices import given_price
from ds2.runtime.allowance import Allowance, allowances
from ds2.runtime.duration import Limits
from ds2.runtime.foresight import Forecast, StageUse, UnitSample, Wanted, forecast, from_pilot
from ds2.runtime.pilot import NOTHING

UNIT = UnitSample(
    True, {"writer": StageUse(1, 400, 100, 0, 1), "answers": StageUse(4, 800, 400, 0, 4)}
)
PRICES = {"writer": given_price(1, 1), "answers": given_price(1, 1)}  # a unit: 1,700 tokens
FOUND: Forecast = forecast(
    Wanted({"all": 100}, 1000, Limits(1)), NOTHING.known, from_pilot([UNIT] * 400), runs=60
)


def of(**budget: float) -> Allowance:
    (one,) = allowances(BudgetConfig.build(**budget), FOUND, PRICES)
    return one


@pytest.mark.parametrize(
    ("name", "whole"),
    [("usd", 0.17), ("tokens", 170_000), ("calls", 500), ("minutes", 500 / 60)],
)
def test_half_of_what_a_run_takes_makes_half_of_its_rows(name: str, whole: float) -> None:
    half = whole / 2 if name in {"usd", "minutes"} else int(whole / 2)
    one = of(**{f"budget_{name}": half})
    assert one.kind == name
    assert one.fits == 0
    assert one.wanted is not None
    assert one.rows is not None
    assert one.wanted.mid == pytest.approx(whole, rel=0.05)
    assert one.rows.mid == pytest.approx(50, abs=3)


@pytest.mark.parametrize("name", ["usd", "tokens", "calls", "minutes"])
def test_a_budget_above_all_that_may_come_fits(name: str) -> None:
    one = of(**{f"budget_{name}": 10_000_000})
    assert (one.fits, one.rows) == (1, None)


def test_a_budget_in_the_middle_is_enough_for_some() -> None:
    unsure = [UNIT, UNIT, UNIT._replace(accepted=False)] * 4
    found = forecast(
        Wanted({"all": 100}, 1000, Limits(1)), NOTHING.known, from_pilot(unsure), runs=60
    )
    middle = BudgetConfig(budget_calls=round(found.total("calls").mid))
    (one,) = allowances(middle, found, PRICES)
    assert one.fits is not None
    assert 0.3 < one.fits < 0.7
    assert one.rows is not None
    assert one.rows.high <= 100


def test_without_a_price_nobody_knows() -> None:
    budget = BudgetConfig(budget_usd=1, budget_calls=10)
    usd, calls = allowances(budget, FOUND, {**PRICES, "answers": None})
    assert (usd.wanted, usd.fits, usd.rows) == (None, None, None)
    assert calls.fits == 0
    unreported = allowances(BudgetConfig(budget_tokens=5), FOUND, PRICES, known=False)
    assert next(unreported).wanted is None
    assert not list(allowances(BudgetConfig(), FOUND, PRICES))
