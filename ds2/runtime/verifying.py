"""Is a dataset what its run's store yields, to the byte, and does every row follow from the call log?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ds2.lock import is_running
from ds2.output.card import END, machine_part
from ds2.output.dataset import DatasetFiles, write_dataset
from ds2.runtime.decisions import outcome_of, said
from ds2.runtime.folder import card_facts
from ds2.runtime.past import PastRun, read_run
from ds2.runtime.remembered import compared
from ds2.runtime.rereading import Rereading
from ds2.runtime.screening import Screening, make_screening
from ds2.screen.avoid import Avoided, read_avoided, same_questions
from ds2.screen.own import OwnScreens
from ds2.screen.verdicts import off_level
from ds2.store import RunStore
from signatures.errors import ConfigError, OutputError
from signatures.records import Rejection, Row

_REPEATS = frozenset({"duplicate", "near_duplicate", "family"})
_CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found.

    Args:
        rows: accepted rows in the store.
        files: files that were compared.
        screened: rows that went through the screens again.
        calls: logged replies that were read again.
        problems: what does not hold, each in one sentence; empty where all does.
    """

    rows: int
    files: int
    screened: int
    calls: int
    problems: tuple[str, ...]


def verify_run(folder: Path) -> Verified:
    """Return whether the dataset of a run is what its store yields, and its rows follow from its log.

    The rows are written anew beside, from the store alone, and compared byte by byte, the machine part
    of the card too. Then the decided units are walked in their order: each accepted row is read again
    from the replies in the call log (`ds2.runtime.rereading`), and must pass the collapse alarm, the
    instruction checks, the benchmarks, the screens for repeats and the cap of its family, each seeing
    what it saw in the run. Nothing is asked and nothing in the folder is written.

    Raises:
        OutputError: it is no run folder, or a process works on it.
        StoreError: its store cannot be opened.
    """
    past = read_run(folder)
    if is_running(folder):
        raise OutputError.rule(
            "Verifying a run failed",
            unit=str(folder),
            name="the run",
            rule="have ended",
            value="a process works on it",
            todo="Wait for it, or stop it; `ds2 status` shows how far it is.",
        )
    with past.store() as store:
        return _Verifying(past, store).verified()


@dataclass
class _Verifying:
    """One going through; `problems` grows."""

    past: PastRun
    store: RunStore
    problems: list[str] = field(default_factory=list)

    def verified(self) -> Verified:
        faults = [row for (row,) in self.store.rows("PRAGMA integrity_check")]
        if faults != ["ok"]:
            self.problems.append(f"The store's file is damaged: {'; '.join(faults[:3])}.")
        with tempfile.TemporaryDirectory(prefix="ds2-verify-") as anew:
            written = write_dataset(self._whole_rows(), Path(anew))
            self.problems += _files(self.past, self.store, self._identity(), written)
        rereading = Rereading(self.past, self.store)
        if rereading.problem is not None:
            self.problems.append(rereading.problem)
        screened = self._walk(
            make_screening(self.past.config, self.past.task, self._avoided()), rereading
        )
        return Verified(
            written.counts.rows,
            len(written.files) + 1,
            screened,
            rereading.calls,
            tuple(self.problems),
        )

    def _identity(self) -> Mapping[str, Any] | None:
        """Return which run the store is of, None where it does not say."""
        identity = self.store.meta().get("identity")
        if isinstance(identity, dict) and {"config", "prompts"} <= identity.keys():
            return identity
        self.problems.append("The store does not say which run it is of: its identity is missing.")
        return None

    def _whole_rows(self) -> Iterator[Row]:
        """Yield the accepted rows; each unit that is damaged is a problem, and gives none."""
        for unit in self.store.units():
            try:
                outcome = outcome_of(unit)
            except ValueError as error:
                self.problems.append(f"The record of unit {unit.place} is damaged: {said(error)}.")
                continue
            if isinstance(outcome, Row):
                yield outcome

    def _avoided(self) -> tuple[Avoided, ...]:
        """Return what was to be avoided, nothing of it where it cannot be read or has changed."""
        meta = self.store.meta()
        identity = meta.get("identity") or {}
        told = identity.get("config", {}).get("avoid", [])
        try:
            avoided = read_avoided(self.past.config.avoid, meta.get("folder"))
        except ConfigError as error:
            self.problems.append(f"Benchmarks were not checked: {error}")
            return ()
        if same_questions(told, list(map(str, avoided))):
            return avoided
        self.problems.append(
            "Benchmarks were not checked: what was to be avoided is not what the run avoided, its "
            "files changed."
        )
        return ()

    def _walk(self, screening: Screening, rereading: Rereading) -> int:
        """Go through the units in their order; return how many rows hold."""
        # Options stand in their order already: the instruction of a row is that after the shuffle.
        own = OwnScreens(
            language=self.past.task.language,
            shuffle=False,
            checks=self.past.config.checks,
            benchmarks=screening.own.benchmarks,
        )
        screened = 0
        for unit in self.store.units():
            try:
                outcome = outcome_of(unit)
            except ValueError:  # told already
                continue
            instruction = None if outcome is None else compared(outcome)
            if instruction is None:
                continue
            if isinstance(outcome, Row):
                faults = list(rereading.faults(outcome, unit.place))
                refused = _refused(outcome, own, screening, unit.place)
                faults += [refused] if refused else []
                self.problems += [
                    f"Row {outcome.id} (unit {unit.place}): {fault}." for fault in faults
                ]
                screened += not refused
            screening.decided.add(unit.place, instruction)
            repeat = unit.reason in _REPEATS
            screening.alarm.note(instruction.keywords, instruction.question, repeat=repeat)
        return screened


