"""What an instruction's own text tells against it: each check is small, cheap, and shows where it looks.

| reason | the instruction is turned down where |
| --- | --- |
| `no_words` | the question has no letter and no digit |
| `too_short` | it has under 3 words (6 signs where words are not spaced) |
| `too_long` | the question is above 6,000 characters, or all of it above 30,000 |
| `refusal` | the question opens as a reply of a model that refuses, or that offers to help |
| `leak` | the question states an answer: `Answer: 42`, `the correct answer is (B)`, `\\boxed{7}` |
| `same_options` | two options are the same by text or by value |
| `missing` | it speaks of a figure, table, passage or link that does not come with it |
| `language` | it is not in the task's language (`ds2.screen.language`) |

A check sees one instruction, so whatever repeats it fares alike. One more looks at a row, once its answer
is known: `told`, where the question gives that answer away (`ds2.screen.leak`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ds2.screen.language import other_language
from ds2.screen.leak import STATED, told_answer
from ds2.screen.missing import speaks_of_missing
from ds2.screen.options import same_options
from ds2.screen.refusal import REFUSAL
from ds2.screen.text import words
from signatures.records import Instruction

FEWEST_WORDS = 3
FEWEST_SIGNS = 6
MOST_QUESTION = 6_000  # characters
MOST_TEXT = 30_000
_SHOWN = 200


class Fault(NamedTuple):
    """What a check found.

    Args:
        reason: the check, as in the module's table.
        detail: one sentence for people.
        span: the place in the instruction that it speaks of; empty where there is none.
    """

    reason: str
    detail: str
    span: str = ""


def fault_of(instruction: Instruction, language: str) -> Fault | None:
    """Return the first fault of an instruction, or None.

    Args:
        instruction: as it was written.
        language: the task's.
    """
    for check in CHECKS.values():
        found = check(instruction, language)
        if found is not None:
            return found
    return None


def check_length(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where there is nothing, too little or too much to read."""
    question = instruction.question
    if not any(c.isalnum() for c in question):
        return Fault("no_words", "The question has no word.", question[:_SHOWN])
    found = words(question)
    signs = sum(len(word.text) for word in found)
    spaced = not any(len(w.text) == 1 and not w.text.isascii() for w in found)
    if len(found) < FEWEST_WORDS and (spaced or signs < FEWEST_SIGNS):
        return Fault("too_short", f"The question has {len(found)} words.", question[:_SHOWN])
    if len(question) > MOST_QUESTION or len(instruction.text) > MOST_TEXT:
        length = len(instruction.text)
        return Fault("too_long", f"The instruction has {length:,} characters.")
    return None


def check_refusal(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where a model refused, or talked to its user, instead of writing."""
    match = REFUSAL.match(instruction.question)
    return match and Fault("refusal", "The question reads as a model's reply.", _span(match))


def check_leak(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where the question states its answer."""
    match = STATED.search(instruction.question)
    return match and Fault("leak", "The question states its answer.", _span(match))


def check_options(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where two options say the same, so that not exactly one can be right."""
    same = same_options(instruction.options)
    return same and Fault("same_options", "Two options say the same.", " = ".join(same)[:_SHOWN])


def check_missing(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where the question speaks of what does not come with it."""
    match = speaks_of_missing(instruction.question, instruction.context)
    said = "It speaks of something that does not come with it."
    return match and Fault("missing", said, _span(match))


def check_language(instruction: Instruction, language: str) -> Fault | None:
    """Return a fault where the question is in another language than the task's."""
    other = other_language(instruction.question, language)
    if other is None:
        return None
    span = instruction.question[:_SHOWN]
    return Fault("language", f"The question is not in {language}: {other}.", span)


Check = Callable[[Instruction, str], Fault | None]

CHECKS: Mapping[str, Check] = {
    "length": check_length,
    "refusal": check_refusal,
    "leak": check_leak,
    "options": check_options,
    "missing": check_missing,
    "language": check_language,
}


def told_fault(instruction: Instruction, answer: str) -> Fault | None:
    """Return a fault where the question gives away the answer that the vote came to.

    Args:
        instruction: what was asked.
        answer: the answer of its row; of one with options the letter, or the text.
    """
    answers = [answer]
    at = ord(answer[0]) - ord("A") if len(answer) == 1 else -1
    if 0 <= at < len(instruction.options):
        answers.append(instruction.options[at])
    span = told_answer(instruction.question, answers)
    if span is None:
        return None
    return Fault("told", f"The question gives its answer {answer!r} away.", span[:_SHOWN])


def _span(match: re.Match[str]) -> str:
    return match[0].strip()[:_SHOWN]
