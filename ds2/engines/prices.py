"""What a million tokens cost: from DSPy's bundled table, given by the user, or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_MILLION = 1_000_000
# Logins that are billed by the month: the table's rates a token are not what they cost.
_SUBSCRIPTIONS = frozenset({"claude-code", "openai-codex"})


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one model, USD for a million tokens. Unknown is None in its place, never 0.

    Args:
        input_usd: for tokens of the prompt, cached or not.
        output_usd: for tokens of the reply.
        reasoning_usd: for those of the reply's tokens that were thinking.
        source: `free` (nothing is billed), `given` by the user, or from the `table`.
    """

    input_usd: float
    output_usd: float
    reasoning_usd: float
    source: Literal["free", "given", "table"]

    @property
    def is_free(self) -> bool:
        """Return whether nothing is billed, whatever is used."""
        return self.input_usd == self.output_usd == self.reasoning_usd == 0

    @property
    def rates(self) -> tuple[float, float, float]:
        """Return what it asks for tokens in, out and of thinking, wherever it is from."""
        return self.input_usd, self.output_usd, self.reasoning_usd

    @property
    def most_output_usd(self) -> float:
        """Return the most a million tokens of a reply can cost."""
        return max(self.output_usd, self.reasoning_usd)

    def cost_usd(
        self, input_tokens: float, output_tokens: float, reasoning_tokens: float = 0
    ) -> float:
        """Return the price of some usage; the tokens of thinking are among those of the output.

        Example:
            >>> round(given_price(0.4, 1.6).cost_usd(1000, 500), 6)
            0.0012
        """
        plain = output_tokens - reasoning_tokens
        return (
            input_tokens * self.input_usd
            + plain * self.output_usd
            + reasoning_tokens * self.reasoning_usd
        ) / _MILLION


FREE = Price(0.0, 0.0, 0.0, "free")


def given_price(input_usd: float, output_usd: float) -> Price:
    """Return a price that the user states, USD for a million tokens; thinking costs like output."""
    return Price(float(input_usd), float(output_usd), float(output_usd), "given")


def table_price(provider: str, model: str) -> Price | None:
    """Return the price that DSPy's bundled table lists, or None where it lists none.

    The ordinary rate is taken: no batch, no priority, no discount for a cached prompt, no other rate
    above a length that prompts of a run do not reach. So where a provider discounts cached prompts,
    costs are an upper figure. Unknown are: an entry without both rates; one that lists 0 for both,
    which the table does for what is free and for what it does not know alike; tiered rates; logins
    that are billed by the month.

    The caller keeps the table from being fetched (see `ds2.engines.providers.stay_offline`).

    Args:
        provider: as DSPy's native engine or LiteLLM calls it.
        model: the name without the provider's prefix.
    """
    from dspy.clients.model_metadata import model_info, rate

    if provider in _SUBSCRIPTIONS:
        return None
    entry = model_info(provider, model)
    read = rate(entry, "input_cost_per_token")
    written = rate(entry, "output_cost_per_token")
    if read is None or written is None or read == written == 0:
        return None
    thought = rate(entry, "output_cost_per_reasoning_token") or written
    return Price(_per_million(read), _per_million(written), _per_million(thought), "table")


def _per_million(rate: float) -> float:
    # Rates are listed with few digits and meant so, but 1.1e-06 x 1e6 is 1.0999999999999999.
    return float(f"{rate * _MILLION:.12g}")
