from __future__ import annotations

import pytest
from dspy.clients import model_metadata

from ds2.engines.prices import FREE, Price, given_price, table_price
from ds2.engines.resolve import resolve_backend

TABLE = {
    "small": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1.1e-06,
        "output_cost_per_token": 4.4e-06,
    },
    "gemini/thinker": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
        "output_cost_per_reasoning_token": 5e-06,
    },
    "zero": {
        "litellm_provider": "openai",
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 0,
    },
    "half": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
    "wrong": {
        "litellm_provider": "openai",
        "input_cost_per_token": "1e-06",
        "output_cost_per_token": True,
    },
    "tiers": {"litellm_provider": "openai", "tiered_pricing": [{"input_cost_per_token": 1e-06}]},
    "rival/small": {
        "litellm_provider": "rival",
        "input_cost_per_token": 9e-06,
        "output_cost_per_token": 9e-06,
    },
}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a small table in the place of DSPy's bundled one."""
    monkeypatch.setattr(model_metadata, "_data", TABLE)


@pytest.mark.usefixtures("table")
def test_a_listed_price_is_read_as_dollars_for_a_million_tokens() -> None:
    assert table_price("openai-chat", "small") == Price(1.1, 4.4, 4.4, "table")
    assert table_price("gemini", "thinker") == Price(1.0, 2.0, 5.0, "table")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("model", ["nowhere", "zero", "half", "wrong", "tiers", "sample_spec", ""])
def test_what_the_table_does_not_say_is_unknown_and_never_zero(model: str) -> None:
    assert table_price("openai-chat", model) is None


@pytest.mark.usefixtures("table")
def test_another_providers_price_for_the_same_name_is_not_taken() -> None:
    assert table_price("rival", "small") == Price(9.0, 9.0, 9.0, "table")
    assert table_price("stranger", "small") is None
    assert table_price("openai-codex", "small") is None  # a login billed by the month


def test_the_bundled_table_knows_a_well_known_model() -> None:
    backend = resolve_backend("openai/gpt-4.1-mini", environ={"OPENAI_API_KEY": "k"})
    assert backend.price is not None
    assert backend.price.source == "table"
    assert 0 < backend.price.input_usd < backend.price.output_usd


@pytest.mark.parametrize(
    ("model", "api_base", "known"),
    [
        (None, None, True),
        ("simulated", "http://localhost:9/v1", True),
        ("openai/gpt-4.1-mini", "http://localhost:9/v1", False),
        ("ollama/llama3.1", None, False),
        ("gpt-4.1-mini", "https://api.openai.com/v1", True),
        ("gpt-4.1-mini", "https://api.openai.com.example/v1", False),
    ],
    ids=["simulated", "simulated served", "own server", "ollama", "own host", "look-alike"],
)
def test_a_server_of_ones_own_has_no_price_unless_it_is_given(
    model: str | None, api_base: str | None, known: bool
) -> None:
    backend = resolve_backend(model, api_base=api_base, environ={})
    assert (backend.price is not None) is known
    if model in (None, "simulated"):
        assert backend.price == FREE


def test_thinking_is_priced_by_its_own_rate_and_is_part_of_the_output() -> None:
    price = Price(1.0, 2.0, 5.0, "table")
    assert price.cost_usd(1_000_000, 3_000_000, 1_000_000) == pytest.approx(1 + 2 * 2 + 5)
    assert price.most_output_usd == 5.0


def test_only_a_price_of_nothing_is_free() -> None:
    assert FREE.is_free
    assert given_price(0, 0).is_free
    assert not given_price(0, 0.1).is_free
