"""Find the answer in a reply that did not parse: by its marks, strongest first.

The order: the answer field of a chat or JSON reply, the last `\\boxed{...}` with balanced braces,
the task's closing line, `####`, `Answer:` or `the answer is`, bold, and at last what the text ends
with. A mark that was set on purpose decides, readable or not; `the answer is` and bold are passed
over where they hold no answer at all. A quoted copy of the question is taken out first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from programs.equivalence.reading import (
    MAX_CANDIDATE,
    MAX_TEXT,
    NOTHING,
    Reader,
    Reading,
    unreadable,
)
from programs.equivalence.refusal import NO_ANSWER

_MIN_QUOTE = 15
_MAX_BOXES = 3
_FIELD = re.compile(r"\[\[ ## answer ## \]\](.*?)(?=\[\[ ##|\Z)", re.DOTALL)
_JSON = re.compile(r'"answer"\s*:\s*("(?:[^"\\]|\\.)*"|-?[\w.+]+)')
_COMMAND = re.compile(r"(?<!\\)\\(?=[A-Za-z]{2})(?!u[0-9a-fA-F]{4})")
_HASHES = re.compile(r"#{4,}([^#\n]+)")
_ANSWER_LINE = (
    r"(?:(?:^|\n)[\s>*_#\-]{0,12}(?:(?:my |the )?(?:final |correct )?answer|ans"
    r"|antwort|r[ée]ponse|respuesta|resposta|risposta|ответ|答案|答え|정답)[*_ ]{0,4}[:：=]"
)
_ANSWER_SAID = (
    r"|\b(?:answer|(?:final|correct|right|best) (?:choice|option)) (?:is|would be|must be|=)[: ]"
    r"|\b(?:antwort (?:ist|lautet)|r[ée]ponse est|respuesta es|resposta é|risposta è)[: ]"
    r"|答案(?:是|为|為)|答えは)[\s*_]*([^\n]+)"
)
_ANSWER = re.compile(_ANSWER_LINE + r"|(?:^|\n)(?-i:A):" + _ANSWER_SAID, re.IGNORECASE)
_ANSWER_OF_LETTERS = re.compile(_ANSWER_LINE + _ANSWER_SAID, re.IGNORECASE)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_BOX = re.compile(r"\\f?box(?:ed)?(?![a-z])")
_BLANKS = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_SENTENCE_START = re.compile(r"(?<=[.!?。？！])\s*")
_EDGE = re.compile(r"^[\s>*_#\-•]+")
_PER_CENT_AFTER = re.compile(r"[\s$)\\]{0,6}%")


class Closing(NamedTuple):
    """How the task's responses end.

    Args:
        before: what stands before the answer in the closing line.
        after: what stands after it.
        letters: answers are letters, so that a line `A: ...` is an option and no answer.
        words: answers are words, so that bold inside a typed answer is emphasis and no mark.
    """

    before: str
    after: str
    letters: bool
    words: bool


class Mark(NamedTuple):
    """A place that is marked as the answer."""

    text: str | None  # None: opened and never closed
    binding: bool  # the mark decides even where nothing in it can be read
    sentence: bool  # prose may follow the answer


def salvage(reader: Reader, text: str, *, closing: Closing, question: str) -> Reading:
    """Return what `reader` makes of the strongest mark in `text`, else of the end of the text.

    Args:
        reader: reads the task's format.
        text: the reply; of a long one the last `MAX_TEXT` characters.
        closing: how the task's responses end.
        question: the question; a copy of it in the reply is no part of the answer.
    """
    text = unquoted(text[-MAX_TEXT:], question)
    text = text.rpartition("</think>")[2]
    if not text.strip():
        return unreadable(NOTHING)
    for mark in marks(text, closing):
        if mark.text is None:
            return unreadable("the answer was cut off before its closing brace")
        reading = reader.lead(mark.text) if mark.sentence else reader.read(mark.text)
        if mark.binding or reading.problem not in (NOTHING, NO_ANSWER):
            return reading
    return reader.last(text)


def marked(reader: Reader, text: str, *, closing: Closing) -> Reading | None:
    """Return what `reader` makes of the strongest mark in `text`, or None where there is no mark."""
    for mark in marks(text[-MAX_TEXT:], closing, bold=not closing.words):
        if mark.text is not None:
            reading = reader.lead(mark.text) if mark.sentence else reader.read(mark.text)
            if mark.binding or reading.problem not in (NOTHING, NO_ANSWER):
                return reading
    return None


def marks(text: str, closing: Closing, *, bold: bool = True) -> Iterator[Mark]:
    """Yield the marked places of a reply, strongest first."""
    yield from fields(text)
    if "\\" in text:
        yield from _boxes(text)
    yield from _closings(text, closing)
    if "####" in text and (hashes := _HASHES.findall(text)):
        yield Mark(hashes[-1], binding=True, sentence=True)
    answers = _ANSWER_OF_LETTERS if closing.letters else _ANSWER
    for answer in reversed(answers.findall(text)[-2:]):
        yield Mark(answer[:MAX_CANDIDATE], binding=False, sentence=True)
    if bold and "**" in text:
        for strong in reversed(_BOLD.findall(text)[-2:]):
            yield Mark(strong, binding=False, sentence=False)


def fields(text: str) -> Iterator[Mark]:
    """Yield what stands in the answer field of a chat or JSON reply."""
    if "[[ ## answer ## ]]" in text and (fields := _FIELD.findall(text)):
        yield Mark(fields[-1].strip(), binding=True, sentence=False)
    if '"answer"' in text and (values := _JSON.findall(text)):
        yield Mark(_json_value(values[-1]), binding=True, sentence=False)


def _json_value(written: str) -> str:
    """Return a JSON string's text; models forget to escape LaTeX, so `\\frac` is no form feed."""
    try:
        return str(json.loads(_COMMAND.sub(r"\\\\", written), strict=False))
    except ValueError:
        return written.strip('"')


