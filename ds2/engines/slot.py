"""One call of a limiter: what it reserved, when it was sent, how it went."""

from __future__ import annotations

from dataclasses import dataclass

from dspy import lm15

from ds2.engines.pace import Pace
from ds2.engines.retry import is_overload

_WORDS = 160  # characters of an endpoint's own words in a notice


@dataclass(slots=True)
class Slot:
    """One call: when it was sent, by the steady clock, and how it went.

    Args:
        characters: of its prompt.
        choices: replies that it asks for.
        sent_s: when it was sent, seconds; None while it waits.
        limit: the limit on calls in flight that it was sent under, where one follows the endpoint.
        probe: it looks whether an endpoint that was down is back.
        tokens: what it reserved of the tokens a minute.
        overloaded: the endpoint turned it away because it has too much to do.
        retry_after_s: how long the endpoint asked everyone to wait; None where it did not say.
        replied: it brought a reply.
        error: the weather that it met.
        usage: what its reply took, where the endpoint says so.
    """

    characters: int = 0
    choices: int = 1
    sent_s: float | None = None
    limit: int = 1
    probe: bool = False
    tokens: float = 0.0
    overloaded: bool = False
    retry_after_s: float | None = None
    replied: bool = False
    error: Exception | None = None
    usage: lm15.Usage | None = None

    def answered(self, usage: lm15.Usage | None = None) -> None:
        """Note that the call brought a reply."""
        self.replied, self.usage = True, usage

    def failed(self, error: Exception) -> None:
        """Note the weather that the call met."""
        self.error, self.overloaded = error, is_overload(error)
        self.retry_after_s = getattr(error, "retry_after", None)


def pay(pace: Pace, slot: Slot, now_s: float, *, unsent: bool) -> None:
    """Settle what a call reserved by what it used; all of it comes back where it never left."""
    if unsent:
        pace.give_back(now_s, slot.tokens)
        return
    usage = slot.usage
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return  # what it reserved stands: an endpoint that says nothing may still have counted
    pace.estimate.learn(slot.characters, usage.input_tokens, usage.output_tokens, slot.choices)
    pace.settle(now_s, slot.tokens, usage.input_tokens + usage.output_tokens)


def words_of(error: Exception) -> str:
    """Return status and first paragraph of an error, in one printable line, cut short."""
    said = " ".join(str(getattr(error, "message", error)).split("\n\n", 1)[0].split())
    said = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in said)
    said = said if len(said) <= _WORDS else said[:_WORDS] + "..."
    status = getattr(error, "status", None)
    return said if status is None else f"{status} ({said})"
