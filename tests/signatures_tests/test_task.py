from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from signatures.errors import TaskError
from signatures.task import (
    BUILT_IN,
    AnswerFormat,
    AnswerKind,
    TaskSpec,
    load_task,
    parse_task,
    task_source,
)

GOOD = """\
name: tides
domain: oceanography
description: Questions on tides and currents.
answer:
  kind: number
"""


def told(source: str) -> str:
    with pytest.raises(TaskError) as caught:
        parse_task(source, where="my.yaml")
    assert caught.value.exit_code == 2
    return str(caught.value)


def answer(**fields: Any) -> AnswerFormat:
    return AnswerFormat(**fields)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_task_loads_under_its_own_name(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.english
    assert task == parse_task(task_source(name))


def test_a_task_is_frozen() -> None:
    task = parse_task(GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        task.name = "other"
    with pytest.raises(ValidationError, match="frozen"):
        task.answer.kind = AnswerKind.TEXT


def test_what_is_not_given_has_a_default() -> None:
    task = parse_task(GOOD)
    assert (task.language, task.context, task.notes, task.benchmark) == (
        "English",
        "none",
        (),
        None,
    )


@pytest.mark.parametrize(
    ("wrong", "line", "field", "rule", "value"),
    [
        pytest.param(
            GOOD + "colour: red\n", 6, "colour", "known fields name, domain", "'red'", id="unknown"
        ),
        pytest.param(
            GOOD + "  option: 4\n",
            6,
            "answer.option",
            "known fields kind, options",
            "4",
            id="unknown-inside",
        ),
        pytest.param(
            GOOD.replace("domain: oceanography\n", ""),
            1,
            "domain",
            "be given",
            "'nothing'",
            id="missing",
        ),
        pytest.param(
            GOOD.replace("tides\n", "my tides\n", 1),
            1,
            "name",
            "match pattern",
            "'my tides'",
            id="name",
        ),
        pytest.param(
            GOOD.replace("oceanography", "''"), 2, "domain", "at least 1", "''", id="empty-domain"
        ),
        pytest.param(
            GOOD.replace("Questions on tides and currents.", "short"),
            3,
            "description",
            "at least 8",
            "'short'",
            id="short-description",
        ),
        pytest.param(
            GOOD.replace("number", "maths"), 5, "answer.kind", "'number'", "'maths'", id="kind"
        ),
        pytest.param(GOOD + "language: X\n", 6, "language", "at least 2", "'X'", id="language"),
        pytest.param(GOOD + "context: given\n", 6, "context", "'written'", "'given'", id="context"),
        pytest.param(
            GOOD + "notes:\n  - fine\n  - 7\n",
            8,
            "notes.1",
            "valid string",
            "7",
            id="note-a-number",
        ),
        pytest.param(
            GOOD + "notes: one note\n", 6, "notes", "valid tuple", "'one note'", id="notes-a-text"
        ),
        pytest.param(
            GOOD + "notes: [" + ", ".join("abcdefghijklm") + "]\n",
            6,
            "notes",
            "at most 12",
            "['a'",
            id="many-notes",
        ),
    ],
)
def test_a_broken_rule_names_file_line_field_rule_and_value(
    wrong: str, line: int, field: str, rule: str, value: str
) -> None:
    message = told(wrong)
    assert message.startswith(f"Reading my.yaml, line {line}, failed: {field} must ")
    assert rule in message
    assert f"(got {value}" in message


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        pytest.param("kind: choice", "name `options` for kind choice", id="choice-without-options"),
        pytest.param("{kind: number, options: 4}", "and only for it", id="options-without-choice"),
        pytest.param("{kind: choice, options: 1}", "hold sizes from 2 to 26", id="one-option"),
        pytest.param("{kind: choice, options: 27}", "hold sizes from 2 to 26", id="27-options"),
        pytest.param(
            "{kind: choice, options: [4, 30]}", "hold sizes from 2 to 26", id="one-of-two"
        ),
        pytest.param("kind: label", "name `labels` for kind label", id="label-without-labels"),
        pytest.param("{kind: text, labels: [a, b]}", "and only for it", id="labels-without-label"),
        pytest.param("{kind: label, labels: [a]}", "at least two different", id="one-label"),
        pytest.param("{kind: label, labels: [a, ' A']}", "at least two different", id="same-label"),
        pytest.param("{kind: label, labels: [a, ' ']}", "at least two different", id="empty-label"),
        pytest.param("{kind: text, closing: done}", "{answer} exactly once", id="no-place"),
        pytest.param("{kind: text, closing: '{answer}{answer}'}", "exactly once", id="two-places"),
        pytest.param("{kind: choice, options: true}", "valid tuple", id="options-a-boolean"),
    ],
)
def test_an_answer_format_that_contradicts_itself_is_refused(fields: str, rule: str) -> None:
    inside = fields if fields.startswith("{") else "{" + fields + "}"
    message = told(GOOD.replace("answer:\n  kind: number\n", f"answer: {inside}\n"))
    assert rule in message
    assert "line 4" in message
    assert "answer" in message


