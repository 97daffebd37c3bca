"""Written numbers: find them in a text, work out their exact value, write one canonical form."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from programs.equivalence.characters import plain
from programs.equivalence.reading import MAX_DIGITS, MAX_EXPONENT

DECIMALS = 2
"""Decimals that count where |x| >= 1."""

SIGNIFICANT = 4
"""Significant digits that count where |x| < 1."""

_LETTER = r"[^\W\d\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af]"  # scripts without spaces end no word
_WORD = rf"(?:\d|{_LETTER})"
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
NUMBER = re.compile(
    rf"""
    (?P<sign>(?<!{_WORD})(?<![)\]%.])[-+]\x20?(?=[$€£¥₹]) | (?<!{_WORD})(?<![)\]%.])[-+])?
    (?P<money>[$€£¥₹₽₩₪₫₴₦¢]\x20?)?
    (?P<inner>(?<=[$€£¥₹₽₩₪₫₴₦\x20])[-+])?
    (?<!{_WORD}) (?<!{_LETTER}-) (?<!\^) (?<!\^[-+({{])
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
    (?P<short>(?(money)[kmb]\b(?!\$)|(?-i:k)\b))?
    (?P<percent>\x20?(?:{_PERCENT}))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
WHOLE = re.compile(r"-?\d{1,18}")
_ENGLISH = re.compile(r"[1-9]\d{0,2}(?:[,'_ ]\d{3})+(?:\.\d+)?|\d*\.\d+|\d+")
_INDIAN = re.compile(r"[1-9]\d?(?:,\d{2})*,\d{3}(?:\.\d+)?")
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
_LEADING_MINUS = re.compile(r"(?:^|(?<== ))- (?=[$€£]?\.?\d)")


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
    if WHOLE.fullmatch(text):
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
        for m in NUMBER.finditer(prepared)
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
