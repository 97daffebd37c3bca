"""Parse a cleaned expression into an exact value (`algebra`), within a budget of work.

Grammar: sums of products of powers of numbers, symbols, `\\frac{..}{..}`, `\\sqrt[n]{..}` and
brackets; a number directly before a fraction of whole numbers is a mixed fraction, as in school.
What could be read in two ways is left to the comparison by text: `1/2x`, `f(x)`, `ab`, `2^3^2`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from programs.equivalence import algebra
from programs.equivalence.algebra import Value
from programs.equivalence.reading import MAX_DIGITS

MAX_WORK = 2_000
"""Term products and tokens that one expression may cost."""

_NUMBER = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+")
_SYMBOL = re.compile(r"(\\[a-zA-Z]+|[A-Za-zπ%°])(?:_\{(\w{1,8})\})?")
_GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi "
    "Omega".split()
)
_APART = re.compile(r"[\d.] [\d.]")  # two numbers side by side are not one
_STARTS = re.compile(r"[\d.A-Za-zπ(%°\\{]")


class _NotAValueError(Exception):
    """The expression has no value in our form; its text is compared instead."""


def value_of(text: str) -> Value | None:
    """Return the exact value of a cleaned expression, or None where it has none in our form."""
    if _APART.search(text):
        return None
    try:
        return _Parser(text.replace(" ", "")).whole()
    except _NotAValueError:
        return None


class _Parser:
    """A recursive descent over one expression; nesting was limited before."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._work = text, 0, MAX_WORK

    def whole(self) -> Value:
        value = self._sum()
        if self._at < len(self._text):
            raise _NotAValueError
        return value

    def _sum(self) -> Value:
        sign = self._sign()
        value = self._spend(algebra.multiply(self._rational(sign), self._product()), 1)
        while self._peek() in ("+", "-"):
            sign = -1 if self._take() == "-" else 1
            value = self._spend(algebra.add(value, self._product(), sign), len(value))
        return value

    def _sign(self) -> int:
        if self._peek() in ("+", "-"):
            return -1 if self._take() == "-" else 1
        return 1

    def _product(self) -> Value:
        value, plain_number = self._power()
        divided = False
        while True:
            if self._peek() in ("*", "/"):
                divided = self._take() == "/"
                right, plain_number = self._power()
                combine = algebra.divide if divided else algebra.multiply
                value = self._spend(combine(value, right), len(value) * len(right))
            elif _STARTS.match(self._text, self._at):
                if divided or self._text[self._at] in "0123456789.":
                    raise _NotAValueError
                mixed = plain_number and self._text.startswith("\\frac", self._at)
                right, plain_number = self._power()
                value = self._adjoined(value, right, mixed=mixed)
            else:
                return value

    def _adjoined(self, left: Value, right: Value, *, mixed: bool) -> Value:
        """Return a product without a sign; a whole number before a proper fraction adds to it."""
        whole, part = algebra.as_rational(left), algebra.as_rational(right)
        if mixed and whole is not None and part is not None and whole.denominator == 1:
            if not 0 < part < 1:
                raise _NotAValueError
            return self._rational(whole + part)
        return self._spend(algebra.multiply(left, right), len(left) * len(right))

    def _power(self) -> tuple[Value, bool]:
        base, plain_number = self._base()
        if self._peek() != "^":
            return base, plain_number
        self._take()
        exponent = algebra.as_rational(self._group() if self._peek() == "{" else self._base()[0])
        if exponent is None or self._peek() == "^":
            raise _NotAValueError
        if exponent.denominator == 1:
            if abs(exponent) > algebra.MAX_POWER:
                raise _NotAValueError
            work = len(base) ** 2 * abs(int(exponent))
            return self._spend(algebra.power(base, int(exponent)), work), False
        if exponent == Fraction(1, 2):
            return self._spend(algebra.square_root(base), 1), False
        raise _NotAValueError

    def _base(self) -> tuple[Value, bool]:
        self._spend({}, 1)
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            return self._rational(_decimal(number[0])), number[0].isdigit()
        if self._peek() in ("(", "{"):
            return self._group(), False
        if self._text.startswith("\\frac{", self._at):
            self._at += len("\\frac")
            top = self._group()
            bottom = self._group()
            return self._spend(algebra.divide(top, bottom), len(top)), False
        if self._text.startswith(("\\sqrt{", "\\sqrt[2]{"), self._at):
            self._at = self._text.index("{", self._at)
            return self._spend(algebra.square_root(self._group()), 1), False
        return self._symbol(), False

    def _symbol(self) -> Value:
        found = _SYMBOL.match(self._text, self._at)
        if found is None:
            raise _NotAValueError
        name, following = found[1], self._text[found.end() : found.end() + 1]
        if name.startswith("\\"):
            if name[1:] not in _GREEK:
                raise _NotAValueError
        elif name.isascii() and name.isalpha() and following.isascii() and following.isalpha():
            raise _NotAValueError
        if following in ("(", "_", "'"):
            raise _NotAValueError
        self._at = found.end()
        return algebra.symbol(name.removeprefix("\\") + (f"_{found[2]}" if found[2] else ""))

    def _group(self) -> Value:
        closing = {"(": ")", "{": "}"}.get(self._take())
        if closing is None:
            raise _NotAValueError
        value = self._sum()
        if self._take() != closing:
            raise _NotAValueError
        return value

    def _rational(self, value: Fraction | int) -> Value:
        return algebra.rational(Fraction(value))

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _spend(self, value: Value | None, work: int) -> Value:
        self._work -= max(1, work)
        if value is None or self._work < 0:
            raise _NotAValueError
        return value


def _decimal(token: str) -> Fraction:
    if len(token) > MAX_DIGITS:
        raise _NotAValueError
    whole, _, decimals = token.replace(",", "").partition(".")
    return Fraction(int(whole + decimals or "0"), 10 ** len(decimals))