@pytest.mark.parametrize("size", [2, 26])
def test_a_choice_may_have_two_to_26_options(size: int) -> None:
    letters = answer(kind="choice", options=size).letters
    assert (len(letters), letters[0], letters[-1]) == (size, "A", chr(64 + size))


def test_several_sizes_of_a_choice_are_sorted_and_told_once() -> None:
    fmt = answer(kind="choice", options=[5, 4, 5])
    assert fmt.options == (4, 5)
    assert fmt.letters == ("A", "B", "C", "D", "E")


def test_bare_yes_and_no_of_yaml_mean_the_words() -> None:
    task = parse_task(GOOD.replace("kind: number", "kind: label\n  labels: [yes, no, maybe]"))
    assert task.answer.labels == ("yes", "no", "maybe")


@pytest.mark.parametrize(
    ("kind", "fields", "closing"),
    [
        ("number", {}, "final answer: 42"),
        ("expression", {}, r"\boxed{42}"),
        ("choice", {"options": 3}, "Answer: 42"),
        ("label", {"labels": ("a", "b")}, "Answer: 42"),
        ("text", {}, "final answer: 42"),
        ("open", {}, "42"),
        ("number", {"closing": "#### {answer}"}, "#### 42"),
    ],
)
def test_a_response_ends_as_its_format_says(
    kind: str, fields: dict[str, Any], closing: str
) -> None:
    assert answer(kind=kind, **fields).close("42") == closing


def test_an_answer_with_braces_closes_a_response_as_it_is() -> None:
    assert answer(kind="expression").close(r"\frac{1}{2}{answer}") == r"\boxed{\frac{1}{2}{answer}}"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        pytest.param("name: [a\ndomain: b", 2, id="open-bracket"),
        pytest.param("name: a\n\tdomain: b", 2, id="tab"),
        pytest.param("name: 'a", 1, id="open-quote"),
        pytest.param("a: b: c", 1, id="two-colons"),
        pytest.param("name: a\x00", 1, id="nul"),
        pytest.param("? [a]\n: b", 1, id="a-list-as-a-key"),
    ],
)
def test_malformed_yaml_is_told_with_its_line(source: str, line: int) -> None:
    message = told(source)
    assert f"Reading my.yaml, line {line}, failed" in message
    assert "be valid YAML" in message


@pytest.mark.parametrize("source", ["", "- a\n- b\n", "just words", "42", "# only a comment\n"])
def test_a_document_that_is_no_mapping_is_refused(source: str) -> None:
    assert "be a mapping of fields" in told(source)


def test_a_field_that_is_no_text_is_refused() -> None:
    assert "(got" in told("1: a\n" + GOOD)
    assert "name must" in told(GOOD.replace("tides\n", "2020-01-01\n", 1))


def test_an_unknown_name_lists_the_tasks_there_are() -> None:
    with pytest.raises(TaskError, match=r"be one of cfa, gpqa, gsm8k.* \(got 'gsm9k'\)"):
        load_task("gsm9k")


@pytest.mark.parametrize("path", ["nowhere.yaml", "./nowhere", "some/where.yml"])
def test_a_missing_file_is_told_by_its_path(path: str) -> None:
    with pytest.raises(TaskError, match="be a readable UTF-8 file") as caught:
        load_task(path)
    assert path in str(caught.value)


def test_a_folder_or_a_binary_file_is_no_task(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "b.yaml"):
        with pytest.raises(TaskError, match="be a readable UTF-8 file"):
            load_task(path)


@pytest.mark.parametrize("dress", ["\ufeff{}", "{}"], ids=["byte-order-mark", "plain"])
def test_a_file_loads_by_its_path(tmp_path: Path, dress: str) -> None:
    path = tmp_path / "gezeiten.yaml"
    text = dress.format(GOOD.replace("oceanography", "Meereskunde, Ästuare")).replace("\n", "\r\n")
    path.write_bytes(text.encode())
    assert load_task(path).domain == "Meereskunde, Ästuare"
    assert load_task(str(path)) == load_task(path)


@pytest.mark.parametrize(
    ("language", "english"),
    [
        ("English", True),
        ("english (simple)", True),
        ("en", True),
        ("Japanese", False),
        ("日本語", False),
    ],
)
def test_only_english_counts_as_english(language: str, english: bool) -> None:
    assert TaskSpec.model_validate(
        {
            "name": "t",
            "domain": "d",
            "description": "long enough",
            "answer": {"kind": "text"},
            "language": language,
        }
    ).english is english  # fmt: skip


def test_a_value_as_long_as_a_book_is_cut_in_the_message() -> None:
    assert len(told(GOOD.replace("oceanography", "x" * 5000))) < 500
