"""A run's dataset in the file formats of trainers. One more format is one more entry in `FORMATS`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from ds2.output.dataset import dataset_shards, read_records
from ds2.output.files import replacing, writing
from signatures.errors import OutputError

# The names that ShareGPT has for the two sides of a chat.
_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One file format.

    Args:
        suffix: the ending of its files, with the dot.
        columns: the columns of the dataset that it reads.
        write: writes the rows, in their order, to an open UTF-8 file and returns how many.
    """

    suffix: str
    columns: tuple[str, ...]
    write: Callable[[Iterator[dict[str, Any]], TextIO], int]


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export_dataset` left: the file and how many rows it holds."""

    path: Path
    rows: int


def write_sharegpt(rows: Iterator[dict[str, Any]], file: TextIO) -> int:
    """Write rows as one JSON list of ShareGPT conversations, indented by two; return how many.

    `{"id": ..., "conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}]}`

    Source: DS²-Instruct (arXiv:2603.12932), whose code writes this file for fine-tuning.
    Deviation: `id` is added, by which a conversation is found again in the dataset.
    """
    count = 0
    for row in rows:
        turns = [
            {"from": _SPEAKERS.get(message["role"], message["role"]), "value": message["content"]}
            for message in row["messages"]
        ]
        entry = json.dumps({"id": row["id"], "conversations": turns}, ensure_ascii=False, indent=2)
        file.write(("[\n" if count == 0 else ",\n") + "  " + entry.replace("\n", "\n  "))
        count += 1
    file.write("[]\n" if count == 0 else "\n]\n")
    return count


FORMATS: Mapping[str, ExportFormat] = MappingProxyType(
    {"sharegpt": ExportFormat(".sharegpt.json", ("id", "messages"), write_sharegpt)}
)


def export_dataset(run: Path, format_name: str, out: Path | None = None) -> Exported:
    """Write the dataset of a run in another format and return the file.

    Rows are read as a stream; the file is whole or, after an error, as it was. One that is there is
    replaced.

    Args:
        run: a run folder, or a dataset folder itself.
        format_name: a name in `FORMATS`.
        out: the file; None means `dataset` and the format's ending, in the run folder.

    Raises:
        OutputError: no such format, no dataset there, a foreign or damaged one, or `out` cannot be
            written.
    """
    chosen = FORMATS.get(format_name)
    if chosen is None:
        raise OutputError.rule(
            "Exporting failed",
            unit=str(run),
            name="format",
            rule=f"be one of {', '.join(sorted(FORMATS))}",
            value=format_name,
            todo="Choose one of these with --format.",
        )
    folder = _dataset_folder(run)
    shards = dataset_shards(folder)
    path = out if out is not None else run / f"dataset{chosen.suffix}"
    if path.is_dir() or folder / "data" in path.parents:
        raise OutputError.rule(
            "Exporting failed",
            unit=str(run),
            name="out",
            rule="be a file outside the dataset's own data folder",
            value=str(path),
            todo="Name a file with --out.",
        )
    rows = read_records(shards, list(chosen.columns))
    with (
        replacing(path) as temp,
        writing(path),
        temp.open("w", encoding="utf-8", newline="\n") as file,
    ):
        count = chosen.write(rows, file)
    return Exported(path, count)


def _dataset_folder(run: Path) -> Path:
    inside = run / "dataset"
    if inside.is_dir():
        return inside
    if (run / "data").is_dir():
        return run
    raise OutputError.rule(
        "Exporting failed",
        name="run",
        rule="be the folder of a run that has written its dataset",
        value=str(run),
        todo="Give the folder that `ds2 run` named at its end, such as runs/gsm8k.",
    )
