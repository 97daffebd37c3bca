from __future__ import annotations

import asyncio
import json
from typing import Any

import dspy
import pytest
from dspy import lm15
from dspy.utils.exceptions import LMError
from scripted import Script, chat, said

from ds2.engines.retry import RetryPolicy
from programs.instructions import InstructionWriter
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError
from signatures.records import Instruction, Rejection
from signatures.task import TaskSpec, load_task

pytestmark = pytest.mark.usefixtures("one_adapter")

GSM8K, CFA, PUBMEDQA = (load_task(name) for name in ("gsm8k", "cfa", "pubmedqa"))


def write(script: Script, task: TaskSpec = GSM8K, **inputs: Any) -> dspy.Prediction:
    wanted = {"keywords": ["unit rate"], "level": "Apply"} | inputs
    with dspy.context(lm=script.lm(retry=RetryPolicy(1, 1))):
        return InstructionWriter(task)(**wanted)


def choice(*options: str, question: str = "Which?") -> str:
    return chat(question=question, options=json.dumps(options, ensure_ascii=False))


def written(reply: str, task: TaskSpec = CFA) -> Instruction:
    instruction = write(Script(reply), task).instruction
    assert isinstance(instruction, Instruction)
    return instruction


def rejected(reply: Any, task: TaskSpec = CFA) -> Rejection:
    outcome = write(Script(lambda _: reply), task)
    assert outcome.instruction is None
    assert outcome.rejection.stage == "writer"
    return outcome.rejection


def test_one_keyword_and_a_level_give_an_instruction() -> None:
    script = Script(chat(question=" What does one cost? "))
    outcome = write(script)
    assert outcome.instruction == Instruction(
        keywords=("unit rate",), level=BloomLevel.APPLY, question="What does one cost?"
    )
    assert outcome.rejection is None
    prompt = script.calls[0].prompt
    for shown in ("unit rate", "Apply", BloomLevel.APPLY.demand, *GSM8K.notes, "English"):
        assert shown in prompt


def test_a_pair_is_written_by_the_predictor_for_pairs() -> None:
    script = Script(chat(question="q"))
    outcome = write(script, keywords=("unit rate", "discount"))
    assert outcome.instruction.keywords == ("unit rate", "discount")
    assert "[[ ## first_keyword ## ]]\nunit rate" in script.calls[0].prompt
    assert "[[ ## second_keyword ## ]]\ndiscount" in script.calls[0].prompt


@pytest.mark.parametrize("keywords", [[], ["a", "b", "c"], "pi", "unit rate"])
def test_neither_one_nor_two_keywords_are_refused(keywords: Any) -> None:
    script = Script(chat(question="q"))
    with pytest.raises(ConfigError, match="be a list of one or two keywords"):
        write(script, keywords=keywords)
    assert script.calls == []


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"be one of Remember, Understand.*\(got 'apply'\)"):
        write(Script("x"), level="apply")


def test_a_context_is_written_together_with_its_question() -> None:
    script = Script(chat(context="We treated 40 mice.", question="Did it help?"))
    instruction = write(script, PUBMEDQA).instruction
    assert (instruction.context, instruction.question) == ("We treated 40 mice.", "Did it help?")


@pytest.mark.parametrize(
    ("reply", "task", "reason"),
    [
        pytest.param("I cannot do that.", GSM8K, "refused", id="refusal"),
        pytest.param("Here you go: 42", GSM8K, "unparsable", id="prose"),
        pytest.param("", GSM8K, "unparsable", id="nothing"),
        pytest.param(chat(question="q"), PUBMEDQA, "unparsable", id="field-missing"),
        pytest.param(said(chat(question="q"), "length"), GSM8K, "truncated", id="cut"),
        pytest.param(said("What is", "length"), GSM8K, "truncated", id="cut-and-unparsable"),
        pytest.param(said("", "content_filter"), GSM8K, "moderated", id="withheld"),
        pytest.param(chat(question="  "), GSM8K, "empty", id="empty-question"),
        pytest.param(chat(context="", question="q"), PUBMEDQA, "empty", id="empty-context"),
        pytest.param(choice("a", "b"), CFA, "options", id="too-few"),
        pytest.param(choice("a", "b", "c", "d"), CFA, "options", id="too-many"),
        pytest.param(choice(), CFA, "options", id="none"),
        pytest.param(choice("up", "up ", "c"), CFA, "options", id="twice"),
        pytest.param(choice("A. up", "B. up.", "C. c"), CFA, "options", id="twice-lettered"),
        pytest.param(choice("a", "", "c"), CFA, "options", id="empty-option"),
    ],
)
def test_a_bad_reply_is_rejected_with_its_reason(reply: Any, task: TaskSpec, reason: str) -> None:
    rejection = rejected(reply, task)
    assert rejection.reason == reason
    assert rejection.detail


