"""Compiling the judges of questions and of keyword lists: with labels, without, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest
from compiling import (
    adapter,
    calls_budget,
    compiled,
    devset,
    lm,
    models,
    program,
    smallest,
    teacher,
)
from dspy import lm15
from scripted import Script

from ds2.engines.budget import BudgetSpent
from ds2.engines.candidates import EndpointGone
from ds2.engines.logged import MemoryLog
from ds2.engines.teacher.checks import check_keywords, check_question
from optimizers.cases import question_cases
from optimizers.compile import Job, check_job
from optimizers.devsets import DevRow, DevSet, split_devset
from optimizers.labels import ListLabel, QuestionLabel
from optimizers.lists import draw_lists
from optimizers.reference import REFERENCE_DRAWS
from programs.judging import faults_of
from programs.synthesis import DS2Instruct
from signatures.errors import ConfigError

JUDGING = ("question-judge", "keyword-judge")


def never() -> dspy.LM:
    return lm(Script(lambda call: AssertionError("a call was made")).backend())


def checked(rows: int = 100) -> DevSet:
    """Return questions with the teacher's own verdicts."""
    given, made = devset(rows).rows, []
    for row, case in zip(given, question_cases(given), strict=True):
        fields = {"question": case.question, "keywords": "\n".join(case.keywords)}
        label = QuestionLabel(**check_question(fields))  # type: ignore[arg-type]
        made.append(DevRow(case.question, keywords=case.keywords, check=label, where=row.where))
    return DevSet("checked", tuple(made), labelled=False)


def listed(count: int = 75) -> DevSet:
    """Return keyword lists with the teacher's own verdicts."""
    bank = sorted({word for row in devset().rows for word in row.keywords})
    with dspy.context(lm=lm(teacher()), adapter=adapter()):
        lists = draw_lists(program(), bank, count, 0)
    rows = []
    for made in lists:
        fields = {"wanted": made.wanted, "keywords": "\n".join(made.keywords)}
        verdict = dspy.Prediction(**check_keywords(fields, "gsm8k"))
        label = ListLabel(made.wanted, faults_of(made.keywords, verdict))
        rows.append(DevRow("", keywords=made.keywords, faults=label))
    return DevSet("listed", tuple(rows), labelled=False)


@pytest.mark.parametrize("stage", JUDGING)
def test_a_judge_is_made_better_by_what_helps_and_asks_nobody_for_labels_that_there_are(
    stage: str,
) -> None:
    dev = checked() if stage == "question-judge" else listed()
    found = compiled(stage, "mipro", models(judge=never()), devset=dev, repeats=3)
    assert found.metric == "verdicts as labelled"
    assert found.before.score is not None
    assert found.after.score is not None
    assert found.after.score > found.before.score + 0.12
    assert found.gained
    assert getattr(found.program, stage.replace("-", "_")).predict.demos


@pytest.mark.parametrize("stage", JUDGING)
def test_without_labels_a_judge_is_measured_by_itself_and_says_so(stage: str) -> None:
    log = MemoryLog()
    judge = lm(teacher(rates=None), log=log)
    dev = devset(30) if stage == "question-judge" else None
    found = compiled(stage, "bootstrap", models(judge=judge), devset=dev, cells=20)
    assert f"{REFERENCE_DRAWS} verdicts of the judge model (self-consistency" in found.metric
    assert ("are self-contained" if stage == "question-judge" else "are sound") in found.notices[0]
    assert found.after.score is not None
    cases = sum(found.sizes)
    assert REFERENCE_DRAWS * cases <= len(log._receipts) <= 1.1 * REFERENCE_DRAWS * cases
    # Who labels is not who is compiled: at no sensitivity there is nothing to gain.
    plain = compiled(stage, "random-search", models(0.0), devset=dev, cells=20)
    assert plain.before.score == 1
    assert not plain.gained


