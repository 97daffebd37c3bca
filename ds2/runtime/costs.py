"""What a run has cost, from the usage in its store: right across resumes, unknown where it is.

The store keeps the price of each stage beside the usage, so a run folder can be read without the
model. Where a stage changes its model in the middle of a run (`--accept-new-prompts`), or its price,
what was used before is settled at its own price first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ds2.engines.base import Backend
from ds2.engines.prices import Price
from ds2.store import STORE_NAME, RunStore, Usage
from signatures.errors import StoreError

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


class Priced(NamedTuple):
    """The backends of a run at the prices that hold, and what a reader should know of them."""

    backends: dict[str, Backend]
    notices: tuple[str, ...]


def at_known_prices(store: RunStore, backends: Mapping[str, Backend]) -> dict[str, Backend]:
    """Return the backends, each at the price that the store keeps of it where none is given now.

    A price that the user once gave stands before one that is only looked up.
    """
    known = store.meta().get(_PRICES, {})
    return {stage: _at_known(backend, known.get(stage)) for stage, backend in backends.items()}


def at_stored_prices(folder: Path, backends: Mapping[str, Backend]) -> dict[str, Backend]:
    """Return the backends as `at_known_prices`, from the store in a folder, where one is there."""
    if (folder / STORE_NAME).is_file():
        # Whoever opens it to work on it is told what is wrong with it.
        with suppress(StoreError), RunStore(folder, lock=False) as store:
            return at_known_prices(store, backends)
    return dict(backends)


def keep_prices(store: RunStore, backends: Mapping[str, Backend]) -> Priced:
    """Write the price of each stage into the store, and return the backends at these prices.

    What was used before stays at its own price, where the model or its price is another now; a price
    that was not known before is that of all calls.

    Args:
        store: the open store of the run.
        backends: by stage, at the price that is given or looked up this time, None for none.
    """
    meta, usage = store.meta(), store.usage()
    before, settled = meta.get(_PRICES, {}), dict(meta.get(_SETTLED, {}))
    priced = at_known_prices(store, backends)
    told: dict[str, None] = {}
    for stage, backend in priced.items():
        known, used = before.get(stage), usage.get(stage)
        if known is None or used is None:
            continue
        if known["model"] != _name(backend) or _is_other(_price(known), backend.price):
            cost = _stage_cost(used, _price(known), settled.get(stage))
            settled[stage] = {"usage": asdict(used), "cost": asdict(cost)}
        if known["model"] == _name(backend):
            told |= dict.fromkeys(_told(backend, _price(known), backends[stage].price))
    prices = {
        stage: {"model": _name(backend), "price": backend.price and asdict(backend.price)}
        for stage, backend in priced.items()
    }
    store.set_meta({_PRICES: {**before, **prices}, _SETTLED: settled})
    return Priced(priced, tuple(told))


def _at_known(backend: Backend, known: Mapping[str, Any] | None) -> Backend:
    stored, now = _price(known), backend.price
    if stored is None or known is None or known["model"] != _name(backend):
        return backend
    given = now is not None and now.source == "given"
    looked_up = now is not None and stored.source != "given"
    return backend if given or looked_up else replace(backend, price=stored)


def _is_other(before: Price | None, now: Price | None) -> bool:
    """Return whether a price was known and is another one now."""
    return before is not None and (now is None or before.rates != now.rates)


def _told(backend: Backend, before: Price | None, wanted: Price | None) -> Iterator[str]:
    """Yield what became of the price of a model that was used before, by what was wanted this time."""
    now, name = backend.price, backend.model
    if now is None:
        return
    if before is None:
        yield f"The price of {name} was not known before: all its calls count at {_said(now)}."
    elif _is_other(before, now):
        yield f"The price of {name} is now {_said(now)}: what was used before stays at {_said(before)}."
    elif wanted is None or wanted.rates != now.rates:
        yield f"No price of {name} was given this time: that of before stands, {_said(now)}."


def _said(price: Price) -> str:
    return f"{price.input_usd:g},{price.output_usd:g}"


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
