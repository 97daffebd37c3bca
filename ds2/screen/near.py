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

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ds2.screen.exact import Match, exact_key, figures_of
from ds2.screen.minhash import BandIndex, bands_for
from ds2.screen.text import jaccard, masked, normal_form, shingles, within
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


@dataclass(frozen=True, slots=True)
class Shape:
    """The texts of an instruction that are compared: options in the order of their text."""

    context: str
    asked: tuple[str, ...]

    @classmethod
    def of(cls, context: str, question: str, options: tuple[str, ...]) -> Shape:
        """Return the normal forms of an instruction's texts."""
        sorted_options = sorted(map(normal_form, options))
        return cls(normal_form(context), (normal_form(question), *sorted_options))

    def masked(self) -> Shape:
        """Return the same with every number as `0`."""
        return Shape(masked(self.context), tuple(sorted(map(masked, self.asked))))

    def shingles(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the shingles of what is asked, and of all."""
        asked = frozenset().union(*map(shingles, self.asked))
        return asked, asked | shingles(self.context) if self.context else asked


@dataclass(slots=True)
class _Kept:
    shape: Shape
    size: int  # shingles of the whole
    places: list[int]


class NearScreen:
    """An index of instructions that finds exact and near-duplicates; see `ds2.screen.exact.Screen`.

    Exact repeats share one entry, so a text that comes a thousand times is compared once.

    Args:
        threshold: smallest similarity of a near-duplicate, 0.5 to 1.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._index = BandIndex(bands_for(threshold))
        self._kept: dict[int, _Kept] = {}
        self._numbers: dict[int, int] = {}  # the entry of an exact key
        self._next = 0

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember an instruction."""
        sketch = sketch_of(instruction)
        number = self._numbers.get(sketch.key)
        if number is not None:
            insort(self._kept[number].places, place)
            return
        number, self._next = self._next, self._next + 1
        self._numbers[sketch.key] = number
        self._kept[number] = _Kept(_shape(instruction), len(sketch.whole), [place])
        self._index.add(number, self._buckets(sketch))

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget an instruction that was added at this place."""
        sketch = sketch_of(instruction)
        number = self._numbers[sketch.key]
        places = self._kept[number].places
        places.remove(place)
        if not places:
            self._index.remove(number, self._buckets(sketch))
            del self._kept[number], self._numbers[sketch.key]

    def match(self, instruction: Instruction, before: int) -> Match | None:
        """Return the first place before `before` that says nearly the same, or None."""
        sketch = sketch_of(instruction)
        best = None
        same = self._numbers.get(sketch.key)
        if same is not None and self._kept[same].places[0] < before:
            best = Match(self._kept[same].places[0], 1.0)
        for number in self._index.candidates(self._buckets(sketch)):
            place = self._kept[number].places[0]
            if place < (before if best is None else best.place):
                similarity = self._similarity(sketch, self._kept[number])
                if similarity >= self.threshold:
                    best = Match(place, similarity)
        return best

    def matches(self, instruction: Instruction) -> Iterator[int]:
        """Yield a place of every kept instruction that says nearly the same."""
        sketch = sketch_of(instruction)
        for number in self._index.candidates(self._buckets(sketch)):
            if self._similarity(sketch, self._kept[number]) >= self.threshold:
                yield self._kept[number].places[0]

    def _buckets(self, sketch: Sketch) -> tuple[int, ...]:
        # The numbers are part of the bucket: variants of one template never meet.
        return self._index.keys(sketch.whole, sketch.figures)

    def _similarity(self, sketch: Sketch, kept: _Kept) -> float:
        if not within(len(sketch.whole), kept.size, self.threshold):
            return 0.0
        asked, whole = kept.shape.shingles()
        return min(jaccard(sketch.asked, asked), jaccard(sketch.whole, whole))


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
    return Sketch(exact_key(context, question, options), found, asked, whole)