@pytest.mark.parametrize("stage", JUDGING)
def test_what_a_compile_takes_is_told_before_and_never_overrun(stage: str) -> None:
    dev = smallest() if stage == "question-judge" else None
    job = Job(program(), stage, "random-search", dev, repeats=1, cells=20)
    with pytest.raises(ConfigError) as refused:
        check_job(replace(job, budget_calls=1))
    least = int(str(refused.value).partition("at least ")[2].partition(":")[0].replace(",", ""))
    shared = {"log": MemoryLog(), "budget": calls_budget(least)}
    given = models(
        program=lm(teacher(1.0), **shared), judge=lm(teacher(), **shared), proposer=never()
    )
    compiled(stage, "random-search", given, devset=dev, cells=20, budget_calls=least)
    assert shared["budget"].spent.calls <= least  # type: ignore[attr-defined]
    labelled = checked(60) if stage == "question-judge" else listed(60)
    price = check_job(replace(job, devset=labelled))
    _, val, _ = map(len, split_devset(labelled.rows))
    assert price.fixed == val + 2 * price.evaluation  # no label is asked for, no bank is grown


@pytest.mark.parametrize("stage", JUDGING)
def test_a_dead_judge_stops_the_labelling_at_once(stage: str) -> None:
    dead = lm(Script(lambda call: lm15.TransportError("refused")).backend())
    dead.engine.logged.retry.attempts = dead.engine.logged.retry.first_attempts = 1
    with pytest.raises(EndpointGone):
        compiled(stage, "bootstrap", models(judge=dead))


@pytest.mark.parametrize("stage", JUDGING)
def test_a_compile_that_stopped_while_labelling_goes_on_without_a_repeated_call(stage: str) -> None:
    def run(log: MemoryLog, budget: int) -> Any:
        judge = lm(teacher(), log=log, budget=calls_budget(budget))
        return compiled(stage, "bootstrap", models(judge=judge), cells=20)

    whole, log = MemoryLog(), MemoryLog()
    undisturbed = run(whole, 10_000)
    with pytest.raises(BudgetSpent):
        run(log, 100)
    assert len(log._receipts) == 100
    again = run(log, len(whole._receipts) - 100)
    assert again.program.fingerprint() == undisturbed.program.fingerprint()
    assert log._receipts.keys() == whole._receipts.keys()


def test_a_question_that_the_judge_cannot_take_is_left_out_and_told() -> None:
    inner, long = teacher().open(), devset().rows[0].question

    class Refusing:
        async def complete(self, request: Any) -> Any:
            if long in request.messages[-1].text:
                raise lm15.ContextLengthError("too long")
            return await inner.complete(request)

    judge = lm(replace(teacher(), open=Refusing))
    dev = DevSet("d", devset().rows, labelled=True)
    found = compiled("question-judge", "bootstrap", models(judge=judge), devset=dev)
    assert sum(found.sizes) == len(dev.rows) - 1
    assert "1 questions without a majority" in found.notices[1]


@pytest.mark.parametrize(
    ("stage", "said"),
    [("judge", "level judge"), ("question-judge", "question judge"), ("keyword-judge", "keyword judge")],
)  # fmt: skip
def test_a_program_without_a_judge_has_none_to_compile(stage: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"hold the {said}"):
        compiled(stage, "bootstrap", program=DS2Instruct("gsm8k"))


def test_a_judge_of_questions_needs_keywords_and_one_of_keywords_no_dev_set() -> None:
    nobody = models(program=never(), judge=never())
    rows = tuple(DevRow(row.question) for row in devset().rows)
    with pytest.raises(ConfigError, match=r"have keywords each.*24 rows without any"):
        compiled("question-judge", "bootstrap", nobody, devset=DevSet("d", rows, labelled=False))
    with pytest.raises(ConfigError, match="--devset must be given for this stage"):
        compiled("question-judge", "bootstrap", nobody, devset=None)
    with pytest.raises(ConfigError, match=r"8 cells of the task.*give --cells 2"):
        compiled("keyword-judge", "bootstrap", nobody, devset=None, cells=8)
    assert check_job(Job(program(), "keyword-judge", "bootstrap")).most > 0


@pytest.mark.parametrize("stage", ["keywords", "answers", "question-judge"])
def test_keyword_lists_are_no_dev_set_of_another_stage(stage: str) -> None:
    with pytest.raises(ConfigError, match="hold questions, for the stage"):
        compiled(stage, "bootstrap", devset=listed(20))
