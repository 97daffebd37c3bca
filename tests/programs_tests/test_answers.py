from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from scripted import Script, chat

from programs.answers import AnswerDraw
from signatures.task import load_task

pytestmark = pytest.mark.usefixtures("one_adapter")


def test_a_draw_gives_steps_and_answer() -> None:
    script = Script(chat(reasoning="2 + 2", answer="4"))
    with dspy.context(lm=script.lm()):
        drawn = AnswerDraw(load_task("gsm8k"))(question="2 + 2?")
    assert (drawn.reasoning, drawn.answer) == ("2 + 2", "4")


def test_a_model_that_thinks_by_itself_is_asked_for_a_solution() -> None:
    script = Script(chat(solution="2 + 2", answer="4"))
    with dspy.context(lm=script.lm()):
        drawn = AnswerDraw(load_task("gsm8k"), thinking=True)(question="2 + 2?")
    assert drawn.solution == "2 + 2"
    assert "[[ ## reasoning ## ]]" not in script.calls[0].prompt


@pytest.mark.parametrize(
    ("task", "given", "shown"),
    [
        ("cfa", {"options": ("up", "down", "flat")}, "A. up\nB. down\nC. flat"),
        ("pubmedqa", {"context": "We treated 40 mice."}, "We treated 40 mice."),
    ],
)
def test_options_and_context_reach_the_model(task: str, given: dict[str, Any], shown: str) -> None:
    script = Script(chat(reasoning="r", answer="A" if task == "cfa" else "yes"))
    with dspy.context(lm=script.lm()):
        AnswerDraw(load_task(task))(question="?", **given)
    assert shown in script.calls[0].prompt


def test_a_task_without_context_is_shown_none() -> None:
    script = Script(chat(reasoning="r", answer="1"))
    with dspy.context(lm=script.lm()):
        AnswerDraw(load_task("gsm8k"))(question="?", context="secret", options=("a", "b"))
    assert "secret" not in script.calls[0].prompt


def test_the_configuration_of_a_call_goes_to_the_model() -> None:
    script = Script(chat(reasoning="r", answer="1"))
    draw = AnswerDraw(load_task("gsm8k"))
    with dspy.context(lm=script.lm()):
        asyncio.run(draw.acall(question="?", config={"temperature": 0.3, "rollout_id": 9}))
    assert (script.calls[0].temperature, script.calls[0].sample) == (0.3, 9)


def test_its_predictor_can_be_reached() -> None:
    assert [name for name, _ in AnswerDraw(load_task("gsm8k")).named_predictors()] == ["predict"]
