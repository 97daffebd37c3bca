"""What an instruction's own text tells against it: each check is small, cheap, and shows where it looks.

| reason | the instruction is turned down where |
| --- | --- |
| `no_words` | the question has no letter and no digit |
| `too_short` | it has under 3 words (6 signs where words are not spaced) |
| `too_long` | the question is above 6,000 characters, or all of it above 30,000 |
| `refusal` | the question opens as a reply of a model that refuses, or that offers to help |
| `leak` | the question states its answer: `Answer: 42`, `the correct answer is (B)`, `\\boxed{7}` |
| `same_options` | two options are the same by text or by value |
| `missing` | it speaks of a figure, table, passage or link that does not come with it |
| `language` | it is not in the task's language (`ds2.screen.language`) |

A check sees one instruction, so whatever repeats it fares alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ds2.screen.language import other_language
from ds2.screen.options import same_options
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


_REFUSAL = re.compile(
    r"\W*(?:(?:i['’]?m|i am) (?:so |very |really )?(?:sorry|afraid)\b|"
    r"(?:sorry|apologies)\b[,.!]? (?:but )?i\b|"
    r"i (?:cannot|can['’]?t|can not|won['’]?t|will not|(?:am|['’]m) (?:not able|unable) to) "
    r"(?:\w+ )?(?:help|assist|write|create|provide|generate|produce|fulfil|comply|do|answer)\b|"
    r"as an? (?:ai|artificial intelligence|(?:large )?language model)\b|"
    r"(?:sure|certainly|of course|absolutely)[,!.:]? +(?:here(?:['’]s| is| are)\b|i (?:can|will|['’]d)\b)|"
    r"here(?:['’]s| is) (?:a|an|the|your) (?:\w+ ){0,3}(?:question|instruction|problem)\b"
    r"[^?.]{0,60}:\s*[\n\"“*]|"
    r"(?:es tut mir leid|ich kann (?:dabei|das|diese)\b.{0,40} nicht|je (?:suis désolé|ne peux pas)|"
    r"lo siento|no puedo (?:ayudar|crear)|mi dispiace|desculpe)\b|"
    r"抱歉|对不起|很抱歉|申し訳|죄송)",
    re.IGNORECASE,
)
# What states an answer: a letter, a number, a boxed value or a word; never a blank or what follows.
_VALUE = (
    r"(?:(?-i:\(?[A-H]\)?)(?=[.,;)]|\s*$|\n)|[-−+]?[$€£]?\d|\\boxed|\\frac|"
    r"(?:yes|no|maybe|true|false)\b(?!,? or\b))"
)
_LEAK = re.compile(
    r"\\boxed\s*\{\s*[^\s{}?_.…]|^\s*####\s*\S|"
    rf"(?im:^|(?<=[.!?:;)\n])\s*)\W{{0,4}}"
    rf"(?i:(?:the )?(?:correct |right |final |expected )?(?:answer|solution)"
    rf"(?: key)?\W{{0,3}}(?: is\W{{0,3}}|:|=)\W{{0,3}}{_VALUE})|"
    rf"(?i:\b(?:correct|right|final|expected) answer(?: is|:)\W{{0,3}}{_VALUE})",
    re.MULTILINE,
)
_THING = (
    r"(?:figure|diagram|graph|chart|plot|image|picture|photo(?:graph)?|illustration|drawing|map|table|"
    r"passage|text|paragraph|excerpt|article|story|dialogue|code snippet|snippet|video|link|attachment|"
    r"screenshot|scan|radiograph|x-ray image)"
)
_SHOWN_THING = (
    r"(?:figure|diagram|graph|chart|plot|image|picture|photo(?:graph)?|illustration|drawing|map|table|"
    r"video|screenshot)"
)
_MISSING = re.compile(
    rf"\b(?:the|this) (?:\w+ )?{_THING}s? (?:shown |given |provided |presented |displayed |printed )?"
    r"(?:above|below|(?:on|to) the (?:right|left)|overleaf|attached|provided|shown)\b|"
    r"\b(?:attached|enclosed) (?:file|document)s?\b|"
    rf"\b(?:above|below|attached|accompanying|preceding|following|previous|provided) {_THING}s?\b|"
    rf"\b(?:in|from|using|see|consult|refer to|according to|based on|as (?:shown|seen) in|shown in|"
    rf"given in|listed in) (?:the|this) {_SHOWN_THING}\b(?! of\b| that you| you\b|['’]s)|"
    rf"\b(?:according to|based on|from|in|see|refer to|read) (?:the|this) (?:passage|excerpt)\b|"
    r"\b(?:see|refer to|shown in|as in|in|consult|from) "
    r"(?:fig(?:ure|\.)|table|exhibit|diagram|appendix|chart) \(?(?:\d+|[A-Z])\b|"
    r"!\[[^\]]*\]\(|<img\b|\[(?:image|figure|diagram|graph|insert [^\]]*)\]",
    re.IGNORECASE,
)
_DRAWN = re.compile(
    r"\b(?:draw|sketch|construct|make|complete|fill in|create|prepare|build|design)\b",
    re.IGNORECASE,
)
# What shows that a table, a list, a code block or a drawing does come with the text.
_PRESENT = re.compile(
    r"\|.*\||\t\S.*\t|```|\\begin\{(?:array|tabular|tikzpicture)|(?m:^\s*[-*•]\s+\S)|\n.*\n"
)
_PASSAGE = 20  # words beside the sentence that speaks of them


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
    match = _REFUSAL.match(instruction.question)
    return match and Fault("refusal", "The question reads as a model's reply.", _span(match))


def check_leak(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where the question states its answer."""
    match = _LEAK.search(instruction.question)
    return match and Fault("leak", "The question states its answer.", _span(match))


