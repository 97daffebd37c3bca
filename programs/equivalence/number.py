"""Numbers: how one is written down, and when two are the same.

Rule: two numbers are the same when they round (half to even, in exact arithmetic) to the same value
at the stated tolerance: whole numbers exactly; otherwise two decimals where |x| >= 1 and four
significant digits where |x| < 1. So 100/3, 33.33 and 33.333 agree, 1/3 and 0.3333 agree, 1234567
and 1234568 do not. Rounding keeps equality transitive; the price is that two numbers that lie on
different sides of a rounding boundary differ, however near they are.

Units and currencies are dropped: the question asks for one unit. A per cent sign is kept (50 % is
neither 50 nor 0.5), unless the question asks for a percentage. A comma that cannot separate
thousands is a decimal comma (`3,5`, `1.234,56`); `1,234` and `1 234` are thousands and `1.234` is
a decimal, as in English. A range, a ratio, a sum that was not worked out, `5 ± 1`, an inequality
and two different numbers are unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from programs.equivalence.characters import first_sentence, plain
from programs.equivalence.numerals import spoken
from programs.equivalence.reading import (
    MAX_CANDIDATE,
    MAX_DIGITS,
    MAX_EXPONENT,
    MAX_TEXT,
    NOTHING,
    Reading,
    readable,
    unreadable,
)

DECIMALS = 2
"""Decimals that count where |x| >= 1."""

_LAST_SENTENCES = 2

SIGNIFICANT = 4
"""Significant digits that count where |x| < 1."""

_LETTER = r"[^\W\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af]"  # scripts without spaces end no word
_PERCENT = r"%|percent(?:age)?\b|per\ cent\b|pct\b"
_SCALES = {
    "hundred": 2,
    "thousand": 3,
    "million": 6,
    "mn": 6,
    "billion": 9,
    "bn": 9,
    "trillion": 12,
    "lakh": 5,
    "crore": 7,
}
_MONEY_SCALES = {"k": 3, "m": 6, "b": 9}
_NUMBER = re.compile(
    rf"""
    (?P<sign>(?<!{_LETTER})(?<![)\]%.])[-+]\x20?(?=[$€£¥₹]) | (?<!{_LETTER})(?<![)\]%.])[-+])?
    (?P<money>[$€£¥₹₽₩₪₫₴₦¢]\x20?)?
    (?P<inner>(?<=[$€£¥₹₽₩₪₫₴₦\x20])[-+])?
    (?<!{_LETTER}) (?<!{_LETTER}-) (?<!\^) (?<!\^[-+({{])
    (?:
      (?:(?P<whole>\d{{1,15}})\x20+)? (?P<top>\d{{1,40}})\x20?/\x20?(?P<bottom>\d{{1,40}})(?![\d.,]*\d)
      |
      (?P<plain>[1-9]\d{{0,2}}(?:\x20\d{{3}})+(?!\d)(?:[.,]\d+)? | \d+(?:[.,'_]\d+)* | \.\d+)
      (?: [eE](?P<exponent>[-+]?\d{{1,9}})(?!{_LETTER})
        | \x20?[×x*·]\x20?10(?:\^|\*\*)[({{]?(?P<ten>[-+]?\d{{1,9}})[)}}]?
        | (?:\^|\*\*)[({{]?(?P<power>[-+]?\d{{1,9}})[)}}]?
      )?
    )
    (?P<scale>\x20?(?:hundred|thousand|million|mn|billion|bn|trillion|lakh|crore)\b)?
    (?P<short>(?(money)\x20?[kmb]\b|(?-i:k)\b))?
    (?P<percent>\x20?(?:{_PERCENT}))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WHOLE = re.compile(r"-?\d{1,18}")
_ENGLISH = re.compile(r"[1-9]\d{0,2}(?:[,'_ ]\d{3})+(?:\.\d+)?|\d*\.\d+|\d+")
_INDIAN = re.compile(r"\d{1,2}(?:,\d{2})*,\d{3}(?:\.\d+)?")
_EUROPEAN = re.compile(r"[1-9]\d{0,2}(?:[. ]\d{3})+(?:,\d+)?|\d+,\d+")

_LATEX_FRACTION = re.compile(r"\\[dtc]?frac\s?(?:\{\s?(\d+)\s?\}|(\d))\s?(?:\{\s?(\d+)\s?\}|(\d))")
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textrm|operatorname|mbox)\s?\{([^{}]*)\}")
_LATEX_SPACE = re.compile(
    r"\\[,;:! ]|\\(?:quad|qquad|left|right|displaystyle)\b|(?<=\d)\{,\}(?=\d)"
)
_LATEX_EDGE = re.compile(r"\\[()\[\]]|(?<!\d)\${2}|\${2}$")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_COMMANDS = {"times": "×", "cdot": "·", "approx": "~", "div": "÷", "circ": " ", "degree": " "}
_CURRENCY_CODE = re.compile(r"\b(?:US|USD|EUR|GBP|INR|CAD|AUD|HK|Rs\.?)\x20?(?=[-+]?[$€£\d])")
_HALF = re.compile(r"(?<=\d) and (?:a|one) (half|quarter|third)\b", re.IGNORECASE)
_THREE_QUARTERS = re.compile(r"(?<=\d) and three[ -]quarters\b", re.IGNORECASE)
_FULL_HOUR = re.compile(r"\b(\d{1,2}):00(?=\s?(?:[ap]\.?\s?m\b|o'clock))", re.IGNORECASE)
_PARTS = {"half": "1/2", "quarter": "1/4", "third": "1/3"}
_MINUS = re.compile(r"(?:^|(?<=\s))(?:minus|negative) (?=[$€£]?\.?\d)", re.IGNORECASE)
_NOT_A_NUMBER = re.compile(r"[<>≤≥≠±√∞π\\]")
_GAP = re.compile(
    r"[\s()$]*(?:[-+*/×÷·^:~x]|\*\*|\bto\b|\b(?:through|until|till|or|by|of|bis|a|à)\b)[\s()$]*|\(",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"[-+*/×÷·^]\s?[($]?\s?$")
_AFTER = re.compile(
    r"\s?(?:[xyzneiπ](?![\w-])|[\^*×÷+]|-\s?$|[-/]\s?\(?[b-hj-z](?!\w))", re.IGNORECASE
)
_NO_ANSWER = re.compile(
    r"\b(?:cannot|can't|can not|unable|impossible|not possible|not enough|insufficient|don't (?:know|"
    r"have)|do not (?:know|have)|without knowing|an error)\b",
    re.IGNORECASE,
)
_LEADING_MINUS = re.compile(r"(?:^|(?<== ))- (?=[$€£]?\.?\d)")
_HEAD = re.compile(
    r"[\s\"'(\[{*_=~:]*(?:(?:about|approximately|around|roughly|exactly|only|just|at (?:least|most)|"
    r"a total of|the number|equal to|is|be)\s+){0,3}"
)
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)")
_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>(?=-?[$\d.])|<<(?:[^<>\n]{0,200}=)?([^<>\n=]{0,60})>>")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_ASKS_PERCENT = re.compile(
    r"\b(?:what|which|how many|how much|find|calculate|compute|determine|as an?|in|the)\b[^.?!\n%]{0,40}?"
    r"(?<!\d )(?<!\d)\b(?:percent(?:age)?|per cent|pct)\b|prozent|pour ?cent|porcent|por ciento|"
    r"percentual|per cento|процент|百分|パーセント|퍼센트",
    re.IGNORECASE,
)
_EITHER = re.compile(r"[,;]\s|\bor\b|\band\b", re.IGNORECASE)


_CONFLICT = "two different numbers"
_UNWORKED = "a range, a ratio or a calculation that is not worked out"
_SPECIAL = "not a plain number"
_UNCLEAR = "a number that is too large or has unclear separators"
_TOO_LONG = f"longer than {MAX_CANDIDATE} characters"


class Number(NamedTuple):
    """A written number: its value, whether a per cent sign goes with it, where it stands."""

    value: Fraction | None  # None: written, but too large or with unclear separators
    percent: bool
    start: int
    end: int


def number_key(value: Fraction | int) -> str:
    """Return the canonical form of a number at the stated tolerance: `12`, `33.33`, `1602e-22`.

    Example:
        >>> number_key(Fraction(100, 3)), number_key(Fraction(2, 3)), number_key(Fraction(24, 2))
        ('33.33', '0.6667', '12')
    """
    if isinstance(value, int) or value.denominator == 1:
        return _whole_key(int(value))
    places = DECIMALS if abs(value) >= 1 else SIGNIFICANT - 1 - _magnitude(abs(value))
    digits = round(value * 10**places)
    while places and digits % 10 == 0:
        digits, places = digits // 10, places - 1
    if not places:
        return _whole_key(digits)
    if places > 12:
        return f"{digits}e-{places}"
    sign, text = ("-" if digits < 0 else ""), str(abs(digits)).rjust(places + 1, "0")
    return f"{sign}{text[:-places]}.{text[-places:]}"


def _whole_key(value: int) -> str:
    text = str(value)
    short = text.rstrip("0")
    zeros = len(text) - len(short)
    return f"{short}e{zeros}" if zeros > 15 else text


def _magnitude(value: Fraction) -> int:
    """Return the power of ten of the first digit of a value in (0, 1), exactly."""
    power = len(str(value.numerator)) - len(str(value.denominator))
    while value < Fraction(10) ** power:
        power -= 1
    while value >= Fraction(10) ** (power + 1):
        power += 1
    return power


def prepare(text: str) -> str:
    """Return `text` in the spelling that `numbers` reads: LaTeX, currency codes and words resolved."""
    text = plain(text)
    if "\\" in text or "{" in text:
        text = _latex(text)
    text = text.replace("**", "").replace("`", "").replace("≈", "=").strip(" *_")
    if _WHOLE.fullmatch(text):
        return text
    text = _LEADING_MINUS.sub("-", text)
    text = _CURRENCY_CODE.sub("", text)
    text = _MINUS.sub("-", text)
    if ":00" in text:
        text = _FULL_HOUR.sub(r"\1", text)
    if " and " in text:
        text = _HALF.sub(lambda part: " " + _PARTS[part[1].lower()], text)
        text = _THREE_QUARTERS.sub(" 3/4", text)
    return text


def _latex(text: str) -> str:
    text = text.replace("\\$", "$").replace("\\%", "%").replace("\\-", "-")
    text = _LATEX_SPACE.sub(lambda space: "," if space[0] == "{,}" else "", text)
    text = _LATEX_EDGE.sub(" ", text)
    text = _LATEX_TEXT.sub(r" \1 ", text)
    text = _LATEX_FRACTION.sub(lambda f: f" {f[1] or f[2]}/{f[3] or f[4]}", text)
    text = _COMMAND.sub(lambda command: _COMMANDS.get(command[1], command[0]), text)
    return plain(text)


def numbers(prepared: str) -> list[Number]:
    """Return the numbers that stand in a prepared text, in order."""
    return [
        Number(_value(m), m["percent"] is not None, m.start(), m.end())
        for m in _NUMBER.finditer(prepared)
    ]


def _value(match: re.Match[str]) -> Fraction | None:
    if match["top"] is not None:
        bottom = int(match["bottom"])
        if not bottom:
            return None
        value = int(match["whole"] or 0) + Fraction(int(match["top"]), bottom)
    else:
        written = _written(match["plain"])
        if written is None:
            return None
        value = written
    powered = _powered(value, match)
    if powered is None:
        return None
    if match["scale"]:
        powered *= 10 ** _SCALES[match["scale"].strip().lower()]
    if match["short"]:
        powered *= 10 ** _MONEY_SCALES[match["short"].strip().lower()]
    minus = (match["sign"] or "").startswith("-") != (match["inner"] == "-")
    return -powered if minus else powered


def _powered(value: Fraction, match: re.Match[str]) -> Fraction | None:
    """Apply the exponent that goes with a number, or return None beyond the limit."""
    exponent = match["exponent"] or match["ten"]
    if exponent is not None:
        power = int(exponent)
        return value * Fraction(10) ** power if abs(power) <= MAX_EXPONENT else None
    if match["power"] is None:
        return value
    power = int(match["power"])
    size = max(len(str(value.numerator)), len(str(value.denominator)))
    if abs(power) * size > MAX_EXPONENT * 2 or (not value and power <= 0):
        return None
    return value**power


def _written(token: str) -> Fraction | None:
    """Return the value of a number as it is written, or None where its separators are unclear."""
    if len(token) > MAX_DIGITS:
        return None
    if token.isdigit():
        return Fraction(int(token))
    if _ENGLISH.fullmatch(token) or _INDIAN.fullmatch(token):
        for separator in ",'_ ":
            token = token.replace(separator, "")
    elif _EUROPEAN.fullmatch(token):
        token = token.replace(".", "").replace(" ", "").replace(",", ".")
    else:
        return None
    whole, _, decimals = token.partition(".")
    return Fraction(int(whole + decimals), 10 ** len(decimals))


def asks_percent(question: str) -> bool:
    """Return whether a question asks for a percentage, so that the sign need not be written."""
    return bool(_ASKS_PERCENT.search(question[-2 * MAX_CANDIDATE :]))


@dataclass(frozen=True, slots=True)
class NumberReader:
    """Reads numbers. `question` settles per cent, and which numbers are only repeated from it."""

    question: str = ""

    def read(self, candidate: str) -> Reading:
        """Read one number, however it is written; two different ones are unreadable."""
        if len(candidate) > MAX_CANDIDATE:
            return unreadable(_TOO_LONG)
        text = prepare(candidate)
        if _WHOLE.fullmatch(text):
            return _shown(int(text))
        if _NOT_A_NUMBER.search(text):
            return unreadable(_SPECIAL)
        right = _right_side(text)
        if right is None:
            return unreadable(_CONFLICT)
        found = numbers(right)
        return self._agreed(right, found) if found else self._in_words(right)

    def lead(self, clause: str) -> Reading:
        """Read the number that a clause begins with; what follows it may hold others."""
        clause = first_sentence(clause[:MAX_CANDIDATE])
        whole = self.read(clause)
        right = _right_side(prepare(clause)) if whole.problem == _CONFLICT else None
        if right is None:
            return whole
        found = numbers(right)
        head = _HEAD.match(right)
        if not found or head is None or found[0].start > head.end():
            return whole
        return self._chosen(right, found[0])

    def last(self, text: str) -> Reading:
        """Read the number that the last sentence with a number concludes with.

        Of several numbers it is the result after the last `=`, else the only one that the question
        does not hold, else the only one that was just worked out; else there is none. Nor is there
        one where the text ends by saying that it has no answer.
        """
        sentences = [s for s in _SENTENCE_END.split(_CALCULATOR.sub(r"\1", text)) if s.strip()]
        for back, sentence in enumerate(reversed(sentences[-_LAST_SENTENCES:]), start=1):
            if _NO_ANSWER.search(sentence):
                return unreadable(NOTHING)
            right = _right_side(prepare(sentence[-MAX_CANDIDATE:]))
            if right is None:
                return unreadable(_CONFLICT)
            if found := numbers(right):
                return self._conclusion(right, found, sentences[:-back])
            if "=" in sentence:
                return unreadable(_UNWORKED)
        return unreadable(NOTHING)

    def _conclusion(self, sentence: str, found: list[Number], before: list[str]) -> Reading:
        whole = self._agreed(sentence, found)
        if whole.problem != _CONFLICT:
            return whole
        known = {n.value for n in numbers(prepare(self.question[-MAX_TEXT:]))}
        fresh = [n for n in found if n.value not in known]
        results = [_right_side(prepare(s[-MAX_CANDIDATE:])) for s in before[-3:] if "=" in s]
        worked_out = {n.value for r in results if r for n in numbers(r)[:1]}
        for among in (fresh, [n for n in found if n.value in worked_out]):
            if len({(n.value, n.percent) for n in among}) == 1:
                return self._chosen(sentence, among[0])
        return whole

    def _agreed(self, text: str, found: list[Number]) -> Reading:
        if any(number.value is None for number in found):
            return unreadable(_UNCLEAR)
        if len(found) > 1:
            for left, right in pairwise(found):
                if _GAP.fullmatch(text, left.end, right.start):
                    return unreadable(_UNWORKED)
            if len({(number.value, number.percent) for number in found}) > 1:
                return unreadable(_CONFLICT)
        if not all(_stands_free(text, number) for number in found):
            return unreadable(_SPECIAL)
        named = spoken(text[: found[0].start]) if text[0].isalpha() else None
        if named is not None and named.value != found[0].value:
            return unreadable(_CONFLICT)
        return self._shown(found[0])

    def _chosen(self, text: str, number: Number) -> Reading:
        following = _NUMBER.search(text, number.end)
        if following and _GAP.fullmatch(text, number.end, following.start()):
            return unreadable(_UNWORKED)
        return self._shown(number) if _stands_free(text, number) else unreadable(_SPECIAL)

    def _in_words(self, text: str) -> Reading:
        named = spoken(text)
        if named is None:
            return unreadable(NOTHING)
        percent = named.rest[:1] in (("percent",), ("%",)) or named.rest[:2] == ("per", "cent")
        return self._shown(Number(named.value, percent, 0, 0))

    def _shown(self, number: Number) -> Reading:
        if number.value is None:
            return unreadable(_UNCLEAR)
        key = number_key(number.value)
        if number.percent and not asks_percent(self.question):
            key += "%"
        return readable(key, key)


def _shown(value: int) -> Reading:
    key = _whole_key(value)
    return readable(key, key)


def _stands_free(text: str, number: Number) -> bool:
    """Whether a number is no part of a sum, a product or a term with a variable."""
    before = text[max(0, number.start - 4) : number.start]
    return not (_AFTER.match(text, number.end) or _BEFORE.search(before))


def _right_side(text: str) -> str | None:
    """Return what stands after the last `=`; None where several equations stand side by side."""
    signs = [sign.span() for sign in _EQUALS.finditer(text)]
    if not signs:
        return text
    if len(signs) > 1 and _EITHER.search(text, signs[0][1], signs[-1][0]):
        return None
    return text[signs[-1][1] :].strip()
