"""Limits by hand: requests and tokens a minute (pure: no clock, no loop).

Token buckets, filled as time goes. A call reserves one request and the tokens it will probably take;
its usage settles the difference. Waiting for a bucket never times out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

MINUTE_S = 60.0
SHARE = 600  # of a minute's allowance that may leave at once, after a rest: a tenth of a second's
_RECENT = 0.05  # weight of the newest reply in the running means
_TOKENS_A_CHARACTER = 0.3  # of a prompt, until replies have told better
_REPLY_TOKENS = 512.0  # of a reply, until replies have told better


class Bucket:
    """A token bucket that lets at most `per_minute` units through in any minute.

    In symbols: capacity c = max(1, per_minute / 600), refill (per_minute - c + 1) / 60 a second. In
    any minute less than c + 60 x refill = per_minute + 1 leave. What is larger than the capacity
    leaves when the bucket is full and puts it in debt, so the promise then holds up to one such call.

    Args:
        per_minute: the limit, at least 1.
    """

    def __init__(self, per_minute: int) -> None:
        self.capacity = max(1.0, per_minute / SHARE)
        self._refill_a_s = (per_minute - self.capacity + 1) / MINUTE_S
        self._level = self.capacity
        self._at_s: float | None = None

    def wait_s(self, now_s: float, units: float) -> float:
        """Return how long until `units` may leave, seconds; 0 for now."""
        missing = min(units, self.capacity) - self._filled(now_s)
        # Below a billionth it is rounding, and would be waited for again and again.
        return missing / self._refill_a_s if missing > 1e-9 else 0.0

    def take(self, now_s: float, units: float) -> None:
        """Let `units` leave."""
        self._level = self._filled(now_s) - units

    def give(self, now_s: float, units: float) -> None:
        """Put back what was reserved and not used; below 0, take what was used beyond."""
        self._level = min(self.capacity, self._filled(now_s) + units)

    def _filled(self, now_s: float) -> float:
        if self._at_s is None:
            self._at_s = now_s
        passed_s = max(0.0, now_s - self._at_s)
        self._at_s = max(self._at_s, now_s)
        self._level = min(self.capacity, self._level + passed_s * self._refill_a_s)
        return self._level


@dataclass(slots=True)
class Estimate:
    """What a call will probably take in tokens, learnt from the usage of those before it."""

    tokens_a_character: float = _TOKENS_A_CHARACTER
    reply_tokens: float = _REPLY_TOKENS

    def of(self, characters: int, choices: int = 1) -> float:
        """Return the tokens of a call: its prompt once, and a reply for each choice."""
        return self.tokens_a_character * characters + self.reply_tokens * choices

    def learn(
        self, characters: int, input_tokens: int | None, output_tokens: int | None, choices: int = 1
    ) -> None:
        """Take in the usage of a call; None is what the endpoint does not say."""
        if characters and input_tokens is not None:
            self.tokens_a_character += _RECENT * (
                input_tokens / characters - self.tokens_a_character
            )
        if output_tokens is not None:
            self.reply_tokens += _RECENT * (output_tokens / choices - self.reply_tokens)


class Pace:
    """The limits by hand of one (endpoint, model).

    Args:
        rpm: requests a minute, retries counted; None for no limit.
        tpm: tokens a minute, prompts and replies; None for no limit.
    """

    def __init__(self, rpm: int | None = None, tpm: int | None = None) -> None:
        self.rpm, self.tpm = rpm, tpm
        self._requests = None if rpm is None else Bucket(rpm)
        self._tokens = None if tpm is None else Bucket(tpm)
        self.estimate = Estimate()

    @classmethod
    def of(cls, rpm: int | None, tpm: int | None) -> Self | None:
        """Return the limits, or None where there are none."""
        return None if rpm is None and tpm is None else cls(rpm, tpm)

    def wait_s(self, now_s: float, tokens: float) -> float:
        """Return how long until a call of so many tokens may leave, seconds; 0 for now."""
        waits = [0.0]
        if self._requests is not None:
            waits.append(self._requests.wait_s(now_s, 1))
        if self._tokens is not None:
            waits.append(self._tokens.wait_s(now_s, tokens))
        return max(waits)

    def take(self, now_s: float, tokens: float) -> None:
        """Reserve one request and `tokens`."""
        if self._requests is not None:
            self._requests.take(now_s, 1)
        if self._tokens is not None:
            self._tokens.take(now_s, tokens)

    def give_back(self, now_s: float, tokens: float) -> None:
        """Free the reservation of a call that never left."""
        if self._requests is not None:
            self._requests.give(now_s, 1)
        self.settle(now_s, tokens, 0)

    def settle(self, now_s: float, reserved: float, used: float) -> None:
        """Replace what a call reserved by what it used."""
        if self._tokens is not None:
            self._tokens.give(now_s, reserved - used)
