"""What `--avoid` names: benchmark questions in a file, a folder or on the Hub.

    --avoid FILE|FOLDER|OWNER/NAME[#key=value,...]

A file is JSONL, JSON or Parquet (JSON also gzipped); a folder holds such files or is what `datasets`'
`save_to_disk` wrote; any other `OWNER/NAME` is a dataset on the Hub. Keys name the columns `question`,
`options` and `answer`, and for a dataset on the Hub its `config` and `split` (`test` if not given).
Columns that are not named are found by their usual names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ds2.screen.benchmark import BenchmarkItem
from ds2.screen.sources import (
    AvoidSpec,
    Record,
    hub_rows,
    is_file_name,
    is_there,
    local_rows,
    refused,
)
from signatures.errors import DS2Error
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
_HUB = re.compile(r"[\w.-]+/[\w.-]+")


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


def read_avoided(specs: Iterable[str], base: str | None = None) -> tuple[Avoided, ...]:
    """Return the questions that each `--avoid` names.

    Args:
        specs: each `--avoid`.
        base: the folder that a relative path is looked for in, before the present one.

    Raises:
        ConfigError: a source is missing or unreadable, or a row of it has no question.
    """
    return tuple(_read(text, base) for text in specs)


def same_questions(told: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether sources are the same, each as `str` of an `Avoided`: by content, not by name."""
    digests, theirs = ([text.rpartition(": ")[2] for text in texts] for texts in (told, others))
    return digests == theirs


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
            raise refused(
                text,
                "what follows #",
                f"be KEY=VALUE with keys {', '.join(_KEYS)}",
                part,
                "Write for example --avoid 'test.jsonl#question=Problem,options=choices'.",
            )
        keys[key.strip()] = value.strip()
    return AvoidSpec(where.strip(), keys)


def _read(text: str, base: str | None) -> Avoided:
    spec = parse_avoid(text)
    path = next((p for p in _places(spec.where, base) if is_there(p, text)), None)
    if path is not None:
        name, records = path.name or path.resolve().name, local_rows(path, spec, text)
    elif _HUB.fullmatch(spec.where) and not is_file_name(spec.where):
        name, records = spec.where, hub_rows(spec, text)
    else:
        raise refused(
            text,
            "it",
            "be a file, a folder, or OWNER/NAME of a dataset on the Hub",
            spec.where,
            "Check the path.",
        )
    items = tuple(_items(records, name, spec, text))
    if not items:
        raise refused(text, "it", "hold at least one question", "none", "Check the file.")
    return Avoided(name, items)


def _places(where: str, base: str | None) -> Iterator[Path]:
    if where:
        yield from (Path(base, where),) if base else ()
        yield Path(where)


def _items(
    records: Iterable[Record], name: str, spec: AvoidSpec, text: str
) -> Iterator[BenchmarkItem]:
    wanted, seen = set(spec.keys) & set(COLUMNS), set[str]()
    first: Record = {}
    for number, record in enumerate(records, 1):
        first = first or record
        # Rows of one source may differ: files of a folder, or JSON that leaves out what is empty.
        columns = {part: _column(part, record, spec) for part in COLUMNS}
        seen |= {part for part in wanted if columns[part] is not None}
        asked, options, answer = (columns[part] for part in COLUMNS)
        if asked is None:
            raise _no_column("question", record, spec, text, number)
        question = _question(record[asked])
        if question is None:
            raise refused(
                text,
                f"row {number}",
                f"have text in {asked!r}",
                record[asked],
                "Name the right column: --avoid 'FILE#question=NAME'.",
            )
        own = record.get("id")
        yield BenchmarkItem(
            name,
            number,
            "" if own is None else valid_text(str(own)),
            question,
            _options(record[options]) if options else (),
            _answer(record[answer]) if answer else "",
        )
    for part in sorted(wanted - seen if first else ()):
        raise _no_column(part, first, spec, text, 1)


def _column(part: str, record: Record, spec: AvoidSpec) -> str | None:
    named = spec.keys.get(part)
    names = COLUMNS[part] if named is None else (named,)
    return next((name for name in names if name in record), None)


def _no_column(part: str, record: Record, spec: AvoidSpec, text: str, number: int) -> DS2Error:
    return refused(
        text,
        f"the column of the {part}" + (f" in row {number}" if number > 1 else ""),
        f"be one of {', '.join(map(str, record))}",
        spec.keys.get(part),
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
