"""Inequalities of one variable as intervals: `0 ≤ x < 1` and `[0,1)` are one set of numbers.

Read are one comparison with the variable on either side, a chain of two that point the same way, a
lower and an upper bound joined by `and` or a comma, such parts joined by `or`, and `x ≠ a`. The
variable's name does not count, as in `x=3`. Nothing is solved: `2x > 4` is compared as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

VARIABLE = r"(?:[A-Za-z]|\\[a-z]+)(?:_\{\w{1,8}\}|_\w)?"
"""A single symbol, as it stands in a cleaned text."""

_SYMBOL = re.compile(VARIABLE)
_SIGN = re.compile(r"[<>≤≥≠]")
_OR = re.compile(r"\bor\b|∪|∨")
_AND = re.compile(r"\band\b|∧|,")
_DOMAIN = re.compile(rf",? ?{VARIABLE} ?∈ ?ℝ ?,?")
_BUILDER = re.compile(rf"⦃ ?{VARIABLE} ?(?:∈ ?ℝ ?)?[|:](.+)⦄")
_TURNED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_MAX_PARTS = 8


class Interval(NamedTuple):
    """A set of real numbers between two bounds; None where there is no bound."""

    low: str | None
    low_in: bool
    high: str | None
    high_in: bool

    def write(self) -> str:
        """Return the interval's key, as that of a written interval."""
        low, high = self.low or "-∞", self.high or "∞"
        return f"{'[' if self.low_in else '('}{low},{high}{']' if self.high_in else ')'}"


def interval_key(text: str, key: Callable[[str], str]) -> str | None:
    """Return the key of the numbers that satisfy an inequality, or None where it cannot be read.

    Args:
        text: a cleaned expression that holds a sign of comparison.
        key: returns the key of a bound.
    """
    builder = _BUILDER.fullmatch(text)
    text = _DOMAIN.sub(" ", builder[1] if builder else text).strip()
    parts = _OR.split(text)
    if len(parts) > _MAX_PARTS:
        return None
    names: set[str] = set()
    found: list[Interval] = []
    for part in parts:
        intervals = _conjunction(part, key, names)
        if intervals is None:
            return None
        found += intervals
    if len(names) != 1:
        return None
    return "∪".join(sorted({interval.write() for interval in found}))


def _conjunction(part: str, key: Callable[[str], str], names: set[str]) -> list[Interval] | None:
    each = [_comparison(one.strip(), key, names) for one in _AND.split(part) if one.strip()]
    read = [intervals for intervals in each if intervals is not None]
    if len(read) < len(each) or not each:
        return None
    if len(read) == 1:
        return read[0]
    if len(read) > 2 or any(len(intervals) > 1 for intervals in read):
        return None
    (first,), (second,) = read
    low = first if first.high is None else second
    high = second if low is first else first
    if low.high is not None or high.low is not None:
        return None
    return [Interval(low.low, low.low_in, high.high, high.high_in)]


def _comparison(text: str, key: Callable[[str], str], names: set[str]) -> list[Interval] | None:
    sides = [side.strip() for side in _SIGN.split(text)]
    signs = _SIGN.findall(text)
    if not all(sides) or len(signs) not in (1, 2):
        return None
    if len(signs) == 1:
        return _half_line(sides[0], signs[0], sides[1], key, names)
    left = _half_line(sides[1], _TURNED.get(signs[0], ""), sides[0], key, names)
    right = _half_line(sides[1], signs[1], sides[2], key, names)
    if left is None or right is None or "≠" in signs:
        return None
    low, high = (left[0], right[0]) if right[0].low is None else (right[0], left[0])
    if low.low is None or high.high is None or low.high is not None or high.low is not None:
        return None
    return [Interval(low.low, low.low_in, high.high, high.high_in)]


def _half_line(
    variable: str, sign: str, bound: str, key: Callable[[str], str], names: set[str]
) -> list[Interval] | None:
    if not _SYMBOL.fullmatch(variable):
        variable, bound, sign = bound, variable, _TURNED.get(sign, sign)
    if not _SYMBOL.fullmatch(variable) or holds(bound, variable):
        return None
    names.add(variable)
    limit = key(bound)
    if "∞" in limit:
        limit_low = limit_high = None
    else:
        limit_low = limit_high = limit
    match sign:
        case "<" | "≤":
            return [Interval(None, False, limit_high, sign == "≤" and limit_high is not None)]
        case ">" | "≥":
            return [Interval(limit_low, sign == "≥" and limit_low is not None, None, False)]
        case "≠":
            return [Interval(None, False, limit, False), Interval(limit, False, None, False)]
        case _:
            return None


def holds(expression: str, symbol: str) -> bool:
    """Return whether a symbol occurs in an expression."""
    return re.search(rf"(?<![A-Za-z\\]){re.escape(symbol)}(?![A-Za-z_])", expression) is not None
