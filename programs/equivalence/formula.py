"""Parse a cleaned expression into a tree, within limits on work.

Grammar: sums of products of powers of numbers, symbols, units, `\\frac{..}{..}`, `\\sqrt[n]{..}`,
functions, `|..|`, factorials, binomials and brackets; a whole number directly before a proper
fraction is a mixed fraction, as in school. What could be read in two ways has no tree, and is left
to the comparison by text: `1/2x`, `f(x)`, `\\sin x/2`, `2^3^2`, and letters alone such as `AB`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from programs.equivalence.reading import MAX_DIGITS
from programs.equivalence.tree import Node, number
from programs.equivalence.units import DEGREE, PERCENT, unit_of

MAX_NODES = 300
"""Numbers, symbols and operations of one expression."""

MAX_FUNCTIONS = 40
"""Functions and roots of one expression."""

MAX_DEPTH = 40
"""Operands inside operands."""

MAX_INDEX = 100
"""The largest root that is taken."""

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp".split()
)
_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
_GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi "
    "Omega".split()
)
_MULTIPLIERS = frozenset("a b c k m n r s t x y z π alpha beta lambda mu".split())
"""Symbols that may stand before a bracket as a factor; the others name functions."""

_RESERVED = frozenset(
    "or and if for to is of at by no not the all any when where then than with such that".split()
)
_NUMBER = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+")
_EXPONENT = re.compile(r"[eE]([-+]?\d{1,4})(?![\dA-Za-z.^_])")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar)\{(\d{1,20})\}")
_NAME = re.compile(r"\\([A-Za-z]+)|([A-Za-z]+|[πℏ%°])")
_SUBSCRIPT = re.compile(r"_\{ ?(\w{1,8}) ?\}|_(\w)")
_APART = re.compile(r"[\d.] [\d.]")  # two numbers side by side are not one
_LETTERS_ALONE = re.compile(r"[A-Za-z]{2,}(?: [A-Za-z]+)*")
_STARTS = re.compile(r"[\d.A-Za-zπℏ(%°\\{]")
_CALLED = re.compile(r"[^()]*[-+][^()]*|.*[-+].*")
_MAX_PRODUCT = 3
"""Letters side by side that are a product of symbols; more are a word."""


class NotAValueError(Exception):
    """The expression has no value in our form; its text is compared instead."""


def parse(text: str, *, letters: bool = False) -> Node | None:
    """Return the tree of a cleaned expression, or None where it has none in our form.

    Args:
        text: what `latex.clean` returns.
        letters: whether letters alone, such as `ab`, are a product rather than a name.
    """
    if not text or _APART.search(text) or (not letters and _LETTERS_ALONE.fullmatch(text)):
        return None
    try:
        return _Parser(text).whole()
    except NotAValueError:
        return None


class _Parser:
    """A recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._nodes = self._functions = self._depth = self._bars = 0

    def whole(self) -> Node:
        tree = self._sum()
        if self._peek():
            raise NotAValueError
        return tree

    def _sum(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotAValueError
        terms = [self._signed(self._sign())]
        while self._peek() in ("+", "-"):
            terms.append(self._signed(-1 if self._take() == "-" else 1))
        self._depth -= 1
        return terms[0] if len(terms) == 1 else self._node("+", *terms)

    def _signed(self, sign: int) -> Node:
        term = self._product()
        return term if sign > 0 else self._node("*", number(-1), term)

    def _sign(self) -> int:
        if self._peek() in ("+", "-"):
            return -1 if self._take() == "-" else 1
        return 1

    def _product(self) -> Node:
        value = self._power()
        divided = False
        while True:
            following = self._peek()
            if following in ("*", "/") and following:
                divided = self._take() == "/"
                sign = self._sign()
                right = self._power()
                value = self._node("/" if divided else "*", value, right)
                value = value if sign > 0 else self._node("*", number(-1), value)
            elif self._adjoins():
                after_sign = self._text[self._at - 1] == "!"
                if self._text[self._at] in "0123456789." and not after_sign:
                    raise NotAValueError
                start = self._at
                right = self._power()
                if divided and not self._is_unit(start, right):
                    raise NotAValueError
                value = self._adjoined(value, right)
            else:
                return value

    def _adjoins(self) -> bool:
        self._peek()
        bar = self._bars == 0 and self._text.startswith("|", self._at)
        return bar or _STARTS.match(self._text, self._at) is not None

    def _is_unit(self, start: int, right: Node) -> bool:
        """Whether a factor after a slash can only be the unit of the quotient: `1/2 cm`."""
        base = right.args[0] if right.op == "power" else right
        return (
            base.op == "symbol"
            and (len(base.name) > 1 or base.name in (DEGREE, PERCENT))
            and (self._text[start] != "\\" and "_" not in base.name)
        )

    def _adjoined(self, left: Node, right: Node) -> Node:
        """Return a product without a sign; a whole number before a proper fraction adds to it."""
        if left.op == "number" and left.value.denominator == 1 and right.op == "/":
            top, bottom = right.args
            if top.op == bottom.op == "number" and bottom.value:
                if not 0 < top.value / bottom.value < 1:
                    raise NotAValueError
                return self._node("+", left, right)
        return self._node("*", left, right)

    def _power(self) -> Node:
        return self._raised(self._base())

    def _raised(self, base: Node) -> Node:
        if self._peek() == "!":
            self._take()
            base = self._node("factorial", base)
        if self._peek() != "^":
            return base
        self._take()
        if self._peek() in ("{", "("):
            exponent = self._group()
        else:
            sign = self._sign()
            exponent = self._base()
            exponent = exponent if sign > 0 else self._node("*", number(-1), exponent)
        if self._peek() in ("^", "!"):
            raise NotAValueError
        return self._node("power", base, exponent)

    def _base(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotAValueError
        node = self._operand()
        self._depth -= 1
        return node

    def _operand(self) -> Node:
        following = self._peek()
        if repeating := _REPEATING.match(self._text, self._at):
            self._at = repeating.end()
            return self._number(_repeating(*repeating.groups()))
        if written := _NUMBER.match(self._text, self._at):
            self._at = written.end()
            value = _decimal(written[0])
            if exponent := _EXPONENT.match(self._text, self._at):
                self._at = exponent.end()
                value *= Fraction(10) ** _small(int(exponent[1]), 308)
            return self._number(value)
        if following in ("(", "{"):
            return self._group()
        if following == "|":
            return self._absolute()
        if following == "\\":
            return self._command()
        return self._symbol()

    def _command(self) -> Node:
        named = _NAME.match(self._text, self._at)
        name = named[1] if named else ""
        if name in _GREEK:
            return self._symbol()
        self._at += 1 + len(name)
        if name == "frac":
            return self._node("/", self._braced(), self._braced())
        if name == "sqrt":
            return self._root()
        if name == "binom":
            return self._node("binomial", self._braced(), self._braced())
        if name in FUNCTIONS:
            return self._function(name)
        raise NotAValueError

    def _root(self) -> Node:
        index = 2
        if self._peek() == "[":
            found = re.compile(r"\[ ?(\d{1,3}) ?\]").match(self._text, self._at)
            if found is None or not 2 <= int(found[1]) <= MAX_INDEX:
                raise NotAValueError
            index, self._at = int(found[1]), found.end()
        return self._node("root", self._group(), value=Fraction(index))

    def _absolute(self) -> Node:
        self._take()
        self._bars += 1
        inside = self._sum()
        self._bars -= 1
        if self._take() != "|":
            raise NotAValueError
        return self._node("abs", inside)

    def _function(self, name: str) -> Node:
        base = power = None
        if name == "log" and self._peek() == "_":
            self._take()
            base = self._group() if self._peek() == "{" else self._base()
        elif self._peek() == "^":
            self._take()
            power = self._group() if self._peek() in ("{", "(") else self._base()
        if power is not None and _is_minus_one(power):
            if name not in _INVERSE:
                raise NotAValueError
            name, power = _INVERSE[name], None
        argument = self._group() if self._peek() in ("(", "{") else self._argument()
        value = self._node(name, argument)
        if base is not None:
            value = self._node("/", self._node("ln", argument), self._node("ln", base))
        return value if power is None else self._node("power", value, power)

    def _argument(self) -> Node:
        """Read the argument of a function without brackets, as in `\\sin 2x \\cos x`."""
        value = self._power()
        while self._adjoins() and not self._at_function():
            if self._text[self._at] in "(0123456789.|":
                raise NotAValueError
            value = self._adjoined(value, self._power())
        if self._peek() == "/":
            raise NotAValueError
        return value

    def _at_function(self) -> bool:
        named = _NAME.match(self._text, self._at)
        return named is not None and named[1] in FUNCTIONS

    def _symbol(self) -> Node:
        self._peek()
        found = _NAME.match(self._text, self._at)
        if found is None:
            raise NotAValueError
        name = found[1] or found[2]
        if found[2] and len(name) > 1:
            return self._word(name)
        self._at = found.end()
        return self._named(name, plain=found[1] is None)

    def _word(self, word: str) -> Node:
        """Read letters side by side: a unit or another word as one symbol, a few as a product."""
        running = self._at > 0 and self._text[self._at - 1].isalpha()
        if not running:
            if word.casefold() in _RESERVED:
                raise NotAValueError
            if word in FUNCTIONS and self._text[self._at + len(word) :].lstrip()[:1] == "(":
                self._at += len(word)
                return self._function(word)
            if unit := unit_of(word):
                return self._unit(word, unit)
            if len(word) > _MAX_PRODUCT or (len(word) == 2 and word[0] == "d"):
                return self._unit(word, unit_of(word, known=False))
        self._at += 1
        return self._named(word[0], plain=True)

    def _unit(self, word: str, unit: str) -> Node:
        self._at += len(word)
        if self._text[self._at : self._at + 1] in ("(", "_", "'"):
            raise NotAValueError
        if unit in ("square", "cubic"):
            measured = self._symbol()
            return self._node("power", measured, number(2 if unit == "square" else 3))
        return self._node("symbol", name=unit)

    def _named(self, name: str, *, plain: bool) -> Node:
        if subscript := _SUBSCRIPT.match(self._text, self._at):
            self._at = subscript.end()
            name = f"{name}_{subscript[1] or subscript[2]}"
        following = self._text[self._at : self._at + 1]
        if following in ("_", "'") and following:
            raise NotAValueError
        if following == "(" and not (name in _MULTIPLIERS and self._holds_a_sum()):
            raise NotAValueError
        if plain and name in ("e", "i", "π"):
            return self._node(name)
        return self._node("symbol", name=name)

    def _holds_a_sum(self) -> bool:
        """Whether the bracket that opens here holds a sum, so that what stands before it multiplies it."""
        depth = 0
        for at in range(self._at, len(self._text)):
            depth += {"(": 1, ")": -1}.get(self._text[at], 0)
            if not depth:
                return _CALLED.fullmatch(self._text[self._at + 1 : at]) is not None
        return False

    def _braced(self) -> Node:
        if self._peek() != "{":
            raise NotAValueError
        return self._group()

    def _group(self) -> Node:
        closing = {"(": ")", "{": "}"}.get(self._take())
        if closing is None:
            raise NotAValueError
        bars, self._bars = self._bars, 0
        value = self._sum()
        self._bars = bars
        if self._take() != closing:
            raise NotAValueError
        return value

    def _number(self, value: Fraction) -> Node:
        return self._node("number", value=value)

    def _node(self, op: str, *args: Node, value: Fraction = Fraction(0), name: str = "") -> Node:
        self._nodes += 1
        self._functions += op in FUNCTIONS or op == "root"
        if self._nodes > MAX_NODES or self._functions > MAX_FUNCTIONS:
            raise NotAValueError
        return Node(op, args, value, name)

    def _peek(self) -> str:
        while self._text.startswith(" ", self._at):
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        self._at += 1
        return character


def _is_minus_one(node: Node) -> bool:
    return (
        node.op == "*"
        and all(a.op == "number" for a in node.args)
        and (node.args[0].value * node.args[1].value == -1)
    )


def _small(exponent: int, limit: int) -> int:
    if abs(exponent) > limit:
        raise NotAValueError
    return exponent


def _decimal(token: str) -> Fraction:
    if len(token) > MAX_DIGITS:
        raise NotAValueError
    whole, _, decimals = token.replace(",", "").partition(".")
    return Fraction(int(whole + decimals or "0"), 10 ** len(decimals))


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    """Return the value of a repeating decimal such as `0.1\\overline{6}`."""
    start = _decimal(f"{whole or '0'}.{fixed}")
    return start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
