"""The mathematics behind the families of `math.py`: from drawn values to truth, slips and steps.

All values are exact; an answer is LaTeX without delimiters. The level decides what is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb, isqrt, prod

from ds2.engines.teacher.frame import Params, Solution, solution
from signatures.bloom import BloomLevel


def latex(value: int | Fraction) -> str:
    """Return an exact number as LaTeX: an integer or a reduced fraction.

    Example:
        >>> latex(Fraction(-6, 8)), latex(Fraction(4, 2))
        ('-\\\\frac{3}{4}', '2')
    """
    number = Fraction(value)
    if number.denominator == 1:
        return str(number.numerator)
    sign = "-" if number < 0 else ""
    return f"{sign}\\frac{{{abs(number.numerator)}}}{{{number.denominator}}}"


def radical(square: int, factor: int = 1) -> str:
    """Return `factor` times the square root of `square` as LaTeX in simplest form.

    Example:
        >>> radical(12), radical(9), radical(7), radical(8, 3)
        ('2\\\\sqrt{3}', '3', '\\\\sqrt{7}', '6\\\\sqrt{2}')
    """
    root = max(n for n in range(1, isqrt(square) + 1) if square % (n * n) == 0)
    rest = square // (root * root)
    outside = factor * root
    if rest == 1:
        return str(outside)
    return f"{outside if outside > 1 else ''}\\sqrt{{{rest}}}"


def _exact(truth: int | Fraction, slips: Sequence[int | Fraction], *steps: str) -> Solution:
    return solution(latex(truth), [latex(slip) for slip in slips], *steps)


def geometric(p: Params, level: BloomLevel) -> Solution:
    ratio = Fraction(p.p, p.q)
    total = p.first / (1 - ratio)
    if level in (BloomLevel.ANALYZE, BloomLevel.REMEMBER):
        third = p.first * ratio * ratio
        return _exact(
            third,
            [p.first * ratio, third * ratio, p.first + 2 * ratio, total],
            f"Each term is the one before times ${latex(ratio)}$.",
            f"The second term is ${p.first} \\cdot {latex(ratio)} = {latex(p.first * ratio)}$.",
            f"The third term is ${latex(p.first * ratio)} \\cdot {latex(ratio)} = {latex(third)}$.",
        )
    return _exact(
        total,
        [
            p.first / (1 + ratio),
            p.first * ratio / (1 - ratio),
            p.first * (1 - ratio),
            total - p.first,
        ],
        f"The first term is ${p.first}$ and the ratio is ${latex(ratio)}$, less than 1 in size.",
        f"So the sum is $\\frac{{{p.first}}}{{1 - {latex(ratio)}}}$.",
        f"The denominator is ${latex(1 - ratio)}$, and the sum is ${latex(total)}$.",
    )


def committee(p: Params, level: BloomLevel) -> Solution:
    everything = comb(p.girls + p.boys, p.size)
    split = comb(p.girls, p.chosen) * comb(p.boys, p.size - p.chosen)
    if level in (BloomLevel.REMEMBER, BloomLevel.UNDERSTAND):
        ordered = prod(range(p.girls + p.boys - p.size + 1, p.girls + p.boys + 1))
        return _exact(
            everything,
            [ordered, comb(p.girls + p.boys, p.size - 1), (p.girls + p.boys) * p.size],
            f"There are {p.girls} + {p.boys} = {p.girls + p.boys} people and the order is of no matter.",
            f"So the number is $\\binom{{{p.girls + p.boys}}}{{{p.size}}} = {everything}$.",
        )
    chance = Fraction(split, everything)
    one_way = Fraction(comb(p.girls, p.chosen), everything)
    return _exact(
        chance,
        [
            one_way,
            1 - chance,
            Fraction(p.chosen, p.size),
            Fraction(comb(p.girls, p.chosen) + comb(p.boys, p.size - p.chosen), everything),
        ],
        f"There are $\\binom{{{p.girls + p.boys}}}{{{p.size}}} = {everything}$ equally likely choices.",
        f"Of these, $\\binom{{{p.girls}}}{{{p.chosen}}} \\cdot "
        f"\\binom{{{p.boys}}}{{{p.size - p.chosen}}} = {split}$ are as wanted.",
        f"The probability is ${split} / {everything} = {latex(chance)}$.",
    )


def derivative(p: Params, level: BloomLevel) -> Solution:
    slope = 3 * p.a * p.x * p.x + 2 * p.b * p.x + p.c
    value = p.a * p.x**3 + p.b * p.x**2 + p.c * p.x + p.d
    if level is BloomLevel.CREATE:
        cut = value - slope * p.x
        return _exact(
            cut,
            [value, value + slope * p.x, p.d, slope],
            f"The derivative is ${3 * p.a}x^2 + {2 * p.b}x + {p.c}$; at $x = {p.x}$ it is ${slope}$.",
            f"The curve passes through $({p.x}, {value})$.",
            f"The tangent meets the axis at ${value} - {slope} \\cdot {p.x} = {cut}$.",
        )
    return _exact(
        slope,
        [
            p.a * p.x * p.x + p.b * p.x + p.c,
            slope + p.d,
            3 * p.a * p.x * p.x + 2 * p.b * p.x,
            value,
        ],
        f"The derivative is ${3 * p.a}x^2 + {2 * p.b}x + {p.c}$; the constant ${p.d}$ falls away.",
        f"At $x = {p.x}$ the terms are ${3 * p.a * p.x * p.x}$, ${2 * p.b * p.x}$ and ${p.c}$.",
        f"Their sum is ${slope}$.",
    )


def remainder(p: Params, level: BloomLevel) -> Solution:
    power = pow(p.base, p.exponent, p.modulus)
    if level in (BloomLevel.ANALYZE, BloomLevel.UNDERSTAND):
        order = next(k for k in range(1, p.modulus) if pow(p.base, k, p.modulus) == 1)
        cycle = ", ".join(str(pow(p.base, k, p.modulus)) for k in range(1, order + 1))
        return _exact(
            order,
            [p.modulus - 1, p.modulus, order + 1, p.exponent % order],
            f"The remainders of the powers are {cycle}.",
            f"The first power that leaves 1 is number {order}, so they repeat every {order} steps.",
        )
    order = next(k for k in range(1, p.modulus) if pow(p.base, k, p.modulus) == 1)
    return _exact(
        power,
        [
            p.base * p.exponent % p.modulus,
            pow(p.base, p.exponent % p.modulus, p.modulus),
            p.base % p.modulus,
            pow(p.base, p.exponent + 1, p.modulus),
        ],
        f"Modulo {p.modulus} the powers of {p.base} repeat every {order} steps.",
        f"{p.exponent} leaves the remainder {p.exponent % order} on division by {order}.",
        f"So the remainder of ${p.base}^{{{p.exponent}}}$ is that of "
        f"${p.base}^{{{p.exponent % order or order}}}$, which is ${power}$.",
    )


def vieta(p: Params, level: BloomLevel) -> Solution:
    total, product = Fraction(p.b, p.a), Fraction(p.c, p.a)
    if level in (BloomLevel.REMEMBER, BloomLevel.UNDERSTAND):
        return _exact(
            total,
            [-total, product, Fraction(p.b, 2 * p.a), Fraction(p.b)],
            f"For $ax^2 - bx + c$ the sum of the roots is $\\frac{{b}}{{a}}$ with $a = {p.a}$, $b = {p.b}$.",
            f"That is $\\frac{{{p.b}}}{{{p.a}}} = {latex(total)}$.",
        )
    if level in (BloomLevel.ANALYZE, BloomLevel.EVALUATE):
        inverse = total / product
        return _exact(
            inverse,
            [product / total, -inverse, 1 / total, total * product],
            f"The sum of the roots is ${latex(total)}$ and their product is ${latex(product)}$.",
            "The sum of the reciprocals is the sum of the roots over their product.",
            f"That is ${latex(inverse)}$.",
        )
    squares = total * total - 2 * product
    return _exact(
        squares,
        [total * total, total * total + 2 * product, total * total - product, total - 2 * product],
        f"The sum of the roots is ${latex(total)}$ and their product is ${latex(product)}$.",
        f"The sum of the squares is $({latex(total)})^2 - 2 \\cdot {latex(product)}$.",
        f"That is ${latex(squares)}$.",
    )


def diagonal(p: Params, level: BloomLevel) -> Solution:
    flat = p.width**2 + p.depth**2
    square = flat + p.height**2
    if level in (BloomLevel.REMEMBER, BloomLevel.APPLY):
        return solution(
            radical(flat),
            [str(p.width + p.depth), radical(2 * flat), radical(abs(p.width**2 - p.depth**2) or 1),
             str(flat)],
            "The diagonal of the base and two of its edges make a right triangle.",
            f"Its square is ${p.width}^2 + {p.depth}^2 = {flat}$.",
            f"So the length is the root of ${flat}$, which is ${radical(flat)}$.",
        )  # fmt: skip
    return solution(
        radical(square),
        [
            radical(flat),
            str(p.width + p.depth + p.height),
            radical(flat + p.height),
            str(square),
        ],
        f"The square of the base diagonal is ${p.width}^2 + {p.depth}^2 = {flat}$.",
        f"With the height: ${flat} + {p.height}^2 = {square}$.",
        f"So the length is the root of ${square}$, which is ${radical(square)}$.",
    )
