"""The dev metrics: what raises a score, what lowers it, and what is no score at all."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from compiling import adapter, devset, lm, program, teacher
from dspy import lm15
from scripted import Call, Script, chat

from optimizers.devsets import DevSet, split_devset
from optimizers.evaluating import judged
from optimizers.metrics import (
    PLAIN_CHAIN,
    AnswerMetric,
    ChainMetric,
    InstructionMetric,
    JudgeMetric,
    KeywordMetric,
    Metric,
    answer_metric,
    held_out,
    metric_for,
    reference_answers,
)
from optimizers.scores import Score, Unscored
from optimizers.stages import STAGES, stage_of
from signatures.bloom import BloomLevel
from signatures.records import Instruction, Rejection, Sample, Vote


def outcome(**fields: Any) -> dspy.Prediction:
    return dspy.Prediction(**{"failed": None, "tokens": 100, **fields})


def score_of(metric: Metric, example: dspy.Example, found: dspy.Prediction) -> Score:
    with dspy.context(adapter=adapter()):
        scored = judged(metric, example, found)
    assert isinstance(scored, Score), scored
    return scored


def saying(*replies: str) -> dspy.LM:
    return lm(Script(lambda call: replies[min(call.number, len(replies) - 1)]).backend())


@pytest.mark.parametrize("stage", STAGES)
def test_what_failed_on_the_way_is_unscored_and_no_zero(stage: str) -> None:
    metric = metric_for(stage, program(), saying("never asked"), devset())
    found = judged(metric, dspy.Example(), outcome(failed="the prompt is too long"))
    assert found == Unscored("the prompt is too long")


# Answers and levels.

ASKED = dspy.Example(key="4", gold="4", label=BloomLevel.APPLY)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("4", 1.0, "is right"), ("5", 0.0, "the right one is '4'"), (None, 0.0, "No answer could be read")],
)  # fmt: skip
def test_an_answer_is_right_or_not(key: str | None, value: float, words: str) -> None:
    found = score_of(AnswerMetric("x"), ASKED, outcome(key=key, answer=key, problem="nothing"))
    assert found.value == value
    assert words in found.feedback


@pytest.mark.parametrize(
    ("read", "value"), [(BloomLevel.APPLY, 1.0), (BloomLevel.CREATE, 0.0), (None, 0.0)]
)
def test_a_level_is_the_labelled_one_or_not(read: BloomLevel | None, value: float) -> None:
    assert score_of(JudgeMetric(), ASKED, outcome(read=read)).value == value


def test_the_name_of_the_metric_says_how_far_it_can_be_believed() -> None:
    rows = devset().rows
    assert answer_metric(DevSet("d", rows, labelled=True)).name == "accuracy"
    assert "self-labels" in answer_metric(DevSet("d", rows, labelled=True, labelled_by="it")).name
    assert "majority of 15 draws" in answer_metric(DevSet("d", rows, labelled=False)).name


def test_the_reference_of_an_unlabelled_set_is_the_majority_of_a_larger_vote() -> None:
    rows = devset().rows[:3]
    with dspy.context(adapter=adapter()):
        found = reference_answers(program(), lm(teacher()), rows)
    assert [pair and pair[1] for pair in found] == [row.key for row in rows]


# Keywords.

LIST = dspy.Example(origin="prerequisite", seeds=["ratio"], known=["unit rate"], count=4)


def checked(off: str = "[]", turned: str = "[]", grain: str = "[]") -> str:
    return chat(off_task=off, wrong_direction=turned, wrong_grain=grain)


@pytest.mark.parametrize(
    ("texts", "reply", "value"),
    [
        (("a one", "b two", "c three", "d four"), checked(), 1.0),
        (("a one", "b two"), checked(), 0.5),
        (("a one", "b two", "c three", "d four"), checked(off='["a one"]', grain='["b two"]'), 0.5),
        (("Unit rates", "ratio", "a one", "a one"), checked(), 0.25),
        (("a one", "b two", "c three", "d four", "e five"), checked(turned='["e five"]'), 0.8),
        ((), checked(), 0.0),
    ],
    ids=["all good", "too few", "bad ones", "known and doubled", "too many", "none"],
)
def test_keywords_count_by_how_many_of_those_asked_for_are_good(
    texts: tuple[str, ...], reply: str, value: float
) -> None:
    found = score_of(KeywordMetric(program(), saying(reply)), LIST, outcome(texts=texts, shown=()))
    assert found.value == pytest.approx(value)


def test_coverage_of_the_dev_questions_is_a_tenth_of_the_score() -> None:
    questions = ["What is the speed of the train?", "How many melons are left?"]
    metric = KeywordMetric(program(), saying(checked()), questions)
    texts = ("train speed", "b two", "c three", "d four")
    assert score_of(metric, LIST, outcome(texts=texts, shown=())).value == pytest.approx(
        0.9 + 0.1 * 0.5
    )


def test_what_stands_in_a_demo_that_was_shown_is_no_find() -> None:
    texts = ("a one", "b two", "c three", "d four")
    half = KeywordMetric(program(), saying(checked()))
    assert score_of(half, LIST, outcome(texts=texts, shown=("A ones", "b two"))).value == 0.5
    metric = KeywordMetric(program(), saying("never asked"))
    found = score_of(metric, LIST, outcome(texts=texts, shown=texts))
    assert (found.value, "in a demo" in found.feedback) == (0.0, True)


def test_a_keyword_stage_tells_the_keywords_of_the_demos_that_it_showed() -> None:
    stage = stage_of(program(), "keywords")
    stage.keywords.core.demos = [dspy.Example(keywords=["ratio", "unit rate"])]
    stage.keywords.advanced.demos = [dspy.Example(keywords=["interest"])]
    asked = {"origin": "core", "seeds": [], "known": [], "count": 4, "number": 0}
    with dspy.context(lm=lm(teacher()), adapter=adapter()):
        assert stage(**asked).shown == ("ratio", "unit rate")


def test_a_search_knows_no_question_of_the_test_side() -> None:
    split = split_devset(devset(60).rows)
    for stage, name, ours in (
        ("keywords", "questions", split.test),
        ("instructions", "known", devset(60).rows),
    ):
        metric: Any = metric_for(stage, program(), saying("never asked"), devset(60))
        last: Any = held_out(metric, devset(60))
        assert set(getattr(metric, name)) == {row.question for row in (*split.train, *split.val)}
        assert set(getattr(last, name)) == {row.question for row in ours}
        assert last.name == metric.name
    answers = metric_for("answers", program(), saying("never asked"), devset())
    assert held_out(answers, devset()) is answers


def test_a_judge_without_a_verdict_is_asked_once_more_and_then_unscored() -> None:
    texts = ("a one", "b two", "c three", "d four")
    assert score_of(
        KeywordMetric(program(), saying("what?", checked())), LIST, outcome(texts=texts, shown=())
    )
    script = Script("what?")
    with dspy.context(adapter=adapter()):
        found = judged(
            KeywordMetric(program(), lm(script.backend())), LIST, outcome(texts=texts, shown=())
        )
    assert found == Unscored("the judge's reply could not be read")
    assert len(script.calls) == 2


def test_what_a_judges_endpoint_refuses_for_one_prompt_is_unscored() -> None:
    too_long = lm(Script(lambda call: lm15.ContextLengthError("long")).backend(), stage="judge")
    with dspy.context(adapter=adapter()):
        found = judged(
            KeywordMetric(program(), too_long), LIST, outcome(texts=("a one",), shown=())
        )
    assert isinstance(found, Unscored)
    assert "of a judge" in found.reason


# Instructions.

MADE = Instruction(
    keywords=("ratio", "unit rate"), level=BloomLevel.APPLY, question="Six pens cost 12. And ten?"
)


def judge(
    level: str = "Apply", used: str = "all", own: str = "yes", answers: str = "20"
) -> dspy.LM:
    drawn = iter(answers.split())

    def reply(call: Call) -> str:
        if "`keywords_used`" in call.prompt:
            return chat(reason="r", keywords_used=used, self_contained=own)
        if "`level`" in call.prompt:
            return chat(reason="r", level=level)
        return chat(reasoning="r", answer=next(drawn, answers.split()[-1]))

    return lm(Script(reply).backend())


@pytest.mark.parametrize(
    ("given", "value", "words"),
    [
        ({}, 1.0, "meets every demand"),
        ({"level": "Create"}, 0.0, "The level is Create; Apply was asked for"),
        ({"used": "some"}, 0.5, "Not all of the keywords ratio, unit rate"),
        ({"own": "no"}, 0.0, "not self-contained"),
        ({"answers": "20 20 7"}, 2 / 3, "67% of 3 draws agree"),
    ],
    ids=["good", "level", "keywords", "self-contained", "answerable"],
)
def test_an_instruction_must_meet_all_demands_at_once(
    given: dict[str, str], value: float, words: str
) -> None:
    metric = InstructionMetric(program(), judge(**given))
    found = score_of(metric, dspy.Example(), outcome(instruction=MADE, rejection=None, shown=()))
    assert found.value == pytest.approx(value)
    assert words in found.feedback


@pytest.mark.parametrize("where", ["known", "shown"])
def test_an_instruction_that_repeats_a_known_one_or_a_demo_is_worth_nothing(where: str) -> None:
    known = [MADE.question] if where == "known" else []
    shown = () if where == "known" else ("Six pens cost 15. And ten?",)
    metric = InstructionMetric(program(), judge(), known)
    found = score_of(metric, dspy.Example(), outcome(instruction=MADE, rejection=None, shown=shown))
    assert (found.value, "repeats" in found.feedback) == (0.0, True)


def test_an_unusable_instruction_is_0_with_its_reason() -> None:
    rejection = Rejection(stage="writer", reason="unparsable", detail="What?")
    metric = InstructionMetric(program(), saying("never asked"))
    found = score_of(
        metric, dspy.Example(), outcome(instruction=None, rejection=rejection, shown=())
    )
    assert (found.value, found.feedback) == (0.0, "Unusable, unparsable: What?")


# The chain.


def vote(key: str | None) -> Vote:
    sample = Sample(number=0, answer=key, key=key)
    return Vote(
        accepted=key is not None, winner=key, agreement=1.0, counts=(), draws=1, reason="majority",
        response=None if key is None else 0, samples=(sample,),
    )  # fmt: skip


def unit(key: str | None, tokens: int | None = 1000) -> dspy.Prediction:
    return outcome(instruction=MADE, vote=vote(key), rejection=None, tokens=tokens)


def chain(answers: str = "20") -> ChainMetric:
    metric = ChainMetric(program(), judge(answers=answers))
    metric.compare_with(accepted=10, tokens=20_000)
    return metric


def test_the_chain_pays_for_rows_by_what_the_plain_prompts_pay_for_them() -> None:
    example = dspy.Example()
    right = score_of(chain(), example, unit("20"))
    assert right.value == pytest.approx((1 - 0.5 + 2) / 3)
    assert right.parts == {"accepted": 1.0, "right": 1.0, "tokens": 1000.0}
    nothing = score_of(chain(), example, unit(None))
    assert nothing.value == pytest.approx((0 - 0.5 + 2) / 3)
    # At the ratio of the plain prompts, one row for 2,000 tokens, the mean is that of theirs.
    assert (right.value + nothing.value) / 2 == pytest.approx(PLAIN_CHAIN)
    cheap = score_of(chain(), example, unit("20", tokens=500))
    assert cheap.value > right.value


def test_a_row_that_the_check_contradicts_scores_nothing() -> None:
    wrong = score_of(chain("7"), dspy.Example(), unit("20"))
    assert (wrong.value, wrong.parts["right"]) == (0.0, 0.0)
    assert "contradicts" in wrong.feedback
    undecided = score_of(chain("1 2 3 4 5"), dspy.Example(), unit("20"))
    assert undecided.value == 0.0


def test_without_tokens_the_chain_is_unscored() -> None:
    found = judged(chain(), dspy.Example(), unit("20", tokens=None))
    assert found == Unscored("the endpoint does not report tokens")


def test_every_metric_says_how_many_calls_it_makes_at_most() -> None:
    for stage in STAGES:
        metric = metric_for(stage, program(), lm(teacher()), devset())
        assert metric.calls >= 0
        assert metric.name
