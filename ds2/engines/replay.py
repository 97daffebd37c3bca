"""Answers of real models, recorded once: an engine that gives them back, and the file it reads.

One line of the file is one question as JSON: `question`, `gold` (text), optional `options` (texts),
and `samples`, each with `text` and optional `model` and `correct` (how its recorder graded it). A
name that ends in `.gz` is gzip. The recorded texts come back as they are, in no adapter's form.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from dspy.lm15 import InvalidRequestError, Message, Request, Response, TextPart, Usage

from ds2.engines.base import Backend
from signatures.errors import StoreError
from signatures.records import content_id

_HEADER = "[[ ## question ## ]]"
_NEXT_FIELD = "\n\n[[ ## "
_CLOSING = "\n\nRespond with "
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Output:
    """One recorded reply: its text, the model that gave it, and whether its recorder took it as right."""

    text: str
    model: str = ""
    correct: bool | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One question with its right answer and its recorded replies, at least one."""

    question: str
    gold: str
    outputs: tuple[Output, ...]
    options: tuple[str, ...] = ()


class ReplayEngine:
    """Answers a question with its recorded replies, another one for each sample number.

    The question is the `question` field of the last message, as DSPy's adapters render it, and is
    known by its exact text. Sample s (`config.seed`, 0 without one) gets reply s modulo the number
    of replies, in an order shuffled for each question by the seed of the engine: k samples are k
    different replies while there are that many.

    Args:
        records: the questions.
        seed: orders the replies.
    """

    def __init__(self, records: Sequence[Recorded], *, seed: int = 0) -> None:
        self._texts = {record.question.strip(): _shuffled(record, seed) for record in records}

    async def complete(self, request: Request) -> Response:
        """Return the recorded reply to the question and the sample number of `request`.

        Raises:
            lm15.InvalidRequestError: the prompt holds no question, or one that was not recorded.
        """
        question = _question(request)
        texts = self._texts.get(question)
        if texts is None:
            raise InvalidRequestError(
                f"the question {question[:_SHOWN]!r} is not among the {len(self._texts)} recorded "
                "ones; a replay answers only what was recorded"
            )
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(texts[(request.config.seed or 0) % len(texts)])]),
            finish_reason="stop",
            usage=Usage(),
        )


def replay_backend(
    path: str | os.PathLike[str],
    *,
    models: str | None = None,
    exclude: str | None = None,
    seed: int = 0,
) -> Backend:
    """Return the recorded answers in `path` as a model; the arguments are those of `read_replay`.

    Args:
        path: the recorded file.
        models: keep the replies of models whose name matches this pattern.
        exclude: leave out those whose name matches this one.
        seed: orders the replies to each question.

    Raises:
        StoreError: see `read_replay`.
    """
    records = read_replay(path, models=models, exclude=exclude)
    return recorded_backend(records, seed=seed)


def recorded_backend(records: Sequence[Recorded], *, seed: int = 0) -> Backend:
    """Return recorded questions that were read before as a model."""
    engine = ReplayEngine(records, seed=seed)
    content = [[r.question, [output.text for output in r.outputs]] for r in records]
    return Backend(
        model="replay",
        dialect=f"replay {content_id([seed, content])}",
        open=lambda: engine,
        teacher="replay",
        max_tokens=None,
        send_seed=True,
        remote=False,
    )


def read_replay(
    path: str | os.PathLike[str], *, models: str | None = None, exclude: str | None = None
) -> tuple[Recorded, ...]:
    """Return the recorded questions of a file, in order.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file.
        models: keep the replies of models whose name matches this pattern (`*` and `?`), such as
            `gpt-4o*`; None keeps all. A question that keeps none is left out.
        exclude: leave out the replies of models whose name matches this pattern.

    Raises:
        StoreError: the file cannot be read, a line breaks the format (file, line, what), a question
            comes twice, or no reply is left.
    """
    records: dict[str, Recorded] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{os.fspath(path)}, line {number}"
        record = _record(where, line)
        if record.question.strip() in records:
            _refuse(where, "question", "come once", record.question)
        records[record.question.strip()] = record
    kept = tuple(_filtered(record, models, exclude) for record in records.values())
    kept = tuple(record for record in kept if record.outputs)
    if not kept:
        patterns = f"models={models!r}, exclude={exclude!r}"
        _refuse(os.fspath(path), "the file", "hold a reply of a model that is asked for", patterns)
    return kept


def _question(request: Request) -> str:
    """Return the question field of the last message; what follows it is of the adapter."""
    prompt = request.messages[-1].text or ""
    _, header, rest = prompt.rpartition(_HEADER)
    if not header:
        raise InvalidRequestError("the prompt has no field `question`, by which a replay answers")
    return rest.partition(_NEXT_FIELD)[0].rpartition(_CLOSING)[0].strip() or rest.strip()


def _shuffled(record: Recorded, seed: int) -> tuple[str, ...]:
    texts = [output.text for output in record.outputs]
    random.Random(content_id([seed, record.question])).shuffle(texts)
    return tuple(texts)


def _filtered(record: Recorded, models: str | None, exclude: str | None) -> Recorded:
    outputs = tuple(
        output
        for output in record.outputs
        if (models is None or fnmatchcase(output.model, models))
        and (exclude is None or not fnmatchcase(output.model, exclude))
    )
    return Recorded(record.question, record.gold, outputs, record.options)


def _lines(path: str | os.PathLike[str]) -> Iterator[str]:
    file = Path(path)
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding="utf-8") as lines:
            yield from lines
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StoreError.rule(
            "Reading recorded answers failed",
            unit=os.fspath(path),
            name="the file",
            rule="be a readable .jsonl or .jsonl.gz file in UTF-8",
            value=f"{type(error).__name__}: {error}",
            todo="Check the path and that the file is complete.",
        ) from error


def _record(where: str, line: str) -> Recorded:
    try:
        data = json.loads(line)
    except ValueError as error:
        _refuse(where, "the line", f"be JSON ({error})", line)
    if not isinstance(data, dict):
        _refuse(where, "the line", "be a JSON object", data)
    samples = data.get("samples")
    if not isinstance(samples, list) or not samples:
        _refuse(where, "samples", "be a list with at least one reply", samples)
    options = data.get("options") or []
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        _refuse(where, "options", "be a list of texts", options)
    return Recorded(
        question=_text(where, data, "question"),
        gold=_text(where, data, "gold"),
        outputs=tuple(_output(where, sample) for sample in samples),
        options=tuple(options),
    )


def _output(where: str, sample: Any) -> Output:
    if not isinstance(sample, dict) or not isinstance(sample.get("text"), str):
        _refuse(where, "samples", "hold objects with a `text`", sample)
    model, correct = sample.get("model", ""), sample.get("correct")
    if not isinstance(model, str) or not (correct is None or isinstance(correct, bool)):
        _refuse(where, "samples", "hold `model` as text and `correct` as true or false", sample)
    return Output(sample["text"], model, correct)


def _text(where: str, data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        _refuse(where, name, "be a text that is not empty", value)
    return value


def _refuse(where: str, name: str, rule: str, value: object) -> NoReturn:
    raise StoreError.rule(
        "Reading recorded answers failed",
        unit=where,
        name=name,
        rule=rule,
        value=value,
        todo="The format stands in `ds2.engines.replay`; mend the line or leave it out.",
    )
