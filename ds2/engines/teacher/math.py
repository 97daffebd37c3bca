"""Competition mathematics: six families whose result is one exact expression in LaTeX."""

from __future__ import annotations

from math import gcd

from ds2.engines.teacher import algebra
from ds2.engines.teacher.frame import Domain, Family, node
from ds2.engines.teacher.slots import Whole, Word
from ds2.engines.teacher.wording import asks_for
from ds2.engines.teacher.words import NAMES

_LETTERS = ("a", "b", "c", "u", "x", "y", "t", "s")


GEOMETRIC = Family(
    name="geometric",
    difficulty=0.4,
    slots={"first": Whole(2, 40), "p": Whole(1, 9), "q": Whole(2, 12), "v": Word(_LETTERS)},
    scenes=(
        (
            "The [infinite|unending] geometric sequence ${v}_1, {v}_2, {v}_3, \\dots$ starts with "
            "${v}_1 = {first}$, and each term is $\\frac{{p}}{{q}}$ of the one before."
        ),
        (
            "A ball of chalk dust spreads: the first puff covers {first} square units, and every "
            "further puff covers $\\frac{{p}}{{q}}$ of the area of the last, without end."
        ),
        (
            "Let ${v}_n = {first} \\left(\\frac{{p}}{{q}}\\right)^{n-1}$ for [all|every] $n \\ge 1$, "
            "the terms of a geometric series."
        ),
        (
            "A contest sheet defines ${v}_1 = {first}$ and ${v}_{n+1} = \\frac{{p}}{{q}} \\, {v}_n$ "
            "for [all|every] $n \\ge 1$."
        ),
    ),
    asks=asks_for(
        "the sum of all terms of the infinite series",
        at={
            "remember": "the value of the third term",
            "analyze": "the exact size of the third term",
        },
    ),
    solve=algebra.geometric,
    fit=lambda p: p.p < p.q and gcd(p.p, p.q) == 1,
)


COMMITTEE = Family(
    name="committee",
    difficulty=0.6,
    slots={
        "name": Word(NAMES),
        "girls": Whole(3, 9),
        "boys": Whole(3, 9),
        "size": Whole(2, 5),
        "chosen": Whole(1, 4),
        "club": Word(("chess", "drama", "rowing", "robotics", "choir", "debate", "hiking")),
    },
    scenes=(
        (
            "From the {girls} girls and {boys} boys of a {club} club, {name} draws a team of {size} "
            "at random; a draw counts as lucky if it holds exactly {chosen} of the girls."
        ),
        (
            "The {club} group of {name} has {girls} seniors and {boys} juniors. A delegation of {size} "
            "is picked by lot, and it is called balanced when precisely {chosen} seniors are in it."
        ),
        (
            "A bag of {name} holds {girls} red and {boys} blue counters with {club} crests. One grabs "
            "{size} counters at once; the grab scores when the count of red ones is {chosen}."
        ),
    ),
    asks=asks_for(
        "the exact probability of that event",
        at={
            "remember": "the number of different selections that are possible in all",
            "understand": "the number of all selections that could come about",
        },
    ),
    solve=algebra.committee,
    fit=lambda p: (
        p.chosen < p.size
        and p.chosen <= p.girls
        and p.size - p.chosen <= p.boys
        and p.size < p.girls + p.boys
    ),
)


DERIVATIVE = Family(
    name="derivative",
    difficulty=0.35,
    slots={
        "f": Word(("f", "g", "h", "p", "q")),
        "a": Whole(1, 9),
        "b": Whole(2, 9),
        "c": Whole(2, 12),
        "d": Whole(1, 30),
        "x": Whole(1, 7),
        "name": Word(NAMES),
    },
    scenes=(
        (
            "For [all real|every] $x$ let ${f}(x) = {a}x^3 + {b}x^2 + {c}x + {d}$, and look at the "
            "point with $x = {x}$."
        ),
        (
            "{name} studies the cubic ${f}(x) = {a}x^3 + {b}x^2 + {c}x + {d}$ and the tangent to its "
            "graph where $x = {x}$."
        ),
        (
            "After $x$ seconds a [cart|glider|marble] of {name} has moved "
            "${a}x^3 + {b}x^2 + {c}x + {d}$ metres; call this ${f}(x)$ and stop the clock at "
            "$x = {x}$."
        ),
    ),
    asks=asks_for(
        "the value of the derivative ${f}'({x})$",
        at={
            "create": "the height at which the tangent of ${f}$ at $x = {x}$ cuts the vertical axis"
        },
    ),
    solve=algebra.derivative,
)


