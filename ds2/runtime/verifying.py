"""Is a dataset what its run's store yields, to the byte, and does every row pass every screen again?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2.lock import is_running
from ds2.output.card import END, machine_part
from ds2.output.dataset import DatasetFiles, write_dataset
from ds2.runtime.folder import accepted_rows, card_facts
from ds2.runtime.past import PastRun, read_run
from ds2.runtime.remembered import known
from ds2.runtime.screening import Screening, make_screening
from ds2.screen.avoid import read_avoided
from ds2.screen.options import names_option
from ds2.screen.own import OwnScreens
from ds2.screen.verdicts import off_level
from ds2.store import RunStore
from signatures.errors import OutputError
from signatures.records import Rejection, Row

_REPEATS = frozenset({"duplicate", "near_duplicate", "family"})


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found.

    Args:
        rows: accepted rows in the store.
        files: files that were compared.
        screened: rows that went through the screens again.
        problems: what does not hold, each in one sentence; empty where all does.
    """

    rows: int
    files: int
    screened: int
    problems: tuple[str, ...]


def verify_run(folder: Path) -> Verified:
    """Return whether the dataset of a run is what its store yields, and passes its screens again.

    The rows are written anew beside, from the store alone, and compared byte by byte, the machine part
    of the card too. Then the decided units are walked in their order: each accepted row must pass the
    collapse alarm, the instruction checks, the benchmarks, the screens for repeats and the cap of its
    family, each seeing what it saw in the run. Nothing is asked and nothing in the folder is written.

    Raises:
        OutputError: it is no run folder, or a process works on it.
        ConfigError: what was to be avoided cannot be read any more.
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
        identity = store.meta().get("identity", {})
        with tempfile.TemporaryDirectory(prefix="ds2-verify-") as anew:
            written = write_dataset(accepted_rows(store), Path(anew))
            problems = list(_files(past, store, identity, written))
        screened = 0
        avoided = read_avoided(past.config.avoid)
        if list(map(str, avoided)) != list(identity.get("config", {}).get("avoid", [])):
            problems.append(
                "What was to be avoided is not what the run avoided: its files changed."
            )
        for problem in _screens(past, store, make_screening(past.config, past.task, avoided)):
            if problem is None:
                screened += 1
            else:
                problems.append(problem)
    return Verified(written.counts.rows, len(written.files) + 1, screened, tuple(problems))


def _files(
    past: PastRun, store: RunStore, identity: Mapping[str, Any], written: DatasetFiles
) -> Iterator[str]:
    dataset = past.folder / "dataset"
    there = {f"data/{path.name}" for path in (dataset / "data").glob("*.parquet")}
    for name in sorted(there | set(written.files)):
        if name not in written.files:
            yield f"dataset/{name} is none of the files that the store yields."
        elif name not in there:
            yield f"dataset/{name} is missing."
        elif (dataset / name).read_bytes() != (written.folder / name).read_bytes():
            yield f"dataset/{name} is not what the store yields."
    rejected = {reason: n for (state, reason), n in store.counts().items() if state == "rejected"}
    facts = card_facts(past.task, past.settings, identity, written, rejected)
    card = dataset / "README.md"
    text = card.read_text("utf-8", "surrogateescape") if card.is_file() else ""
    ours, found, _ = text.partition(f"\n{END}\n")
    if not found or f"{ours}\n{END}\n" != machine_part(facts):
        yield "The machine part of dataset/README.md is not what the store yields."


def _screens(past: PastRun, store: RunStore, screening: Screening) -> Iterator[str | None]:
    """Yield for each row why it would be turned away now, or None."""
    # Options stand in their order already: the instruction of a row is that after the shuffle.
    own = OwnScreens(
        language=past.task.language,
        shuffle=False,
        checks=past.config.checks,
        benchmarks=screening.own.benchmarks,
    )
    for unit in store.units():
        if unit.state == "surplus":
            continue
        instruction, row = known(unit)
        if instruction is None:
            continue
        if isinstance(row, Row):
            refused = _refused(row, own, screening, unit.place)
            family = screening.families.join(unit.place, instruction) if not refused else None
            if not refused and row.family != family:
                refused = f"its family is {family} and not {row.family}"
            yield f"Row {row.id} (unit {unit.place}): {refused}." if refused else None
        screening.decided.add(unit.place, instruction)
        repeat = unit.reason in _REPEATS
        screening.alarm.note(instruction.keywords, instruction.question, repeat=repeat)


def _refused(row: Row, own: OwnScreens, screening: Screening, place: int) -> str:
    """Return why a row would be turned away, or nothing."""
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
    if instruction.options and not names_option(row.answer, instruction.options):
        return f"its answer {row.answer!r} is none of its options"
    off = off_level(instruction, row.judged_level)
    return "" if off is None else off.detail
