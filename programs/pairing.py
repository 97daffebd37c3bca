"""Which keyword, or which pair, comes when: the seeded stream of cells of one level (pure).

A cell is a keyword or a pair of keywords at one level. Within a cycle every cell comes exactly
once, so no cell comes twice before all came once. Pairs are spread evenly among single keywords
at the wanted share until one of the two kinds runs out; then the other fills the cycle.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple


class Cell(NamedTuple):
    """One keyword or a pair of them, and how often this cell was visited before.

    Args:
        keywords: one or two keywords, as indices into the bank.
        visit: 0 on the first visit of this cell, 1 on the second, and so on.
    """

    keywords: tuple[int, ...]
    visit: int


def cells(bank: int, *, pair_share: float, seed: str) -> Iterator[Cell]:
    """Yield the endless stream of cells for one level of a bank of `bank` keywords.

    Args:
        bank: number of keywords, at least 1. With one keyword there are no pairs.
        pair_share: wanted share of pairs among the cells, 0 to 1.
        seed: names the stream; equal seeds give equal streams on every machine.

    Raises:
        ValueError: the bank is empty.

    Example:
        >>> stream = cells(3, pair_share=0.5, seed="demo")
        >>> sorted(len(next(stream).keywords) for _ in range(4))
        [1, 1, 2, 2]
    """
    if bank < 1:
        raise ValueError(f"bank must be at least 1 (got {bank})")
    for cycle in count():
        singles = iter(shuffled(bank, f"{seed}/single/{cycle}"))
        pairs = iter(shuffled(bank * (bank - 1) // 2, f"{seed}/pair/{cycle}"))
        yield from (Cell(k, cycle) for k in _spread(singles, pairs, pair_share))


def _spread(
    singles: Iterator[int], pairs: Iterator[int], share: float
) -> Iterator[tuple[int, ...]]:
    """Yield all singles and pairs once; pair n comes when n pairs are due at the wanted share."""
    given = taken = 0
    while True:
        pair_due = (given + 1) * share >= taken + 1
        kinds = ((pairs, True), (singles, False)) if pair_due else ((singles, False), (pairs, True))
        for source, is_pair in kinds:
            index = next(source, None)
            if index is not None:
                given += 1
                taken += is_pair
                yield pair_at(index) if is_pair else (index,)
                break
        else:
            return


def pair_at(index: int) -> tuple[int, int]:
    """Return pair number `index` of the pairs (a, b) with a < b, counted by b and then a.

    Example:
        >>> [pair_at(i) for i in range(4)]
        [(0, 1), (0, 2), (1, 2), (0, 3)]
    """
    b = int((1 + (1 + 8 * index) ** 0.5) / 2)
    while b * (b - 1) // 2 > index:
        b -= 1
    while b * (b + 1) // 2 <= index:
        b += 1
    return index - b * (b - 1) // 2, b


def shuffled(size: int, seed: str) -> Sequence[int]:
    """Return 0 to size - 1 in an order decided by `seed` alone."""
    order = array("Q", range(size))  # a fifth of a list's memory: there are millions of pairs
    random.Random(seed).shuffle(order)
    return order