def _boxes(text: str) -> Iterator[Mark]:
    """Yield the last box that holds something; an empty one is passed over."""
    for box in list(_BOX.finditer(text))[-1 : -_MAX_BOXES - 1 : -1]:
        start = box.end()
        while start < len(text) and text[start].isspace():
            start += 1
        if text[start : start + 1] != "{":
            content: str | None = re.split(r"[\s$.,;\\]", text[start : start + 40], maxsplit=1)[0]
            end = start
        else:
            end = closing_brace(text, start)
            content = text[start + 1 : end] if end > 0 else None
            end += 1
        if content is None or content.strip():
            if content is not None and _PER_CENT_AFTER.match(text, end):
                content += "%"
            yield Mark(content, binding=True, sentence=False)
            return


def closing_brace(text: str, start: int) -> int:
    """Return where the brace that opens at `start` closes, or -1; escaped braces do not count."""
    depth = 0
    at = start
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return at
        at += 1
    return -1


def _closings(text: str, closing: Closing) -> Iterator[Mark]:
    before, after = closing.before.strip().casefold(), closing.after.strip()
    if not before or before not in text.casefold():
        return
    for line in reversed(text.splitlines()):
        stripped = _EDGE.sub("", line.strip())
        if stripped.casefold().startswith(before):
            content = stripped[len(before) :].strip().removesuffix(after)
            if content.strip(" *_"):
                yield Mark(content, binding=True, sentence=True)
                return


def unquoted(text: str, question: str) -> str:
    """Return `text` without copies of the question or of its longer sentences, however wrapped."""
    quotes = _quotes(question)
    if not quotes:
        return text
    wrapped = _BLANKS.sub(" ", text)
    one_line = wrapped.replace("\n", " ")
    spans: list[tuple[int, int]] = []
    for quote in quotes:
        at = one_line.find(quote)
        while at >= 0:
            spans.append((at, at + len(quote)))
            at = one_line.find(quote, at + len(quote))
    return _without(wrapped, spans) if spans else text


@lru_cache(maxsize=256)
def _quotes(question: str) -> tuple[str, ...]:
    """Return the question and its longer sentences, each on one line."""
    flat = " ".join(question[:MAX_TEXT].split())
    pieces = (flat, *_SENTENCE_START.split(flat))
    return tuple(piece for piece in pieces if len(piece) >= _MIN_QUOTE)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    kept, at = [], 0
    for start, end in sorted(spans):
        if start > at:
            kept.append(text[at:start])
        at = max(at, end)
    kept.append(text[at:])
    return " ".join(kept)
