"""Near-duplicates: two instructions that share most of their characters, and all of their numbers.

Rule: a later instruction repeats an earlier one where both have the same sequence of numbers, signs
and symbols, and the Jaccard similarity of their character 5-grams is at least the threshold, for
the whole text and for what is asked alone (two questions about one passage are two). With other
numbers it is no duplicate but of the same family (`ds2.screen.family`).

MinHash only proposes: every pair that it proposes is compared in full. Of pairs at the threshold it
proposes 99.5 %, of exact repeats all. A paraphrase shares no characters and is not seen.

Source: Broder (1997), on the resemblance of documents; Lee et al. (2022), arXiv:2107.06499.
Deviation: characters instead of words, which also sees small edits in short texts, and the rule on
numbers, without which a problem with other figures would be a duplicate.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ds2.screen.exact import Match, exact_key, figures_of
from ds2.screen.minhash import BandIndex, bands_for
from ds2.screen.shapes import Shape, Shapes
from signatures.records import Instruction

THRESHOLD = 0.75
_REMEMBERED = 128  # a unit asks several times within a moment, and again at its turn


class Sketch(NamedTuple):
    """What a comparison needs of an instruction.

    Args:
        key: the same for exact repeats.
        figures: the sequence of numbers, signs and symbols.
        asked: the shingles of the question and its options.
        whole: these and the context's.
    """

    key: int
    figures: tuple[str, ...]
    asked: frozenset[str]
    whole: frozenset[str]


class NearScreen:
    """An index of instructions that finds exact and near-duplicates; see `ds2.screen.exact.Screen`.

    Exact repeats share one entry, so a text that comes a thousand times is compared once.

    Args:
        threshold: smallest similarity of a near-duplicate, 0.5 to 1.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._index = BandIndex(bands_for(threshold))
        self._kept = Shapes()
        self._keys = array("Q")  # of an entry, by its number
        self._first = array("q")  # its lowest place
        self._later: dict[int, list[int]] = {}  # the other places of texts that came again

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember an instruction."""
        sketch = sketch_of(instruction)
        buckets = self._buckets(sketch)
        number = self._same(sketch, buckets)
        if number is not None:
            first = self._first[number]
            self._first[number] = min(first, place)
            insort(self._later.setdefault(number, []), max(first, place))
            return
        number = self._kept.add(_shape(instruction), len(sketch.whole))
        self._keys.append(sketch.key)
        self._first.append(place)
        self._index.add(number, buckets)

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget an instruction that was added at this place."""
        sketch = sketch_of(instruction)
        buckets = self._buckets(sketch)
        number = self._same(sketch, buckets)
        if number is None:
            raise KeyError(place)
        later = self._later.get(number, [])
        if self._first[number] != place:
            later.remove(place)
        elif later:
            self._first[number] = later.pop(0)
        else:
            self._index.remove(number, buckets)
            self._kept.remove(number)
        if not later:
            self._later.pop(number, None)

    def match(self, instruction: Instruction, before: int) -> Match | None:
        """Return the first place before `before` that says nearly the same, or None."""
        sketch = sketch_of(instruction)
        best = None
        for number in self._index.candidates(self._buckets(sketch)):
            place = self._first[number]
            if place < (before if best is None else best.place):
                similarity = self._similarity(sketch, number)
                if similarity >= self.threshold:
                    best = Match(place, similarity)
        return best

    def matches(self, instruction: Instruction) -> Iterator[int]:
        """Yield a place of every kept instruction that says nearly the same."""
        sketch = sketch_of(instruction)
        for number in self._index.candidates(self._buckets(sketch)):
            if self._similarity(sketch, number) >= self.threshold:
                yield self._first[number]

    def _buckets(self, sketch: Sketch) -> tuple[int, ...]:
        # The numbers are part of the bucket: variants of one template never meet.
        return self._index.keys(sketch.whole, sketch.figures)

    def _same(self, sketch: Sketch, buckets: tuple[int, ...]) -> int | None:
        """Return the entry of an exact repeat: it has the same buckets, so it is among the candidates."""
        candidates = self._index.candidates(buckets)
        return next((n for n in candidates if self._keys[n] == sketch.key), None)

    def _similarity(self, sketch: Sketch, number: int) -> float:
        if self._keys[number] == sketch.key:
            return 1.0
        return self._kept.similarity(number, sketch.asked, sketch.whole, self.threshold)


def _shape(instruction: Instruction) -> Shape:
    return Shape.of(instruction.context, instruction.question, instruction.options)


def sketch_of(instruction: Instruction) -> Sketch:
    """Return the sketch of an instruction, from memory where it was asked for a moment ago."""
    return _sketch(instruction.context, instruction.question, instruction.options)


@lru_cache(maxsize=_REMEMBERED)
def _sketch(context: str, question: str, options: tuple[str, ...]) -> Sketch:
    shape = Shape.of(context, question, options)
    asked, whole = shape.shingles()
    found = figures_of(context, question, options)
    return Sketch(exact_key(context, question, options, found), found, asked, whole)
