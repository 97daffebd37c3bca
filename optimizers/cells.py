"""What keywords, instructions and the chain are tried on: keyword lists to ask for, and cells.

No two ask the same: a prompt that is judged on what it was made of would only repeat it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import dspy

from optimizers.devsets import DevRow, DevSet
from optimizers.lists import LIST_SIZE
from optimizers.sides import Examples, asked, sides_of
from signatures.bloom import LEVELS
from signatures.records import KeywordOrigin

SEEDS = 4
CORE_SIZES = range(4, 24)  # of a core list: each asks for one keyword more than the one before
_EITHER_WAY = (KeywordOrigin.PREREQUISITE, KeywordOrigin.ADVANCED)
_TRIES = 50  # at an example that asks what no other does


def names_cells(devset: DevSet | None) -> bool:
    """Return whether every row of a dev set names a level and one or two keywords."""
    rows = devset.rows if devset is not None else ()
    return bool(rows) and all(row.level and len(row.keywords) in (1, 2) for row in rows)


def cells_of(rows: Sequence[DevRow]) -> Examples:
    """Return the cells of the rows of a dev set, each once."""
    return sides_of([_cell(list(row.keywords), str(row.level), 0) for row in rows])


def drawn_cells(bank: Sequence[str], count: int, seed: int) -> Examples:
    """Return cells of a bank: two keywords in four of ten, levels in turn."""
    rng = random.Random(f"{seed}/cells")

    def draw(number: int) -> dspy.Example:
        words = rng.sample(bank, min(len(bank), 2 if rng.random() < 0.4 else 1))
        return _cell(words, LEVELS[number % len(LEVELS)].value, number)

    return sides_of(_distinct(draw, count))


def asked_lists(bank: Sequence[str], count: int, seed: int) -> Examples:
    """Return lists to ask for: a third each of core, prerequisite and advanced keywords.

    Of a core list nothing but the length can be asked otherwise, so that each has its own, and there are
    twenty at most.
    """
    rng = random.Random(f"{seed}/lists")

    def draw(number: int) -> dspy.Example:
        core = number % 3 == 0 and number // 3 < len(CORE_SIZES)
        origin = KeywordOrigin.CORE if core else _EITHER_WAY[number % 2]
        seeds = [] if core else rng.sample(bank, min(SEEDS, len(bank)))
        rest = [word for word in bank if word not in seeds]
        known = [] if core else rng.sample(rest, len(rest) // 3)
        wanted = CORE_SIZES[number // 3] if core else LIST_SIZE
        example = dspy.Example(
            origin=origin.value, seeds=seeds, known=known, count=wanted, number=number
        )
        return example.with_inputs("origin", "seeds", "known", "count", "number")

    return sides_of(_distinct(draw, count))


def _distinct(draw: Callable[[int], dspy.Example], count: int) -> list[dspy.Example]:
    """Return so many examples that ask different things, or as many as are found."""
    found: dict[str, dspy.Example] = {}
    for number in range(count):
        for _ in range(_TRIES):
            example = draw(number)
            if found.setdefault(asked(example), example) is example:
                break
    return list(found.values())


def _cell(words: list[str], level: str, visit: int) -> dspy.Example:
    return dspy.Example(keywords=words, level=level, visit=visit).with_inputs(
        "keywords", "level", "visit"
    )