def test_an_unparsable_reply_is_shown_cut_short() -> None:
    detail = rejected("no " * 1000, GSM8K).detail
    assert "no no" in detail
    assert len(detail) < 600


@pytest.mark.parametrize(
    "options",
    [
        ("A. up", "B. down", "C. flat"),
        ("A) up", "B) down", "C) flat"),
        ("(A) up", "(B) down", "(C) flat"),
        ("[A] up", "[B] down", "[C] flat"),
        ("a) up", "b) down", "c) flat"),
        ("**A.** up", "**B.** down", "**C.** flat"),
        ("A: up", "B: down", "C: flat"),
    ],
)
def test_letters_before_all_options_are_taken_off(options: tuple[str, ...]) -> None:
    assert written(choice(*options)).options == ("up", "down", "flat")


@pytest.mark.parametrize(
    "options",
    [
        ("A. thaliana", "E. coli", "C. elegans"),
        ("A bond", "B shares", "C notes"),
        ("up", "B. down", "flat"),
    ],
)
def test_what_is_no_lettering_stays(options: tuple[str, ...]) -> None:
    assert written(choice(*options)).options == options


@pytest.mark.parametrize(
    "options",
    [("5", "-5", "0"), ("1 mW", "1 MW", "1 kW"), ("Aa", "aa", "AA"), ("x²", "x2", "x"), ("1/2", "1-2", "12")],
)  # fmt: skip
def test_options_that_differ_by_sign_case_or_exponent_are_different(
    options: tuple[str, ...],
) -> None:
    assert written(choice(*options)).options == options


@pytest.mark.parametrize("size", [4, 5])
def test_a_task_may_allow_several_sizes(size: int) -> None:
    options = [f"option {i}" for i in range(size)]
    assert len(written(choice(*options), load_task("medqa")).options) == size


def test_a_second_visit_of_a_cell_is_a_new_call() -> None:
    script = Script(lambda call: chat(question=f"q{call.sample}"))
    lm = script.lm()
    writer = InstructionWriter(GSM8K)
    with dspy.context(lm=lm):
        questions = [
            writer(keywords=["unit rate"], level="Apply", visit=visit).instruction.question
            for visit in (0, 1, 0, 2)
        ]
    assert len(script.calls) == 3
    assert questions[0] == questions[2]
    assert len(set(questions)) == 3


def test_forward_and_aforward_give_the_same_record() -> None:
    script = Script(chat(question="q"))

    async def outcome() -> dspy.Prediction:
        with dspy.context(lm=script.lm()):
            return await InstructionWriter(GSM8K).acall(keywords=["unit rate"], level="Apply")

    assert asyncio.run(outcome()).instruction == write(script).instruction


def test_an_error_of_the_model_is_no_rejection() -> None:
    with pytest.raises(LMError):
        write(Script("x", failures={0: lm15.ServerError("down")}))


def test_it_works_on_a_model_that_hands_out_no_receipts() -> None:
    with dspy.context(lm=Script("I cannot").plain_lm()):
        outcome = InstructionWriter(GSM8K)(keywords=["unit rate"], level="Apply")
    assert outcome.rejection.detail == "The reply was: 'I cannot'"


def test_a_temperature_that_the_model_fixes_is_not_sent() -> None:
    script = Script(chat(question="q"))
    with dspy.context(lm=script.lm()):
        InstructionWriter(GSM8K, temperature=None)(keywords=["unit rate"], level="Apply")
    assert script.calls[0].temperature is None
    write(script)
    assert script.calls[1].temperature == 0.9


def test_its_two_predictors_can_be_reached() -> None:
    assert [name for name, _ in InstructionWriter(GSM8K).named_predictors()] == ["single", "pair"]