REMAINDER = Family(
    name="remainder",
    difficulty=0.6,
    slots={
        "base": Whole(2, 19),
        "exponent": Whole(20, 400),
        "modulus": Whole(5, 23),
        "name": Word(NAMES),
    },
    scenes=(
        "The number ${base}^{{exponent}}$ [is|gets] divided by ${modulus}$, says the sheet of {name}.",
        (
            "{name} lays out ${base}^{{exponent}}$ tiles in rows of ${modulus}$ tiles, as many full rows "
            "as there can be."
        ),
        (
            "A clock face of {name} has ${modulus}$ marks, numbered from $0$. A hand starts at $0$ and "
            "moves on by ${base}^{{exponent}}$ marks."
        ),
        "{name} works with the powers of ${base}$ modulo ${modulus}$, up to ${base}^{{exponent}}$.",
    ),
    asks=asks_for(
        "the remainder of ${base}^{{exponent}}$ modulo ${modulus}$",
        at={
            "understand": "the length of the cycle of the remainders of ${base}^n$ modulo ${modulus}$",
            "analyze": "the smallest positive $n$ for which ${base}^n$ is $1$ modulo ${modulus}$",
        },
    ),
    solve=algebra.remainder,
    fit=lambda p: gcd(p.base, p.modulus) == 1 and p.base % p.modulus not in (0, 1),
)


VIETA = Family(
    name="vieta",
    difficulty=0.5,
    slots={
        "a": Whole(2, 7),
        "b": Whole(3, 29),
        "c": Whole(1, 20),
        "r": Word(("r", "p", "u", "m")),
        "s": Word(("s", "q", "w", "n")),
        "name": Word(NAMES),
    },
    scenes=(
        "Let ${r}$ and ${s}$ be the [roots|solutions] of ${a}x^2 - {b}x + {c} = 0$.",
        (
            "The parabola $y = {a}x^2 - {b}x + {c}$ that {name} draws meets the $x$-axis at ${r}$ and "
            "at ${s}$."
        ),
        (
            "{name} writes down the two numbers ${r}$ and ${s}$ for which ${a}x^2 - {b}x + {c}$ "
            "[vanishes|becomes zero]."
        ),
    ),
    asks=asks_for(
        "the exact value of ${r}^2 + {s}^2$",
        at={
            "remember": "the sum ${r} + {s}$",
            "understand": "the exact value of ${r} + {s}$",
            "analyze": "the exact value of $\\frac{1}{{r}} + \\frac{1}{{s}}$",
            "evaluate": "the sum of the reciprocals of ${r}$ and ${s}$",
        },
    ),
    solve=algebra.vieta,
    fit=lambda p: p.b * p.b > 4 * p.a * p.c,
)


DIAGONAL = Family(
    name="diagonal",
    difficulty=0.3,
    slots={
        "width": Whole(2, 16),
        "depth": Whole(2, 16),
        "height": Whole(2, 16),
        "name": Word(NAMES),
        "thing": Word(("crate", "box", "case", "chest", "block", "room", "trunk")),
    },
    scenes=(
        (
            "A [rectangular|right-angled] {thing} of {name} has a base of {width} by {depth} units and "
            "a height of {height} units."
        ),
        (
            "{name} measures a {thing} with right angles everywhere: width {width}, depth {depth}, "
            "height {height}, all in the same unit."
        ),
        (
            "Three edges of length {width}, {depth} and {height} meet at right angles in one corner of "
            "the {thing} of {name}; the first two lie in its base."
        ),
    ),
    asks=asks_for(
        "the exact length of the space diagonal, from one corner to the opposite one",
        at={
            "remember": "the exact length of the diagonal of the base",
            "apply": "the exact length of a diagonal of the base",
        },
    ),
    solve=algebra.diagonal,
)

