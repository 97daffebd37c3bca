"""Calls, tokens and dollars together: what is spent, reserved, allowed or lost."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias


class Amount(NamedTuple):
    """Something spent, reserved or allowed."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def plus(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(self.calls + other.calls, self.tokens + other.tokens, self.usd + other.usd)

    def less(self, other: Amount) -> Amount:
        """Return this without the other."""
        return Amount(self.calls - other.calls, self.tokens - other.tokens, self.usd - other.usd)

    def within(self, other: Amount) -> bool:
        """Return whether this is nowhere above the other."""
        return self.calls <= other.calls and self.tokens <= other.tokens and self.usd <= other.usd

    def least(self, other: Amount) -> Amount:
        """Return the lesser of both in calls, in tokens and in dollars."""
        return Amount(
            min(self.calls, other.calls), min(self.tokens, other.tokens), min(self.usd, other.usd)
        )

    def most(self, other: Amount) -> Amount:
        """Return the greater of both in calls, in tokens and in dollars."""
        return Amount(
            max(self.calls, other.calls), max(self.tokens, other.tokens), max(self.usd, other.usd)
        )


#: Why a call that may be billed brought no reply: we gave it up, the weather took it, or its process
#: ended without a word.
Why: TypeAlias = Literal["cancelled", "failed", "killed"]


class Lost(NamedTuple):
    """What calls that brought no reply may be billed for, at the most that they could come to.

    Args:
        cancelled: calls that were cancelled on the wire.
        failed: calls that timed out, broke off, or brought what cannot be read.
        tokens, usd: of all.
        killed: calls that may have been in flight when a process ended without a word.
    """

    cancelled: int = 0
    failed: int = 0
    tokens: int = 0
    usd: float = 0.0
    killed: int = 0

    @property
    def amount(self) -> Amount:
        """Return all of it as an amount."""
        return Amount(self.cancelled + self.failed + self.killed, self.tokens, self.usd)

    def plus(self, why: Why, amount: Amount) -> Lost:
        """Return it with one loss more."""
        return Lost(
            self.cancelled + amount.calls * (why == "cancelled"),
            self.failed + amount.calls * (why == "failed"),
            self.tokens + amount.tokens,
            self.usd + amount.usd,
            self.killed + amount.calls * (why == "killed"),
        )
