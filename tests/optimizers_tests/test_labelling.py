"""A dev set without answers, which the judge's model answers fifteen times."""

from __future__ import annotations

from zlib import crc32

import dspy
import pytest
from compiling import adapter, compiled, devset, lm, models, program
from scripted import Call, Script, chat

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
