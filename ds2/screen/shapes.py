"""The texts of instructions as screens compare them, and many of them packed."""

from __future__ import annotations

import zlib
from array import array
from dataclasses import dataclass

from ds2.screen.text import jaccard, masked, normal_form, shingles, within


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


class Shapes:
    """Shapes by number, counted from 0: a screen keeps one of nearly every unit of a run.

    Packed, a question of 350 characters takes some 250 bytes; as objects it would take 900.
    """

    def __init__(self) -> None:
        self._packed: list[bytes | None] = []  # None for one that was removed
        self._sizes = array("I")  # shingles of the whole
        self._removed = 0

    def __len__(self) -> int:
        return len(self._packed) - self._removed

    def add(self, shape: Shape, size: int) -> int:
        """Keep a shape whose whole has `size` shingles; return its number, never given before."""
        # A normal form holds no NUL, so that it parts texts.
        text = "\0".join((shape.context, *shape.asked))
        self._packed.append(zlib.compress(text.encode("utf-8", "surrogatepass")))
        self._sizes.append(size)
        return len(self._packed) - 1

    def remove(self, number: int) -> None:
        """Forget a shape that was added."""
        self._packed[number] = None
        self._removed += 1

    def similarity(
        self, number: int, asked: frozenset[str], whole: frozenset[str], threshold: float
    ) -> float:
        """Return the lesser Jaccard similarity of what is asked and of all to the shape of a number.

        It is 0 where sizes alone say that it is below the threshold, or the shape was removed.
        """
        packed = self._packed[number]
        if packed is None or not within(len(whole), self._sizes[number], threshold):
            return 0.0
        context, *rest = zlib.decompress(packed).decode("utf-8", "surrogatepass").split("\0")
        their_asked, their_whole = Shape(context, tuple(rest)).shingles()
        return min(jaccard(asked, their_asked), jaccard(whole, their_whole))
