"""What `--avoid` names: benchmark questions in a file, a folder or on the Hub.

    --avoid FILE|FOLDER|OWNER/NAME[#key=value,...]

A file is JSONL, JSON or Parquet (JSON also gzipped); a folder holds such files or is what `datasets`'
`save_to_disk` wrote; any other `OWNER/NAME` is a dataset on the Hub. Keys name the columns `question`,
`options` and `answer`, and for a dataset on the Hub its `config` and `split` (`test` if not given).
Columns that are not named are found by their usual names.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from ds2.screen.benchmark import BenchmarkItem
from signatures.errors import ConfigError, DS2Error
from signatures.records import canonical_json, valid_text

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "question": (
        "question", "problem", "query", "instruction", "prompt", "input", "text", "messages",
        "conversations",
    ),
    "options": ("options", "choices"),
    "answer": ("answer", "solution", "output", "response", "long_answer"),
}  # fmt: skip
_KEYS = (*COLUMNS, "config", "split")
_FILES = (".jsonl", ".json", ".parquet", ".jsonl.gz", ".json.gz")
_HUB = re.compile(r"[\w.-]+/[\w.-]+")

Record = Mapping[str, Any]


class AvoidSpec(NamedTuple):
    """One `--avoid` as it was read: where, and which columns or part of it."""

    where: str
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Avoided:
    """The questions of one source.

    Args:
        name: the file, folder or Hub name without its path, as it is shown.
        items: its questions, in order.
    """

    name: str
    items: tuple[BenchmarkItem, ...]

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits of what is compared: questions, options, answers, in order."""
        state = blake2b(digest_size=8)
        for item in self.items:
            parts = [item.question, list(item.options), item.answer]
            state.update(canonical_json(parts).encode("utf-8", "surrogatepass") + b"\n")
        return state.hexdigest()

    def __str__(self) -> str:
        """Return what stands for the source in a run's identity and on its card."""
        return f"{self.name}: {len(self.items):,} questions, {self.digest}"


def read_avoided(specs: Iterable[str]) -> tuple[Avoided, ...]:
    """Return the questions that each `--avoid` names.

    Raises:
        ConfigError: a source is missing or unreadable, or a row of it has no question.
    """
    return tuple(_read(text) for text in specs)


def parse_avoid(text: str) -> AvoidSpec:
    """Return one `--avoid` as its parts.

    Raises:
        ConfigError: a key after `#` is unknown or has no value.
    """
    where, _, rest = text.partition("#")
    keys: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key.strip() not in _KEYS or not value.strip():
            raise _refused(
                text,
                "what follows #",
                f"be KEY=VALUE with keys {', '.join(_KEYS)}",
                part,
                "Write for example --avoid 'test.jsonl#question=Problem,options=choices'.",
            )
        keys[key.strip()] = value.strip()
    return AvoidSpec(where.strip(), keys)


def _read(text: str) -> Avoided:
    spec = parse_avoid(text)
    path = Path(spec.where)
    if path.exists():
        name, records = path.name, _local(path, text)
    elif _HUB.fullmatch(spec.where) and not spec.where.endswith(_FILES):
        name, records = spec.where, _hub(spec, text)
    else:
        raise _refused(
            text,
            "it",
            "be a file, a folder, or OWNER/NAME of a dataset on the Hub",
            spec.where,
            "Check the path.",
        )
    items = tuple(_items(records, name, spec, text))
    if not items:
        raise _refused(text, "it", "hold at least one question", "none", "Check the file.")
    return Avoided(name, items)


def _local(path: Path, text: str) -> Iterator[Record]:
    if path.is_dir() and (path / "state.json").exists():
        yield from _saved(path, text)
        return
    found = [p for p in sorted(path.rglob("*")) if p.is_file()] if path.is_dir() else [path]
    visible = (p for p in found if not any(x.startswith(".") for x in p.relative_to(path).parts))
    files = [p for p in visible if p.name.endswith(_FILES)] if path.is_dir() else found
    if not files:
        raise _refused(
            text, "the folder", f"hold files in {', '.join(_FILES)}", path.name, "Name a file."
        )
    for file in files:
        yield from _parquet(file, text) if file.suffix == ".parquet" else _json(file, text)


