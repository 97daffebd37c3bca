"""Exact duplicates: two instructions that are the same text, whatever case, width or spacing."""

from __future__ import annotations

import unicodedata
from bisect import insort
from typing import Protocol

from signatures.records import Instruction, content_id


class Screen(Protocol):
    """An index of instructions by their place, asked for an earlier one that is too much alike.

    `match` returns the lowest place before `before` whose instruction the given one repeats, or
    None. It reads only what was added and not removed, never the clock.
    """

    def add(self, place: int, instruction: Instruction) -> None: ...

    def remove(self, place: int, instruction: Instruction) -> None: ...

    def match(self, instruction: Instruction, before: int) -> int | None: ...


class ExactScreen:
    """Duplicates by the hash of the normalised text (context, question, options).

    It holds two numbers an instruction, some 120 bytes: most texts come once.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._later: dict[int, list[int]] = {}  # the other places of texts that came again

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember an instruction."""
        key = _sketch(instruction)
        first = self._first.setdefault(key, place)
        if first != place:
            self._first[key] = min(first, place)
            insort(self._later.setdefault(key, []), max(first, place))

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget an instruction that was added at this place."""
        key = _sketch(instruction)
        later = self._later.get(key, [])
        if self._first[key] != place:
            later.remove(place)
        elif later:
            self._first[key] = later.pop(0)
        else:
            del self._first[key]
        if not later:
            self._later.pop(key, None)

    def match(self, instruction: Instruction, before: int) -> int | None:
        """Return the first place before `before` that says the same, or None."""
        first = self._first.get(_sketch(instruction))
        return first if first is not None and first < before else None


class NoScreen:
    """No duplicate is ever found: for runs that screen nothing."""

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember nothing."""

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget nothing."""

    def match(self, instruction: Instruction, before: int) -> int | None:  # noqa: ARG002
        """Return None."""
        return None


def _sketch(instruction: Instruction) -> int:
    parts = (instruction.context, instruction.question, *instruction.options)
    said = [" ".join(unicodedata.normalize("NFKC", p).casefold().split()) for p in parts]
    return int(content_id(said), 16)
