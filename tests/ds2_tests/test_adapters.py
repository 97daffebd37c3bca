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
