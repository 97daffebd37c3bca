"""Labels: one of a closed set, with the variants that models write.

Rule: the key is the label as the task spells it. Case, punctuation, hyphens and blanks do not
count; a sentence counts by the label that it starts with, where a mark, a reason or a subject
follows it ("Yes, ...", "No because", "Maybe it", but not "No evidence"). `true` and `false` stand for
yes and no where the set is exactly yes and no; `y` and `n` do wherever both belong to it. A text
that offers two labels is unreadable, and so is a label inside a sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from programs.equivalence.characters import plain
from programs.equivalence.reading import MAX_CANDIDATE, NOTHING, Reading, readable, unreadable
from programs.equivalence.refusal import NO_ANSWER, refuses

_SHORT = {"y": "yes", "n": "no"}
_TRUTH = {"true": "yes", "false": "no"}
_SKIPPED = re.compile(r"[\W_]+")
_WRAPPER = re.compile(r"\\(?:text|mathrm|textbf|mathbf|boxed)\s?\{([^{}]*)\}")
_INTRODUCTION = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:(?:the |my )?(?:final |correct |best )?"
    r"(?:answer|label|decision|verdict|conclusion)(?: is| would be|:| =)+ ?)",
    re.IGNORECASE,
)
_SUBJECT = "it|they|this|that|these|those|there|the|he|she|we|i"
_OR = r"(?:[.,]|/|\||;|\bor\b|\band\b|&)"


class _Labels(NamedTuple):
    spelling: dict[str, str]  # folded variant -> label as the task spells it
    start: re.Pattern[str]


@lru_cache(maxsize=64)
def _variants(labels: tuple[str, ...]) -> _Labels:
    spelling = {_folded(label): label for label in labels}
    if len(spelling) < len(labels):  # labels that differ in punctuation alone
        spelling = {plain(label).casefold().strip(): label for label in labels}
    if {"yes", "no"} <= set(spelling):
        also = _SHORT if len(spelling) > len(_TRUTH) else _SHORT | _TRUTH
        spelling = {variant: spelling[label] for variant, label in also.items()} | spelling
    words = sorted(spelling, key=len, reverse=True)
    pattern = "|".join(r"[\W_]+".join(map(re.escape, word.split())) for word in words if word)
    start = re.compile(
        rf"({pattern})(?=\W*$|[.,;:!)\]\n]|\s+(?:(?:because|since|as|{_SUBJECT})\b|-))"
        rf"(?!(?:\s*{_OR})+\s*(?:{pattern})\b)",
        re.IGNORECASE,
    )
    return _Labels(spelling, start)


def _folded(text: str) -> str:
    return _SKIPPED.sub(" ", plain(text).casefold()).strip()


@dataclass(frozen=True, slots=True)
class LabelReader:
    """Reads one of `labels`."""

    labels: tuple[str, ...]

    def read(self, candidate: str) -> Reading:
        """Read one label, or a sentence that starts with one."""
        if len(candidate) > MAX_CANDIDATE:
            return unreadable(f"longer than {MAX_CANDIDATE} characters")
        known = _variants(self.labels)
        candidate = candidate.replace("\u2014", " - ")
        for form in (_folded(candidate), plain(candidate).casefold().strip()):
            if (label := known.spelling.get(form)) is not None:
                return readable(label, label)
        text = plain(_WRAPPER.sub(r"\1", candidate)).strip(" \n\"'*_([{`$")
        if introduction := _INTRODUCTION.match(text):
            text = text[introduction.end() :].strip(" \"'*_([{`$")
        if (start := known.start.match(text)) is None:
            return unreadable(NO_ANSWER if refuses(candidate) else NOTHING)
        label = known.spelling.get(_folded(start[1])) or known.spelling.get(start[1].casefold())
        return unreadable(NOTHING) if label is None else readable(label, label)

    def lead(self, clause: str) -> Reading:
        """Read the label that a clause starts with."""
        return self.read(clause[:MAX_CANDIDATE])

    def last(self, text: str) -> Reading:
        """Read the last line, else the first one: a verdict opens or closes a reply."""
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            return unreadable(NOTHING)
        closing = self.read(lines[-1])
        opening = self.read(lines[0])
        if closing.key and opening.key and closing.key != opening.key:
            return unreadable("a reply that opens with one label and closes with another")
        return closing if closing.key else opening
