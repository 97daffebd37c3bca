"""DSPy's adapters, which render a prompt once for all draws of one instruction."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import dspy

from ds2.engines.memo import Memo

# The draws of one instruction come close together; what is remembered longer is only memory.
_REMEMBERED = 64
_SCALARS = frozenset({str, int, float, bool, type(None)})


class _Once:
    """Remembers the messages of the last prompts, by all that they are rendered from.

    What does not hang on the question (system message, demos) is remembered apart from it. A prompt
    with a value that is neither text, a number, nor a list of those is rendered each time, as is one
    whose messages hold more than text.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rendered, self._demos = _Turns(_REMEMBERED), _Turns(_REMEMBERED)
        self._systems: Memo[str] = Memo(_REMEMBERED)

    def format(
        self, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        key = _key(signature, demos, inputs)
        known = self._rendered.messages(key)
        if known:
            return known
        messages = super().format(signature, demos, inputs)  # type: ignore[misc]
        return self._rendered.noted(key, messages)

    def format_system_message(self, signature: Any) -> str:
        key = (signature, signature.__doc__)
        known = self._systems.get(key)
        if known:
            return known
        return self._systems.put(key, super().format_system_message(signature))  # type: ignore[misc]

    def format_demos(self, signature: Any, demos: Sequence[Any]) -> list[dict[str, Any]]:
        if not demos:
            return []
        key = _key(signature, demos, {})
        known = self._demos.messages(key)
        if known:
            return known
        return self._demos.noted(key, super().format_demos(signature, demos))  # type: ignore[misc]


class _Turns(Memo[tuple[tuple[str, str], ...]]):
    """Remembers messages of text; those of a key that is None are not remembered."""

    def messages(self, key: Hashable | None) -> list[dict[str, Any]]:
        """Return the messages of a key anew, none where they are not known."""
        turns = None if key is None else self.get(key)
        return [{"role": role, "content": content} for role, content in turns or ()]

    def noted(self, key: Hashable | None, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return messages, having remembered them where they are text."""
        if key is not None and all(
            m.keys() == {"role", "content"} and isinstance(m["content"], str) for m in messages
        ):
            self.put(key, tuple((m["role"], m["content"]) for m in messages))
        return messages


class ChatAdapter(_Once, dspy.ChatAdapter):
    """`dspy.ChatAdapter`, rendering once."""


class JSONAdapter(_Once, dspy.JSONAdapter):
    """`dspy.JSONAdapter`, rendering once."""


def _key(signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]) -> Hashable:
    """Return what decides the messages; None where it cannot be told by values."""
    parts = [_frozen(inputs), *(_frozen(demo) for demo in demos)]
    return None if None in parts else (signature, signature.__doc__, *parts)


def _frozen(values: Any) -> Hashable:
    frozen = []
    for name, value in values.items():
        kind = type(value)
        if kind in _SCALARS:
            frozen.append((name, kind, value))
        elif kind in (list, tuple) and all(type(item) is str for item in value):
            frozen.append((name, kind, tuple(value)))
        else:
            return None
    return tuple(frozen)
