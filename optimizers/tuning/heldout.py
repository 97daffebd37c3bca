"""Questions that no trial is measured on: what a study chose is judged by them once more.

What is best of many trials was partly lucky on the questions that they were measured on. So the
questions are split by their hash, near-duplicates on one side; nothing is ever chosen by the held-out
side, and what it says of the front and the baselines is told beside what they were chosen by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from optimizers.devsets import TRAIN, VAL
from optimizers.recorded import Recording, split
from optimizers.similarity import groups
from optimizers.tuning.results import Objective, Tried, front
from programs.ballots import Interval, wilson
from signatures.records import content_id

LEAST = 30
"""The fewest different questions of either side; of fewer an interval says next to nothing."""

HELD_OUT = "held_out"
"""The fact of a trial that says what it comes to on the held-out questions."""


class HeldOut(NamedTuple):
    """What is held out of a study; without `questions` nothing is.

    Args:
        questions: how many are held out.
        chosen_on: how many the trials are measured on.
        different: how many of those held out there are, near-duplicates counted once.
        id: hash of those held out.
        why: why nothing is held out, after "for"; empty where something is, or nobody asked for it.
    """

    questions: int = 0
    chosen_on: int = 0
    different: int = 0
    id: str = ""
    why: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """Return what must be the same when a study is continued."""
        return {"questions": self.questions, "chosen_on": self.chosen_on, "id": self.id}

    def interval(self, share: float | None, accepted: float) -> Interval:
        """Return the 95 % Wilson interval of a share of the accepted; near-duplicates count once."""
        return wilson(share, accepted * self.different / self.questions)


NOTHING = HeldOut()


class Sides(NamedTuple):
    """A recording cut in two: what trials are measured on, and what is held out, if anything is."""

    chosen_on: Recording
    held_out: Recording | None
    about: HeldOut


def hold_out(recording: Recording) -> Sides:
    """Return recorded votes cut by a hash of the question: 60 % to choose on, 40 % held out.

    Nothing is held out where either side would have fewer than `LEAST` different questions.
    """
    sides = split(recording, share=TRAIN + VAL, near_together=True)
    sizes, different = ([count(side.questions) for side in sides] for count in (len, _different))
    about = held_out_part(sizes, different, content_id(sorted(sides[1].questions)))
    return Sides(*sides, about) if about.questions else Sides(recording, None, about)


def held_out_part(sizes: Sequence[int], different: Sequence[int], name: str) -> HeldOut:
    """Return what is held out by a split, which is nothing where a side is too small.

    Args:
        sizes: questions to choose on, and to hold out.
        different: the same, near-duplicates counted once.
        name: the hash of those to hold out.
    """
    if min(different) >= LEAST:
        return HeldOut(sizes[1], sizes[0], different[1], name)
    left = f"of {sum(sizes)}, {different[0]} such would be left to choose on and {different[1]} held out"
    return HeldOut(
        why=f"each part must have at least {LEAST} questions that differ in more than their figures: {left}"
    )


def judged(
    tried: Sequence[Tried],
    objectives: Sequence[Objective],
    judge: Callable[[Tried], Mapping[str, Any]],
) -> list[Tried]:
    """Return all trials, those of the front and the baselines with what they come to held out.

    Args:
        tried: the complete trials.
        objectives: of the study.
        judge: gives that as JSON values: at least the quality, with `..._low` and `..._high`, each
            None where nothing was accepted.
    """
    told = {one.number for one in front(tried, objectives)}
    return [
        one._replace(facts={**one.facts, HELD_OUT: dict(judge(one))})
        if one.number in told or one.baseline
        else one
        for one in tried
    ]


def below(facts: Mapping[str, Any], minima: Mapping[str, float]) -> dict[str, float]:
    """Return the constraints that do not hold on the held-out side, by name; empty without any."""
    found = {name: facts.get(HELD_OUT, {}).get(name) for name in minima}
    return {n: minima[n] for n, value in found.items() if value is not None and value < minima[n]}


def _different(questions: Sequence[str]) -> int:
    return len(set(groups(questions)))
