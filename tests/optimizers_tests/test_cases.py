"""Questions for the judge of questions: how they are varied, and who labels them."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from compiling import adapter, devset, lm, teacher
from scripted import Call, Script, chat

from optimizers.cases import Case, question_cases, reference_label, shown, without_facts
from optimizers.devsets import DevRow
from optimizers.reference import REFERENCE_DRAWS, majority
from programs.judging import QuestionJudge


def row(question: str, *keywords: str, **fields: Any) -> DevRow:
    return DevRow(question, keywords=keywords, **fields)


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (row("A pen costs 3. Ann buys 4. What does she pay?"), "What does she pay?"),
        (row("If a pen costs 3, what do 4 cost?"), "what do 4 cost?"),
        (row("What do four pens cost?"), "four pens cost?"),
        (row("ペンは3円です。4本でいくらですか？"), "4本でいくらですか？"),
        (row("Is it so?", context="It was found so."), "Is it so?"),
        (row("One. Which?", options=("a", "b")), "Which?\n\nA. a\nB. b"),
        (row(""), ""),
    ],
    ids=["sentences", "clauses", "words", "other script", "context", "options", "empty"],
)
def test_a_question_loses_the_facts_that_it_states(asked: DevRow, left: str) -> None:
    assert without_facts(asked) == left


def test_a_fourth_each_is_as_it_is_without_facts_and_with_foreign_keywords() -> None:
    rows = devset(40).rows
    cases = question_cases(rows)
    kinds = {"as it is": 0, "without facts": 0, "some": 0, "all": 0}
    for asked, case in zip(rows, cases, strict=True):
        own = set(asked.keywords)
        if case.question != shown(asked):
            assert case == Case(without_facts(asked), asked.keywords)
            kinds["without facts"] += 1
        elif set(case.keywords) == own:
            kinds["as it is"] += 1
        else:
            foreign = [word for word in case.keywords if word not in own]
            assert not any(word.casefold() in asked.question.casefold() for word in foreign)
            kept = own & set(case.keywords)
            assert len(case.keywords) == max(len(own), 1 + len(kept))
            kinds["some" if kept else "all"] += 1
    assert set(kinds.values()) == {10}


def test_cases_do_not_depend_on_the_order_of_the_rows() -> None:
    rows = devset(12).rows
    assert question_cases(rows[::-1])[::-1] == question_cases(rows)


def test_without_a_foreign_keyword_a_question_is_taken_as_it_is() -> None:
    rows = [row(f"{n}. Why a ratio?", "ratio") for n in range(8)]
    assert {case.keywords for case in question_cases(rows)} == {("ratio",)}
    assert question_cases([]) == []


@pytest.mark.parametrize(
    ("values", "found"),
    [(["a"] * 8 + ["b"] * 7, "a"), (["a"] * 7 + ["b"] * 7 + [None], None), ([], None),
     ([""] * 15, ""), (["a"] * 7, None)],
    ids=["eight of fifteen", "a tie", "none", "empty is a value", "too few could be read"],
)  # fmt: skip
def test_a_majority_is_more_than_half_of_fifteen(values: list[Any], found: Any) -> None:
    assert majority(values) == found


def test_a_label_is_what_the_judge_says_most_often_in_each_field() -> None:
    def reply(call: Call) -> str:
        used = "all" if call.number % 3 else "some"
        return chat(reason="r", keywords_used=used, self_contained="no")

    script = Script(reply)
    with dspy.context(adapter=adapter()):
        found = reference_label(QuestionJudge(), lm(script.backend()), Case("Why?", ("ratio",)))
    assert found == ("all", "no")
    assert len(script.calls) == REFERENCE_DRAWS
    assert len({call.sample for call in script.calls}) == REFERENCE_DRAWS


def test_a_question_without_a_majority_has_no_label() -> None:
    said = ("all", "some", "none")
    script = Script(
        lambda call: chat(reason="r", keywords_used=said[call.number % 3], self_contained="no")
    )
    with dspy.context(adapter=adapter()):
        assert reference_label(QuestionJudge(), lm(script.backend()), Case("?", ("x",))) is None
        unreadable = lm(Script("what?").backend())
        assert reference_label(QuestionJudge(), unreadable, Case("?", ("x",))) is None


def test_the_teacher_labels_what_was_made() -> None:
    with dspy.context(adapter=adapter()):
        rows = devset(12).rows
        labels = [reference_label(QuestionJudge(), lm(teacher()), c) for c in question_cases(rows)]
    assert {label.self_contained for label in labels if label} == {"yes", "no"}
    assert {label.keywords_used for label in labels if label} == {"all", "some", "none"}
