"""Dev metrics of the stages that are judges: whether a verdict is the one of the dev set.

A dev set without verdicts is labelled by the majority of fifteen of the judge's model, its prompt as it
is written. Agreement with that is not accuracy, and the name of the metric says so.
"""

from __future__ import annotations

import dspy

from optimizers.devsets import DevSet
from optimizers.judges import Judges
from optimizers.reference import REFERENCE_DRAWS
from optimizers.scores import Outcome, Score, Unscored

_FAULT_WORDS = {
    "off_task": "off the task",
    "wrong_direction": "in the wrong direction",
    "wrong_grain": "too general or too narrow",
    "": "sound",
}


class JudgeMetric:
    """Judge the level that a judge reads against the one of the dev set."""

    calls = 0
    name = "level read as labelled"

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:
        """Return 1 for the right level, else 0."""
        if outcome.failed:
            return Unscored(outcome.failed)
        if outcome.read is None:
            return Score(0.0, "The reply named no level in the form asked for.")
        if outcome.read == example.label:
            return Score(1.0, "The level is right.")
        return Score(0.0, f"The level read was {outcome.read}; the right one is {example.label}.")


class PairMetric:
    """Judge the verdict on two answers against the one of the dev set.

    Args:
        name: who says which verdict is right.
    """

    calls = 0

    def __init__(self, name: str = "verdict as labelled") -> None:
        self.name = name

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:
        """Return 1 for the right verdict, else 0; a run takes a verdict that is missing for a no."""
        if outcome.failed:
            return Unscored(outcome.failed)
        if outcome.read is None:
            return Score(0.0, "The reply gave no verdict in the form asked for.")
        if outcome.read == example.label:
            return Score(1.0, "The verdict is right.")
        pair = f"{example.first!r} and {example.second!r}"
        said = "say the same" if example.label == "yes" else "do not say the same"
        return Score(0.0, f"The verdict was {outcome.read}; {pair} {said}.")


class QuestionMetric:
    """Judge the two verdicts on a question against those of the dev set.

    Each counts half: the metric of instructions uses them apart, and of a verdict of which one half is
    right the optimizer shall learn more than that it failed. It becomes a demo only as a whole, since
    0.5 is below what is good.

    Args:
        name: who says which verdicts are right.
    """

    calls = 0

    def __init__(self, name: str = "verdicts as labelled") -> None:
        self.name = name

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:
        """Return 1 where both verdicts are right, 0.5 where one is; `parts` tells them apart."""
        if outcome.failed:
            return Unscored(outcome.failed)
        if outcome.keywords_used is None or outcome.self_contained is None:
            return Score(0.0, "The reply gave no verdicts in the form asked for.")
        used = outcome.keywords_used == example.keywords_used
        own = outcome.self_contained == example.self_contained
        said = []
        if not used:
            needed = f"{example.keywords_used} of the keywords {', '.join(example.keywords)}"
            said.append(f"The verdict was {outcome.keywords_used}; {needed} are needed to answer.")
        if not own:
            stands = "stands" if example.self_contained == "yes" else "does not stand"
            verdict = outcome.self_contained
            said.append(f"Self-contained was {verdict}; all that is needed {stands} in it.")
        parts = {"keywords": float(used), "self-contained": float(own)}
        return Score((used + own) / 2, " ".join(said) or "Both verdicts are right.", parts)


class ListMetric:
    """Judge the verdict on a keyword list against that of the dev set, keyword by keyword.

    A verdict on a keyword is that it is sound, or which fault it has. A keyword without a label, on
    which the labelling verdicts had no majority, does not count.

    Args:
        name: who says which verdicts are right.
    """

    calls = 0

    def __init__(self, name: str = "verdicts as labelled") -> None:
        self.name = name

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:
        """Return the share of the keywords that are judged as labelled."""
        if outcome.failed:
            return Unscored(outcome.failed)
        if outcome.read is None:
            return Score(0.0, "The reply gave no verdict in the form asked for.")
        judged = zip(example.keywords, outcome.read, example.faults, strict=True)
        labelled = [(text, read, fault) for text, read, fault in judged if fault is not None]
        wrong = [
            f"{text!r} is {_FAULT_WORDS[fault]}, not {_FAULT_WORDS[read]}."
            for text, read, fault in labelled
            if read != fault
        ]
        value = 1 - len(wrong) / len(labelled)
        return Score(value, " ".join(wrong) or "Every keyword is judged rightly.")


def pair_metric(devset: DevSet, judges: Judges) -> PairMetric:
    """Return the metric of the judge of answers; its name says how far it can be believed."""
    named = _named(devset, judges, labelled=devset.paired)
    return PairMetric(named) if named else PairMetric()


def question_metric(devset: DevSet, judges: Judges) -> QuestionMetric:
    """Return the metric of the judge of questions, named likewise."""
    named = _named(devset, judges, labelled=devset.checked)
    return QuestionMetric(named) if named else QuestionMetric()


def list_metric(devset: DevSet | None, judges: Judges) -> ListMetric:
    """Return the metric of the judge of keyword lists, named likewise."""
    named = _named(devset, judges, labelled=devset is not None and devset.listed)
    return ListMetric(named) if named else ListMetric()


def _named(devset: DevSet | None, judges: Judges, *, labelled: bool) -> str:
    """Return who says what is right, where that is no label that somebody gave; else nothing."""
    if not labelled:
        return (
            f"agreement with the majority of {REFERENCE_DRAWS} verdicts of the judge model "
            f"(self-consistency, not accuracy){judges.note}"
        )
    if devset is not None and devset.labelled_by:
        return "agreement with self-labels (not accuracy)"
    return ""
