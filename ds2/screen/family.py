"""Families: one problem with other numbers. Few of them teach; many drown the rest.

Rule: a family is opened by an accepted row that belongs to none. An instruction belongs to the first
family whose opener it resembles with all numbers masked: Jaccard similarity of the character 5-grams
at least 0.9, for the whole text and for what is asked alone. Where a family has as many rows as the
cap allows, whatever belongs to it is rejected. A row carries the family's id, the content id of its
opener's instruction; whoever splits a dataset keeps a family on one side.

All that have the same masked text belong to the same family. Resemblance is to the opener, not from
member to member, so a family does not drift.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from ds2.screen.minhash import BandIndex, bands_for
from ds2.screen.shapes import Shape, Shapes
from signatures.records import ID_BYTES, Instruction, content_id

THRESHOLD = 0.9
CAP = 4
_REMEMBERED = 128


class Family(NamedTuple):
    """A family with the rows that it has so far.

    Args:
        id: content id of the opener's instruction.
        place: the opener's place.
        rows: accepted rows, the opener counted.
    """

    id: str
    place: int
    rows: int


class Families:
    """The families of the rows accepted so far, in the order in which they were opened.

    Args:
        cap: most rows of a family; 0 for no cap.
    """

    def __init__(self, cap: int = CAP) -> None:
        self.cap = cap
        self._index = BandIndex(bands_for(THRESHOLD))
        self._openers = Shapes()  # their masked texts
        # One entry a family. Most rows open one, so they are kept as numbers.
        self._ids, self._places, self._rows = array("Q"), array("q"), array("I")

    def full(self, instruction: Instruction) -> tuple[Family, float] | None:
        """Return the family that has no room for an instruction, with the resemblance, or None.

        A family that is full stays full, and no later one comes before it: once true, always true.
        """
        found = self._find(instruction) if self.cap else None
        if found is None or self._rows[found[0]] < self.cap:
            return None
        number, similarity = found
        return Family(self._id(number), self._places[number], self._rows[number]), similarity

    def join(self, place: int, instruction: Instruction) -> str:
        """Count an accepted row to its family, or open one with it; return the family's id."""
        found = self._find(instruction)
        if found is not None:
            self._rows[found[0]] += 1
            return self._id(found[0])
        shape, _, whole = _masked(instruction.context, instruction.question, instruction.options)
        self._index.add(self._openers.add(shape, len(whole)), self._index.keys(whole))
        self._ids.append(int(instruction.id, 16))
        self._places.append(place)
        self._rows.append(1)
        return instruction.id

    def _id(self, number: int) -> str:
        return f"{self._ids[number]:0{2 * ID_BYTES}x}"

    def _find(self, instruction: Instruction) -> tuple[int, float] | None:
        _, asked, whole = _masked(instruction.context, instruction.question, instruction.options)
        for number in self._index.candidates(self._index.keys(whole)):
            similarity = self._openers.similarity(number, asked, whole, THRESHOLD)
            if similarity >= THRESHOLD:
                return number, similarity
        return None


class Templates:
    """The masked texts of instructions, each known by a place: which resemble which, whatever their family.

    A family is of what resembles its opener. Here every text counts, so that chains of likeness, of
    which no family knows, can be followed from member to member.
    """

    def __init__(self) -> None:
        self._index = BandIndex(bands_for(THRESHOLD))
        self._shapes = Shapes()
        self._places: list[int] = []  # of a shape, by its number
        self._known: dict[int, int] = {}  # by the hash of the text

    def add(
        self, place: int, instruction: Instruction, joined: Callable[[int], bool]
    ) -> Iterator[int]:
        """Yield the places of earlier texts that one resembles, and keep it.

        Args:
            place: of the text.
            instruction: the text.
            joined: says of a place that it need not be compared.
        """
        shape, asked, whole = _masked(
            instruction.context, instruction.question, instruction.options
        )
        key = int(content_id([shape.context, *shape.asked]), 16)
        same = self._known.get(key)
        if same is not None:
            yield same
            return
        keys = self._index.keys(whole)
        for number in self._index.candidates(keys):
            if joined(self._places[number]):
                continue
            if self._shapes.similarity(number, asked, whole, THRESHOLD) >= THRESHOLD:
                yield self._places[number]
        self._known[key] = place
        self._index.add(self._shapes.add(shape, len(whole)), keys)
        self._places.append(place)


@lru_cache(maxsize=_REMEMBERED)
def _masked(
    context: str, question: str, options: tuple[str, ...]
) -> tuple[Shape, frozenset[str], frozenset[str]]:
    shape = Shape.of(context, question, options).masked()
    return shape, *shape.shingles()
