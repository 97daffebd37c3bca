"""Keyword lists for the judge of keywords: what stands in them, and who labels it."""

from __future__ import annotations

import dspy
import pytest
from compiling import GSM8K, adapter, devset, lm, program, teacher
from scripted import Script, chat

from optimizers.lists import LIST_SIZE, KeywordList, draw_lists, reference_faults
from programs.judging import FAULTS, KeywordJudge, faults_of
from signatures.task import BUILT_IN, load_task

BANK = sorted({word for row in devset().rows for word in row.keywords})
TASKS = [load_task(name) for name in BUILT_IN]
FOREIGN = {word for spec in TASKS if spec.name != "gsm8k" for word in spec.example_keywords}


def drawn(count: int, seed: int = 0) -> list[KeywordList]:
    with dspy.context(lm=lm(teacher()), adapter=adapter()):
        return draw_lists(program(), BANK, count, seed)


def test_a_list_holds_strangers_and_keywords_of_the_other_direction() -> None:
    lists = drawn(9)
    wanted = [made.wanted.split(" ")[0] for made in lists]
    assert wanted == ["core", "prerequisites", "advanced"] * 3
    for made in lists:
        assert len(made.keywords) == len(set(made.keywords)) == LIST_SIZE
        assert len(FOREIGN & set(made.keywords)) == 1
        assert any(spec.domain in made.keywords for spec in TASKS)
    assert drawn(9) == lists
    assert drawn(9, seed=1) != lists


def test_each_fault_is_there_and_the_sound_are_no_fewer_than_the_others() -> None:
    found: list[str | None] = []
    with dspy.context(adapter=adapter()):
        for made in drawn(12):
            found += reference_faults(KeywordJudge(), lm(teacher()), GSM8K, made)
    assert set(found) == {"", *FAULTS}
    assert 0.4 < found.count("") / len(found) < 0.75


def test_what_the_model_does_not_list_is_made_up_for_out_of_the_bank() -> None:
    with dspy.context(lm=lm(Script("no list").backend()), adapter=adapter()):
        made = draw_lists(program(), BANK, 2, 0)
    assert all(len(one.keywords) >= len(BANK) for one in made)
    assert all(set(one.keywords) & set(BANK) for one in made)


def test_a_keyword_without_a_majority_has_no_label() -> None:
    script = Script(
        lambda call: chat(
            off_task='["b"]' if call.number % 2 else '["a", "b"]',
            wrong_direction='["c"]' if call.number % 3 else "[]",
            wrong_grain='["c"]',
        )
    )
    asked = KeywordList("core keywords", ("a", "b", "c", "d"))
    with dspy.context(adapter=adapter()):
        found = reference_faults(KeywordJudge(), lm(script.backend()), GSM8K, asked)
    assert found == ("off_task", "off_task", "wrong_direction", "")
    tied = Script(
        lambda call: chat(
            off_task='["a"]' if call.number % 3 == 0 else "[]",
            wrong_direction='["a"]' if call.number % 3 == 1 else "[]",
            wrong_grain="[]",
        )
    )
    with dspy.context(adapter=adapter()):
        found = reference_faults(KeywordJudge(), lm(tied.backend()), GSM8K, asked)
    assert found == (None, "", "", "")


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        ({"off_task": ["  Ratio "]}, "off_task"),
        ({"wrong_grain": ["ratio"], "wrong_direction": ["ratio"]}, "wrong_direction"),
        ({"off_task": ["ratios"]}, ""),
        ({}, ""),
    ],
    ids=["case and spaces", "the gravest", "another", "none"],
)
def test_a_keyword_has_the_first_fault_that_it_is_listed_under(
    listed: dict[str, list[str]], fault: str
) -> None:
    verdict = dspy.Prediction(**{name: listed.get(name, []) for name in FAULTS})
    assert faults_of(["ratio"], verdict) == (fault,)
