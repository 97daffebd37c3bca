"""Numbers in words, in English: `twelve`, `twenty-five`, `one hundred and six`, `two thirds`."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * (place + 2)
    for place, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    word + ending: place + 3
    for place, word in enumerate("third fourth fifth sixth seventh eighth ninth tenth".split())
    for ending in ("", "s")
}
_SIGNS = {"minus": -1, "negative": -1, "plus": 1}
_HEDGES = {"about", "approximately", "around", "exactly", "roughly", "only", "just", "nearly"}
_WORD = re.compile(r"[^\W\d_]+|\S")
_MAX_WORDS = 16
_MAX_UNIT_WORDS = 4


class Spoken(NamedTuple):
    """A number in words and the words after it."""

    value: Fraction
    rest: tuple[str, ...]


def spoken(text: str) -> Spoken | None:
    """Return the number that `text` begins with, written in words, or None.

    At most four words may follow (its unit), and none of them may be a number again: "one of the
    three" is no number.
    """
    words = _WORD.findall(text.casefold().replace("-", " "))[: _MAX_WORDS + 1]
    if not words or len(words) > _MAX_WORDS:
        return None
    at = 0
    while at < len(words) and words[at] in _HEDGES:
        at += 1
    sign = 1
    if at < len(words) and words[at] in _SIGNS:
        sign, at = _SIGNS[words[at]], at + 1
    value, after = _number(words, at)
    if value is None:
        return None
    rest = tuple(word for word in words[after:] if word.isalpha() or word == "%")
    if len(rest) > _MAX_UNIT_WORDS or any(word in _SMALL or word in _TENS for word in rest):
        return None
    if rest[:1] in (("of",), ("or",), ("to",)) and value.denominator == 1:
        return None
    return Spoken(sign * value, rest)


def _number(words: list[str], at: int) -> tuple[Fraction | None, int]:
    whole, after = _whole(words, at)
    if whole is None:
        return _part(words, at)
    if whole < 20 and words[after : after + 1] and words[after] in _PARTS:
        return Fraction(whole, _PARTS[words[after]]), after + 1
    if words[after : after + 1] == ["and"]:
        part, end = _part(words, after + 1)
        if part is not None:
            return whole + part, end
    return Fraction(whole), after


def _part(words: list[str], at: int) -> tuple[Fraction | None, int]:
    """Read `half`, `a third`, `three quarters`."""
    top = 1
    if words[at : at + 1] in (["a"], ["an"]):
        at += 1
    elif at + 1 < len(words) and words[at] in _SMALL:
        top, at = _SMALL[words[at]], at + 1
    elif words[at : at + 1] not in (["half"], ["quarter"]):
        return None, at
    if at < len(words) and words[at] in _PARTS:
        return Fraction(top, _PARTS[words[at]]), at + 1
    return None, at


def _whole(words: list[str], at: int) -> tuple[int | None, int]:
    """Read a whole number in words; `a hundred` counts, `a` alone does not."""
    total, group, seen = 0, 0, False
    if words[at : at + 1] == ["a"] and words[at + 1 : at + 2] and _is_scale(words[at + 1]):
        group, seen, at = 1, True, at + 1
    while at < len(words):
        word = words[at]
        if word in _SMALL and (group % 100 == 0 or (20 <= group % 100 and group % 10 == 0)):
            if seen and _SMALL[word] == 0:
                return None, at
            group += _SMALL[word]
        elif word in _TENS and group % 100 == 0:
            group += _TENS[word]
        elif word == "hundred" and 0 < group < 10:
            group *= 100
        elif word in _SCALES and 0 < group:
            total, group = total + group * _SCALES[word], 0
        elif word == "and" and seen and _continues(words, at + 1):
            pass
        else:
            break
        seen, at = True, at + 1
    return (total + group, at) if seen else (None, at)


def _is_scale(word: str) -> bool:
    return word == "hundred" or word in _SCALES


def _continues(words: list[str], at: int) -> bool:
    """Whether the words after `and` go on with the number rather than with a part of one."""
    word = words[at] if at < len(words) else ""
    following = words[at + 1] if at + 1 < len(words) else ""
    return (word in _SMALL or word in _TENS) and following not in _PARTS
