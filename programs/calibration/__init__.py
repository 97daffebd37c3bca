"""Fit a voting policy to recorded votes: `fit_policy` makes a `calibrated` policy.

from programs.calibration import Ballot, fit_policy

fit = fit_policy(ballots, 0.97, max_draws=10)
fit.policy.save("policy.json")          # then: parse_policy("calibrated(policy.json)")
"""

from __future__ import annotations

from programs.ballots import UNREADABLE, Ballot
from programs.calibration.fit import Fit, Tried, fit_policy

__all__ = ["UNREADABLE", "Ballot", "Fit", "Tried", "fit_policy"]
