"""Read an answer out of a model's reply, and say which answers are the same, by answer format.

Answers are compared through canonical keys: two readings are the same answer exactly when their
keys are equal. So comparing is reflexive, symmetric and transitive, a vote over n replies costs n
readings, and its groups do not depend on the order of the replies. What cannot be read is
unreadable, with the reason, and never a guess. Each format states its rule in a module of its own.

Nothing here raises on any text, and nothing depends on a clock: limits on length, digits, nesting,
exponents and terms decide what is too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, assert_never

from programs.equivalence.choice import ChoiceReader
from programs.equivalence.expression import ExpressionReader
from programs.equivalence.label import LabelReader
from programs.equivalence.number import NumberReader
from programs.equivalence.reading import NOTHING, Reader, Reading, unreadable
from programs.equivalence.salvage import Closing, fields, marked, salvage
from programs.equivalence.text import OpenReader, TextReader
from signatures.task import AnswerFormat, AnswerKind

_BARE = 8

__all__ = ["Group", "Reading", "read_answer", "tally"]


class Group(NamedTuple):
    """The readings that give one answer.

    Args:
        key: their common key.
        answer: the answer as its first member shows it.
        members: their places in the sequence that was tallied, in order.
    """

    key: str
    answer: str
    members: tuple[int, ...]


def read_answer(
    fmt: AnswerFormat,
    *,
    typed: str | None,
    text: str = "",
    options: Sequence[str] = (),
    question: str = "",
) -> Reading:
    """Return the answer of one reply.

    Rule: the typed field decides where it holds anything; inside it a mark (a box, `the answer
    is`) goes before the rest. Without one the answer is salvaged from `text`, strongest mark
    first, never from a copy of the question (see `salvage`).

    Args:
        fmt: the task's answer format.
        typed: the parsed output field of the reply; None when the reply did not parse.
        text: the raw reply.
        options: for `choice`, the texts of the options; a letter beyond them is unreadable.
        question: what was asked; it settles per cent, and a copy of it is never read.

    Returns:
        The reading; `answer` and `key` are None and `problem` says why where it is unreadable.

    Example:
        >>> fmt = AnswerFormat(kind="number")
        >>> read_answer(fmt, typed="$12.00").key == read_answer(fmt, typed="12 inches").key
        True
        >>> read_answer(fmt, typed=None, text=r"So it is \\boxed{7}.").key
        '7'
        >>> read_answer(fmt, typed="5 to 10").problem
        'a range, a ratio or a calculation that is not worked out'
    """
    if fmt.kind is AnswerKind.OPEN:
        return _read_open(typed, text)
    reader = _reader(fmt, tuple(options), question)
    closing = _closing(fmt)
    if typed is not None and typed.strip():
        return _settled(_typed(reader, typed, closing), typed, reader, closing)
    if not text.strip():
        return unreadable(NOTHING)
    found = salvage(reader, text, closing=closing, question=question)
    return _settled(found, text, reader, closing)


def tally(readings: Sequence[Reading]) -> tuple[Group, ...]:
    """Return the readable readings grouped by their keys, most members first.

    Ties stand in the order of their first member, which ranks them for display and decides
    nothing: a policy sees the counts alone.

    Args:
        readings: the readings of one vote, in the order of the draws.
    """
    members: dict[str, list[int]] = {}
    for place, reading in enumerate(readings):
        if reading.key is not None:
            members.setdefault(reading.key, []).append(place)
    groups = [
        Group(key, readings[places[0]].answer or key, tuple(places))
        for key, places in members.items()
    ]
    return tuple(sorted(groups, key=lambda group: -len(group.members)))


def _read_open(typed: str | None, text: str) -> Reading:
    """Read a long answer: the typed field, else the reply's answer field, else all of the reply."""
    reader = OpenReader()
    if typed is not None and typed.strip():
        return reader.read(typed)
    text = text.rpartition("</think>")[2]
    field = next(fields(text), None)
    return reader.read(text if field is None or field.text is None else field.text)


def _typed(reader: Reader, typed: str, closing: Closing) -> Reading:
    found = marked(reader, typed, closing=closing) if _may_be_marked(typed) else None
    return found if found is not None else reader.read(typed)


def _settled(reading: Reading, source: str, reader: Reader, closing: Closing) -> Reading:
    """Return a reading whose shown answer reads as itself; what does not is unreadable."""
    shown = reading.answer
    if shown is None or shown in (reading.key, source):
        return reading
    if _typed(reader, shown, closing).key == reading.key:
        return reading
    return unreadable("an answer that reads in two ways")


def _may_be_marked(typed: str) -> bool:
    """Whether a typed answer is more than a bare value; most are not, and need no search."""
    return len(typed) > _BARE or "\\" in typed or "####" in typed or not typed.isascii()


@lru_cache(maxsize=64)
def _closing(fmt: AnswerFormat) -> Closing:
    before, _, after = fmt.close("\0").partition("\0")
    return Closing(
        before,
        after,
        letters=fmt.kind is AnswerKind.CHOICE,
        words=fmt.kind is AnswerKind.TEXT,
    )


def _reader(fmt: AnswerFormat, options: tuple[str, ...], question: str) -> Reader:
    match fmt.kind:
        case AnswerKind.NUMBER:
            return NumberReader(question)
        case AnswerKind.CHOICE:
            return ChoiceReader(len(options) or max(fmt.options), options)
        case AnswerKind.LABEL:
            return LabelReader(fmt.labels)
        case AnswerKind.EXPRESSION:
            return ExpressionReader(question)
        case AnswerKind.TEXT:
            return TextReader()
        case AnswerKind.OPEN:
            return OpenReader()
        case _:
            assert_never(fmt.kind)
