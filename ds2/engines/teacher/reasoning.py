"""The logic behind the families of `logiqa.py`: from drawn values to truth, slips and steps.

Every truth comes from looking at all possibilities (`logic.py`). The level decides what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, permutations

from ds2.engines.teacher import logic
from ds2.engines.teacher.frame import Params, Solution, solution
from signatures.bloom import BloomLevel


def queue(p: Params) -> list[tuple[str, ...]]:
    rules = [(p.a, p.rel, p.b), (p.c, p.link, p.d), (p.b, p.tie, p.c)]
    return logic.orders((p.a, p.b, p.c, p.d), rules)


def ordering(p: Params, level: BloomLevel) -> Solution:
    found = queue(p)
    people = sorted((p.a, p.b, p.c, p.d))
    steps = [
        f"The rules say: {p.a} {p.rel} {p.b}; {p.c} {p.link} {p.d}; {p.b} {p.tie} {p.c}.",
        f"Trying the orders one by one leaves {', '.join(found[0])}.",
    ]
    if level in (BloomLevel.ANALYZE, BloomLevel.EVALUATE):
        order = found[0]
        pairs = list(pairwise(order))
        texts = [f"{second} is right in front of {first}" for first, second in pairs]
        truth = f"{order[1]} is right in front of {order[2]}"
        return solution(truth, texts, *steps, f"There, {truth}.")
    place = PLACES.index(p.place)
    return solution(
        found[0][place],
        [name for name in people if name != found[0][place]],
        *steps,
        f"So the {p.place} place belongs to {found[0][place]}.",
    )


PLACES = ("first", "second", "third", "last")


_NOTHING = "Nothing certain links the {} to the {}"


def _say(statement: logic.Categorical, terms: tuple[str, str, str]) -> str:
    quantifier, negated, subject, predicate = statement
    return f"{quantifier} {terms[subject]} are {'not ' if negated else ''}{terms[predicate]}"


def premises(p: Params) -> tuple[logic.Categorical, ...]:
    return ((p.q, p.are == "are not", 0, 1), (p.k, p.be == "are not", 1, 2))


def syllogism(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    terms = (p.a, p.b, p.c)
    given = premises(p)
    certain = logic.entailed(given)
    nothing = _NOTHING.format(p.a, p.c)
    wrong = [_say(s, terms) for s in logic.candidates() if s not in certain]
    # A reader who sees nothing certain errs only where something is.
    order = sorted(wrong, key=lambda text: (not text.startswith(p.q), not text.startswith("Some")))
    truth = _say(certain[0], terms) if certain else nothing
    return solution(
        truth,
        [*order[:2], *([nothing] if certain else []), *order[2:]],
        f"The premises are: {_say(given[0], terms)}; {_say(given[1], terms)}.",
        "Drawing three overlapping circles shows every way in which both can be true.",
        f"What holds in all of these drawings: {truth[0].lower()}{truth[1:]}.",
    )


# A fact and its denial.
# A fact and its denial.
EVENTS = {
    "the lamp is on": "the lamp is off",
    "the gate is open": "the gate is shut",
    "the bus runs late": "the bus runs on time",
    "the pump works": "the pump stands still",
    "the river is high": "the river is low",
    "the shop is open": "the shop is closed",
    "the fan turns": "the fan rests",
    "the stove is hot": "the stove is cold",
    "the flag is up": "the flag is down",
    "the radio plays": "the radio is silent",
    "the door is locked": "the door is unlocked",
    "the tank is full": "the tank is not full",
    "the path is wet": "the path is dry",
    "the guard is awake": "the guard is asleep",
    "the window is open": "the window is closed",
    "the bell rings": "the bell is quiet",
    "the ferry sails": "the ferry stays in port",
    "the road is clear": "the road is blocked",
    "the alarm is armed": "the alarm is disarmed",
    "the heating runs": "the heating is off",
    "the stage is lit": "the stage is dark",
    "the well is dry": "the well holds water",
}


def conditional(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    names = (p.p, p.q, p.r)
    known = next(name for name in names if p.fact in (name, EVENTS[name]))
    found = logic.worlds(
        names,
        (
            lambda w: w[p.q] or not w[p.p],
            lambda w: w[p.r] or not w[p.q],
            lambda w: w[known] == (p.fact == known),
        ),
    )
    first, second = (name for name in names if name != known)

    def say(name: str, value: bool) -> str:
        return name if value else EVENTS[name]

    if known == p.q:
        texts = {say(n, v): (n, v) for n in (first, second) for v in (True, False)}
        truth = next(t for t, (n, v) in texts.items() if all(w[n] == v for w in found))
        slips = [text for text in texts if text != truth]
    else:
        truth = f"{say(first, found[0][first])} and {say(second, found[0][second])}"
        every = [
            f"{say(first, one)} and {say(second, two)}"
            for one in (True, False)
            for two in (True, False)
        ]
        slips = [text for text in every if text != truth]
    return solution(
        truth,
        slips,
        f"The rules are: if {p.p}, then {p.q}; if {p.q}, then {p.r}.",
        f"It is given that {p.fact}.",
        "A rule works forwards from its condition and backwards from a denied result, no other way.",
        f"So this much is certain: {truth}.",
    )


def speakers(p: Params) -> list[dict[str, bool]]:
    def says(speaker: str, claim: bool, world: Mapping[str, bool]) -> bool:
        return world[speaker] == claim

    return logic.worlds(
        (p.a, p.b, p.c),
        (
            lambda w: says(p.a, w[p.b] == (p.one == "tells the truth"), w),
            lambda w: says(p.b, (w[p.a] == w[p.c]) == (p.two == "of the same kind"), w),
            lambda w: says(p.c, w[p.a] == (p.three == "tells the truth"), w),
        ),
    )


def _liars(world: dict[str, bool]) -> str:
    names = [name for name, honest in world.items() if not honest]
    if not names:
        return "None of the three"
    if len(names) == len(world):
        return "All three of them"
    return " and ".join(names) + (" only" if len(names) == 1 else "")


def islanders(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    truth = _liars(speakers(p)[0])
    others = [_liars(world) for world in logic.worlds((p.a, p.b, p.c), ())]
    return solution(
        truth,
        [text for text in others if text != truth],
        f"Suppose each of {p.a}, {p.b} and {p.c} to be honest or a liar: eight cases.",
        "In each case, what an honest one says must be so, and what a liar says must not.",
        f"Only one case survives; the liars in it: {truth}.",
    )


def overlap(p: Params, level: BloomLevel) -> Solution:
    counts = range(max(0, p.x + p.y - p.n), min(p.x, p.y) + 1)
    least, most = counts[0], counts[-1]
    neither = [p.n - p.x - p.y + both for both in counts]
    if level in (BloomLevel.ANALYZE, BloomLevel.CREATE):
        return solution(
            max(neither),
            [p.n - p.x, min(neither), p.n - p.y, p.x + p.y - p.n, most],
            f"Most are in neither when the smaller group lies inside the larger, of {max(p.x, p.y)}.",
            f"Then {p.n} - {max(p.x, p.y)} = {max(neither)} are outside of both.",
        )
    if level in (BloomLevel.UNDERSTAND, BloomLevel.EVALUATE):
        return solution(
            most,
            [max(p.x, p.y), least, p.n - p.x, p.n - p.y, abs(p.x - p.y)],
            "Most are in both when the smaller group lies wholly inside the larger.",
            f"The smaller of {p.x} and {p.y} is {most}.",
        )
    return solution(
        least,
        [most, p.n - p.x, p.n - p.y, abs(p.x - p.y), p.x + p.y],
        f"Counted one by one, the groups hold {p.x} + {p.y} = {p.x + p.y} places.",
        f"There are only {p.n} people, so at least {p.x + p.y} - {p.n} = {least} are counted twice.",
    )


def clues(p: Params) -> tuple[tuple[str, str, str], ...]:
    """Return the clues of a matching puzzle: who, `plays` or `does not play`, which instrument."""
    return ((p.a, p.v, p.w), (p.b, p.u, p.x), (p.c, p.t, p.w), (p.d, p.s, p.y), (p.b, p.r, p.z))


def casts(p: Params) -> list[dict[str, str]]:
    people = (p.a, p.b, p.c, p.d)
    every = (dict(zip(people, row, strict=True)) for row in permutations((p.w, p.x, p.y, p.z)))
    return [
        cast
        for cast in every
        if all((cast[who] == what) == (verb == "plays") for who, verb, what in clues(p))
    ]


def matching(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    cast = casts(p)[0]
    pairs = "; ".join(f"{person}: {cast[person]}" for person in sorted(cast))
    return solution(
        cast[p.who],
        [what for what in (p.w, p.x, p.y, p.z) if what != cast[p.who]],
        "A table of people and instruments is filled in with the clues, one instrument each.",
        f"Crossing out what is ruled out leaves one way: {pairs}.",
        f"So {p.who} plays the {cast[p.who]}.",
    )
