"""One meaning for a reply's usage: the input with what was cached, the output with the thinking.

The native engine passes on what a provider says, and providers mean different things by it.
"""

from __future__ import annotations

from dataclasses import replace

from dspy.lm15 import Usage

# As in DSPy's own pricing (`dspy.clients.costs`): whose output leaves the thinking out.
_THINKING_APART = frozenset({"gemini", "vertex", "vertex-express", "xai"})
_CACHED_APART = "anthropic"  # whose input leaves out what was read from or written to a cache


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
