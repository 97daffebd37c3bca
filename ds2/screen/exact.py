"""Exact duplicates: two instructions that are the same text, whatever case, width or spacing.

Where case makes a symbol (`AaBb`, `NaCl`) it counts.
"""

from __future__ import annotations

import unicodedata
from bisect import insort
from typing import NamedTuple, Protocol

from ds2.screen.text import figures
from signatures.records import Instruction, content_id


class Match(NamedTuple):
    """The earlier instruction that one repeats: its place, and how alike they are, 0 to 1."""

    place: int
    similarity: float


class Screen(Protocol):
    """An index of instructions by their place, asked for an earlier one that is too much alike.

    `match` returns the lowest place before `before` whose instruction the given one repeats, or
    None. It reads only what was added and not removed, never the clock.
    """

    def add(self, place: int, instruction: Instruction) -> None: ...

    def remove(self, place: int, instruction: Instruction) -> None: ...

    def match(self, instruction: Instruction, before: int) -> Match | None: ...


class ExactScreen:
    """Duplicates by the hash of the normalised text: context, question, options in any order.

    It holds two numbers an instruction, some 120 bytes: most texts come once.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._later: dict[int, list[int]] = {}  # the other places of texts that came again

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember an instruction."""
        key = _key(instruction)
        first = self._first.setdefault(key, place)
        if first != place:
            self._first[key] = min(first, place)
            insort(self._later.setdefault(key, []), max(first, place))

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget an instruction that was added at this place."""
        key = _key(instruction)
        later = self._later.get(key, [])
        if self._first[key] != place:
            later.remove(place)
        elif later:
            self._first[key] = later.pop(0)
        else:
            del self._first[key]
        if not later:
            self._later.pop(key, None)

    def match(self, instruction: Instruction, before: int) -> Match | None:
        """Return the first place before `before` that says the same, or None."""
        first = self._first.get(_key(instruction))
        return Match(first, 1.0) if first is not None and first < before else None


class NoScreen:
    """No duplicate is ever found: for runs that screen nothing."""

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember nothing."""

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget nothing."""

    def match(self, instruction: Instruction, before: int) -> Match | None:  # noqa: ARG002
        """Return None."""
        return None


def exact_key(context: str, question: str, options: tuple[str, ...], found: tuple[str, ...]) -> int:
    """Return what texts that say the same share; options are shuffled, so their order is none.

    Args:
        context, question, options: the texts.
        found: their figures, see `figures_of`.
    """
    plain = [_plain(context), _plain(question), *sorted(map(_plain, options))]
    return int(content_id([plain, found]), 16)


def figures_of(context: str, question: str, options: tuple[str, ...]) -> tuple[str, ...]:
    """Return the figures of an instruction's texts, those of the options in the order of their text."""
    return figures("\n".join([context, question, *sorted(options, key=_plain)]))


def _key(instruction: Instruction) -> int:
    texts = (instruction.context, instruction.question, instruction.options)
    return exact_key(*texts, figures_of(*texts))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
