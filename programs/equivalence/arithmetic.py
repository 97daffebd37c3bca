"""Complex arithmetic to many digits on the standard library's decimals.

A number is a pair of decimals. Every function works at the precision of the current decimal
context and is exact to a few units of its last places; what cancels to nothing at that precision is
nothing. Results that cannot be trusted (a sum whose parts lie too far apart, a quotient by zero, an
angle of many turns) raise `ArithmeticError`.
"""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow, Underflow
from decimal import getcontext as current
from fractions import Fraction
from functools import lru_cache

Complex = tuple[Decimal, Decimal]

ZERO, ONE, TWO = Decimal(0), Decimal(1), Decimal(2)
NOTHING: Complex = (ZERO, ZERO)
UNIT: Complex = (ONE, ZERO)
IMAGINARY: Complex = (ZERO, ONE)

MAX_APART = 30
"""Orders of magnitude between the parts of a sum; beyond it the smaller one could be lost."""

MAX_ANGLE = 10**6
MAX_POWER = 10_000
_GUARD = 15  # digits at the end that are noise
_HALVINGS = 6


def precise(digits: int) -> Context:
    """Return a context of so many digits in which what overflows or is undefined raises."""
    return Context(
        prec=digits,
        Emax=10**6,
        Emin=-(10**6),
        traps=[DivisionByZero, InvalidOperation, Overflow, Underflow],
    )


def of(value: Fraction) -> Complex:
    """Return a rational number."""
    return Decimal(value.numerator) / Decimal(value.denominator), ZERO


def add(a: Complex, b: Complex) -> Complex:
    """Return the sum; parts that cancel but for noise give zero."""
    return _sum(a[0], b[0]), _sum(a[1], b[1])


def _sum(a: Decimal, b: Decimal) -> Decimal:
    if not a or not b:
        return a + b
    if abs(a.adjusted() - b.adjusted()) > MAX_APART:
        raise ArithmeticError("parts of a sum that lie too far apart")
    total = a + b
    return total if _counts(total, a) else ZERO


def _counts(part: Decimal, beside: Decimal) -> bool:
    """Whether a part is more than noise beside another."""
    return bool(part) and part.adjusted() > beside.adjusted() - current().prec + _GUARD


def _settled(z: Complex) -> Complex:
    real, imaginary = z
    if not imaginary or not real:
        return z
    if not _counts(imaginary, real):
        return real, ZERO
    return z if _counts(real, imaginary) else (ZERO, imaginary)


def multiply(a: Complex, b: Complex) -> Complex:
    """Return the product."""
    if not a[1] and not b[1]:
        return a[0] * b[0], ZERO
    return _settled((_sum(a[0] * b[0], -a[1] * b[1]), _sum(a[0] * b[1], a[1] * b[0])))


def divide(a: Complex, b: Complex) -> Complex:
    """Return the quotient."""
    if not b[1]:
        return a[0] / b[0], a[1] / b[0]
    size = b[0] * b[0] + b[1] * b[1]
    return multiply(a, (b[0] / size, -b[1] / size))


def absolute(z: Complex) -> Complex:
    """Return the absolute value."""
    if not z[1]:
        return abs(z[0]), ZERO
    return (z[0] * z[0] + z[1] * z[1]).sqrt(), ZERO


def root(z: Complex, index: int) -> Complex:
    """Return the principal square root; of other roots the real one, where there is one."""
    if not z[1] and (z[0] >= 0 or index % 2):
        size = abs(z[0])
        value = _real_root(size, index)
        return (-value if z[0] < 0 else value), ZERO
    if index == TWO:
        return _square_root(z)
    return exponential(divide(logarithm(z), (Decimal(index), ZERO)))


def _real_root(size: Decimal, index: int) -> Decimal:
    if not size:
        return ZERO
    if index == TWO:
        return size.sqrt()
    return (size.ln() / index).exp()


def _square_root(z: Complex) -> Complex:
    if not z[1]:
        return ZERO, (-z[0]).sqrt()
    size = absolute(z)[0]
    real = ((size + z[0]) / 2).sqrt()
    imaginary = ((size - z[0]) / 2).sqrt()
    return real, imaginary.copy_sign(z[1])


