"""Tune what is not text with Optuna: policies, temperatures, sizes, models.

    from optimizers.tuning import ReplayTrials, StudyPlan, choose, front, policy_space, run_study

Optuna itself is loaded when a study is run.
"""

from __future__ import annotations

from optimizers.tuning.catalog import policy_space
from optimizers.tuning.heldout import HeldOut, hold_out, judged
from optimizers.tuning.replaying import ReplayTrials, replay_space
from optimizers.tuning.results import Objective, Tried, choose, front
from optimizers.tuning.spacefile import read_space
from optimizers.tuning.study import Measured, Outcome, Paused, StudyPlan, Unmeasured, run_study

__all__ = [
    "HeldOut",
    "Measured",
    "Objective",
    "Outcome",
    "Paused",
    "ReplayTrials",
    "StudyPlan",
    "Tried",
    "Unmeasured",
    "choose",
    "front",
    "hold_out",
    "judged",
    "policy_space",
    "read_space",
    "replay_space",
    "run_study",
]
