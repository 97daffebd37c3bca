"""Whether a run fits its budgets, and where it would stop: each budget held against the forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ds2.config import BudgetConfig
from ds2.engines.prices import Price
from ds2.runtime.foresight import Forecast, Interval, PossibleRun, StageUse, interval

Kind = Literal["usd", "tokens", "calls", "minutes"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """One budget beside what the run would take of it.

    Args:
        kind: what is limited.
        limit: the budget.
        wanted: what the run would take; None where a price or the tokens are not known.
        fits: share of the possible runs that stay within; None as above.
        rows: rows of those that do not; None where all do.
    """

    kind: Kind
    limit: float
    wanted: Interval | None
    fits: float | None
    rows: Interval | None


def allowances(
    budget: BudgetConfig,
    found: Forecast,
    prices: Mapping[str, Price | None],
    *,
    known: bool = True,
) -> Iterator[Allowance]:
    """Yield every budget that is given, with what becomes of it.

    Rows come with what units use, in proportion, once the keywords are there. What is kept in reserve
    for calls in flight is left out: it is less than one full call (see `ds2.engines.budget`).

    Args:
        budget: the budgets.
        found: the forecast.
        prices: of each stage.
        known: the tokens are known.
    """
    unpriced = any(price is None for price in prices.values())
    for kind, limit in _limits(budget):
        if (kind == "usd" and unpriced) or (kind in {"usd", "tokens"} and not known):
            yield Allowance(kind, limit, None, None, None)
            continue
        whole, before = _measures(kind, found, prices)
        taken = [(whole(run), run) for run in found.runs]
        stopped = [(value, run) for value, run in taken if value > limit]
        rows = [_rows(limit, value, before(run), run, found) for value, run in stopped]
        yield Allowance(
            kind,
            limit,
            interval([value for value, _ in taken]),
            1 - len(stopped) / len(taken),
            interval(rows) if rows else None,
        )


def _limits(budget: BudgetConfig) -> Iterator[tuple[Kind, float]]:
    for kind, limit in (
        ("usd", budget.budget_usd),
        ("tokens", budget.budget_tokens),
        ("calls", budget.budget_calls),
        ("minutes", budget.budget_minutes),
    ):
        if limit is not None:
            yield kind, limit  # type: ignore[misc]


_Measure = Callable[[PossibleRun], float]


def _measures(
    kind: Kind, found: Forecast, prices: Mapping[str, Price | None]
) -> tuple[_Measure, _Measure]:
    """Return what measures a run against a budget, and the part of it before its first unit."""
    if kind == "minutes":  # of this command alone, whatever was done before
        return lambda run: run.seconds / 60, lambda run: run.stage_seconds["keywords"] / 60

    def of(stage: str, use: StageUse) -> float:
        if kind == "calls":
            return use.calls
        if kind == "tokens":
            return use.input_tokens + use.output_tokens
        price = prices.get(stage)
        return 0.0 if price is None else _cost(use, price)

    def whole(run: PossibleRun) -> float:
        # Units that are half done count too, though what they will use is foreseen with the rest.
        return sum(of(stage, use) for stage, use in run.use.items())

    def before(run: PossibleRun) -> float:
        used = sum(of(stage, use) for stage, use in found.known.use.items() if stage != "keywords")
        return used + of("keywords", run.use["keywords"])

    return whole, before


def _cost(use: StageUse, price: Price) -> float:
    return price.cost_usd(use.input_tokens, use.output_tokens, use.reasoning_tokens)


def _rows(limit: float, whole: float, before: float, run: PossibleRun, found: Forecast) -> float:
    known = sum(found.known.accepted.values())
    share = (limit - before) / (whole - before) if whole > before else 0.0
    return known + max(0.0, min(1.0, share)) * (run.rows - known)