def whole_power(z: Complex, exponent: int) -> Complex:
    """Return an integer power; of zero only a positive one."""
    if abs(exponent) > MAX_POWER or (z == NOTHING and exponent <= 0):
        raise ArithmeticError("a power out of range")
    if not z[1]:
        return z[0] ** exponent, ZERO
    result, square, left = UNIT, z, abs(exponent)
    while left:
        if left & 1:
            result = multiply(result, square)
        left >>= 1
        square = multiply(square, square) if left else square
    return divide(UNIT, result) if exponent < 0 else result


def power(z: Complex, exponent: Complex) -> Complex:
    """Return the principal power with any exponent."""
    if z == NOTHING:
        raise ArithmeticError("a power of zero")
    return exponential(multiply(exponent, logarithm(z)))


def exponential(z: Complex) -> Complex:
    """Return e to the power of z."""
    size = z[0].exp()
    if not z[1]:
        return size, ZERO
    return multiply((size, ZERO), (_cosine(z[1]), _sine(z[1])))


def logarithm(z: Complex) -> Complex:
    """Return the principal natural logarithm."""
    if not z[1] and z[0] > 0:
        return z[0].ln(), ZERO
    if z == NOTHING:
        raise ArithmeticError("a logarithm of zero")
    return absolute(z)[0].ln(), _angle(z)


def sine(z: Complex) -> Complex:
    """Return the sine of a real angle."""
    return _sine(_real(z)), ZERO


def cosine(z: Complex) -> Complex:
    """Return the cosine of a real angle."""
    return _cosine(_real(z)), ZERO


def arctangent(z: Complex) -> Complex:
    """Return the angle in (-pi/2, pi/2) whose tangent is a real number."""
    return _arctangent(_real(z)), ZERO


def arcsine(z: Complex) -> Complex:
    """Return the angle in [-pi/2, pi/2] whose sine is a real number."""
    x = _real(z)
    rest = _sum(ONE, -x * x)
    if rest < 0:
        raise ArithmeticError("the arcsine of a number beyond 1")
    return _angle((rest.sqrt(), x)), ZERO


def _real(z: Complex) -> Decimal:
    if z[1]:
        raise ArithmeticError("a function of a real number only")
    return z[0]


def _sine(x: Decimal) -> Decimal:
    return _cosine(x - pi() / 2)


def _cosine(x: Decimal) -> Decimal:
    if abs(x) > MAX_ANGLE:
        raise ArithmeticError("an angle of too many turns")
    x = abs(x.remainder_near(2 * pi()))
    # cos x = 2 cos^2(x/2) - 1, on 1 - cos to keep the digits of a small angle
    x /= 2**_HALVINGS
    total = term = x * x / 2
    square, k = x * x, 3
    while term and abs(term.adjusted() - total.adjusted()) <= current().prec:
        term = -term * square / (k * (k + 1))
        total += term
        k += 2
    for _ in range(_HALVINGS):
        total = 2 * total * (2 - total)
    if not total or total.adjusted() < -MAX_APART:
        return ONE - total
    return _sum(ONE, -total)


def _arctangent(x: Decimal) -> Decimal:
    for _ in range(_HALVINGS):
        x = x / (1 + (1 + x * x).sqrt())
    total, term, square, k = x, x, x * x, 3
    while term and abs(term.adjusted() - total.adjusted()) <= current().prec:
        term = -term * square
        total += term / k
        k += 2
    return total * 2**_HALVINGS


def _angle(z: Complex) -> Decimal:
    """Return the argument of a number that is not zero, in (-pi, pi]."""
    real, imaginary = z
    if not real:
        return (pi() / 2).copy_sign(imaginary)
    angle = _arctangent(imaginary / real)
    if real > 0:
        return angle
    return angle + pi() if imaginary >= 0 else angle - pi()


def pi() -> Decimal:
    """Return pi at the current precision."""
    return +_pi()


@lru_cache(maxsize=1)
def _pi(digits: int = 150) -> Decimal:
    """Return pi by Machin's formula, in whole numbers."""
    scale = 10 ** (digits + 10)

    exact = 4 * (4 * _arccot(5, scale) - _arccot(239, scale))
    return Decimal(exact // 10**10).scaleb(-digits, precise(digits + 10))


def _arccot(n: int, scale: int) -> int:
    total, term, k, sign = 0, scale // n, 1, 1
    while term:
        total += sign * (term // k)
        term //= n * n
        k, sign = k + 2, -sign
    return total