def _json(file: Path, text: str) -> Iterator[Record]:
    try:
        stored = file.read_bytes()
        whole = (gzip.decompress(stored) if file.suffix == ".gz" else stored).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(text, file.name, error) from error
    if ".jsonl" not in file.name and whole.lstrip().startswith("["):
        rows: Iterable[tuple[int, str | None, Any]] = (
            (i, None, row) for i, row in enumerate(_parsed(whole, file, 1, text), 1)
        )
    else:
        lines = enumerate(whole.split("\n"), 1)
        rows = ((i, line, None) for i, line in lines if line.strip())
    for number, line, row in rows:
        record = row if line is None else _parsed(line, file, number, text)
        if not isinstance(record, dict):
            raise _refused(
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
        raise _refused(
            text, f"row {number} of {file.name}", "be JSON", source[:60], "Check the file."
        ) from error


def _parquet(file: Path, text: str) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=1_000):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(text, file.name, error) from error


def _saved(path: Path, text: str) -> Iterator[Record]:
    from datasets import load_from_disk

    try:
        yield from load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise _unreadable(text, path.name, error) from error


def _hub(spec: AvoidSpec, text: str) -> Iterator[Record]:
    import datasets

    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield from datasets.load_dataset(
            spec.where, spec.keys.get("config"), split=spec.keys.get("split", "test")
        )
    # The loader lets through whatever its network library and its file readers raise.
    except Exception as error:
        raise _refused(
            text,
            "the dataset",
            "be a local path or load from the Hub",
            f"{type(error).__name__}: {error}",
            "Check the path or name, #config= and #split=, or give a file.",
        ) from error
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _items(
    records: Iterable[Record], name: str, spec: AvoidSpec, text: str
) -> Iterator[BenchmarkItem]:
    columns: dict[str, str | None] = {}
    for number, record in enumerate(records, 1):
        if not columns:
            columns = {part: _column(part, record, spec, text) for part in COLUMNS}
        question = _question(record.get(columns["question"] or ""))
        if question is None:
            raise _refused(
                text,
                f"row {number}",
                f"have text in {columns['question']!r}",
                record.get(columns["question"] or ""),
                "Name the right column: --avoid 'FILE#question=NAME'.",
            )
        own = record.get("id")
        options, answer = columns["options"], columns["answer"]
        yield BenchmarkItem(
            name,
            number,
            "" if own is None else valid_text(str(own)),
            question,
            _options(record.get(options)) if options else (),
            _answer(record.get(answer)) if answer else "",
        )


def _column(part: str, record: Record, spec: AvoidSpec, text: str) -> str | None:
    named = spec.keys.get(part)
    if named is None:
        found = next((name for name in COLUMNS[part] if name in record), None)
        if found is not None or part != "question":
            return found
    elif named in record:
        return named
    raise _refused(
        text,
        f"the column of the {part}",
        f"be one of {', '.join(map(str, record))}",
        named,
        f"Name it: --avoid 'FILE#{part}=NAME'.",
    )


def _question(value: Any) -> str | None:
    if isinstance(value, list):  # a conversation: what its user says first
        turns = [turn for turn in value if isinstance(turn, dict)]
        asked = [t for t in turns if t.get("role", t.get("from")) in {"user", "human"}]
        value = asked[0].get("content", asked[0].get("value")) if asked else None
    return valid_text(value) if isinstance(value, str) else None


def _options(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):  # {"text": [...], "label": [...]}, or {"A": ..., "B": ...}
        value = value.get("text", list(value.values()))
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(valid_text(str(option)) for option in value)


def _answer(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = " ".join(map(str, value))
    return "" if value is None or isinstance(value, dict) else valid_text(str(value))


def _refused(text: str, name: str, rule: str, value: object, todo: str) -> DS2Error:
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
    return _refused(text, name, "be readable", said, "Check the file.")
