"""What the store keeps of decided units, read as what it must be, or said where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ds2.store import RunStore, UnitRecord
from signatures.errors import StoreError
from signatures.records import Rejection, Row


class Decision(NamedTuple):
    """A decided unit: as it is stored, and what it came to; None for surplus."""

    unit: UnitRecord
    outcome: Row | Rejection | None


def outcome_of(unit: UnitRecord) -> Row | Rejection | None:
    """Return what a unit came to; None for surplus.

    Raises:
        ValueError: its state or its record is not as this version writes them.
    """
    if unit.state == "accepted":
        return Row.model_validate_json(unit.record)
    if unit.state == "rejected":
        rejection = Rejection.model_validate_json(unit.record)
        if rejection.reason != unit.reason:
            raise ValueError(f"the reason {unit.reason!r} beside {rejection.reason!r}")
        return rejection
    if unit.state == "surplus":
        return None
    raise ValueError(f"the state {unit.state!r}")


def decisions(units: Iterable[UnitRecord], folder: Path) -> Iterator[Decision]:
    """Yield what stored units came to, in their order.

    Raises:
        StoreError: one is damaged; it names the unit's place.
    """
    for unit in units:
        try:
            outcome = outcome_of(unit)
        except ValueError as error:
            raise damaged_unit(unit, folder, error) from error
        yield Decision(unit, outcome)


def accepted_rows(store: RunStore) -> Iterator[Row]:
    """Yield the accepted rows of a store in the global order.

    Raises:
        StoreError: one is damaged; it names the unit's place.
    """
    for _, outcome in decisions(store.units("accepted"), store.folder):
        if isinstance(outcome, Row):
            yield outcome


def damaged_unit(unit: UnitRecord, folder: Path, error: ValueError) -> StoreError:
    """Return the error of a unit whose record cannot be read."""
    return StoreError.rule(
        "Reading the run failed",
        unit=str(folder),
        name=f"the record of unit {unit.place}",
        rule="be what `ds2 run` wrote",
        value=said(error),
        todo="Give the same `ds2 run` command again: it decides the unit anew from the call log.",
    )


def said(error: ValueError) -> str:
    """Return in one line what is wrong with a record."""
    return " ".join(str(error).split())[:160]
