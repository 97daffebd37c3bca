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

    A prompt with a value that is neither text, a number, nor a list of those is rendered each time,
    as is one whose messages hold more than text.
    """

    _rendered: Memo[tuple[tuple[str, str], ...]]

    def format(
        self, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        key = _key(signature, demos, inputs)
        turns = None if key is None else self._rendered.get(key)
        if turns is not None:
            return [{"role": role, "content": content} for role, content in turns]
        messages: list[dict[str, Any]] = super().format(signature, demos, inputs)  # type: ignore[misc]
        if key is not None and all(
            m.keys() == {"role", "content"} and isinstance(m["content"], str) for m in messages
        ):
            self._rendered.put(key, tuple((m["role"], m["content"]) for m in messages))
        return messages


class ChatAdapter(_Once, dspy.ChatAdapter):
    """`dspy.ChatAdapter`, rendering once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rendered = Memo(_REMEMBERED)


class JSONAdapter(_Once, dspy.JSONAdapter):
    """`dspy.JSONAdapter`, rendering once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rendered = Memo(_REMEMBERED)


def _key(signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]) -> Hashable:
    """Return what decides the messages; None where it cannot be told by values."""
    parts = [_frozen(inputs), *(_frozen(demo) for demo in demos)]
    return None if None in parts else (signature, *parts)


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
