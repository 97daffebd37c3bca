"""Judge voting policies on recorded samples, without a model.

A policy's samples are drawn from a question's recorded ones in random orders, the same orders for
every policy. Samples are drawn without replacement; where a policy asks for more than were recorded
the question counts as drawn to the end and not accepted, and the share of such questions is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from optimizers.recorded import Recording
from programs.ballots import Outcome, figures, outcomes, random_orders, wilson
from programs.stopping import Policy
from signatures.errors import ConfigError


class Judged(NamedTuple):
    """What a policy does to recorded votes; the names are those of the JSON.

    Args:
        policy: the policy as text.
        yielded: accepted questions / questions; `yield` in the JSON.
        precision: right / accepted; None without right answers, or where nothing was accepted.
        precision_low: lower end of its 95 % Wilson interval.
        precision_high: upper end. The interval is that of the mean number of accepted questions of
            one order: more orders sharpen the figure, not the interval.
        samples: mean samples drawn a question.
        samples_per_accepted: samples drawn / accepted questions; None where nothing was accepted.
        reading_agreement: share of the graded samples that our reading grades alike; None without
            grades.
        n: questions.
        winner_agreement: of a run: accepted with the recorded winner / accepted where there was
            one; None for recordings with right answers.
        ran_out: share of the questions whose recorded samples were too few for the policy.
        waves: mean waves of draws a question, each of which is a round trip.
    """

    policy: str
    yielded: float
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    samples: float
    samples_per_accepted: float | None
    reading_agreement: float | None
    n: int
    winner_agreement: float | None
    ran_out: float
    waves: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields by their names in the JSON."""
        return {("yield" if k == "yielded" else k): v for k, v in self._asdict().items()}


class Replay:
    """Recorded votes in random orders, dealt once, to judge many policies on.

    Args:
        recording: the votes; at least one question.
        repeats: random orders of each question's samples, at least 1.
        seed: of the orders.

    Raises:
        ConfigError: there is no question, or repeats is below 1.
    """

    def __init__(self, recording: Recording, *, repeats: int = 1, seed: int = 0) -> None:
        _require("repeats", repeats, repeats >= 1, "be at least 1", "Use 20.")
        count = len(recording.ballots)
        _require("questions", count, count >= 1, "be at least 1", "Record some votes.")
        self.recording = recording
        self.orders = random_orders(recording.ballots, repeats=repeats, seed=seed)

    def judge(self, policy: Policy) -> Judged:
        """Return what `policy` does to the recorded votes."""
        done = self.outcomes(policy)
        found = figures(done, self.orders)
        labelled = self.recording.labelled
        known = self.orders.right
        judged = sum(o.accepted for o, r in zip(done, known, strict=True) if r is not None)
        low, high = wilson(found.precision if labelled else None, judged / self.orders.repeats)
        return Judged(
            policy=policy.spec,
            yielded=found.yielded,
            precision=found.precision if labelled else None,
            precision_low=low,
            precision_high=high,
            samples=found.samples,
            samples_per_accepted=found.samples_per_accepted,
            reading_agreement=self.recording.reading_agreement,
            n=len(done),
            winner_agreement=None if labelled else found.precision,
            ran_out=sum(o.ran_out for o in done) / (len(done) * self.orders.repeats),
            waves=found.waves,
        )

    def outcomes(self, policy: Policy) -> tuple[Outcome, ...]:
        """Return what `policy` does to each question, for `programs.ballots.bootstrap`."""
        return outcomes(policy, self.orders)


def judge(
    recording: Recording, policies: Sequence[Policy], *, repeats: int = 1, seed: int = 0
) -> tuple[Judged, ...]:
    """Return what each policy does to the recorded votes, in the order of the policies.

    Raises:
        ConfigError: see `Replay`.
    """
    replay = Replay(recording, repeats=repeats, seed=seed)
    return tuple(replay.judge(policy) for policy in policies)


def _require(name: str, value: int, ok: bool, rule: str, todo: str) -> None:
    if not ok:
        raise ConfigError.rule(
            "Judging policies failed", name=name, rule=rule, value=value, todo=todo
        )
