"""Documents out of files: JSONL and Parquet by a column, text and Markdown as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from ds2.corpus.files import CorpusFile, unreadable
from signatures.errors import CorpusError

GUESSES = ("text", "content", "abstract")  # columns that hold the text, the likeliest first
_IDS = ("id", "_id", "doc_id", "pmid")
_ROWS = 1_000
# A text file without an end in sight is taken in pieces, so that memory stays flat.
PIECE = 1 << 20
_LINE = 16 << 20


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it stands in its file.

    Args:
        source: where it is from, for people: file and line, row or id.
        text: untrusted.
    """

    source: str
    text: str


def documents(file: CorpusFile, column: str | None = None) -> Iterator[Document]:
    """Yield the documents of a file in order; empty ones are passed over.

    A JSONL line or Parquet row is a document: the text of `column`, or a list of texts, each a
    paragraph. A text or Markdown file is one (above a megabyte: pieces of about that, cut at blank
    lines).

    Args:
        file: what to read.
        column: the column with the text; None takes the first there is of text, content, abstract.

    Raises:
        CorpusError: the file cannot be read or decoded, a line is no JSON object, there is no such
            column, or it holds something else than text.
    """
    if file.kind == "jsonl":
        yield from _from_jsonl(file, column)
    elif file.kind == "parquet":
        yield from _from_parquet(file, column)
    else:
        yield from _from_text(file)


def _from_text(file: CorpusFile) -> Iterator[Document]:
    lines: list[str] = []
    size = pieces = 0
    for _, line in _lines(file):
        if size > PIECE and (not line.strip() or size > 8 * PIECE):
            pieces += 1
            yield Document(f"{file.name}#{pieces}", "".join(lines))
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if text := "".join(lines).strip():
        yield Document(f"{file.name}#{pieces + 1}" if pieces else file.name, text)


def _from_jsonl(file: CorpusFile, column: str | None) -> Iterator[Document]:
    for number, line in _lines(file):
        if not line.strip():
            continue
        place = f"{file.name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _bad(place, "the line", "be a JSON object", line.strip(), error) from error
        if not isinstance(row, dict):
            raise _bad(place, "the line", "be a JSON object", row)
        yield from _document(row, _column(list(row), column, place), place, file.name)


def _from_parquet(file: CorpusFile, column: str | None) -> Iterator[Document]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file.path) as opened:
            names = opened.schema_arrow.names
            chosen = _column(names, column, file.name)
            wanted = list(dict.fromkeys([chosen, *(name for name in _IDS if name in names)]))
            number = 0
            for batch in opened.iter_batches(batch_size=_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield from _document(row, chosen, f"{file.name}:{number}", file.name)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise unreadable(file.name, error) from error


def _document(row: dict[str, Any], column: str, place: str, file: str) -> Iterator[Document]:
    value = row[column]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n\n".join(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return
    if not isinstance(value, str):
        raise _bad(place, f"the column {column!r}", "hold text, or a list of texts", value)
    known = next((row[name] for name in _IDS if isinstance(row.get(name), str | int)), None)
    yield Document(place if known is None else f"{file}#{known}", value)


def _column(names: Sequence[str], wanted: str | None, place: str) -> str:
    choices = GUESSES if wanted is None else (wanted,)
    found = next((name for name in choices if name in names), None)
    if found is not None:
        return found
    raise _bad(
        place,
        "the text column" if wanted is None else "--corpus-column",
        f"be one of {', '.join(GUESSES)}" if wanted is None else "be a column that is there",
        ", ".join(map(str, names)) if wanted is None else wanted,
        todo=f"Name it with --corpus-column; the columns are: {', '.join(map(str, names))}.",
    )


def _lines(file: CorpusFile) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, from 1, decoded one by one."""
    at = 0
    with file.opened() as opened:
        for number, line in enumerate(_raw_lines(file, opened), 1):
            skip = 3 if at == 0 and line.startswith(b"\xef\xbb\xbf") else 0
            try:
                yield number, line[skip:].decode("utf-8")
            except UnicodeDecodeError as error:
                raise CorpusError.rule(
                    "Reading the corpus failed",
                    unit=file.name,
                    name=f"byte {at + skip + error.start:,} (line {number:,})",
                    rule="be UTF-8",
                    value=line[skip + error.start : skip + error.start + 8],
                    todo="Convert the file, such as with `iconv -f latin1 -t utf-8`.",
                ) from error
            at += len(line)


def _raw_lines(file: CorpusFile, opened: IO[bytes]) -> Iterable[bytes]:
    while line := opened.readline(_LINE + 1):
        if len(line) > _LINE:
            raise CorpusError.rule(
                "Reading the corpus failed",
                unit=file.name,
                name="a line",
                rule=f"have at most {_LINE:,} bytes",
                value=f"more, beginning {line[:40]!r}",
                todo="Split that document.",
            )
        yield line


def _bad(
    place: str,
    name: str,
    rule: str,
    value: object,
    error: Exception | None = None,
    todo: str = "Mend that line or leave it out.",
) -> CorpusError:
    said = f" {error}." if isinstance(error, ValueError) else ""
    return CorpusError.rule(
        "Reading the corpus failed", unit=place, name=name, rule=rule, value=value, todo=todo + said
    )
