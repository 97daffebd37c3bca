"""A dev set without answers, which the judge's model answers fifteen times."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import dspy
import pytest
from compiling import adapter, calls_budget, compiled, devset, lm, models, program, teacher
from scripted import Call, Script, chat

from optimizers.compile import Job, check_job
from optimizers.devsets import DevRow, DevSet
from optimizers.examples import make_examples
from signatures.errors import ConfigError


def unlabelled(rows: int) -> DevSet:
    made = tuple(DevRow(row.question, where=row.where) for row in devset(60).rows[:rows])
    return DevSet("d.jsonl", made, labelled=False)


def test_questions_that_hardly_ever_have_a_majority_end_the_labelling_early() -> None:
    script = Script(lambda call: chat(reasoning="r", answer=str(call.number)))
    with (
        dspy.context(adapter=adapter()),
        pytest.raises(ConfigError, match=r"5 of the first 5 have none.*Give their answers"),
    ):
        make_examples("answers", program(), unlabelled(60), judge=lm(script.backend()))
    assert 0 < len(script.calls) <= 5 * 15


def test_what_was_left_out_is_told_where_too_little_is_left() -> None:
    def reply(call: Call) -> str:
        sure = crc32(call.prompt.encode()) % 2
        return chat(reasoning="r", answer="4" if sure else str(call.number))

    few = unlabelled(14)
    judge = lm(Script(reply).backend())
    with pytest.raises(ConfigError, match=r"d.jsonl; \d questions without a majority.*too few for"):
        compiled("answers", "bootstrap", models(judge=judge), devset=few)


def test_questions_that_find_no_label_are_paid_for_out_of_the_budget() -> None:
    def reply(call: Call) -> str:
        sure = crc32(call.prompt.encode()) % 4
        return chat(reasoning="r", answer="4" if sure else str(call.number))

    asked: dict[str, Any] = {"devset": unlabelled(60), "repeats": 1}
    with pytest.raises(ConfigError) as refused:
        check_job(Job(program(), "answers", "copro", budget_calls=1, **asked))
    least = int(str(refused.value).partition("at least ")[2].partition(":")[0].replace(",", ""))
    budget = calls_budget(least)
    given = models(
        program=lm(teacher(1.0), budget=budget),
        judge=lm(Script(reply).backend(), budget=budget),
        proposer=lm(teacher(), budget=budget),
    )
    found = compiled("answers", "copro", given, budget_calls=least, **asked)
    assert sum(found.sizes) < 60
    assert budget.spent.calls <= least
