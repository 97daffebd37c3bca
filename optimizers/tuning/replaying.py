"""Measure a voting policy on recorded samples: no call is paid, thousands of trials in a minute."""

from __future__ import annotations

from typing import Any

from optimizers.recorded import Recording
from optimizers.replay import Replay
from optimizers.tuning.catalog import REPLAY_FAMILIES, policy_space, policy_text
from optimizers.tuning.heldout import HeldOut
from optimizers.tuning.results import Objective
from optimizers.tuning.space import Choice, Settings, Space
from optimizers.tuning.study import Measured, Unmeasured
from programs.ballots import Figures, wilson
from programs.calibration.crossing import Crossed, Data, apart, gather
from programs.calibration.estimates import VARIANTS, Variant
from programs.calibration.fit import MAX_DRAWS, MIN_QUESTIONS, fit_at
from programs.calibration.induction import Prices
from programs.stopping import Calibrated, Policy, parse_policy

_FITTED_DRAWS = (8, 10, 12)
COST = Objective("samples_per_accepted", higher=False, title="samples an accepted row")
PRECISION = Objective("precision", higher=True, title="precision")
AGREEMENT = Objective("winner_agreement", higher=True, title="agreement with the recorded winner")


def replay_space(recording: Recording) -> Space:
    """Return what is searched on recorded votes: calibrated policies only where they can be fitted.

    That takes right answers, some questions, and no more draws than were recorded.
    """
    most = max(len(ballot.answers) for ballot in recording.ballots)
    sizes = tuple(size for size in _FITTED_DRAWS if size <= most) or (min(most, MAX_DRAWS),)
    fits = recording.labelled and len(recording.ballots) >= MIN_QUESTIONS and most >= 2
    if not fits:
        return policy_space([family for family in REPLAY_FAMILIES if family != "calibrated"])
    domains = dict(policy_space().domains)
    return Space({**domains, "calibrated.max": Choice(sizes)})


class ReplayTrials:
    """Recorded votes, dealt once, on which trials are measured.

    A calibrated policy is judged crosswise: each fold of the questions by the table that the others
    gave, so that it is not better here than it is. A run's own votes have no right answers: the
    agreement with the recorded winner takes the place of precision, and nothing can be fitted.

    Args:
        recording: the votes.
        held_out: other votes, which no trial is measured on; see `held_out`.
        repeats: random orders of each question.
        seed: of the orders.
        folds: of a calibrated policy's judging.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        held_out: Recording | None = None,
        repeats: int = 20,
        seed: int = 0,
        folds: int = 5,
    ) -> None:
        self.recording = recording
        self._replay = Replay(recording, repeats=repeats, seed=seed)
        self._apart = None if held_out is None else Replay(held_out, repeats=repeats, seed=seed)
        self._dealing = (folds, repeats, seed)
        self._gathered: dict[int, Data] = {}
        self._crossed: dict[tuple[str, int, Replay], Crossed] = {}

    @property
    def objectives(self) -> tuple[Objective, Objective]:
        """Return what these votes can be tuned for: quality, then cost."""
        return (PRECISION if self.recording.labelled else AGREEMENT), COST

    def __call__(self, settings: Settings) -> Measured:
        """Return quality, cost and yield of the policy of a trial."""
        found, ran_out = self._figures(self._replay, settings)
        if found.precision is None or found.samples_per_accepted is None:
            raise Unmeasured("nothing was accepted")
        quality = self.objectives[0].name
        accepted = found.yielded * len(self.recording.ballots)
        low, high = wilson(found.precision, accepted)
        return Measured(
            {
                quality: found.precision,
                COST.name: found.samples_per_accepted,
                "yield": found.yielded,
            },
            {
                "yield": found.yielded,
                f"{quality}_low": low,
                f"{quality}_high": high,
                "ran_out": ran_out,
                **({} if found.waves is None else {"waves": found.waves}),
            },
        )

    def held_out(self, settings: Settings, about: HeldOut) -> dict[str, Any]:
        """Return what the policy of a trial, fitted as `policy` does it, does to the held-out votes.

        Args:
            settings: of the trial.
            about: the held-out part.

        Returns:
            Quality with its interval, cost, yield and the share that ran out, by the names of trials;
            quality and cost are None where nothing was accepted.

        Raises:
            ValueError: no votes are held out.
        """
        if self._apart is None:
            raise ValueError("no votes are held out")
        found, ran_out = self._figures(self._apart, settings)
        quality = self.objectives[0].name
        low, high = about.interval(found.precision, found.yielded * about.questions)
        return {
            quality: found.precision,
            f"{quality}_low": low,
            f"{quality}_high": high,
            COST.name: found.samples_per_accepted,
            "yield": found.yielded,
            "ran_out": ran_out,
        }

    def policy(self, settings: Settings, precision: float) -> Policy:
        """Return the policy of a trial; a calibrated one is fitted to all votes it was chosen by.

        Args:
            settings: of the trial.
            precision: what a calibrated policy's file shall say that it was fitted for.
        """
        text = policy_text(settings)
        if text is not None:
            return parse_policy(text)
        variant, most, prices = _asked(settings)
        return self._fitted(variant, most, prices, precision)

    def _fitted(self, variant: Variant, most: int, prices: Prices, precision: float) -> Calibrated:
        return fit_at(
            self.recording.ballots,
            self._data(most),
            variant,
            prices,
            precision=precision,
            source=self.recording.source,
        )

    def _figures(self, replay: Replay, settings: Settings) -> tuple[Figures, float]:
        """Return what the policy of a trial does to some votes, and the share that ran out."""
        text = policy_text(settings)
        if text is None:
            return self._calibrated(replay, settings), 0.0
        judged = replay.judge(parse_policy(text))
        quality = judged.precision if self.recording.labelled else judged.winner_agreement
        found = Figures(
            judged.yielded, quality, judged.samples, judged.samples_per_accepted, judged.waves
        )
        return found, judged.ran_out

    def _calibrated(self, replay: Replay, settings: Settings) -> Figures:
        variant, most, prices = _asked(settings)
        key = (variant.name, most, replay)
        if key not in self._crossed:
            data = self._data(most)
            if replay is not self._replay:
                data = apart(data, replay.orders)
            self._crossed[key] = Crossed(variant, data)
        return self._crossed[key].figures(prices)

    def _data(self, most: int) -> Data:
        if most not in self._gathered:
            self._gathered[most] = gather(self.recording.ballots, most, *self._dealing)
        return self._gathered[most]


def _asked(settings: Settings) -> tuple[Variant, int, Prices]:
    name = settings["calibrated.variant"]
    variant = next(variant for variant in VARIANTS if variant.name == name)
    prices = Prices(*(float(str(settings[f"calibrated.{p}"])) for p in ("wrong", "sample")))
    return variant, int(str(settings["calibrated.max"])), prices
