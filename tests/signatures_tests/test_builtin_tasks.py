"""The seven built-in tasks: that their files hold, and stay within the prompt's budget."""

from __future__ import annotations

import pytest
import yaml

from signatures.task import BUILT_IN, AnswerKind, load_task, task_source

KINDS = {
    "cfa": AnswerKind.CHOICE,
    "gpqa": AnswerKind.CHOICE,
    "gsm8k": AnswerKind.NUMBER,
    "logiqa": AnswerKind.CHOICE,
    "math": AnswerKind.EXPRESSION,
    "medqa": AnswerKind.CHOICE,
    "pubmedqa": AnswerKind.LABEL,
}
OPTIONS = {"cfa": (3,), "gpqa": (4,), "logiqa": (4,), "medqa": (4, 5)}
CLOSED = {
    "cfa": ("B", "Answer: B"),
    "gpqa": ("D", "Answer: D"),
    "gsm8k": ("42", "final answer: 42"),
    "logiqa": ("A", "Answer: A"),
    "math": (r"\frac{1}{2}", r"\boxed{\frac{1}{2}}"),
    "medqa": ("E", "Answer: E"),
    "pubmedqa": ("maybe", "Answer: maybe"),
}

by_task = pytest.mark.parametrize("name", BUILT_IN)


@by_task
def test_a_built_in_task_loads_under_its_own_name(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.benchmark == name
    assert task.english


@by_task
def test_a_built_in_task_has_the_answer_format_of_its_benchmark(name: str) -> None:
    answer = load_task(name).answer
    assert answer.kind is KINDS[name]
    assert answer.options == OPTIONS.get(name, ())


def test_pubmedqa_answers_with_three_words_about_a_text_of_its_own() -> None:
    task = load_task("pubmedqa")
    assert task.answer.labels == ("yes", "no", "maybe")
    assert task.context == "written"


def test_only_pubmedqa_has_a_context() -> None:
    assert [name for name in BUILT_IN if load_task(name).context == "written"] == ["pubmedqa"]


@by_task
def test_the_closing_line_gives_the_answer(name: str) -> None:
    answer, line = CLOSED[name]
    assert load_task(name).answer.close(answer) == line


@by_task
def test_notes_stay_within_fifty_words(name: str) -> None:
    notes = load_task(name).notes
    assert notes
    assert sum(len(note.split()) for note in notes) <= 50
    assert all(note.endswith(".") for note in notes)


@by_task
def test_description_stays_within_fifty_words(name: str) -> None:
    assert len(load_task(name).description.split()) <= 50


@by_task
def test_example_keywords_are_three_short_distinct_ones(name: str) -> None:
    examples = load_task(name).example_keywords
    assert len(examples) == len({example.casefold() for example in examples}) >= 3
    assert all(1 <= len(example.split()) <= 4 for example in examples)


@by_task
def test_a_file_writes_its_labels_and_closing_out(name: str) -> None:
    written = yaml.safe_load(task_source(name))
    assert written["answer"]["closing"].count("{answer}") == 1
    assert all(isinstance(label, str) for label in written["answer"].get("labels", []))
