"""The texts of instructions as screens compare them, and many of them packed."""

from __future__ import annotations

import zlib
from array import array
from dataclasses import dataclass

from ds2.screen.text import jaccard, masked, normal_form, shingles, within

_DICTIONARY_BYTES = 8192


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

    They are packed with the first few as a dictionary, for questions of one task have much in common:
    one of 350 characters takes some 150 to 250 bytes, as objects it would take 900.
    """

    def __init__(self) -> None:
        self._packed: list[bytes | None] = []  # None for one that was removed
        self._sizes = array("I")  # shingles of the whole
        self._removed = 0
        self._dictionary = b""
        self._learned = 0  # the number of the first that is packed with the dictionary

    def __len__(self) -> int:
        return len(self._packed) - self._removed

    def add(self, shape: Shape, size: int) -> int:
        """Keep a shape whose whole has `size` shingles; return its number, never given before."""
        # A normal form holds no NUL, so that it parts texts.
        text = "\0".join((shape.context, *shape.asked)).encode("utf-8", "surrogatepass")
        number = len(self._packed)
        if len(self._dictionary) < _DICTIONARY_BYTES:
            self._packed.append(zlib.compress(text))
            self._dictionary = (self._dictionary + text)[:_DICTIONARY_BYTES]
            self._learned = number + 1
        else:
            packer = zlib.compressobj(zdict=self._dictionary)
            self._packed.append(packer.compress(text) + packer.flush())
        self._sizes.append(size)
        return number

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
        their_asked, their_whole = self._unpacked(number, packed).shingles()
        return min(jaccard(asked, their_asked), jaccard(whole, their_whole))

    def _unpacked(self, number: int, packed: bytes) -> Shape:
        learned = number >= self._learned
        unpacker = zlib.decompressobj(zdict=self._dictionary) if learned else zlib.decompressobj()
        text = unpacker.decompress(packed).decode("utf-8", "surrogatepass")
        context, *rest = text.split("\0")
        return Shape(context, tuple(rest))
