"""Amounts of money for people: as many digits as matter, and a word where nothing is known."""

from __future__ import annotations

import math

_DIGITS = 3  # significant ones, of amounts below a dollar


def dollars(usd: float | None, at_least_usd: float = 0.0) -> str:
    """Return an amount in US dollars; unknown is never shown as 0.

    Example:
        >>> dollars(12.3456), dollars(0.00123456), dollars(0), dollars(None)
        ('12.35 USD', '0.00123 USD', '0 USD', 'unknown')
        >>> dollars(None, at_least_usd=1.5)
        'at least 1.50 USD'
    """
    if usd is None:
        return f"at least {dollars(at_least_usd)}" if at_least_usd > 0 else "unknown"
    if usd == 0:
        return "0 USD"
    decimals = 2 if usd >= 1 else _DIGITS - 1 - math.floor(math.log10(usd))
    return f"{usd:,.{decimals}f} USD"
