"""One meaning for a reply's usage: the input with what was cached, the output with the thinking.

The native engine passes on what a provider says, and providers mean different things by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dspy.lm15 import Usage

# As in DSPy's own pricing (`dspy.clients.costs`): whose output leaves the thinking out.
_THINKING_APART = frozenset({"gemini", "vertex", "vertex-express", "xai"})
_MOST = 1 << 53  # tokens; no reply has so many, and a store can hold them
_CACHED_APART = "anthropic"  # whose input leaves out what was read from or written to a cache


def sound_usage(reported: Any) -> dict[str, Any]:
    """Return what a server reports of its tokens, without what is no count of them.

    A text that was paid is not lost for a count that makes no sense: that one is not reported then.
    So is a prompt of no tokens, which Ollama reports for one that it had cached: there is none.

    Args:
        reported: `usage` of a body, of any shape.
    """
    if not isinstance(reported, Mapping):
        return {}
    sound: dict[str, Any] = {}
    for name, value in reported.items():
        if isinstance(value, Mapping):
            sound[name] = sound_usage(value)
        elif str(name).endswith("tokens"):
            if type(value) is int and (name == "prompt_tokens") <= value <= _MOST:
                sound[name] = value
        elif not str(name).endswith("details"):
            sound[name] = value
    return sound


def whole_usage(usage: Usage, provider: str) -> Usage:
    """Return a usage whose input and output are all that was read and written.

    A part that is not reported counts as nothing; a total that is not reported stays so.

    Args:
        usage: as the native engine gave it.
        provider: the native engine's id of the provider.
    """
    read, written = usage.input_tokens, usage.output_tokens
    if read is not None and provider.endswith(_CACHED_APART):
        read += (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    if written is not None and provider in _THINKING_APART:
        written += usage.reasoning_tokens or 0
    if (read, written) == (usage.input_tokens, usage.output_tokens):
        return usage
    return replace(usage, input_tokens=read, output_tokens=written)
