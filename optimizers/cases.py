"""Questions for the judge of questions: made various and labelled where a dev set holds no verdicts."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

import dspy

from optimizers.devsets import DevRow
from optimizers.labels import QuestionLabel
from optimizers.reference import majority, verdicts
from programs.judging import QuestionJudge
from signatures.answers import lettered
from signatures.records import content_id

_SENTENCES = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_CLAUSE = re.compile(r"[,;:，；：]\s*")


class Case(NamedTuple):
    """A question as the judge sees it, and the keywords it is shown with."""

    question: str
    keywords: tuple[str, ...]


def question_cases(rows: Sequence[DevRow]) -> list[Case]:
    """Return one case for each row, in their order.

    Rule: in the order of a hash of the questions, every fourth is taken as it is, the one after it
    without the facts that it states, the next with a foreign keyword (in place of the last of several,
    else beside its own), the next with foreign keywords only. Foreign are keywords of other rows that do
    not stand in the question; without any a row is taken as it is.
    """
    order = sorted(range(len(rows)), key=lambda place: content_id(rows[place].question))
    turn = {place: number % 4 for number, place in enumerate(order)}
    return [_case(row, turn[place], rows) for place, row in enumerate(rows)]


def _case(row: DevRow, turn: int, rows: Sequence[DevRow]) -> Case:
    own = row.keywords
    if turn == 1:
        return Case(without_facts(row), own)
    foreign = _foreign(row, rows) if turn else ()
    if turn == 2 and foreign:
        return Case(shown(row), (*(own[:-1] or own), foreign[0]))
    return Case(shown(row), foreign or own)


def _foreign(row: DevRow, rows: Sequence[DevRow]) -> tuple[str, ...]:
    text = f"{shown(row)}\n{' '.join(row.keywords)}".casefold()
    words = sorted({word for other in rows for word in other.keywords})
    free = [word for word in words if word.casefold() not in text]
    return tuple(random.Random(text).sample(free, min(len(free), len(row.keywords))))


def shown(row: DevRow) -> str:
    """Return a question as a student sees it: context, question, lettered options."""
    return _joined(row.context, row.question, row.options)


def without_facts(row: DevRow) -> str:
    """Return a question without the facts that it states: without its context, or else its last
    sentence, or what follows the first comma, or the second half of its words."""
    if row.context:
        return _joined("", row.question, row.options)
    for divided in (_SENTENCES.split(row.question), _CLAUSE.split(row.question, maxsplit=1)):
        parts = [part for part in divided if part.strip()]
        if len(parts) > 1:
            return _joined("", parts[-1], row.options)
    words = row.question.split()
    return _joined("", " ".join(words[len(words) // 2 :]), row.options)


def _joined(context: str, question: str, options: tuple[str, ...]) -> str:
    return "\n\n".join(part for part in (context, question, lettered(options)) if part)


def reference_label(judge: QuestionJudge, lm: dspy.LM, case: Case) -> QuestionLabel | None:
    """Return what the judge says most often, of fifteen times; None without a majority in both."""
    found = verdicts(judge, lm, question=case.question, keywords=case.keywords)
    used = majority(verdict.keywords_used for verdict in found)
    own = majority(verdict.self_contained for verdict in found)
    return None if used is None or own is None else QuestionLabel(used, own)
