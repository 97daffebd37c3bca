"""Rows -> a dataset folder: Parquet shards that `datasets.load_dataset(folder)` reads as declared.

The same rows give the same bytes: every writer setting is fixed here and nothing of the clock goes
in. pyarrow writes alone: against the writer of `datasets` it loads in a fifth of the time and
writes in less than half, and the schema that `datasets` looks for is one JSON text, `FEATURES`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2.output.counts import RowCounter, RowCounts
from ds2.output.files import publish, sync_folder, writing
from signatures.errors import DS2Error, OutputError
from signatures.records import Row

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

SHARD_ROWS = 50_000
_GROUP_ROWS = 1_000
_SHARD = re.compile(r"train-(\d{5})-of-(\d{5})\.parquet")

_TEXT = {"dtype": "string", "_type": "Value"}
_INT = {"dtype": "int32", "_type": "Value"}
_SHARE = {"dtype": "float64", "_type": "Value"}
_TEXTS = {"feature": _TEXT, "_type": "List"}

# The columns as `datasets` writes them down (`Features.to_dict`).
FEATURES: Mapping[str, Any] = {
    "id": _TEXT,
    "messages": {"feature": {"role": _TEXT, "content": _TEXT}, "_type": "List"},
    "instruction": _TEXT,
    "options": _TEXTS,
    "context": _TEXT,
    "passage_id": _TEXT,
    "response": _TEXT,
    "answer": _TEXT,
    "level": _TEXT,
    "keywords": _TEXTS,
    "family": _TEXT,
    "judged_level": _TEXT,
    "agreement": _SHARE,
    "agreement_low": _SHARE,
    "agreement_high": _SHARE,
    "confidence": _SHARE,
    "votes": {"feature": {"answer": _TEXT, "count": _INT}, "_type": "List"},
    "samples": _INT,
    "task": _TEXT,
    "teacher": _TEXT,
    "model": _TEXT,
}


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """What `write_dataset` left.

    Args:
        folder: the dataset folder.
        files: its Parquet files, relative to it, with `/`; empty when there were no rows.
        counts: what was counted while writing.
    """

    folder: Path
    files: tuple[str, ...]
    counts: RowCounts

    def digest(self) -> str:
        """Return a hash of the bytes of all files, in their order: the same rows, the same hash."""
        hashed = hashlib.blake2b(digest_size=8)
        for name in self.files:
            with (self.folder / name).open("rb") as file:
                while block := file.read(1 << 20):
                    hashed.update(block)
        return hashed.hexdigest()


def row_record(row: Row) -> dict[str, Any]:
    """Return a row as the dataset stores it, one value a column of `FEATURES`.

    `instruction` is the whole text as a student is shown it (context, question, lettered options);
    `family` is shared by rows that differ in their numbers only; `judged_level` is null where no
    judge read it; `votes` has one entry an answer, most votes first; `samples` is how many answers
    were drawn, unreadable ones counted.
    """
    asked = row.instruction
    return {
        "id": row.id,
        "messages": list(row.messages),
        "instruction": asked.text,
        "options": list(asked.options),
        "context": asked.context,
        "passage_id": asked.passage_id,
        "response": row.response,
        "answer": row.answer,
        "level": asked.level.value,
        "keywords": list(asked.keywords),
        "family": row.family,
        "judged_level": row.judged_level and row.judged_level.value,
        "agreement": row.vote.agreement,
        "agreement_low": row.vote.agreement_low,
        "agreement_high": row.vote.agreement_high,
        "confidence": row.vote.confidence,
        "votes": [{"answer": a, "count": n} for a, n in row.vote.counts],
        "samples": row.vote.draws,
        "task": row.task,
        "teacher": row.teacher,
        "model": row.model,
    }


def features() -> Features:
    """Return the columns as `datasets.Features`, for a dataset made in memory."""
    from datasets import Features

    return Features.from_dict(dict(FEATURES))


def write_dataset(
    rows: Iterable[Row], folder: Path, *, shard_rows: int = SHARD_ROWS
) -> DatasetFiles:
    """Write rows to `folder/data/train-00000-of-0000N.parquet` and return what stands there.

    The same rows in the same order give the same bytes (with the same version of pyarrow). Memory
    holds 1,000 rows at a time. Shards are moved into place once all are written and synced; shards
    of an earlier write go only then. No rows: no file is written, and earlier ones go.

    Args:
        rows: read once, in order.
        folder: the dataset folder; made if needed.
        shard_rows: rows a file, at least 1.

    Raises:
        ValueError: `shard_rows` is under 1.
        OutputError: the folder cannot be written. What `rows` itself raises comes through.
    """
    if shard_rows < 1:
        raise ValueError("shard_rows must be at least 1")
    data = folder / "data"
    counter = RowCounter()
    temps: list[Path] = []
    try:
        source = counter.watch(rows)
        while True:
            temps.append(data / f".train-{len(temps):05d}.tmp")
            if not _write_shard(islice(source, shard_rows), temps[-1]):
                temps.pop()
                break
        files = _publish(temps, data)
    finally:
        for temp in temps:
            with suppress(OSError):
                temp.unlink(missing_ok=True)
    return DatasetFiles(folder, tuple(f"data/{name}" for name in files), counter.counts())


def _write_shard(rows: Iterator[Row], path: Path) -> int:
    """Write `rows` to `path` and return how many; none writes no file."""
    group = list(islice(rows, _GROUP_ROWS))
    if not group:
        return 0
    import pyarrow.parquet as pq

    schema = arrow_schema()
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(
            path, schema, version="2.6", compression="zstd", compression_level=3
        )
    written = 0
    try:
        while group:
            with writing(path):
                writer.write_table(_table(group, schema), row_group_size=_GROUP_ROWS)
            written += len(group)
            group = list(islice(rows, _GROUP_ROWS))
    finally:
        with writing(path):
            writer.close()
    return written


def _table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """Return rows as a table, by way of JSON.

    From Python's own objects pyarrow would make the same, but not without loading pandas, which is
    most of the time and of the memory that it takes to write a dataset.
    """
    from pyarrow import json as arrow_json

    lines = "\n".join(json.dumps(row_record(row)) for row in rows).encode()
    table = arrow_json.read_json(
        io.BytesIO(lines),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="error"
        ),
    )
    return table.replace_schema_metadata(schema.metadata)


def _publish(temps: list[Path], data: Path) -> list[str]:
    """Move all finished shards into place, then remove what an earlier write left."""
    names = [f"train-{i:05d}-of-{len(temps):05d}.parquet" for i in range(len(temps))]
    with writing(data):
        for temp, name in zip(temps, names, strict=True):
            publish(temp, data / name)
        if data.is_dir():
            for path in data.iterdir():
                left_over = _SHARD.fullmatch(path.name) or re.fullmatch(
                    r"\.train-\d+\.tmp", path.name
                )
                if left_over and path.name not in names:
                    path.unlink()
            sync_folder(data)
    return names


def dataset_shards(folder: Path) -> list[Path]:
    """Return the Parquet files of a dataset folder, in order.

    Raises:
        OutputError: there are none, or they are not one complete set.
    """
    data = folder / "data"
    found = {}
    for path in sorted(data.iterdir()) if data.is_dir() else []:
        if match := _SHARD.fullmatch(path.name):
            found[path] = (int(match[1]), int(match[2]))
    if not found:
        raise OutputError.rule(
            "Reading a dataset failed",
            name="the folder",
            rule="hold data/train-*.parquet; a run that accepted no rows has none",
            value=str(folder),
            todo="Give the folder of a finished run, such as runs/gsm8k.",
        )
    size = len(found)
    if sorted(found.values()) != [(i, size) for i in range(size)]:
        raise OutputError.rule(
            "Reading a dataset failed",
            name="its files",
            rule="be one complete set, train-00000-of-N to the last",
            value=sorted(path.name for path in found),
            todo="Run the same `ds2 run` again: it writes the dataset anew without new calls.",
        )
    return list(found)


def read_records(
    shards: Iterable[Path], columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the stored rows of `shards` as dicts, in order, 1,000 at a time in memory.

    Args:
        shards: Parquet files, as `dataset_shards` returns them.
        columns: the columns wanted; None means all.

    Raises:
        OutputError: a file cannot be read, or lacks a column that DS2 writes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = list(FEATURES) if columns is None else columns
    schema = arrow_schema()
    for path in shards:
        try:
            with pq.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow, [schema.field(name) for name in wanted])
                for batch in file.iter_batches(batch_size=_GROUP_ROWS, columns=wanted):
                    yield from batch.to_pylist()
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(path, str(error)) from error


def _check_columns(path: Path, stored: pa.Schema, wanted: list[pa.Field]) -> None:
    for field in wanted:
        if field.name not in stored.names or stored.field(field.name) != field:
            raise _unreadable(path, f"no column {field.name} of type {field.type}")


def _unreadable(path: Path, value: str) -> DS2Error:
    return OutputError.rule(
        "Reading a dataset failed",
        unit=str(path),
        name="the file",
        rule="be whole Parquet with the columns that DS2 writes",
        value=value,
        todo="Point at a dataset of DS2, or run the same `ds2 run` again to write it anew.",
    )


def arrow_schema() -> pa.Schema:
    """Return the columns as pyarrow types, with what `datasets` reads of them."""
    import pyarrow as pa

    declared = json.dumps({"info": {"features": FEATURES}})
    fields = [(name, _arrow_type(feature)) for name, feature in FEATURES.items()]
    return pa.schema(fields, metadata={"huggingface": declared})


def _arrow_type(feature: Mapping[str, Any]) -> pa.DataType:
    import pyarrow as pa

    kind = feature.get("_type")
    if kind == "List":
        return pa.list_(_arrow_type(feature["feature"]))
    if kind == "Value":
        return {"string": pa.string(), "int32": pa.int32(), "float64": pa.float64()}[
            feature["dtype"]
        ]
    return pa.struct([(name, _arrow_type(inner)) for name, inner in feature.items()])
