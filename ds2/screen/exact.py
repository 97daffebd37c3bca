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
    """Duplicates by the hash of the normalised text (context, question, options)."""

    def __init__(self) -> None:
        self._places: dict[str, list[int]] = {}

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember an instruction."""
        insort(self._places.setdefault(_sketch(instruction), []), place)

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget an instruction that was added at this place."""
        key = _sketch(instruction)
        self._places[key].remove(place)
        if not self._places[key]:
            del self._places[key]

    def match(self, instruction: Instruction, before: int) -> int | None:
        """Return the first place before `before` that says the same, or None."""
        places = self._places.get(_sketch(instruction), ())
        return places[0] if places and places[0] < before else None


class NoScreen:
    """No duplicate is ever found: for runs that screen nothing."""

    def add(self, place: int, instruction: Instruction) -> None:
        """Remember nothing."""

    def remove(self, place: int, instruction: Instruction) -> None:
        """Forget nothing."""

    def match(self, instruction: Instruction, before: int) -> int | None:  # noqa: ARG002
        """Return None."""
        return None


def _sketch(instruction: Instruction) -> str:
    parts = (instruction.context, instruction.question, *instruction.options)
    return content_id(
        [" ".join(unicodedata.normalize("NFKC", p).casefold().split()) for p in parts]
    )
