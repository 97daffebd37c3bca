"""What an earlier process decided of this very run: taken over unit by unit, without asking anything.

A decision is a function of what the run's identity is of and of the call log, so what a unit came to
need not be worked out again. Whether it still is one too many beside the others is decided anew at
its turn; only reading its prompts and replies once more, nine tenths of the work, is spared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ds2.fingerprint import fingerprint
from ds2.runtime.decisions import outcome_of
from ds2.runtime.plan import Unit
from ds2.runtime.screening import AFTER_VOTE, FAULTS
from ds2.store import RunStore, UnitRecord
from signatures.records import Instruction, Rejection, Row

META = "units"
AT_ONCE = 500  # records that are read together

# Turned down before other units were looked at: the screens for repeats never saw it.
ALONE = frozenset(FAULTS) - AFTER_VOTE | {"benchmark", "collapsed"}


class Known(NamedTuple):
    """What a unit came to.

    Args:
        instruction: what the screens for repeats saw of it; None where it did not come so far.
        outcome: its row, or why there is none.
    """

    instruction: Instruction | None
    outcome: Row | Rejection


class Remembered:
    """The decided units of a store, in the global order, each asked for once.

    Records of units that are never asked for stay in the store until `forget`.

    Args:
        store: the open store of the run.
        identity: what determines the run; units of another one are forgotten at once.
    """

    def __init__(self, store: RunStore, identity: Mapping[str, Any]) -> None:
        self._store = store
        self._records: dict[int, UnitRecord] = {}
        self._read = -1  # the highest place that was read
        self._whole = False
        mark = _mark(identity)
        if store.meta().get(META) == mark:
            # Which units were surplus hangs on timing: they may not even be begun this time.
            store.forget_units(state="surplus")
        else:
            store.forget_units()
            store.set_meta({META: mark})
            self._whole = True

    @property
    def left(self) -> bool:
        """Return whether the store holds decisions that were not asked for yet."""
        if not self._records and not self._whole:
            self._more()
        return bool(self._records)

    def take(self, unit: Unit) -> Known | None:
        """Return what a unit of the plan came to; None where that is not known.

        A record of other keywords or another level at its place says nothing of it.
        """
        while unit.place > self._read and not self._whole:
            self._more()
        record = self._records.get(unit.place)
        try:
            found = None if record is None else known(record)
        except ValueError:
            return None
        made = None if found is None else found.outcome.instruction
        stray = made is not None and (made.keywords, made.level) != (unit.keywords, unit.level)
        return None if stray else found

    def holds(self, record: UnitRecord) -> bool:
        """Return whether the store holds this very decision already; it is not remembered further."""
        return self._records.pop(record.place, None) == record

    def forget(self) -> None:
        """Take what was never asked for out of the store."""
        self._store.forget_units(after=min(self._records, default=self._read) - 1)
        self._records.clear()
        self._whole = True

    def _more(self) -> None:
        records = self._store.units_after(self._read, AT_ONCE)
        self._records.update((record.place, record) for record in records)
        self._whole = len(records) < AT_ONCE
        if records:
            self._read = records[-1].place


def known(record: UnitRecord) -> Known:
    """Return what a record of the ledger says of a unit that is no surplus.

    Raises:
        ValueError: it is not written as this version writes it.
    """
    outcome = outcome_of(record)
    if outcome is None:
        raise ValueError("it is surplus")
    return Known(compared(outcome), outcome)


def compared(outcome: Row | Rejection) -> Instruction | None:
    """Return what the screens for repeats saw of a unit; None where it did not come so far."""
    if isinstance(outcome, Row):
        return outcome.instruction
    alone = outcome.stage == "writer" or outcome.reason in ALONE
    return None if alone else outcome.instruction


def _mark(identity: Mapping[str, Any]) -> str:
    """Return what the decisions on units are of: all of the identity but how far it goes."""
    config = {name: v for name, v in identity["config"].items() if name != "candidates"}
    return fingerprint({**identity, "config": config})
