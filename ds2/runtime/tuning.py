"""A live study: what is searched, which trials come first, how a trial is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ds2.engines.budget import Budget, BudgetSpent
from ds2.runtime.budgets import keep_lost
from ds2.runtime.stopping import current
from ds2.runtime.trials import NoResult, TrialResult, TrialSetup, run_trial
from ds2.store import RunStore
from programs.ballots import wilson
from signatures.errors import RunStoppedError

Cost = Literal["tokens", "calls", "usd"]
COSTS: Mapping[str, str] = {
    "tokens": "tokens an accepted row",
    "calls": "calls an accepted row",
    "usd": "US dollars an accepted row",
}
QUALITIES: Mapping[str, str] = {
    "precision": "precision on the dev set",
    "agreement_with_self_labels": "agreement with self-labels",
    "estimated_precision": "estimated precision",
    "agreement": "mean agreement",
}

ON_DEV = frozenset({"precision", "agreement_with_self_labels"})
"""The qualities that are a share of the accepted dev questions."""


class StudyStopped(Exception):  # noqa: N818 - a signal to whoever runs the study, which is not ours
    """No trial can go on: a spent budget, or an endpoint that does not answer; resumable."""


@dataclass(frozen=True, slots=True)
class LiveMeasure:
    """What a trial is judged by.

    Args:
        quality: one of `QUALITIES`; `precision` needs a dev set, `agreement_with_self_labels` one
            whose answers a model gave, `estimated_precision` a calibrated table.
        cost: what an accepted row costs.
    """

    quality: str
    cost: Cost


class LiveTrials:
    """Measures settings by running them small, one after another.

    Args:
        setup: what all trials share.
        measure: what they are judged by.
        store: the call log of the study, open.
        budget: of the study.
    """

    def __init__(
        self, setup: TrialSetup, measure: LiveMeasure, store: RunStore, budget: Budget
    ) -> None:
        self._setup, self._measure = setup, measure
        self._store, self._budget = store, budget

    def __call__(self, changes: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
        """Return values and facts of a trial.

        Args:
            changes: see `run_trial`.

        Raises:
            NoResult: there is nothing to measure.
            StudyStopped: the budget is spent, or the endpoint does not answer any more.
            KeyboardInterrupt: it was interrupted; what was answered is kept.
        """
        try:
            stop = current()
            with stop.at_last(self._keep):
                result = stop.run(run_trial(self._setup, changes, self._store, self._budget))
        except BudgetSpent as error:
            raise StudyStopped("the budget is spent.") from error
        except RunStoppedError as error:
            raise StudyStopped(str(error)) from error
        finally:
            self._keep()
        return self._values(result), {**_facts(result), **self._interval(result)}

    def _keep(self) -> None:
        """Write what the study has used, and wait until it and all before it is written."""
        keep_lost(self._store, self._budget)

    def _values(self, result: TrialResult) -> dict[str, float]:
        cost = {"tokens": result.tokens, "calls": result.calls, "usd": result.usd}
        whole = cost[self._measure.cost]
        if whole is None:
            raise NoResult(f"the endpoint does not say what it costs in {self._measure.cost}")
        quality: float | None = result.agreement
        if self._measure.quality in ON_DEV:
            quality = (result.dev_right or 0) / result.dev_accepted if result.dev_accepted else None
        elif self._measure.quality == "estimated_precision":
            quality = result.estimate
        if quality is None:
            raise NoResult("no accepted row is in a state that the calibrated table knows")
        yielded = result.accepted / result.decided
        return {
            self._measure.quality: quality,
            f"{self._measure.cost}_per_accepted": whole / result.accepted,
            "diversity": result.diversity,
            "yield": yielded,
        }

    def _interval(self, result: TrialResult) -> dict[str, float | None]:
        """Return the interval of the quality, where it is a share of dev questions."""
        quality, accepted = self._measure.quality, result.dev_accepted
        if quality not in ON_DEV or not accepted:
            return {}
        low, high = wilson((result.dev_right or 0) / accepted, accepted)
        return {f"{quality}_low": low, f"{quality}_high": high}


def _facts(result: TrialResult) -> dict[str, Any]:
    facts = {name: value for name, value in result._asdict().items() if value is not None}
    # How many calls were new depends on what came before: it says nothing of the settings.
    return {"yield": result.accepted / result.decided, **facts}


def default_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the trial that changes nothing, by the names of the search space.

    Args:
        config: the fields of the `RunConfig` that the study starts from.
    """
    first, second = (*config["answer_temperatures"], config["answer_temperatures"][0])[:2]
    same = (
        "keyword_temperature",
        "writer_temperature",
        "answer_temperatures_by",
        "pair_share",
        "bank",
        "expansion_width",
        "expansion_rounds",
    )
    return {
        "wave": 1,
        "answer_temperature": first,
        "answer_temperature_step": round(second - first, 6),
        "max_tokens": None,
        **{name: config[name] for name in same},
    }


def trial_changes(settings: Mapping[str, Any], policy: str) -> dict[str, Any]:
    """Return the settings of a trial by the names of the configuration.

    The answer temperature rises by the step to the second wave (or draw) and to the third, to 2 at
    most.

    Args:
        settings: of the trial.
        policy: its policy as text.
    """
    of_policy = {"policy", "wave"}
    changes = {n: v for n, v in settings.items() if "." not in n and n not in of_policy}
    first = changes.pop("answer_temperature", None)
    step = changes.pop("answer_temperature_step", 0.0)
    if first is not None:
        rise: Sequence[float] = (0, 1, 2) if step else (0,)
        changes["answer_temperatures"] = tuple(round(min(2.0, first + n * step), 6) for n in rise)
    return {"policy": policy, **changes}


def bank_sizes(usual: int) -> tuple[int, ...]:
    """Return the bank sizes that are searched: half of the usual one, it, and its double."""
    return tuple(sorted({max(1, usual // 2), usual, usual * 2}))
