"""TPE, seeded anew for every trial: a study that is continued goes on as if it had not stopped.

Optuna does not store the state of a sampler, so that one with a fixed seed repeats its draws when a
study is opened again. The seed of a trial here is made of the study's seed and the trial's place: its
number, less the trials that only ask again for what was broken off.

Source: Bergstra et al. (2011), Algorithms for Hyper-Parameter Optimization, as Optuna has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from optimizers.tuning.study import RETRY


class ReseededTPE(BaseSampler):
    """`TPESampler` with a seed of its own for every trial.

    Args:
        seed: of the study.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._inner = TPESampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed the sampler for this trial."""
        again = sum(
            RETRY in t.user_attrs for t in study.get_trials(deepcopy=False)[: trial.number + 1]
        )
        # Neighbouring seeds give unrelated streams (numpy mixes them); the factor keeps studies apart.
        self._inner = TPESampler(seed=(self._seed * 1_000_003 + trial.number - again) % (1 << 32))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what `TPESampler` does."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what `TPESampler` does."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return what `TPESampler` does."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tell the sampler how the trial ended."""
        self._inner.after_trial(study, trial, state, values)
