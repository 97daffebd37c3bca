"""The canonical key of an expression's value, however the expression is written.

A rational number is worked out exactly and is its own key. Any other expression is identified by
what it evaluates to: a constant by its first 40 digits, a function of symbols by its values at
three fixed points for each symbol, two positive and one negative (an identity test, as by Schwartz
and Zippel, with points that nobody's answer was made for). So factored and expanded products,
nested radicals, logarithms, trigonometric and exponential identities need no rules of rewriting,
and the work grows with the length of the expression only.

Everything is evaluated at 70 and again at 110 digits; where the two do not agree to 48 digits, the
value is ill-conditioned and has no key. Source: Schwartz (1980), J. ACM 27(4), for the test.
Deviation: points are fixed by the symbol's name, so that a key is the same in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial

from programs.equivalence import arithmetic as c
from programs.equivalence.arithmetic import Complex
from programs.equivalence.tree import Node
from programs.equivalence.units import DEGREE

KEPT = 40
"""Digits of a constant that count."""

MAX_EXACT = 320
"""Digits of an exact number's numerator and denominator."""

MAX_LITERAL = 30
"""Digits of a number inside an expression that is not rational."""

MAX_COUNTED = 170
"""The largest number whose factorial, or binomial coefficients, are worked out."""

_LOW, _HIGH = c.precise(70), c.precise(110)
_AGREED = 48
_SNAP = 45
_MAX_DENOMINATOR = 10**6
_POINTS = (
    (Decimal("0.4"), Decimal("1.5")),
    (Decimal(2), Decimal(2)),
    (Decimal(-3), Decimal("2.5")),
)
_ANGLED = frozenset("sin cos tan cot sec csc".split())


class _TooLargeError(ArithmeticError):
    """An exact number beyond the limit on digits."""


def value_key(node: Node) -> str | None:
    """Return the canonical key of what an expression is worth, or None where it has none.

    Keys read as `1/2`, `1.414...`, `3+4i`; a function of symbols is `f:` and a hash of its values.
    """
    found = rational(node)
    if found is not None:
        return str(found)
    values = values_of(node)
    if values is None:
        return None
    first = constant_key(values[0])
    if len(values) == 1 or all(constant_key(value) == first for value in values):
        return first
    return "f:" + hashed([_digits(value) for value in values])


def values_of(node: Node) -> tuple[Complex, ...] | None:
    """Return the values of an expression at the points, one where it holds no symbol."""
    points = range(len(_POINTS)) if _has_symbols(node) else range(1)
    try:
        return tuple(_agreed(node, point) for point in points)
    except ArithmeticError:
        return None


