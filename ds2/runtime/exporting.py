"""From a run's folder to files for a trainer: where rows, losing answers and families come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ds2.output.dataset import dataset_shards, read_records, row_record
from ds2.output.exports import (
    Alternative,
    Entry,
    Exported,
    Selection,
    Split,
    entry_of,
    export_format,
    write_exports,
)
from ds2.output.exports.formats import Options
from ds2.output.exports.selection import WHOLE, assign
from ds2.runtime.decisions import accepted_rows
from ds2.runtime.destination import destinations
from ds2.runtime.likeness import alike
from ds2.screen.near import THRESHOLD as NEAR
from ds2.store import STORE_NAME, RunStore
from programs.synthesis import respond
from signatures.errors import OutputError
from signatures.records import Row
from signatures.task import AnswerFormat, TaskSpec


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be exported, and how.

    Args:
        run: a run folder, or a dataset folder itself.
        format_name: a name in `ds2.output.exports.FORMATS`.
        out: the file, or with a split the stem of the files; None means the dataset folder's name
            and the format's ending, beside that folder.
        splits: the parts; one whole if not given.
        seed: another one gives another split.
        selection: which rows go out.
        reasoning: False makes the bare answer the response.
        options: what the format is told.
    """

    run: Path
    format_name: str
    out: Path | None = None
    splits: tuple[Split, ...] = WHOLE
    seed: int = 0
    selection: Selection = field(default_factory=Selection)
    reasoning: bool = True
    options: Options = field(default_factory=Options)


def export_run(request: ExportRequest) -> list[Exported]:
    """Write the rows of a run in the format of a trainer and return the files.

    Rows are read as a stream; a split reads them twice. The files are whole or, after an error, as
    they were.

    Raises:
        OutputError: no such format, no dataset there, a foreign or damaged one, a format that needs
            votes where only a dataset is left, nothing to write, or a file that cannot be written or is
            one of the run's own.
    """
    chosen = export_format(request.format_name, request.options)
    folder = dataset_folder(request.run)
    shards = dataset_shards(folder)
    paths = destinations(request.run, folder, request.out, chosen, request.splits)
    split_of = _splitter(request, shards)
    if chosen.votes:
        entries = _voted(request)
    else:
        entries = (entry_of(r, reasoning=request.reasoning) for r in read_records(shards))
    name = request.run.resolve().name
    return write_exports(entries, chosen, paths, split_of, request.options, name=name)


def dataset_folder(run: Path) -> Path:
    """Return the dataset folder of a run; a dataset folder itself is taken too.

    Raises:
        OutputError: there is none.
    """
    inside = run / "dataset"
    if inside.is_dir():
        return inside
    if (run / "data").is_dir():
        return run
    raise OutputError.rule(
        "Reading a dataset failed",
        name="run",
        rule="be the folder of a run that has written its dataset",
        value=str(run),
        todo="Give the folder that `ds2 run` named at its end, such as runs/gsm8k.",
    )


def _splitter(request: ExportRequest, shards: list[Path]) -> Callable[[Entry], str | None]:
    """Return what says which split a row goes to, None for one that stays out.

    All rows of a family stand on one side, and near-duplicates, where the run let some pass.
    """
    if request.splits == WHOLE:
        return lambda entry: WHOLE[0].name if request.selection.takes(entry.record) else None
    records = read_records(shards)
    taken = (record for record in records if request.selection.takes(record))
    group_of = alike(taken, near=not _screened(request.run))
    side = assign(group_of.values(), request.splits, seed=request.seed)
    split = {row: side[group] for row, group in group_of.items()}
    return lambda entry: split.get(entry.record["id"])


def _screened(run: Path) -> bool:
    """Return whether the run has let no near-duplicates pass; a dataset alone does not say so."""
    path = run / "config.json"
    if not path.is_file():
        return False
    with suppress(OSError, ValueError, KeyError, TypeError):
        asked = json.loads(path.read_text(encoding="utf-8"))["run"]
        return bool(asked["duplicates"] and asked["near_duplicates"] <= NEAR)
    return False


def _voted(request: ExportRequest) -> Iterator[Entry]:
    """Yield the rows with the answers of their votes, which only the run's store has."""
    if not (request.run / STORE_NAME).is_file():
        raise OutputError.rule(
            "Exporting failed",
            unit=str(request.run),
            name=f"--format {request.format_name}",
            rule="be asked of a run folder: a dataset keeps no losing answers",
            value=str(request.run),
            todo="Give the folder of the run, with its store.sqlite.",
        )
    answer = task_of(request.run).answer
    with RunStore(request.run, lock=False) as store:
        for row in accepted_rows(store):
            yield entry_of(row_record(row), _alternatives(row, answer), reasoning=request.reasoning)


def task_of(run: Path) -> TaskSpec:
    """Return the task of a run, as it was run.

    Raises:
        OutputError: the folder's `config.json` is missing or damaged.
    """
    path = run / "config.json"
    try:
        return TaskSpec.model_validate(json.loads(path.read_text(encoding="utf-8"))["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError.rule(
            "Reading the run failed",
            unit=str(run),
            name="config.json",
            rule="be what `ds2 run` wrote",
            value=f"{type(error).__name__}: {error}"[:200],
            todo="Give the same `ds2 run` command again: it writes the file anew without new calls.",
        ) from error


def _alternatives(row: Row, answer: AnswerFormat) -> tuple[Alternative, ...]:
    vote = row.vote
    won = None if vote.response is None else vote.samples[vote.response].key
    readable = [s for s in vote.samples if s.key is not None and s.answer is not None]
    votes: dict[str | None, int] = {}
    shown: dict[str | None, str] = {}
    for sample in readable:
        votes[sample.key] = votes.get(sample.key, 0) + 1
        shown.setdefault(sample.key, sample.answer or "")
    return tuple(
        Alternative(
            response=respond(s.reasoning, s.answer or "", answer),
            answer=row.answer if s.key == won else shown[s.key],
            won=s.key == won,
            votes=votes[s.key],
            parsed=s.parsed,
        )
        for s in readable
    )
