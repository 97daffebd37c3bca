"""The metrics of the judges: what is right, what is half right, and what the feedback names."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from compiling import devset, program

from optimizers.devsets import DevSet
from optimizers.judge_metrics import ListMetric, QuestionMetric, list_metric, question_metric
from optimizers.judges import Judges
from optimizers.labels import QuestionLabel
from optimizers.scores import Score, Unscored


def outcome(**fields: Any) -> dspy.Prediction:
    return dspy.Prediction(**{"failed": None, **fields})


CHECKED = dspy.Example(
    question="Why?", keywords=["ratio", "unit rate"], keywords_used="some", self_contained="yes"
)


@pytest.mark.parametrize(
    ("used", "own", "value", "words"),
    [
        ("some", "yes", 1.0, "Both verdicts are right"),
        (
            "all",
            "yes",
            0.5,
            "The verdict was all; some of the keywords ratio, unit rate are needed",
        ),
        ("some", "no", 0.5, "all that is needed stands in it"),
        ("none", "no", 0.0, "The verdict was none"),
        (None, None, 0.0, "no verdicts in the form"),
        ("some", None, 0.0, "no verdicts in the form"),
    ],
    ids=["both", "keywords", "self-contained", "neither", "no verdict", "one verdict"],
)
def test_each_verdict_on_a_question_counts_half(
    used: str | None, own: str | None, value: float, words: str
) -> None:
    found = QuestionMetric().score(CHECKED, outcome(keywords_used=used, self_contained=own))
    assert isinstance(found, Score)
    assert found.value == value
    assert words in found.feedback


LISTED = dspy.Example(keywords=["a", "b", "c", "d"], faults=["", "off_task", "wrong_grain", None])


@pytest.mark.parametrize(
    ("read", "value", "words"),
    [
        (("", "off_task", "wrong_grain", ""), 1.0, "Every keyword is judged rightly"),
        (("", "off_task", "wrong_grain", "off_task"), 1.0, "Every keyword"),
        (("off_task", "off_task", "wrong_grain", ""), 2 / 3, "'a' is sound, not off the task."),
        (("", "wrong_grain", "wrong_grain", ""), 2 / 3, "'b' is off the task, not too general"),
        (("", "", "", ""), 1 / 3, "'c' is too general or too narrow, not sound."),
        (None, 0.0, "no verdict in the form"),
    ],
    ids=["right", "unlabelled", "a sound one", "the wrong fault", "passed over", "no verdict"],
)
def test_a_list_counts_by_its_keywords_that_have_a_label(
    read: tuple[str, ...] | None, value: float, words: str
) -> None:
    found = ListMetric().score(LISTED, outcome(read=read))
    assert isinstance(found, Score)
    assert found.value == pytest.approx(value)
    assert words in found.feedback


@pytest.mark.parametrize("metric", [QuestionMetric(), ListMetric()], ids=["question", "list"])
def test_what_failed_on_the_way_is_unscored(metric: Any) -> None:
    assert metric.score(dspy.Example(), outcome(failed="too long")) == Unscored("too long")


def test_the_name_says_who_says_what_is_right() -> None:
    judges = Judges(program())
    rows = devset().rows
    label = QuestionLabel("all", "yes")
    checked = tuple(r.__class__(r.question, keywords=r.keywords, check=label) for r in rows)
    plain = DevSet("d", rows, labelled=True, labelled_by="a vote")
    assert "15 verdicts of the judge model" in question_metric(plain, judges).name
    assert question_metric(DevSet("d", checked, False), judges).name == "verdicts as labelled"
    by_model = DevSet("d", checked, False, labelled_by="a model")
    assert "self-labels" in question_metric(by_model, judges).name
    assert "(self-consistency, not accuracy)" in list_metric(None, judges).name