def hashed(parts: Sequence[str]) -> str:
    """Return a short hash of a list of texts."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def rational(node: Node) -> Fraction | None:
    """Return the exact rational number that an expression is, or None where it is none."""
    try:
        return _exact(node)
    except ArithmeticError:
        return None


def _exact(node: Node) -> Fraction | None:
    if node.op == "number":
        return node.value
    exact = _EXACT.get(node.op)
    if exact is None:
        return None
    args = []
    for arg in node.args:
        value = _exact(arg)
        if value is None:
            return None
        args.append(value)
    result = exact(args)
    if result is not None and max(_size(result.numerator), _size(result.denominator)) > MAX_EXACT:
        raise _TooLargeError
    return result


def _size(number: int) -> int:
    """Return about how many decimal digits a whole number has, without writing it."""
    return number.bit_length() * 3 // 10


def _exact_product(args: Sequence[Fraction]) -> Fraction:
    return args[0] * args[1]


def _exact_quotient(args: Sequence[Fraction]) -> Fraction:
    return args[0] / args[1]


def _exact_power(args: Sequence[Fraction]) -> Fraction | None:
    base, exponent = args
    if exponent.denominator != 1:
        return None
    if not base and exponent <= 0:
        raise ZeroDivisionError
    size = max(_size(base.numerator), _size(base.denominator), 1)
    if abs(exponent) * size > MAX_EXACT and abs(base) != 1:
        raise _TooLargeError
    return base ** int(exponent)


def _counted(value: Fraction) -> int:
    if value.denominator != 1 or not 0 <= value <= MAX_COUNTED:
        raise _TooLargeError
    return int(value)


_EXACT: dict[str, Callable[[Sequence[Fraction]], Fraction | None]] = {
    "+": lambda args: sum(args, Fraction(0)),
    "*": _exact_product,
    "/": _exact_quotient,
    "power": _exact_power,
    "abs": lambda args: abs(args[0]),
    "factorial": lambda args: Fraction(factorial(_counted(args[0]))),
    "binomial": lambda args: Fraction(comb(_counted(args[0]), _counted(args[1]))),
}


def _has_symbols(node: Node) -> bool:
    return node.op in ("symbol", "log") or any(_has_symbols(arg) for arg in node.args)


def _agreed(node: Node, point: int) -> Complex:
    """Return the value at a point, if two precisions agree on it."""
    low, high = _at(node, point, _LOW), _at(node, point, _HIGH)
    with localcontext(_HIGH):
        for a, b in zip(low, high, strict=True):
            if a != b and (not (a and b) or (a - b).adjusted() > b.adjusted() - _AGREED):
                raise ArithmeticError("ill-conditioned")
    return high


def _at(node: Node, point: int, context: Context) -> Complex:
    with localcontext(context):
        return _evaluate(node, point, angled=False)


def _evaluate(node: Node, point: int, *, angled: bool) -> Complex:
    op = node.op
    if op == "number":
        if max(_size(node.value.numerator), _size(node.value.denominator)) > MAX_LITERAL:
            raise _TooLargeError
        return c.of(node.value)
    if op == "symbol":
        if angled and node.name == DEGREE:
            return c.pi() / 180, c.ZERO
        return _place(node.name, point), c.ZERO
    if op in _CONSTANTS:
        return _CONSTANTS[op]()
    if op == "power":
        return _raised(node, point, angled=angled)
    args = [_evaluate(arg, point, angled=angled or op in _ANGLED) for arg in node.args]
    if op == "root":
        return c.root(args[0], int(node.value))
    if op == "log":  # of a base that the writer left open
        return c.multiply(c.logarithm(args[0]), (_place("log", point), c.ZERO))
    function = _FUNCTIONS.get(op)
    if function is None:
        raise ArithmeticError("no value")
    return function(args)


def _raised(node: Node, point: int, *, angled: bool) -> Complex:
    base = _evaluate(node.args[0], point, angled=angled)
    exponent = rational(node.args[1])
    if exponent is None:
        return c.power(base, _evaluate(node.args[1], point, angled=angled))
    if exponent.denominator > 100:
        return c.power(base, c.of(exponent))
    taken = base if exponent.denominator == 1 else c.root(base, exponent.denominator)
    return c.whole_power(taken, exponent.numerator)


def _total(args: Sequence[Complex]) -> Complex:
    total = args[0]
    for arg in args[1:]:
        total = c.add(total, arg)
    return total


def _tangent(args: Sequence[Complex]) -> Complex:
    return c.divide(c.sine(args[0]), c.cosine(args[0]))


def _hyperbolic(sign: int) -> Callable[[Sequence[Complex]], Complex]:
    def half(args: Sequence[Complex]) -> Complex:
        up = c.exponential(args[0])
        down = c.divide((Decimal(sign), c.ZERO), up)
        return c.divide(c.add(up, down), (c.TWO, c.ZERO))

    return half


def _arccosine(args: Sequence[Complex]) -> Complex:
    return c.add((c.pi() / 2, c.ZERO), c.multiply((-c.ONE, c.ZERO), c.arcsine(args[0])))


_sinh, _cosh = _hyperbolic(-1), _hyperbolic(1)
_CONSTANTS: dict[str, Callable[[], Complex]] = {
    "e": lambda: (c.ONE.exp(), c.ZERO),
    "i": lambda: c.IMAGINARY,
    "π": lambda: (c.pi(), c.ZERO),
}
_FUNCTIONS: dict[str, Callable[[Sequence[Complex]], Complex]] = {
    "+": _total,
    "*": lambda args: c.multiply(args[0], args[1]),
    "/": lambda args: c.divide(args[0], args[1]),
    "abs": lambda args: c.absolute(args[0]),
    "exp": lambda args: c.exponential(args[0]),
    "ln": lambda args: c.logarithm(args[0]),
    "lg": lambda args: c.divide(c.logarithm(args[0]), c.logarithm((Decimal(10), c.ZERO))),
    "sin": lambda args: c.sine(args[0]),
    "cos": lambda args: c.cosine(args[0]),
    "tan": _tangent,
    "cot": lambda args: c.divide(c.cosine(args[0]), c.sine(args[0])),
    "sec": lambda args: c.divide(c.UNIT, c.cosine(args[0])),
    "csc": lambda args: c.divide(c.UNIT, c.sine(args[0])),
    "arcsin": lambda args: c.arcsine(args[0]),
    "arccos": _arccosine,
    "arctan": lambda args: c.arctangent(args[0]),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": lambda args: c.divide(_sinh(args), _cosh(args)),
}


@lru_cache(maxsize=1024)
def _place(name: str, point: int) -> Decimal:
    """Return the value that a symbol takes at a point: 18 digits that follow from its name."""
    digest = hashlib.blake2b(f"{point} {name}".encode(), digest_size=8).digest()
    start, width = _POINTS[point]
    share = Decimal(int.from_bytes(digest, "big") % 10**18).scaleb(-18)
    return start + share * width


def constant_key(z: Complex) -> str:
    """Return the key of a constant: exact where it is a simple fraction, else its digits."""
    real, imaginary = (_snapped(part) for part in z)
    if imaginary == "0":
        return real
    sign = "" if imaginary.startswith("-") else "+"
    return f"{'' if real == '0' else real + sign}{imaginary}i"


def _digits(z: Complex) -> str:
    return " ".join(_written(part) for part in z)


def _snapped(x: Decimal) -> str:
    """Return a real number that is a fraction of small numbers to 45 digits as that fraction."""
    if not x:
        return "0"
    if abs(x.adjusted()) <= 15:
        near = Fraction(x).limit_denominator(_MAX_DENOMINATOR)
        with localcontext(_HIGH):
            off = x - Decimal(near.numerator) / Decimal(near.denominator)
            if not off or off.adjusted() < x.adjusted() - _SNAP:
                return str(near)
    return _written(x)


def _written(x: Decimal) -> str:
    """Return a real number to 40 digits."""
    with localcontext(c.precise(KEPT)):
        short = (+x).normalize()
    return "0" if not short else str(short)