def _files(
    past: PastRun, store: RunStore, identity: Mapping[str, Any] | None, written: DatasetFiles
) -> Iterator[str]:
    """Yield each file of the dataset folder that is not what the store yields."""
    dataset = past.folder / "dataset"
    there = {
        path.relative_to(dataset).as_posix()
        for path in dataset.rglob("*")
        if path.is_symlink() or not path.is_dir()
    } - {_CARD}
    for name in sorted(there | set(written.files)):
        if name not in written.files:
            yield f"dataset/{name} is none of the files that the store yields."
        elif name not in there:
            yield f"dataset/{name} is missing."
        elif (dataset / name).read_bytes() != (written.folder / name).read_bytes():
            yield f"dataset/{name} is not what the store yields."
    if identity is None:
        return
    rejected = {reason: n for (state, reason), n in store.counts().items() if state == "rejected"}
    facts = card_facts(past.task, past.settings, identity, written, rejected)
    card = dataset / _CARD
    text = card.read_text("utf-8", "surrogateescape") if card.is_file() else ""
    ours, found, _ = text.partition(f"\n{END}\n")
    if not found or f"{ours}\n{END}\n" != machine_part(facts):
        yield "The machine part of dataset/README.md is not what the store yields."


def _refused(row: Row, own: OwnScreens, screening: Screening, place: int) -> str:
    """Return why a row would be turned away, or nothing; one that is not joins its family."""
    instruction = row.instruction
    if screening.alarm.ended(instruction.keywords):
        return f"the collapse alarm had ended {screening.alarm.why(instruction.keywords)}"
    taken = own.take(instruction, place)
    if isinstance(taken, Rejection):
        return f"{taken.reason}, {taken.detail}"
    repeat = screening.decided.match(instruction, place)
    if repeat is not None:
        return f"it repeats unit {repeat.place}"
    if screening.families.full(instruction) is not None:
        return "its family is full"
    concluded = own.conclude(row)
    if concluded is not None:
        return f"{concluded.reason}, {concluded.detail.removesuffix('.')}"
    off = off_level(instruction, row.judged_level)
    if off is not None:
        return off.detail.removesuffix(".")
    family = screening.families.join(place, instruction)
    return "" if family == row.family else f"its family is {family} and not {row.family}"
