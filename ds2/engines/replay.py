"""Answers of real models, recorded once (`signatures.recorded`): an engine that gives them back.

The recorded texts come back as they are, in no adapter's form.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

from dspy.lm15 import InvalidRequestError, Message, Request, Response, TextPart, Usage

from ds2.engines.base import Backend
from ds2.engines.prices import FREE
from signatures.recorded import RecordedQuestion, read_questions
from signatures.records import content_id

_HEADER = "[[ ## question ## ]]"
_NEXT_FIELD = "\n\n[[ ## "
_CLOSING = "\n\nRespond with "
_SHOWN = 80


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

    def __init__(self, records: Sequence[RecordedQuestion], *, seed: int = 0) -> None:
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
    """Return the recorded answers in `path` as a model; the arguments are those of `read_questions`.

    Args:
        path: the recorded file.
        models: keep the replies of models whose name matches this pattern.
        exclude: leave out those whose name matches this one.
        seed: orders the replies to each question.

    Raises:
        StoreError: see `read_questions`.
    """
    records = read_questions(path, models=models, exclude=exclude)
    return recorded_backend(records, seed=seed)


def recorded_backend(records: Sequence[RecordedQuestion], *, seed: int = 0) -> Backend:
    """Return recorded questions that were read before as a model."""
    engine = ReplayEngine(records, seed=seed)
    content = [[r.question, [sample.text for sample in r.samples]] for r in records]
    return Backend(
        model="replay",
        dialect=f"replay {content_id([seed, content])}",
        open=lambda: engine,
        teacher="replay",
        max_tokens=None,
        send_seed=True,
        remote=False,
        price=FREE,
    )


def _question(request: Request) -> str:
    """Return the question field of the last message; what follows it is of the adapter."""
    prompt = request.messages[-1].text or ""
    _, header, rest = prompt.rpartition(_HEADER)
    if not header:
        raise InvalidRequestError("the prompt has no field `question`, by which a replay answers")
    return rest.partition(_NEXT_FIELD)[0].rpartition(_CLOSING)[0].strip() or rest.strip()


def _shuffled(record: RecordedQuestion, seed: int) -> tuple[str, ...]:
    texts = [sample.text for sample in record.samples]
    random.Random(content_id([seed, record.question])).shuffle(texts)
    return tuple(texts)
