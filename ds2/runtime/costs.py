"""What a run has cost, from the usage in its store: right across resumes, unknown where it is.

The store keeps the price of each stage beside the usage, so a run folder can be read without the
model. Where a stage changes its model in the middle of a run (`--accept-new-prompts`), what the
earlier one cost is settled at its own price first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ds2.engines.base import Backend
from ds2.engines.prices import Price
from ds2.store import RunStore, Usage

_PRICES, _SETTLED = "prices", "settled"


@dataclass(frozen=True, slots=True)
class Cost:
    """What something has cost.

    Args:
        usd: US dollars; None where a price is not known or a reply did not report its tokens.
        at_least_usd: the part that is known, never above `usd`.
        priced: every price is known.
    """

    usd: float | None = 0.0
    at_least_usd: float = 0.0
    priced: bool = True

    def __add__(self, other: Cost) -> Cost:
        """Return both together; unknown if one of them is."""
        known = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Cost(known, self.at_least_usd + other.at_least_usd, self.priced and other.priced)

    def each_usd(self, number: int) -> float | None:
        """Return the price of one of `number`, such as of an accepted row; None where unknown."""
        return None if self.usd is None or number == 0 else self.usd / number


def cost_of(usage: Usage, price: Price | None) -> Cost:
    """Return what some usage costs at a price.

    No calls cost nothing, whatever the price; a reply that did not report its tokens makes the
    cost unknown unless the price is zero.
    """
    if usage.calls == 0 or (price is not None and price.is_free):
        return Cost()
    if price is None:
        return Cost(None, priced=False)
    known = price.cost_usd(usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)
    return Cost(None if usage.unreported else known, known)


def run_cost(store: RunStore) -> dict[str, Cost]:
    """Return what each stage of a run has cost so far; `total` adds them up."""
    meta = store.meta()
    prices, settled = meta.get(_PRICES, {}), meta.get(_SETTLED, {})
    return {
        stage: _stage_cost(usage, _price(prices.get(stage)), settled.get(stage))
        for stage, usage in store.usage().items()
    }


def total(costs: Mapping[str, Cost]) -> Cost:
    """Return the sum of the costs by stage."""
    return sum(costs.values(), Cost())


def keep_prices(store: RunStore, backends: Mapping[str, Backend]) -> None:
    """Write the price of each stage into the store, after settling what an earlier model cost."""
    meta, usage = store.meta(), store.usage()
    before, settled = meta.get(_PRICES, {}), dict(meta.get(_SETTLED, {}))
    for stage, backend in backends.items():
        known = before.get(stage)
        used = usage.get(stage)
        if known is not None and used is not None and known["model"] != _name(backend):
            cost = _stage_cost(used, _price(known), settled.get(stage))
            settled[stage] = {"usage": asdict(used), "cost": asdict(cost)}
    prices = {
        stage: {"model": _name(backend), "price": backend.price and asdict(backend.price)}
        for stage, backend in backends.items()
    }
    store.set_meta({_PRICES: {**before, **prices}, _SETTLED: settled})


def _stage_cost(usage: Usage, price: Price | None, settled: Mapping[str, Any] | None) -> Cost:
    if settled is None:
        return cost_of(usage, price)
    earlier = Usage(**settled["usage"])
    return Cost(**settled["cost"]) + cost_of(_less(usage, earlier), price)


def _less(usage: Usage, earlier: Usage) -> Usage:
    parts = zip(asdict(usage).values(), asdict(earlier).values(), strict=True)
    return Usage(*(now - then for now, then in parts))


def _price(known: Mapping[str, Any] | None) -> Price | None:
    return None if known is None or known["price"] is None else Price(**known["price"])


def _name(backend: Backend) -> str:
    return f"{backend.model} ({backend.dialect})"
