"""A teacher whose words go wrong: faults of content, the same in every run."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from dspy import lm15
from dspy.lm15 import Message, Response, TextPart

from ds2.server.faults import CONTENT, Draw, Faults, chance
from signatures.records import content_id


class Replies(Protocol):
    """Whoever answers: the sample number is the seed of the request's configuration."""

    def reply(self, request: lm15.Request) -> lm15.Response: ...


class FaultyTeacher:
    """Answers as another teacher does, with the faults of content woven in.

    A fault is a function of (seed, request, sample number): another attempt, another order of
    arrival and another number of choices a request change nothing.

    Args:
        teacher: who answers.
        faults: the rates; those of weather are not looked at.
        seed: of the draws.
    """

    def __init__(self, teacher: Replies, faults: Faults, *, seed: int = 0) -> None:
        self._teacher, self._faults, self._seed = teacher, faults, seed
        self._draw = Draw(faults, CONTENT, seed)

    def reply(self, request: lm15.Request) -> lm15.Response:
        """Return the reply to `request`, as the model says it on its bad days."""
        asked = replace(request, config=replace(request.config, seed=None))
        content, sample = content_id(repr(asked)), request.config.seed or 0
        fault = self._draw.fault(content, sample)
        if fault == "duplicate":
            # Sample 0 has nothing before it to repeat.
            return self._teacher.reply(_sample(request, max(0, sample - 1)))
        response = self._teacher.reply(request)
        if fault is None:
            return response
        if fault == "huge_text":
            return _saying(response, _text(response) + _rambling(self._faults.huge_bytes), None)
        if fault == "length":
            text = _text(response)
            kept = int(len(text) * (0.1 + 0.7 * chance(self._seed, "cut", content, sample)))
            return _saying(response, text[:kept], "length")
        return _saying(response, "", "content_filter" if fault == "content_filter" else None)


def _rambling(size: int) -> str:
    words = "\nand then again, "
    return (words * (size // len(words) + 1))[:size]


def _text(response: Response) -> str:
    return "".join(p.text for p in response.message.parts if isinstance(p, TextPart))


def _sample(request: lm15.Request, number: int) -> lm15.Request:
    return replace(request, config=replace(request.config, seed=number))


def _saying(response: Response, text: str, finish_reason: str | None) -> Response:
    """Return `response` with another text; a finish reason of None is left as it was."""
    usage = response.usage
    said = len(_text(response))
    if usage.output_tokens is not None:
        # The teacher's own measure, so that figures of tokens stay those of one tokenizer.
        a_token = said / usage.output_tokens if usage.output_tokens else 4
        tokens = round(len(text) / max(1.0, a_token))
        usage = replace(usage, output_tokens=tokens, total_tokens=None)
    return replace(
        response,
        message=Message.assistant([TextPart(text)]),
        finish_reason=finish_reason or response.finish_reason,
        usage=usage,
    )
