"""Which rows of a dataset belong on one side of a split: families, and what is nearly the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from ds2.screen.family import Templates
from ds2.screen.near import NearScreen
from signatures.bloom import BloomLevel
from signatures.records import Instruction

Record = Mapping[str, Any]


def alike(records: Iterable[Record], *, near: bool = True) -> dict[str, str]:
    """Return the group of each row by its id: the rows of a family share one, and like problems do.

    Like are rows whose texts with numbers masked are as alike as the members of a family
    (`ds2.screen.family`), whatever family they have, and with `near` near-duplicates
    (`ds2.screen.near`); and so on, from row to row. A group is named by the family of its first row.
    It compares all rows, some 4,000 a second, 1,500 with `near`.
    """
    rows: list[tuple[str, str]] = []
    groups, begins = _Groups(), dict[str, int]()
    screen, templates = NearScreen(), Templates()
    for place, record in enumerate(records):
        family = str(record.get("family") or record["id"])
        rows.append((record["id"], family))
        groups.join(begins.setdefault(family, place), place)
        instruction = _instruction(record)
        for earlier in templates.add(place, instruction, partial(groups.joined, place)):
            groups.join(earlier, place)
        if near:
            for earlier in list(screen.matches(instruction)):
                groups.join(earlier, place)
            screen.add(place, instruction)
    return {row: rows[groups.first(place)][1] for place, (row, _) in enumerate(rows)}


class _Groups:
    """Places that belong together; each is alone until it is joined to an earlier one."""

    def __init__(self) -> None:
        self._before: dict[int, int] = {}  # of a place, one of its group that comes before it

    def first(self, place: int) -> int:
        """Return the first place of the group that a place is in."""
        while place in self._before:
            before = self._before[place]
            # Halving the way keeps it short, however long a chain grows.
            self._before[place] = self._before.get(before, before)
            place = before
        return place

    def joined(self, one: int, other: int) -> bool:
        """Return whether two places are in one group."""
        return self.first(one) == self.first(other)

    def join(self, one: int, other: int) -> None:
        """Put two places, and all that is joined to them, into one group."""
        begins, later = sorted((self.first(one), self.first(other)))
        if begins != later:
            self._before[later] = begins


def _instruction(record: Record) -> Instruction:
    """Return what the screen compares of a row: its text without the lines of its options."""
    options, context = tuple(record["options"]), record["context"]
    written = Instruction(
        keywords=("row",),
        level=BloomLevel(record["level"]),
        question="\0",
        options=options,
        context=context,
    )
    before, _, after = written.text.partition("\0")
    question = record["instruction"].removeprefix(before).removesuffix(after)
    return written.model_copy(update={"question": question})
