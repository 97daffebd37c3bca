"""The budget of a run, opened: what can be measured, and what earlier processes have used."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount, Lost
from ds2.engines.base import Backend
from ds2.engines.budget import Budget
from ds2.engines.claim import Claim
from ds2.runtime.costs import run_cost, total
from ds2.store import RunStore
from signatures.errors import ConfigError

_LOST, _CLAIM = "lost", "claim"


def lost_facts(budget: Budget) -> dict[str, Any]:
    """Return what a store has to hold of a budget that its call log does not show."""
    return {_LOST: budget.lost._asdict()}


def keep_lost(store: RunStore, budget: Budget) -> None:
    """Write into the store what calls without a reply may be billed for, over all processes."""
    store.set_meta(lost_facts(budget))


def open_budget(config: BudgetConfig, backends: Mapping[str, Backend], store: RunStore) -> Budget:
    """Return the budget of a run, with what its store says was used already.

    Replies in the store that did not report their usage count at the bound that
    `ds2.engines.budget.Meter` counts them at; calls that brought no reply as `keep_lost` noted them.
    A process that ended without a word has left its claim (`ds2.engines.claim`): what of it neither
    shows is lost as killed from now on. This process's own is withdrawn when the store is closed and
    nothing is on the wire.

    Raises:
        ConfigError: it is in USD, and the price of what was used already is not known.
    """
    used = list(store.usage().values())
    cost = total(run_cost(store))
    if config.budget_usd is not None and not cost.priced:
        raise _unknown_past(config.budget_usd)
    spent = Amount(
        sum(usage.calls for usage in used),
        sum(usage.input_tokens + usage.output_tokens for usage in used),
        cost.at_least_usd,
    )
    for stage, (calls, sent, said, limit) in store.unreported().items():
        if stage in backends:
            bound = Budget().meter(backends[stage]).unreported(sent, said, limit, calls)
            spent = spent.plus(bound._replace(calls=0))
    lost = _with_killed(store, spent)
    budget = Budget(config, spent=spent, lost=lost, claim=Claim(lambda mark: _keep(store, mark)))
    store.with_replies(budget.renew_claim)
    store.at_close(lambda: _withdraw(store, budget))
    return budget


def killed_calls(store: RunStore, *, running: bool) -> int:
    """Return how many calls may have been in flight when processes of a run ended without a word.

    Args:
        store: of the run, open to read.
        running: a process works on the run now; its claim says nothing yet.
    """
    lost = _lost(store)
    if running:
        return lost.killed
    spent = Amount(store.calls)
    return lost.killed + _left(store, spent.plus(lost.amount)).calls


def _lost(store: RunStore) -> Lost:
    return Lost(**store.meta().get(_LOST, {}))


def _left(store: RunStore, used: Amount) -> Amount:
    """Return what of the claim in a store goes beyond what is known as used; nothing without one."""
    claim = store.meta().get(_CLAIM)
    return Amount() if claim is None else Amount(**claim).less(used).most(Amount())


def _with_killed(store: RunStore, spent: Amount) -> Lost:
    """Return what was lost, with what a claim left by another process says; the store then does too."""
    lost = _lost(store)
    left = _left(store, spent.plus(lost.amount))
    if left != Amount():
        lost = lost.plus("killed", left)
        store.set_meta({_LOST: lost._asdict(), _CLAIM: None})
    return lost


def _keep(store: RunStore, mark: Amount) -> Future[None]:
    return store.note_meta({_CLAIM: mark._asdict()})


def _withdraw(store: RunStore, budget: Budget) -> None:
    """Queue the last word of a process: all that it used is in the log or lost, if nothing flies."""
    claim = {_CLAIM: None} if budget.idle else {}
    store.note_meta({**lost_facts(budget), **claim})


def check_measurable(config: BudgetConfig, backends: Mapping[str, Backend]) -> None:
    """Refuse a budget that nobody could hold.

    Raises:
        ConfigError: a price is not known, or a model has no limit on its reply.
    """
    for stage, backend in backends.items():
        if config.budget_usd is not None and backend.price is None:
            raise ConfigError.rule(
                "Reading the budget failed",
                unit=stage,
                name="--budget-usd",
                rule=f"have a price for {backend.model}, which no table lists",
                value=config.budget_usd,
                todo="Give --price IN,OUT (USD for a million tokens; 0,0 for what is free; "
                "--price-for for a stage's own model), or hold the run with --budget-tokens.",
            )
        if config.budget_tokens is None and config.budget_usd is None:
            continue
        if backend.max_tokens is None and not (backend.price and backend.price.is_free):
            raise ConfigError.rule(
                "Reading the budget failed",
                unit=stage,
                name="--max-tokens",
                rule=f"say how long a reply of {backend.model} may be, for a budget in tokens or USD",
                value=None,
                todo="Give --max-tokens.",
            )


def _unknown_past(budget_usd: float) -> ConfigError:
    return ConfigError.rule(
        "Reading the budget failed",
        name="--budget-usd",
        rule="be given where all that the run has used so far had a known price",
        value=budget_usd,
        todo="An earlier model of this run had none: hold the run with --budget-tokens, or choose "
        "another --out.",
    )
