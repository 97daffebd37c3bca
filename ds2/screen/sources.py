"""The rows of a benchmark, as plain records: out of a file, a folder, a saved dataset or the Hub."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from signatures.errors import ConfigError, DS2Error

FILES = (".jsonl", ".json", ".parquet", ".jsonl.gz", ".json.gz")

Record = Mapping[str, Any]


class AvoidSpec(NamedTuple):
    """One `--avoid` as it was read: where, and which columns or part of it."""

    where: str
    keys: Mapping[str, str]


def is_there(path: Path, text: str) -> bool:
    """Return whether there is a file or folder.

    Raises:
        ConfigError: the system cannot even look, as of a name too long for it.
    """
    try:
        return path.exists()
    except OSError as error:
        raise refused(
            text, "it", "be a path that can be looked at", error, "Check the path."
        ) from error


def is_file_name(name: str) -> bool:
    """Return whether a name ends as files that can be read do."""
    return name.lower().endswith(FILES)


def local_rows(path: Path, spec: AvoidSpec, text: str) -> Iterator[Record]:
    """Yield the rows of a file, of the files in a folder, or of what `save_to_disk` wrote.

    Raises:
        ConfigError: something cannot be read.
    """
    if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        yield from _saved(path, spec, text)
        return
    found = [p for p in sorted(path.rglob("*")) if p.is_file()] if path.is_dir() else [path]
    visible = (p for p in found if not any(x.startswith(".") for x in p.relative_to(path).parts))
    files = [p for p in visible if is_file_name(p.name)] if path.is_dir() else found
    if not files:
        raise refused(
            text, "the folder", f"hold files in {', '.join(FILES)}", path.name, "Name a file."
        )
    for file in files:
        yield from _parquet(file, text) if file.suffix.lower() == ".parquet" else _json(file, text)


def _json(file: Path, text: str) -> Iterator[Record]:
    try:
        stored = file.read_bytes()
        whole = (gzip.decompress(stored) if file.suffix.lower() == ".gz" else stored).decode(
            "utf-8-sig"
        )
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(text, file.name, error) from error
    if ".jsonl" not in file.name.lower() and whole.lstrip().startswith("["):
        rows: Iterable[tuple[int, str | None, Any]] = (
            (i, None, row) for i, row in enumerate(_parsed(whole, file, 1, text), 1)
        )
    else:
        lines = enumerate(whole.split("\n"), 1)
        rows = ((i, line, None) for i, line in lines if line.strip())
    for number, line, row in rows:
        record = row if line is None else _parsed(line, file, number, text)
        if not isinstance(record, dict):
            raise refused(
                text,
                f"row {number} of {file.name}",
                "be an object with named fields",
                record,
                "Check the file.",
            )
        yield record


def _parsed(source: str, file: Path, number: int, text: str) -> Any:
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        raise refused(
            text, f"row {number} of {file.name}", "be JSON", source[:60], "Check the file."
        ) from error


def _parquet(file: Path, text: str) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=1_000):
                yield from batch.to_pylist()
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise _unreadable(text, file.name, error) from error


def _saved(path: Path, spec: AvoidSpec, text: str) -> Iterator[Record]:
    """Yield a saved dataset; of one in splits that which was named, or all in their order."""
    import pyarrow as pa
    from datasets import DatasetDict, load_from_disk

    try:
        saved = load_from_disk(str(path))
        parts = saved if isinstance(saved, DatasetDict) else {"": saved}
        named = spec.keys.get("split")
        if named is not None and isinstance(saved, DatasetDict):
            if named not in parts:
                raise refused(
                    text, "split", f"be one of {', '.join(parts)}", named, "Name one of them."
                )
            parts = {named: parts[named]}
        for part in parts.values():
            yield from part
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise _unreadable(text, path.name, error) from error


def hub_rows(spec: AvoidSpec, text: str) -> Iterator[Record]:
    """Yield the rows of a dataset on the Hub.

    Raises:
        ConfigError: it cannot be loaded.
    """
    import datasets

    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield from datasets.load_dataset(
            spec.where, spec.keys.get("config"), split=spec.keys.get("split", "test")
        )
    # The loader lets through whatever its network library and its file readers raise.
    except Exception as error:
        raise refused(
            text,
            "the dataset",
            "be a local path or load from the Hub",
            f"{type(error).__name__}: {error}",
            "Check the path or name, #config= and #split=, or give a file.",
        ) from error
    finally:
        if not shown:
            datasets.enable_progress_bars()


def refused(text: str, name: str, rule: str, value: object, todo: str) -> DS2Error:
    """Return the error of an `--avoid` that breaks a rule."""
    return ConfigError.rule(
        "Reading what is to be avoided failed",
        unit=text,
        name=name,
        rule=rule,
        value=value,
        todo=todo,
    )


def _unreadable(text: str, name: str, error: Exception) -> DS2Error:
    said = f"{type(error).__name__}: {error}"
    return refused(text, name, "be readable", said, "Check the file.")
