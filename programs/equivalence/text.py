"""Short texts: the same words are the same answer, however they are written.

Rule: Unicode NFKC, casefold, blanks as one space, no quotes around, no final punctuation, no
leading English article. A text without letters or digits, or longer than `MAX_TEXT_ANSWER`
characters, is unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from programs.equivalence.characters import first_sentence, plain
from programs.equivalence.reading import NOTHING, Reading, readable, unreadable

MAX_TEXT_ANSWER = 300
"""Characters of a short answer; what is longer wants the format `open`."""

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