KEYWORDS = (
    node("geometric series", "geometric", core=True, needs="geometric sequences, fractions",
         also="infinite geometric sum"),
    node("binomial coefficients", "committee", core=True, needs="combinations, factorials"),
    node("modular arithmetic", "remainder", core=True, needs="division with remainder",
         also="congruences"),
    node("probability", "committee", core=True, needs="fractions, counting principle",
         also="chance of an event"),
    node("quadratic equations", "vieta", core=True, needs="polynomials, completing the square",
         also="second-degree equations"),
    node("derivatives", "derivative", core=True, needs="polynomials, limits",
         also="differential quotients"),
    node("Pythagorean theorem", "diagonal", core=True, needs="right triangles, square roots",
         also="theorem of Pythagoras"),
    node("combinations", "committee", core=True, needs="counting principle, factorials",
         also="unordered selections"),
    node("Vieta's formulas", "vieta", core=True, needs="roots of polynomials, quadratic equations",
         also="sum and product of roots"),
    node("tangent lines", "derivative", core=True, needs="slope of a line, derivatives"),
    node("powers and exponents", "remainder geometric", core=True, needs="integer factorization",
         also="exponentiation"),
    node("solid geometry", "diagonal", core=True, needs="Pythagorean theorem, area of a rectangle",
         also="geometry of space"),
    node("geometric sequences", "geometric", needs="powers and exponents, recursion",
         also="geometric progressions"),
    node("fractions", "geometric vieta", also="rational numbers"),
    node("factorials", "committee", needs="counting principle"),
    node("counting principle", "committee", also="rule of product"),
    node("division with remainder", "remainder", also="Euclidean division"),
    node("polynomials", "vieta derivative"),
    node("completing the square", "vieta", needs="polynomials"),
    node("limits", "geometric derivative", needs="fractions"),
    node("right triangles", "diagonal"),
    node("square roots", "diagonal", also="radicals"),
    node("roots of polynomials", "vieta", needs="polynomials", also="zeros of polynomials"),
    node("slope of a line", "derivative", needs="fractions", also="gradient"),
    node("integer factorization", "remainder", also="prime factorization"),
    node("area of a rectangle", "diagonal"),
    node("recursion", "geometric", also="recurrence relations"),
    node("cycles of remainders", "remainder", needs="modular arithmetic, powers and exponents",
         also="periodic remainders"),
    node("multiplicative order", "remainder", needs="cycles of remainders"),
    node("Fermat's little theorem", "remainder",
         needs="modular arithmetic, integer factorization"),
    node("hypergeometric probability", "committee", needs="probability, binomial coefficients"),
    node("symmetric polynomials", "vieta", needs="Vieta's formulas", also="symmetric functions"),
    node("reciprocal sums", "vieta", needs="fractions, Vieta's formulas"),
    node("space diagonals", "diagonal", needs="Pythagorean theorem, solid geometry"),
    node("simplifying radicals", "diagonal", needs="square roots, integer factorization",
         also="reducing surds"),
    node("convergence of series", "geometric", needs="geometric series, limits"),
    node("power rule", "derivative", needs="derivatives, powers and exponents"),
    node("rates of change", "derivative", needs="derivatives", also="instantaneous rates"),
    node("random selection", "committee", needs="probability", also="drawing at random"),
    node("discriminants", "vieta", needs="quadratic equations, square roots"),
)  # fmt: skip

DOMAIN = Domain(
    task="math",
    families=(GEOMETRIC, COMMITTEE, DERIVATIVE, REMAINDER, VIETA, DIAGONAL),
    keywords=KEYWORDS,
    claim="${}$",
    openings=(
        "A [contest|training camp|problem set] on {first} holds this [item|problem].",
        "[Warm-up|Challenge] in {first}:",
        "Whoever has mastered {first} will [enjoy|like] this one.",
    ),
    pair_openings=(
        "A [contest|training camp] on {first} and {second} holds this [item|problem].",
        "[Challenge|Exercise] that links {first} with {second}:",
    ),
    asides=(
        "Calculators are [banned|not allowed].",
        "The answer must be exact.",
        "It was set [years ago|last spring|in the second round].",
        "There is more than one way to see it.",
    ),
)
