"""Entries -> files that are whole or, after an error, as they were."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

from ds2.output.dataset import arrow_schema
from ds2.output.exports.entry import Entry
from ds2.output.exports.formats import Companion, ExportFormat, Options
from ds2.output.files import replacing, writing
from signatures.errors import OutputError

_GROUP_ROWS = 1_000


class Exported(NamedTuple):
    """One file that was written: its split (`all` for the whole), path, and number of entries."""

    split: str
    path: Path
    entries: int


class _Sink(Protocol):
    def write(self, entry: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


def write_exports(
    entries: Iterable[Entry],
    chosen: ExportFormat,
    paths: Mapping[str, Path],
    split_of: Callable[[Entry], str | None],
    options: Options | None = None,
    *,
    name: str = "dataset",
) -> list[Exported]:
    """Write entries to one file a split and return what was written; memory does not grow.

    The files come into place together, after the last entry; on any error all stay as they were.

    Args:
        entries: the rows, in the order in which they are to stand.
        chosen: the format.
        paths: the file of each split.
        split_of: the split of an entry; None leaves it out.
        options: what the format is told.
        name: what a trainer's list of datasets is to call this one.

    Raises:
        OutputError: a file cannot be written, or not one entry came of the rows.
    """
    counts = dict.fromkeys(paths, 0)
    options = options or Options()
    with ExitStack() as stack:
        temps = {split: stack.enter_context(replacing(path)) for split, path in paths.items()}
        sinks: dict[str, _Sink] = {}
        with ExitStack() as open_files:
            for split, temp in temps.items():
                with writing(paths[split]):
                    sinks[split] = _SINKS[chosen.container](temp)
                open_files.callback(sinks[split].close)
            for entry in entries:
                side = split_of(entry)
                if side is None:
                    continue
                for shaped in chosen.shape(entry, options):
                    with writing(paths[side]):
                        sinks[side].write(shaped)
                    counts[side] += 1
        if not any(counts.values()):
            raise _nothing(chosen)
        if chosen.companion is not None:
            _tell(chosen.companion, paths, name, stack)
    return [Exported(split, path, counts[split]) for split, path in paths.items()]


def _nothing(chosen: ExportFormat) -> OutputError:
    votes = "; pairs need rows whose draws did not all agree" if chosen.votes else ""
    return OutputError.rule(
        "Exporting failed",
        name="the rows that pass the filters",
        rule=f"give at least one entry{votes}",
        value=0,
        todo="Lower --min-agreement or --min-margin, or name other --levels.",
    )


def _tell(
    companion: tuple[str, Companion], paths: Mapping[str, Path], name: str, stack: ExitStack
) -> None:
    file, text_of = companion
    beside = next(iter(paths.values())).parent / file
    with writing(beside):
        old = beside.read_text(encoding="utf-8") if beside.exists() else None
    text = text_of(old, {split: path.name for split, path in paths.items()}, name)
    temp = stack.enter_context(replacing(beside))
    with writing(beside):
        temp.write_text(text, encoding="utf-8", newline="\n")


class _Lines:
    """JSON lines: one entry a line."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="\n")

    def write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


class _List:
    """One JSON list, indented by two."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="\n")
        self._empty = True

    def write(self, entry: Mapping[str, Any]) -> None:
        text = json.dumps(entry, ensure_ascii=False, indent=2).replace("\n", "\n  ")
        self._file.write(("[\n  " if self._empty else ",\n  ") + text)
        self._empty = False

    def close(self) -> None:
        self._file.write("[]\n" if self._empty else "\n]\n")
        self._file.close()


class _Csv:
    """CSV with a header, as RFC 4180 has it. Texts stand as they are, formulas of a sheet included."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._writer: csv.DictWriter[str] | None = None

    def write(self, entry: Mapping[str, Any]) -> None:
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(entry))
            self._writer.writeheader()
        self._writer.writerow(entry)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """The columns of the dataset, typed as there."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._schema = arrow_schema()
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Mapping[str, Any]] = []

    def write(self, entry: Mapping[str, Any]) -> None:
        self._rows.append(entry)
        if len(self._rows) == _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


_SINKS: Mapping[str, Callable[[Path], _Sink]] = {
    "jsonl": _Lines,
    "json": _List,
    "csv": _Csv,
    "parquet": _Parquet,
}
