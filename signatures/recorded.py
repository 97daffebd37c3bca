"""Recorded answers of models: the format of the file, and its reader.

A file holds one question a line as JSON: `question`, `gold` (the right answer as text), optional
`options` (texts), and `samples`, each with `text`, optional `model` and optional `correct` (how its
recorder graded it). A name that ends in `.gz` is gzip. `docs/replay.md` says it in full.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, NoReturn

from signatures.errors import StoreError


class RecordedSample(NamedTuple):
    """One recorded reply: its text, the model that gave it, and how its recorder graded it."""

    text: str
    model: str
    correct: bool | None


class RecordedQuestion(NamedTuple):
    """One line of a file: where it stands, the question, its right answer and its replies."""

    line: int
    question: str
    gold: str
    options: tuple[str, ...]
    samples: tuple[RecordedSample, ...]


def read_questions(
    path: str | os.PathLike[str], *, models: str | None = None, exclude: str | None = None
) -> tuple[RecordedQuestion, ...]:
    """Return the questions of a file, in order.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file.
        models: keep the samples of models whose name matches this pattern (`*` and `?`); None keeps
            all. A question that keeps none is left out.
        exclude: leave out the samples of models whose name matches this pattern.

    Raises:
        StoreError: the file cannot be read, a line breaks the format (file, line, what), a question
            comes twice, or no sample is left.
    """
    file = os.fspath(path)
    seen: set[str] = set()
    kept = []
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        found = _question(file, number, line)
        if found.question.strip() in seen:
            refuse_recording(f"{file}, line {number}", "question", "come once", found.question)
        seen.add(found.question.strip())
        samples = tuple(s for s in found.samples if _wanted(s.model, models, exclude))
        if samples:
            kept.append(found._replace(samples=samples))
    if not kept:
        what = f"models={models!r}, exclude={exclude!r}" if seen else "no line"
        refuse_recording(file, "the file", "hold a sample of a model that is asked for", what)
    return tuple(kept)


def _wanted(model: str, models: str | None, exclude: str | None) -> bool:
    if models is not None and not fnmatchcase(model, models):
        return False
    return exclude is None or not fnmatchcase(model, exclude)


def _lines(file: str) -> Iterator[str]:
    opened = gzip.open if file.endswith(".gz") else open
    try:
        with opened(file, "rt", encoding="utf-8") as lines:
            yield from lines
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StoreError.rule(
            "Reading recorded answers failed",
            unit=file,
            name="the file",
            rule="be a readable .jsonl or .jsonl.gz file in UTF-8",
            value=f"{type(error).__name__}: {error}",
            todo="Check the path and that the file is complete.",
        ) from error


def _question(file: str, number: int, line: str) -> RecordedQuestion:
    where = f"{file}, line {number}"
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        refuse_recording(where, "the line", f"be JSON ({error})", line.strip())
    if not isinstance(data, dict):
        refuse_recording(where, "the line", "be a JSON object", data)
    samples = data.get("samples")
    if not isinstance(samples, list) or not samples:
        refuse_recording(where, "samples", "be a list with at least one sample", samples)
    options = data.get("options") or []
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        refuse_recording(where, "options", "be a list of texts", options)
    return RecordedQuestion(
        line=number,
        question=_text(where, "question", data.get("question")),
        gold=_text(where, "gold", data.get("gold")),
        options=tuple(options),
        samples=tuple(_sample(where, sample) for sample in samples),
    )


def _sample(where: str, sample: Any) -> RecordedSample:
    if not isinstance(sample, dict) or not isinstance(sample.get("text"), str):
        refuse_recording(where, "samples", "hold objects with a `text`", sample)
    model, correct = sample.get("model", ""), sample.get("correct")
    if not isinstance(model, str) or not (correct is None or isinstance(correct, bool)):
        refuse_recording(
            where, "samples", "hold `model` as text and `correct` as true or false", sample
        )
    return RecordedSample(sample["text"], model, correct)


def _text(where: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        refuse_recording(where, name, "be a text that is not empty", value)
    return value


def refuse_recording(where: str, name: str, rule: str, value: object) -> NoReturn:
    """Raise a `StoreError` about recorded answers: where, what, the rule, the value."""
    raise StoreError.rule(
        "Reading recorded answers failed",
        unit=where,
        name=name,
        rule=rule,
        value=value,
        todo="docs/replay.md describes the format; mend the file, or choose others with --format, "
        "--models and --exclude.",
    )
