"""The decided units of a run as plain data, read as a stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Stored(Protocol):
    """A decided unit as the store keeps it (`ds2.store.UnitRecord`)."""

    @property
    def place(self) -> int: ...

    @property
    def state(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def record(self) -> str: ...


class Cell(NamedTuple):
    """What a unit was asked for: its Bloom level and its one or two keywords."""

    level: str
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecidedUnit:
    """One decided unit.

    Args:
        place: its index in the global order.
        state: accepted, rejected or surplus.
        reason: why it was rejected; empty otherwise.
        cell: what it was asked for.
        record: the whole of it: a row, a rejection, or empty for surplus.
    """

    place: int
    state: str
    reason: str
    cell: Cell
    record: Mapping[str, Any]

    @property
    def instruction(self) -> Mapping[str, Any] | None:
        """Return what was written, or None where it did not get that far."""
        return self.record.get("instruction")

    @property
    def vote(self) -> Mapping[str, Any] | None:
        """Return the vote, or None where it did not get that far."""
        return self.record.get("vote")


def decided(units: Iterable[Stored], cell_of: Callable[[int], Cell]) -> Iterator[DecidedUnit]:
    """Yield stored units as plain data, in their order.

    Args:
        units: as the store gives them.
        cell_of: what the unit at a place was asked for, by the plan of the run.
    """
    for unit in units:
        record = json.loads(unit.record) if unit.record else {}
        yield DecidedUnit(unit.place, unit.state, unit.reason, cell_of(unit.place), record)