def check_options(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where two options say the same, so that not exactly one can be right."""
    same = same_options(instruction.options)
    return same and Fault("same_options", "Two options say the same.", " = ".join(same)[:_SHOWN])


def check_missing(instruction: Instruction, language: str) -> Fault | None:  # noqa: ARG001
    """Return a fault where the question speaks of what does not come with it.

    A passage may be what stands in the context or in the rest of the question; a table or list may
    stand in the question itself, and a drawing may be what the student is to make.
    """
    question = instruction.question
    for match in _MISSING.finditer(question):
        told = match[0].casefold()
        shown = re.search(_SHOWN_THING, told) is not None or "fig" in told
        before = question[: match.start()]
        if not shown and (instruction.context or _reads(question, match)):
            continue
        if _PRESENT.search(question) or ("table" in told and "|" in instruction.context):
            continue
        if _DRAWN.search(re.split(r"[.?!]", before)[-1]):
            continue
        return Fault("missing", "It speaks of something that does not come with it.", _span(match))
    return None


def check_language(instruction: Instruction, language: str) -> Fault | None:
    """Return a fault where the question is in another language than the task's."""
    other = other_language(instruction.question, language)
    if other is None:
        return None
    span = instruction.question[:_SHOWN]
    return Fault("language", f"The question is not in {language}: {other}.", span)


def _reads(question: str, match: re.Match[str]) -> bool:
    """Return whether a question holds, beside the sentence that speaks of it, a passage to read."""
    start = max(question.rfind(mark, 0, match.start()) for mark in ".?!\n") + 1
    ends = [i for mark in ".?!\n" if (i := question.find(mark, match.end())) >= 0]
    rest = question[:start] + question[min(ends, default=len(question)) :]
    return len(words(rest)) >= _PASSAGE


Check = Callable[[Instruction, str], Fault | None]

CHECKS: Mapping[str, Check] = {
    "length": check_length,
    "refusal": check_refusal,
    "leak": check_leak,
    "options": check_options,
    "missing": check_missing,
    "language": check_language,
}


def _span(match: re.Match[str]) -> str:
    return match[0].strip()[:_SHOWN]
