"""Rows of a file, a `datasets` folder or a Hub data set, each with where it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from optimizers.hub import from_cache_alone, unreachable
from signatures.errors import ConfigError

_HALF = re.compile("[\ud800-\udfff]")
_FILES = ("*.parquet", "*.jsonl")


class RowAt(NamedTuple):
    """One row, and where it stands: `dev.jsonl, line 3`."""

    where: str
    values: Mapping[str, Any]


def read_rows(source: str) -> tuple[RowAt, ...]:
    """Return the rows of `source`, in order.

    Args:
        source: a `.jsonl` or `.parquet` file; a folder with such files or one that `datasets` saved;
            or a data set of the Hub as `OWNER/NAME`, `OWNER/NAME:SPLIT` or
            `OWNER/NAME:CONFIG:SPLIT`.

    Raises:
        ConfigError: there is no such source, it cannot be read, or it has no rows.
    """
    path = Path(source)
    if not source.strip():  # a shell's empty variable is not the folder that it stands in
        refuse(source, "be named", source)
    if path.is_dir():
        rows = tuple(_folder(path))
    elif path.is_file():
        rows = tuple(_file(path))
    elif _names_hub(source):
        rows = tuple(_hub(source))
    else:
        refuse(source, "be a file, a folder or a data set OWNER/NAME that exists", "nothing there")
    if not rows:
        refuse(source, "hold at least one row", "no row")
    return rows


def refuse(source: str, rule: str, value: object, todo: str = "Check the path.") -> NoReturn:
    """Raise that `source` breaks a rule."""
    raise ConfigError.rule(
        "Reading the dev set failed", unit=source, name="it", rule=rule, value=value, todo=todo
    )


def _file(path: Path) -> Iterator[RowAt]:
    match path.suffix:
        case ".jsonl":
            yield from _jsonl(path)
        case ".parquet":
            yield from _parquet(path)
        case _:
            refuse(str(path), "end in .jsonl or .parquet", path.suffix or path.name)


def _jsonl(path: Path) -> Iterator[RowAt]:
    try:
        # JSON may hold U+2028, U+0085 and other marks at which `splitlines` would cut.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        refuse(str(path), "be readable UTF-8", type(error).__name__)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):  # of brackets in brackets
            values = None
        if not isinstance(values, dict):
            todo = "Mend that line."
            refuse(str(path), f"hold a JSON object in each line ({where})", line[:80], todo)
        # JSON can write what no model can be sent.
        if half := _HALF.search(json.dumps(values, ensure_ascii=False)):
            rule = f"hold whole characters, no half of a pair ({where})"
            refuse(str(path), rule, f"U+{ord(half[0]):04X}", "Mend that line.")
        yield RowAt(where, values)


def _parquet(path: Path) -> Iterator[RowAt]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        refuse(str(path), "be readable Parquet", type(error).__name__)
    for number, values in enumerate(rows, start=1):
        yield RowAt(f"{path.name}, row {number}", values)


def _folder(folder: Path) -> Iterator[RowAt]:
    files = sorted(path for pattern in _FILES for path in folder.rglob(pattern))
    if files:
        for path in files:
            yield from _file(path)
        return
    import datasets

    try:
        saved = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        refuse(
            str(folder),
            "hold .jsonl or .parquet files, or be a folder that datasets saved",
            type(error).__name__,
        )
    parts = saved if isinstance(saved, dict) else {"": saved}
    for name, part in parts.items():
        for number, values in enumerate(part, start=1):
            yield RowAt(f"{name} row {number}".strip(), values)


def _names_hub(source: str) -> bool:
    name = source.partition(":")[0]
    return name.count("/") == 1 and not name.startswith((".", "/")) and not Path(name).suffix


def _hub(source: str) -> Iterator[RowAt]:
    import datasets

    name, *rest = source.split(":")
    config, split = (rest[0], rest[1]) if len(rest) > 1 else (None, rest[0] if rest else None)
    why = "" if Path(name).is_dir() else unreachable()
    try:
        with from_cache_alone() if why else nullcontext():
            found = datasets.load_dataset(name, config, split=split)
    except ConnectionError as error:
        rule = "be in the cache of `datasets` while the Hub cannot be reached, or a file or folder here"
        todo = "Connect to the network, or give a file or a folder that exists."
        refuse(source, rule, why or type(error).__name__, todo)
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        refuse(source, "be a data set that can be loaded", said, "Check name, config and split.")
    if isinstance(found, dict) and len(found) == 1:
        (found,) = found.values()
    if isinstance(found, dict):
        todo = f"Name one of them: {name}:{next(iter(found))}."
        refuse(source, "name a split where there are several", sorted(found), todo)
    for number, values in enumerate(found, start=1):
        yield RowAt(f"row {number}", values)
