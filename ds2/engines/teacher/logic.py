"""Small models to decide logic problems by looking at every possibility."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import permutations, product

# A statement of a syllogism: quantifier, whether negated, subject, predicate (terms are 0, 1, 2).
Categorical = tuple[str, bool, int, int]


def orders(people: Sequence[str], rules: Iterable[tuple[str, str, str]]) -> list[tuple[str, ...]]:
    """Return all orders of `people` in which every rule (first, relation, second) holds."""
    kept = list(rules)
    return [
        order
        for order in permutations(people)
        if all(_stands(order.index(a), relation, order.index(b)) for a, relation, b in kept)
    ]


RELATIONS = ("somewhere before", "directly before", "somewhere after", "directly after")


def _stands(first: int, relation: str, second: int) -> bool:
    gap = second - first if relation.endswith("before") else first - second
    return gap == 1 if relation.startswith("directly") else gap > 0


@cache
def entailed(premises: tuple[Categorical, ...]) -> tuple[Categorical, ...]:
    """Return every statement about terms 0 and 2 that is true wherever the premises are.

    A model says which of the seven kinds of things with at least one of the three properties
    exist; each property has at least one bearer.
    """
    kinds = [kind for kind in product((False, True), repeat=3) if any(kind)]
    models = []
    for present in product((False, True), repeat=len(kinds)):
        world = [kind for kind, there in zip(kinds, present, strict=True) if there]
        inhabited = all(any(kind[term] for kind in world) for term in range(3))
        if inhabited and all(holds(premise, world) for premise in premises):
            models.append(world)
    return tuple(
        statement
        for statement in candidates()
        if models and all(holds(statement, world) for world in models)
    )


def candidates() -> tuple[Categorical, ...]:
    """Return the statements that link terms 0 and 2, stronger ones first."""
    forms = (("All", False), ("No", False), ("Some", False), ("Some", True))
    return tuple((q, negated, *ends) for q, negated in forms for ends in ((0, 2), (2, 0)))


def holds(statement: Categorical, world: Iterable[tuple[bool, ...]]) -> bool:
    """Return whether a statement is true in a world, a list of the kinds of things in it."""
    quantifier, negated, subject, predicate = statement
    hits = [kind[predicate] != negated for kind in world if kind[subject]]
    if quantifier == "No":
        return not any(hits)
    return all(hits) if quantifier == "All" else any(hits)


def worlds(
    names: Sequence[str], rules: Iterable[Callable[[Mapping[str, bool]], bool]]
) -> list[dict[str, bool]]:
    """Return all assignments of true and false to `names` in which every rule holds."""
    kept = list(rules)
    every = (
        dict(zip(names, row, strict=True)) for row in product((True, False), repeat=len(names))
    )
    return [world for world in every if all(rule(world) for rule in kept)]
