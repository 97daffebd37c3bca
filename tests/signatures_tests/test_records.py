from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signatures.bloom import BloomLevel
from signatures.records import (
    Instruction,
    Keyword,
    KeywordOrigin,
    Passage,
    Record,
    Rejection,
    Row,
    Sample,
    Vote,
    canonical_json,
    content_id,
    make_row,
)

INSTRUCTION = Instruction(
    keywords=("tide",), level=BloomLevel.APPLY, question="How high?", options=("1 m", "2 m")
)
SAMPLES = (
    Sample(number=0, answer="4", key="4", reasoning="2 + 2"),
    Sample(number=1, answer="5", key="5"),
    Sample(number=2, answer=None, key=None, unreadable="empty"),
    Sample(number=3, answer="4.0", key="4"),
)


def vote(**changes: Any) -> Vote:
    fields: dict[str, Any] = {
        "accepted": True,
        "winner": "4",
        "agreement": 0.5,
        "counts": (("4", 2), ("5", 1)),
        "draws": 4,
        "reason": "majority",
        "response": 0,
        "samples": SAMPLES,
    }
    return Vote(**(fields | changes))


def row(**changes: Any) -> Row:
    names = {"response": "2 + 2", "task": "tides", "teacher": "model", "model": "m"} | changes
    return make_row(INSTRUCTION, vote(), **names)


RECORDS = [
    Keyword(text="tide", origin=KeywordOrigin.CORE),
    Passage(id="p", text="t"),
    INSTRUCTION,
    SAMPLES[0],
    vote(),
    row(),
    Rejection(stage="vote", reason="tie"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_a_record_is_frozen(record: Record) -> None:
    field = next(iter(type(record).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, field, getattr(record, field))


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_a_record_takes_no_unknown_field(record: Record) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(record).model_validate(record.model_dump() | {"colour": "red"})


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_a_record_comes_back_from_json_as_it_was(record: Record) -> None:
    assert type(record).model_validate_json(record.model_dump_json()) == record


def test_ids_are_the_same_on_every_machine_and_in_every_version() -> None:
    assert content_id(["tide", 1, None, {"b": 2.5, "a": "é"}]) == "83948250edbc3072"
    assert INSTRUCTION.id == "990e783abff4328d"
    assert row().id == "b29b667137cbe8f2"


def test_an_id_is_of_what_is_asked_not_of_what_it_was_asked_for() -> None:
    other = Instruction(
        keywords=("sea",), level=BloomLevel.CREATE, question="How high?", options=("1 m", "2 m")
    )
    assert other.id == INSTRUCTION.id
    assert other != INSTRUCTION


@pytest.mark.parametrize(
    "changes", [{"question": "How deep?"}, {"options": ("2 m", "1 m")}, {"context": "At sea."}]
)
def test_an_id_changes_with_question_options_and_context(changes: dict[str, Any]) -> None:
    fields = INSTRUCTION.model_dump() | changes
    assert Instruction(**fields).id != INSTRUCTION.id


def test_reading_an_id_does_not_change_equality_or_hash() -> None:
    fresh, known = (Instruction(**INSTRUCTION.model_dump()) for _ in range(2))
    assert known.id
    assert (fresh, hash(fresh)) == (known, hash(known))


def test_a_row_id_is_of_task_instruction_and_response() -> None:
    assert row(model="other", teacher="simulated").id == row().id
    assert row(response="it is 4").id != row().id
    assert row(task="waves").id != row().id


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=5))
def test_the_order_of_a_mapping_does_not_change_its_id(value: dict[str, Any]) -> None:
    assert content_id(dict(reversed(value.items()))) == content_id(value)


@pytest.mark.parametrize("text", ["é", "水", "\U0001f30a", "\x00", "a\u2028b", "\ud800", "e\u0301"])
def test_any_text_has_an_id(text: str) -> None:
    assert len(content_id(text)) == 16
    assert content_id(text) != content_id("e")


def test_spellings_that_only_look_alike_are_different() -> None:
    assert content_id("é") != content_id("e\u0301")
    assert content_id([1]) != content_id(["1"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([value])


def test_a_student_is_shown_context_question_and_lettered_options() -> None:
    shown = Instruction(**INSTRUCTION.model_dump() | {"context": "At sea."})
    assert shown.text == "At sea.\n\nHow high?\n\nA. 1 m\nB. 2 m"
    assert Instruction(keywords=("a",), level=BloomLevel.APPLY, question="q").text == "q"


def test_the_losing_samples_are_the_readable_ones_that_said_something_else() -> None:
    assert [sample.number for sample in vote().losing] == [1]


def test_only_an_accepted_vote_makes_a_row() -> None:
    for refused in (vote(accepted=False), vote(winner=None)):
        with pytest.raises(ValueError, match="only an accepted vote"):
            make_row(INSTRUCTION, refused, response="r", task="t", teacher="model", model="m")


@pytest.mark.parametrize("agreement", [-0.1, 1.1])
def test_an_agreement_is_a_share(agreement: float) -> None:
    with pytest.raises(ValidationError, match="agreement"):
        vote(agreement=agreement)


def test_a_row_reads_as_a_conversation() -> None:
    assert row().messages == (
        {"role": "user", "content": "How high?\n\nA. 1 m\nB. 2 m"},
        {"role": "assistant", "content": "2 + 2"},
    )
