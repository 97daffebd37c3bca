"""The truths of the mathematics and logic families, found a second time in another way."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, permutations, product
from random import Random
from types import SimpleNamespace as Params

import pytest

from ds2.engines.teacher import algebra, catalog, logic, reasoning
from ds2.engines.teacher.frame import Written
from signatures.bloom import LEVELS, BloomLevel

ANALYZE, EVALUATE, CREATE = BloomLevel.ANALYZE, BloomLevel.EVALUATE, BloomLevel.CREATE
REMEMBER, UNDERSTAND, APPLY = BloomLevel.REMEMBER, BloomLevel.UNDERSTAND, BloomLevel.APPLY


def questions(task: str, name: str, seeds: int = 6) -> Iterator[Written]:
    domain = catalog.domain(task)
    for level in LEVELS:
        for seed in range(seeds):
            yield domain.write(Random(f"{name}{level}{seed}"), domain.by_name[name], level, ["k"])


def value(latex: str) -> float:
    """Return the value of the LaTeX that the families write."""
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"(\1/\2)", latex)
    text = re.sub(r"(?<=\d)\\sqrt", r"*\\sqrt", text)
    text = re.sub(r"\\sqrt\{(\d+)\}", r"math.sqrt(\1)", text)
    assert re.fullmatch(r"[-\d./()*]*(math\.sqrt\(\d+\))?", text), latex
    return float(eval(text, {"math": math}))  # noqa: S307


def shopping(p: Params, level: BloomLevel) -> float:
    return p.n * p.price * (1 - p.pct / 100) + p.m * p.cost * (1 - p.pct / 100)


def travel(p: Params, level: BloomLevel) -> float:
    first, second = sum([p.speed] * p.hours), sum([p.pace] * p.more)
    return abs(first - second) if level is ANALYZE else first + second


def sharing(p: Params, level: BloomLevel) -> float:
    given, one, other = 0, 0, 0
    while given < p.total:
        given, one, other = given + p.a + p.b, one + p.a, other + p.b
    return other - one if level in (ANALYZE, CREATE) else other


def growth(p: Params, level: BloomLevel) -> float:
    return p.base * (1 + p.up / 100) * (1 - p.down / 100)


def clock(p: Params, level: BloomLevel) -> float:
    minutes = []
    for number in range(p.rounds):
        minutes += ["work"] * p.minutes
        if number < p.rounds - 1:
            minutes += ["break"] * p.pause
    if level in (ANALYZE, EVALUATE):
        return minutes.count("work") - minutes.count("break")
    return len(minutes)


def fractions(p: Params, level: BloomLevel) -> float:
    return p.total * (1 - 1 / p.first) * (1 - 1 / p.second)


def geometric(p: Params, level: BloomLevel) -> float:
    terms = [p.first * (p.p / p.q) ** k for k in range(3000)]
    return terms[2] if level in (ANALYZE, REMEMBER) else math.fsum(terms)


def committee(p: Params, level: BloomLevel) -> float:
    people = ["girl"] * p.girls + ["boy"] * p.boys
    draws = [[people[i] for i in team] for team in combinations(range(len(people)), p.size)]
    if level in (REMEMBER, UNDERSTAND):
        return len(draws)
    return sum(team.count("girl") == p.chosen for team in draws) / len(draws)


def derivative(p: Params, level: BloomLevel) -> float:
    def f(x: Fraction) -> Fraction:
        return ((p.a * x + p.b) * x + p.c) * x + p.d

    h = Fraction(1, 10**9)
    slope = (f(p.x + h) - f(p.x - h)) / (2 * h)
    return float(f(Fraction(p.x)) - slope * p.x if level is CREATE else slope)


def remainder(p: Params, level: BloomLevel) -> float:
    if level in (ANALYZE, UNDERSTAND):
        return next(n for n in range(1, 99) if (p.base**n - 1) % p.modulus == 0)
    return p.base**p.exponent % p.modulus


def vieta(p: Params, level: BloomLevel) -> float:
    root = math.sqrt(p.b**2 - 4 * p.a * p.c)
    r, s = (p.b + root) / (2 * p.a), (p.b - root) / (2 * p.a)
    if level in (REMEMBER, UNDERSTAND):
        return r + s
    return 1 / r + 1 / s if level in (ANALYZE, EVALUATE) else r * r + s * s


def diagonal(p: Params, level: BloomLevel) -> float:
    flat = level in (REMEMBER, APPLY)
    return math.dist((0, 0, 0), (p.width, p.depth, 0 if flat else p.height))


def overlap(p: Params, level: BloomLevel) -> float:
    both = [n for n in range(p.n + 1) if n <= p.x and n <= p.y and p.x + p.y - n <= p.n]
    if level in (ANALYZE, CREATE):
        return max(p.n - (p.x + p.y - n) for n in both)
    return max(both) if level in (UNDERSTAND, EVALUATE) else min(both)


CHECKS: list[tuple[str, Callable[[Params, BloomLevel], float]]] = [
    *(("gsm8k", check) for check in (shopping, travel, sharing, growth, clock, fractions)),
    *(("math", c) for c in (geometric, committee, derivative, remainder, vieta, diagonal)),
    ("logiqa", overlap),
]


@pytest.mark.parametrize(("task", "check"), CHECKS, ids=lambda x: getattr(x, "__name__", x))
def test_numeric_truths_agree_with_a_second_way(
    task: str, check: Callable[[Params, BloomLevel], float]
) -> None:
    for made in questions(task, check.__name__):
        right = check(made.params, made.level)
        assert value(made.solution.truth) == pytest.approx(right, rel=1e-9), made
        for slip in made.solution.slips:
            assert value(slip) != pytest.approx(right, rel=1e-9), made


def before(order: tuple[str, ...], first: str, relation: str, second: str) -> bool:
    place = {name: number for number, name in enumerate(order)}
    return {
        "somewhere before": place[first] < place[second],
        "directly before": place[second] - place[first] == 1,
        "somewhere after": place[first] > place[second],
        "directly after": place[first] - place[second] == 1,
    }[relation]


def test_orderings_have_one_solution_and_one_right_option() -> None:
    for made in questions("logiqa", "ordering"):
        p = made.params
        rules = ((p.a, p.rel, p.b), (p.c, p.link, p.d), (p.b, p.tie, p.c))
        [order] = [
            row
            for row in permutations((p.d, p.c, p.b, p.a))
            if all(before(row, *rule) for rule in rules)
        ]

        texts = (made.solution.truth, *made.solution.slips)
        if made.level in (ANALYZE, EVALUATE):
            pairs = [text.split(" is right in front of ") for text in texts]
            verdicts = [before(order, one, "directly before", two) for one, two in pairs]
        else:
            verdicts = [order["first second third last".split().index(p.place)] == t for t in texts]
        assert verdicts == [True] + [False] * len(made.solution.slips), made


def says(text: str, terms: tuple[str, str, str], world: list[tuple[bool, bool, bool]]) -> bool:
    quantifier, _, rest = text.partition(" ")
    subject, _, predicate = rest.partition(" are ")
    wanted = not predicate.startswith("not ")
    predicate = predicate.removeprefix("not ")
    members = [kind for kind in world if kind[terms.index(subject)]]
    with_it = [kind for kind in members if kind[terms.index(predicate)] is wanted]
    return {"All": with_it == members, "No": not with_it, "Some": bool(with_it)}[quantifier]


def test_syllogisms_follow_in_all_small_worlds_and_slips_do_not() -> None:
    kinds = list(product((True, False), repeat=3))
    small = [
        world
        for size in (1, 2, 3, 4)
        for world in combinations_with_replacement(kinds, size)
        if all(any(kind[term] for kind in world) for term in range(3))
    ]
    for made in questions("logiqa", "syllogism", seeds=4):
        p = made.params
        terms = (p.a, p.b, p.c)
        given = (f"{p.q} {p.a} {p.are} {p.b}", f"{p.k} {p.b} {p.be} {p.c}")
        worlds = [w for w in small if all(says(text, terms, list(w)) for text in given)]
        assert worlds
        nothing = "Nothing certain"
        for slip in made.solution.slips:
            if not slip.startswith(nothing):
                assert not all(says(slip, terms, list(w)) for w in worlds), made
        if made.solution.truth.startswith(nothing):
            assert len(made.solution.slips) == len(logic.candidates())
        else:
            assert all(says(made.solution.truth, terms, list(w)) for w in worlds), made


def test_conditionals_entail_the_truth_and_no_slip() -> None:
    for made in questions("logiqa", "conditional"):
        p = made.params
        rows = [
            {p.p: x, p.q: y, p.r: z}
            for x, y, z in product((True, False), repeat=3)
            if (y or not x) and (z or not y)
        ]
        denied = {reasoning.EVENTS[name]: name for name in (p.p, p.q, p.r)}

        def true(text: str, row: dict[str, bool], denied: dict[str, str] = denied) -> bool:
            return all(
                not row[denied[part]] if part in denied else row[part]
                for part in text.split(" and ")
            )

        rows = [row for row in rows if true(p.fact, row)]
        assert all(true(made.solution.truth, row) for row in rows)
        for slip in made.solution.slips:
            assert not all(true(slip, row) for row in rows), made


def test_islanders_have_one_consistent_world() -> None:
    for made in questions("logiqa", "islanders"):
        p = made.params
        kept = []
        for a, b, c in product((True, False), repeat=3):
            one = b if p.one == "tells the truth" else not b
            two = (a is c) if p.two == "of the same kind" else (a is not c)
            three = a if p.three == "tells the truth" else not a
            if (one, two, three) == (a, b, c):
                kept.append([n for n, honest in ((p.a, a), (p.b, b), (p.c, c)) if not honest])
        [liars] = kept
        named = [name for name in (p.a, p.b, p.c) if name in made.solution.truth]
        if liars and len(liars) < 3:
            assert named == liars
        else:
            assert made.solution.truth == ("All three of them" if liars else "None of the three")


def test_matchings_have_one_solution_that_no_clue_gives_away() -> None:
    for made in questions("logiqa", "matching"):
        p = made.params
        found = {
            dict(zip(row, (p.w, p.x, p.y, p.z), strict=True))[p.who]
            for row in permutations((p.a, p.b, p.c, p.d))
            for of in [dict(zip((p.w, p.x, p.y, p.z), row, strict=True))]
            if (of[p.w] == p.a) is (p.v == "plays")
            and (of[p.x] == p.b) is (p.u == "plays")
            and (of[p.w] == p.c) is (p.t == "plays")
            and (of[p.y] == p.d) is (p.s == "plays")
            and (of[p.z] == p.b) is (p.r == "plays")
        }
        assert found == {made.solution.truth}
        assert f"{p.who} plays the" not in made.question


@pytest.mark.parametrize(
    ("square", "factor", "text"),
    [(12, 1, "2\\sqrt{3}"), (9, 1, "3"), (7, 1, "\\sqrt{7}"), (8, 3, "6\\sqrt{2}"), (1, 1, "1")],
)
def test_radicals_are_in_simplest_form(square: int, factor: int, text: str) -> None:
    assert algebra.radical(square, factor) == text
    assert value(text) == pytest.approx(factor * math.sqrt(square))
