"""Instruction checks: every planted fault is found for its reason, and what is none passes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import defects, needs_data

from ds2.screen.checks import CHECKS, fault_of, told_fault
from ds2.screen.language import other_language
from signatures.task import BUILT_IN

asked = defects.asked


def judged(planted: Any) -> tuple[str, str]:
    fault = fault_of(asked(planted.question, planted.context, planted.options), planted.language)
    return (fault.reason, fault.span) if fault else ("", "")


@pytest.mark.parametrize("planted", defects.FAULTY, ids=lambda p: f"{p.reason}: {p.question[:30]}")
def test_a_planted_fault_is_found_and_shown(planted: Any) -> None:
    reason, span = judged(planted)
    assert reason == planted.reason
    if reason not in {"too_long", "same_options"}:
        assert span
        assert span in planted.question


@pytest.mark.parametrize("planted", defects.SOUND, ids=lambda p: p.question[:40])
def test_what_only_looks_like_a_fault_passes(planted: Any) -> None:
    assert judged(planted) == ("", "")


@pytest.mark.parametrize("told", defects.GIVEN_AWAY, ids=lambda t: t.question[:40])
def test_a_question_that_gives_its_answer_away_is_found_and_shown(told: Any) -> None:
    fault = told_fault(asked(told.question, "", told.options), told.answer)
    assert fault is not None
    assert fault.reason == "told"
    assert fault.span
    assert fault.span in told.question


@pytest.mark.parametrize("told", defects.KEPT, ids=lambda t: t.question[:40])
def test_an_answer_that_stands_there_for_another_reason_passes(told: Any) -> None:
    assert told_fault(asked(told.question, "", told.options), told.answer) is None


@needs_data
def test_no_question_of_gsm8k_is_said_to_give_its_answer_away() -> None:
    rows = [*defects.shared("gsm8k/dev.jsonl"), *defects.shared("gsm8k/test.jsonl")]
    told = [
        told_fault(asked(r["question"]), str(r["answer"]).split("####")[-1].strip()) for r in rows
    ]
    assert told == [None] * len(rows)


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_answer_may_be_looked_for(question: str, answer: str) -> None:
    assert told_fault(asked(question), answer) == told_fault(asked(question), answer)


LONG_TEXTS = (
    "1," * 2900, "1+" * 2900, "answer is " + "1" * 5900, "3 + 4 = 7 " * 580, "answer: 1 a b" * 450,
    "a map " * 990 + "in the map", "I apologize " * 480, "I cannot write " + "a " * 2900, " " * 5900,
    "what is it " + "\tx" * 2990, "*" * 5900 + "answer", "I must decline to " + "x " * 2900,
)  # fmt: skip


@pytest.mark.parametrize("text", LONG_TEXTS, ids=lambda text: text[:12])
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    fault_of(asked(text), "English")
    for answer in ("42", "the " + "liver " * 15, "B"):
        told_fault(asked(text, options=("one", "two")), answer)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("task", BUILT_IN)
def test_no_question_of_the_simulated_teacher_is_turned_down(task: str) -> None:
    questions = defects.written(task, 60)
    assert [fault_of(question, "English") for question in questions] == [None] * len(questions)


@needs_data
def test_no_question_of_gsm8k_or_pubmedqa_is_turned_down() -> None:
    rows = [*defects.shared("gsm8k/dev.jsonl"), *defects.shared("pubmedqa/dev.jsonl")]
    faults = [fault_of(asked(r["question"], r.get("context", "")), "English") for r in rows]
    assert faults == [None] * 300


@given(st.text(max_size=80), st.text(max_size=20), st.lists(st.text(max_size=9), max_size=4))
def test_any_text_is_judged_the_same_twice_and_none_raises(
    question: str, context: str, options: list[str]
) -> None:
    instruction = asked(question, context, tuple(options))
    for language in ("English", "Japanese", "Klingon"):
        assert fault_of(instruction, language) == fault_of(instruction, language)
    for check in CHECKS.values():
        check(instruction, "English")


@pytest.mark.parametrize(
    ("text", "language", "other"),
    [
        ("", "English", None),
        ("x = 3", "English", None),
        ("What is the sum of the numbers that are even?", "Klingon", None),
        ("What is the sum of the numbers that are even?", "British English", None),
        ("What is the sum of the numbers that are even?", "French", "english"),
        ("Quelle est la somme des nombres qui sont pairs et plus grands que dix ?", "French", None),
        (
            "Hur många äpplen har mannen om han säljer hälften av dem och det är kväll?",
            "English",
            "swedish",
        ),
        ("Скільки яблук залишилося?", "English", "Cyrillic script"),
        ("α + β = γ and the angles are known to all of us", "English", None),
    ],
)
def test_the_language_is_read_from_script_and_common_words(
    text: str, language: str, other: str | None
) -> None:
    assert other_language(text, language) == other
