"""A prompt that is rendered once is the prompt that DSPy renders."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from ds2.engines.adapters import ChatAdapter, JSONAdapter


class Ask(dspy.Signature):
    """Answer the question."""

    question: str = dspy.InputField()
    options: list[str] = dspy.InputField()
    answer: str = dspy.OutputField()


class Other(Ask):
    """Answer the question in one word."""


DEMO = {"question": "2 + 2?", "options": ["A. 4"], "answer": "4"}
ADAPTERS = [(ChatAdapter, dspy.ChatAdapter), (JSONAdapter, dspy.JSONAdapter)]


class Numbered(str):
    """A text that is more than a text."""


@pytest.mark.parametrize(("ours", "theirs"), ADAPTERS, ids=["chat", "json"])
def test_messages_are_those_of_dspy_whatever_came_before(ours: Any, theirs: Any) -> None:
    once = ours()
    asked: list[tuple[Any, list[Any], dict[str, Any]]] = [
        (Ask, [], {"question": "1?", "options": ["A. 1"]}),
        (Ask, [], {"question": "1?", "options": ("A. 1",)}),
        (Ask, [], {"question": 1, "options": ["A. 1"]}),
        (Ask, [], {"question": True, "options": ["A. 1"]}),
        (Ask, [], {"question": Numbered("1?"), "options": [{"A": 1}]}),
        (Other, [], {"question": "1?", "options": ["A. 1"]}),
        (Ask, [DEMO], {"question": "1?", "options": ["A. 1"]}),
        (Ask, [dspy.Example(**DEMO)], {"question": "1?", "options": ["A. 1"]}),
        (Ask, [{**DEMO, "answer": "5"}], {"question": "1?", "options": ["A. 1"]}),
    ]
    for signature, demos, inputs in asked * 2:
        assert once.format(signature, demos, inputs) == theirs().format(signature, demos, inputs)


def test_a_prompt_is_rendered_once_for_all_its_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[Any] = []
    original = dspy.ChatAdapter.format_system_message

    def watched(self: Any, signature: Any) -> Any:
        rendered.append(signature)
        return original(self, signature)

    monkeypatch.setattr(dspy.ChatAdapter, "format_system_message", watched)
    once = ChatAdapter()
    for _ in range(5):
        messages = once.format(Ask, [DEMO], {"question": "1?", "options": ["A. 1"]})
        messages[0]["content"] = "changed by whoever got it"
    assert len(rendered) == 1
    fresh = once.format(Ask, [DEMO], {"question": "1?", "options": ["A. 1"]})
    assert fresh[0]["content"] != "changed by whoever got it"


def test_what_does_not_hang_on_the_question_is_rendered_once_for_all_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendered: list[str] = []
    for name in ("format_system_message", "format_demos"):
        original = getattr(dspy.ChatAdapter, name)

        def watched(self: Any, *args: Any, name: str = name, original: Any = original) -> Any:
            rendered.append(name)
            return original(self, *args)

        monkeypatch.setattr(dspy.ChatAdapter, name, watched)
    once = ChatAdapter()
    for number in range(3):
        once.format(Ask, [DEMO], {"question": f"{number}?", "options": ["A. 1"]})
    assert sorted(rendered) == ["format_demos", "format_system_message"]


@pytest.mark.parametrize(("ours", "theirs"), ADAPTERS, ids=["chat", "json"])
def test_instructions_that_are_changed_in_place_are_rendered_anew(ours: Any, theirs: Any) -> None:
    signature, once = Ask.with_instructions("Answer."), ours()
    inputs = {"question": "1?", "options": ["A. 1"]}
    once.format(signature, [], inputs)
    signature.instructions = "Answer in one word."
    assert once.format(signature, [], inputs) == theirs().format(signature, [], inputs)
