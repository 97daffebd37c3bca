from __future__ import annotations

from typing import Any, get_args

import dspy
import pytest

from signatures.answers import answer_signature, lettered
from signatures.bloom import LEVELS
from signatures.instructions import instruction_signature, notes_line
from signatures.keywords import AdvancedKeywords, CoreKeywords, PrerequisiteKeywords, task_line
from signatures.task import BUILT_IN, TaskSpec, load_task

JAPANESE = TaskSpec.model_validate(
    {
        "name": "kazu",
        "domain": "算数",
        "description": "小学生のための文章題です。",
        "answer": {"kind": "number", "closing": "答え：{answer}"},
        "language": "Japanese",
        "notes": ["数値をすべて示す。"],
    }
)


def names(fields: dict[str, Any]) -> list[str]:
    return list(fields)


def rendered(signature: type[dspy.Signature], **inputs: Any) -> str:
    messages = dspy.ChatAdapter().format(signature, [], inputs)
    return "\n".join(message["content"] for message in messages)


@pytest.mark.parametrize("signature", [CoreKeywords, PrerequisiteKeywords, AdvancedKeywords])
def test_every_keyword_signature_asks_for_a_list_in_a_language(signature: Any) -> None:
    assert names(signature.output_fields) == ["keywords"]
    assert signature.output_fields["keywords"].annotation == list[str]
    assert {"task", "language", "count"} <= set(signature.input_fields)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("keywords", [1, 2])
def test_an_instruction_has_the_fields_that_its_task_wants(name: str, keywords: Any) -> None:
    task = load_task(name)
    signature = instruction_signature(task, keywords)
    wanted = ["context"] if task.context == "written" else []
    wanted += ["question"]
    wanted += ["options"] if task.answer.options else []
    assert names(signature.output_fields) == wanted
    pair = {"first_keyword", "second_keyword"}
    assert (pair if keywords == 2 else {"keyword"}) <= set(signature.input_fields)


def test_a_choice_has_its_options_in_a_field_of_their_own() -> None:
    signature = instruction_signature(load_task("medqa"), 1)
    assert signature.output_fields["options"].annotation == list[str]
    assert "4 or 5 options" in rendered(signature)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("thinking", [False, True])
def test_steps_come_before_the_answer_and_stand_once(name: str, thinking: bool) -> None:
    signature = answer_signature(load_task(name), thinking=thinking)
    steps = "solution" if thinking else "reasoning"
    assert names(signature.output_fields) == [steps, "answer"]


def test_an_answer_has_the_type_of_its_format() -> None:
    def kind(name: str) -> Any:
        return answer_signature(load_task(name)).output_fields["answer"].annotation

    assert kind("gsm8k") is str
    assert kind("math") is str
    assert get_args(kind("cfa")) == ("A", "B", "C")
    assert get_args(kind("medqa")) == ("A", "B", "C", "D", "E")
    assert get_args(kind("pubmedqa")) == ("yes", "no", "maybe")


def test_an_answer_is_asked_of_the_context_where_there_is_one() -> None:
    assert names(answer_signature(load_task("pubmedqa")).input_fields) == ["context", "question"]
    assert names(answer_signature(load_task("cfa")).input_fields) == ["question", "options"]
    assert names(answer_signature(load_task("gsm8k")).input_fields) == ["question"]


def test_every_prompt_asks_for_the_language_of_the_task() -> None:
    common = {"task": task_line(JAPANESE), "language": JAPANESE.language}
    written = rendered(instruction_signature(JAPANESE, 1), **common, notes=notes_line(JAPANESE))
    assert "Japanese" in written
    assert "算数: 小学生のための文章題です。" in written
    assert "数値をすべて示す。" in written
    assert "Japanese" in rendered(CoreKeywords, **common)
    assert "Write in Japanese." in rendered(answer_signature(JAPANESE), question="?")


def test_labels_are_named_to_the_writer() -> None:
    assert "yes, no, maybe" in rendered(instruction_signature(load_task("pubmedqa"), 1))


def test_the_level_is_not_named_by_its_own_demand() -> None:
    assert all(level.lower() not in level.demand.lower().split() for level in LEVELS)


def test_a_task_without_notes_says_none() -> None:
    assert notes_line(JAPANESE.model_copy(update={"notes": ()})) == "none"


def test_options_are_lettered_in_order() -> None:
    assert lettered(["one", "two"]) == "A. one\nB. two"
    assert lettered(()) == ""
    assert lettered(["x"] * 26).endswith("Z. x")


def test_no_field_hides_a_method_of_an_example() -> None:
    taken = set(dir(dspy.Example()))
    for name in BUILT_IN:
        task = load_task(name)
        for signature in (
            instruction_signature(task, 1),
            instruction_signature(task, 2),
            answer_signature(task),
        ):
            assert not taken & set(signature.fields)
