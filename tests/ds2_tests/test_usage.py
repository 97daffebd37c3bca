from __future__ import annotations

import pytest
from dspy.lm15 import Usage

from ds2.engines.usage import whole_usage

SAID = Usage(
    input_tokens=100,
    output_tokens=50,
    reasoning_tokens=30,
    cache_read_tokens=20,
    cache_write_tokens=7,
)


@pytest.mark.parametrize(
    ("provider", "read", "written"),
    [
        ("openai-chat", 100, 50),
        ("ds2-server", 100, 50),
        ("anthropic", 127, 50),
        ("bedrock-anthropic", 127, 50),
        ("gemini", 100, 80),
        ("xai", 100, 80),
    ],
)
def test_every_provider_s_usage_comes_to_the_same_meaning(
    provider: str, read: int, written: int
) -> None:
    whole = whole_usage(SAID, provider)
    assert (whole.input_tokens, whole.output_tokens) == (read, written)
    assert whole.reasoning_tokens == 30


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "openai-chat"])
def test_what_is_not_reported_stays_unreported(provider: str) -> None:
    assert whole_usage(Usage(), provider) == Usage()
    some = Usage(input_tokens=5, output_tokens=3)
    assert whole_usage(some, provider) is some
