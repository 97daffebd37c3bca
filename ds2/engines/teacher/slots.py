"""Slots: the parts of a wording that change, each drawn, shown and read back.

A slot knows four things: how a value is drawn from a seeded generator, how it is shown in a text,
the pattern of what it shows, and how it is read back from there. Reading what was shown gives the
value again; the tests hold every slot of every family to that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any, Protocol


class Slot(Protocol):
    """One changing part of a wording; `pattern` is a regular expression without groups."""

    @property
    def pattern(self) -> str: ...

    def draw(self, rng: Random, taken: Collection[Any]) -> Any:
        """Return a value; where the slot can, none of `taken` (values of earlier slots)."""

    def show(self, value: Any) -> str: ...

    def read(self, text: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high` (both allowed) in steps of `step`."""

    low: int
    high: int
    step: int = 1

    @property
    def pattern(self) -> str:
        return r"-?\d+" if self.low < 0 else r"\d+"

    def draw(self, rng: Random, taken: Collection[Any]) -> int:  # noqa: ARG002
        return rng.randrange(self.low, self.high + 1, self.step)

    def show(self, value: int) -> str:
        return str(value)

    def read(self, text: str) -> int:
        return int(text)


@dataclass(frozen=True, slots=True)
class Decimal:
    """An exact decimal (a `Fraction`) from `low` to `high`, shown with `places` decimals.

    `step` counts units of the last place: Decimal(1, 5, places=2, step=25) gives 1.00, 1.25, ...
    """

    low: int
    high: int
    places: int = 1
    step: int = 1

    @property
    def pattern(self) -> str:
        sign = "-?" if self.low < 0 else ""
        return rf"{sign}\d+\.\d{{{self.places}}}"

    def draw(self, rng: Random, taken: Collection[Any]) -> Fraction:  # noqa: ARG002
        unit = 10**self.places
        return Fraction(rng.randrange(self.low * unit, self.high * unit + 1, self.step), unit)

    def show(self, value: Fraction) -> str:
        return f"{float(value):.{self.places}f}"

    def read(self, text: str) -> Fraction:
        return Fraction(text)


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words or phrases.

    Two `Word` slots of one question never show the same one, unless the later has `repeat`.
    """

    choices: Sequence[str]
    repeat: bool = False

    @property
    def pattern(self) -> str:
        longest_first = sorted(self.choices, key=lambda choice: (-len(choice), choice))
        return "|".join(re.escape(choice) for choice in longest_first)

    def draw(self, rng: Random, taken: Collection[Any]) -> str:
        free = [choice for choice in self.choices if self.repeat or choice not in taken]
        return rng.choice(free or list(self.choices))

    def show(self, value: str) -> str:
        return value

    def read(self, text: str) -> str:
        return text


@dataclass(frozen=True, slots=True)
class Again(Word):
    """A word that an earlier slot of the same question shows already, out of `choices`."""

    def draw(self, rng: Random, taken: Collection[Any]) -> str:
        shown = [choice for choice in self.choices if choice in taken]
        return rng.choice(shown or list(self.choices))
