"""Prices as they are given on the command line: USD for a million tokens in and out."""

from __future__ import annotations

import math
from collections.abc import Iterable

from signatures.errors import ConfigError


def read_price(option: str, text: str) -> tuple[float, float]:
    """Return the price that `IN,OUT` means, USD for a million tokens.

    Example:
        >>> read_price("--price", "0.4, 1.6")
        (0.4, 1.6)

    Raises:
        ConfigError: it is not two numbers of at least 0.
    """
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        read = written = math.nan
    if not (0 <= read < math.inf and 0 <= written < math.inf):
        raise ConfigError.rule(
            "Reading the options failed",
            name=option,
            rule="be two numbers of at least 0, IN,OUT: USD for a million tokens in and out",
            value=text,
            todo="Write for example --price 0.4,1.6, and --price 0,0 for what is free.",
        )
    return read, written


def read_stage_prices(texts: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Return the prices that `STAGE=IN,OUT` mean, by stage (of a compile by part).

    Raises:
        ConfigError: one has another form.
    """
    prices = {}
    for text in texts:
        stage, equals, price = text.partition("=")
        if not equals:
            raise ConfigError.rule(
                "Reading the options failed",
                name="--price-for",
                rule="be STAGE=IN,OUT",
                value=text,
                todo="Write for example --price-for answers=2,8.",
            )
        prices[stage.strip()] = read_price("--price-for", price)
    return prices
