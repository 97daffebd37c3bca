"""Short texts: the same words are the same answer, however they are written.

Rule: Unicode NFKC, casefold, blanks as one space, no quotes around, no final punctuation, no
leading English article. A text without letters or digits, longer than `MAX_TEXT_ANSWER` characters,
or that gives no answer (`refusal`), is unreadable.

A long answer (`open`) is read as a whole and keyed by its wording; only a judge or an embedding can
say that two wordings mean the same (`programs.meaning`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from programs.equivalence.characters import first_sentence, plain
from programs.equivalence.reading import MAX_TEXT, NOTHING, Reading, readable, unreadable
from programs.equivalence.refusal import NO_ANSWER, refuses

MAX_TEXT_ANSWER = 300
"""Characters of a short answer; what is longer wants the format `open`."""

_MAX_REFUSAL = 80
"""Characters up to which a long answer that opens with `it depends` says nothing more."""

_EDGES = " \t\n\"'`*_.,;:!?。，；：！？、…"
_ARTICLE = re.compile(r"(?:the|an?) +(?=\S)")
_WRAPPER = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mathsf)\s?\{([^{}]*)\}")


def normal(text: str) -> str:
    """Return the form in which two short texts are compared; empty where nothing is left.

    Example:
        >>> normal("The  Krebs cycle.") == normal("krebs Cycle")
        True
    """
    folded = " ".join(plain(text).casefold().split())
    while True:
        stripped = _ARTICLE.sub("", plain(folded).strip(_EDGES), count=1) if folded else ""
        if stripped == folded:
            return folded
        folded = stripped


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads short texts."""

    def read(self, candidate: str) -> Reading:
        """Read the whole candidate as the answer."""
        if len(candidate) > 2 * MAX_TEXT_ANSWER:
            return unreadable(f"longer than {MAX_TEXT_ANSWER} characters")
        shown = " ".join(_WRAPPER.sub(r"\1", candidate).replace("**", "").split()).strip(' *_`"')
        if refuses(shown):
            return unreadable(NO_ANSWER)
        key = normal(shown)
        if not any(character.isalnum() for character in key):
            return unreadable(NOTHING)
        if len(key) > MAX_TEXT_ANSWER:
            return unreadable(f"longer than {MAX_TEXT_ANSWER} characters")
        return readable(shown, key)

    def lead(self, clause: str) -> Reading:
        """Read the first sentence as the answer."""
        return self.read(first_sentence(clause))

    def last(self, text: str) -> Reading:
        """Read a reply of a single line as the answer; a longer one without a mark holds none."""
        lines = [line for line in text.splitlines() if line.strip()]
        return self.read(lines[0]) if len(lines) == 1 else unreadable(NOTHING)


@dataclass(frozen=True, slots=True)
class OpenReader:
    """Reads long answers, each as a whole."""

    def read(self, candidate: str) -> Reading:
        """Read the whole candidate; its key is its wording."""
        shown = candidate.strip()
        if len(shown) > MAX_TEXT:
            return unreadable(f"longer than {MAX_TEXT} characters")
        if len(shown) <= _MAX_REFUSAL and refuses(shown):
            return unreadable(NO_ANSWER)
        key = normal(shown)
        if not any(character.isalnum() for character in key):
            return unreadable(NOTHING)
        if len(key) > MAX_TEXT_ANSWER:
            key = "h:" + hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
        return readable(shown, key)

    def lead(self, clause: str) -> Reading:
        """Read all of what follows a mark."""
        return self.read(clause)

    def last(self, text: str) -> Reading:
        """Read the whole reply."""
        return self.read(text)
