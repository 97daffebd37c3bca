"""Exact values: sums of `rational x square root x symbols`, with one canonical text for each.

A value is a polynomial over the rationals in symbols (`x`, `pi`, `alpha_1`) and square roots of
squarefree integers, so `\\frac{2}{\\sqrt{2}}`, `\\sqrt 2` and `\\frac{\\sqrt 8}{2}` are one value.
What leaves this form (a root of a sum, a quotient by a sum, a product of sums with symbols) or the
limits on work gives None: the caller then compares the text.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from programs.equivalence.reading import MAX_DIGITS

Term = tuple[int, tuple[tuple[str, int], ...]]
"""A squarefree radicand and the symbols with their powers, sorted."""

Value = dict[Term, Fraction]
"""Coefficients by term; no coefficient is zero, so zero is the empty value."""

UNIT: Term = (1, ())
MAX_TERMS = 16
MAX_POWER = 64
MAX_SUM_POWER = 8
MAX_RADICAND = 10**9


def rational(value: Fraction) -> Value:
    """Return a rational number as a value."""
    return {UNIT: value} if value else {}


def symbol(name: str) -> Value:
    """Return a symbol as a value."""
    return {(1, ((name, 1),)): Fraction(1)}


def as_rational(value: Value) -> Fraction | None:
    """Return the number that a value is, or None where it holds a root or a symbol."""
    if not value:
        return Fraction(0)
    return value[UNIT] if set(value) == {UNIT} else None


def has_symbols(value: Value) -> bool:
    """Return whether a value holds a symbol."""
    return any(symbols for _, symbols in value)


def add(left: Value, right: Value, sign: int = 1) -> Value | None:
    """Return `left + sign * right`."""
    total = dict(left)
    for term, coefficient in right.items():
        total[term] = total.get(term, Fraction(0)) + sign * coefficient
    return _within(total)


def multiply(left: Value, right: Value) -> Value | None:
    """Return the product; None for two sums with symbols, since expanding them hides a factoring."""
    if len(left) > 1 and len(right) > 1 and (has_symbols(left) or has_symbols(right)):
        return None
    product: Value = {}
    for (root_a, symbols_a), a in left.items():
        for (root_b, symbols_b), b in right.items():
            outer, root = _squarefree(root_a * root_b)
            term = (root, _merged(symbols_a, symbols_b))
            product[term] = product.get(term, Fraction(0)) + a * b * outer
    return _within(product)


def divide(left: Value, right: Value) -> Value | None:
    """Return the quotient by a single term; None by a sum or by zero."""
    if len(right) != 1:
        return None
    ((root, symbols), coefficient) = next(iter(right.items()))
    inverse: Value = {
        (root, tuple((name, -power) for name, power in symbols)): 1 / (coefficient * root)
    }
    return multiply(left, inverse)


def power(base: Value, exponent: int) -> Value | None:
    """Return `base ** exponent` within the limits on work."""
    if abs(exponent) > MAX_POWER or (not base and exponent <= 0):
        return None
    if len(base) > 1 and (has_symbols(base) or abs(exponent) > MAX_SUM_POWER):
        return base if exponent == 1 else None
    result: Value | None = rational(Fraction(1))
    for _ in range(abs(exponent)):
        result = multiply(result, base) if result is not None else None
        if result is None:
            return None
    return result if exponent >= 0 else divide(rational(Fraction(1)), result or {})


def square_root(value: Value) -> Value | None:
    """Return the square root of a rational number that is not negative, exactly."""
    number = as_rational(value)
    if number is None or number < 0:
        return None
    radicand = number.numerator * number.denominator
    if radicand > MAX_RADICAND:
        return None
    if not radicand:
        return {}
    outer, root = _squarefree(radicand)
    return {(root, ()): Fraction(outer, number.denominator)}


def write(value: Value) -> str:
    """Return the one canonical text of a value: `1/2`, `2*sqrt(3)`, `-1+x^2`."""
    if not value:
        return "0"
    parts = [_term(coefficient, term) for term, coefficient in sorted(value.items())]
    return "+".join(parts).replace("+-", "-")


def _term(coefficient: Fraction, term: Term) -> str:
    root, symbols = term
    factors = [f"sqrt({root})"] if root > 1 else []
    factors += [name if power == 1 else f"{name}^{power}" for name, power in symbols]
    if not factors or abs(coefficient) != 1:
        return "*".join([str(coefficient), *factors])
    return ("-" if coefficient < 0 else "") + "*".join(factors)


def _merged(
    left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    powers = dict(left)
    for name, exponent in right:
        powers[name] = powers.get(name, 0) + exponent
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))


def _within(value: Value) -> Value | None:
    """Drop zero terms; None beyond the limits on terms, powers and digits."""
    kept = {term: coefficient for term, coefficient in value.items() if coefficient}
    limit = 10**MAX_DIGITS
    for (root, symbols), coefficient in kept.items():
        if abs(coefficient.numerator) > limit or coefficient.denominator > limit:
            return None
        if root > MAX_RADICAND or any(abs(exponent) > MAX_POWER for _, exponent in symbols):
            return None
    return kept if len(kept) <= MAX_TERMS else None


def _squarefree(radicand: int) -> tuple[int, int]:
    """Return (s, r) with radicand = s*s*r; r is squarefree for radicands within the limit.

    Trial division up to the cube root: what remains is a prime, a product of two, or a square.
    """
    if radicand > MAX_RADICAND:
        return 1, radicand
    outer, rest, root, prime = 1, radicand, 1, 2
    while prime * prime * prime <= rest:
        while rest % (prime * prime) == 0:
            rest //= prime * prime
            outer *= prime
        if rest % prime == 0:
            rest //= prime
            root *= prime
        prime += 1 if prime == 2 else 2
    side = isqrt(rest)
    if side * side == rest:
        return outer * side, root
    return outer, root * rest
