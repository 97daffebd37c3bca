"""Mathematical expressions in LaTeX, by canonical keys.

Rule: where an expression has a value in our form, the key is that value (`value`), so `0.5`,
`\\frac12` and `1/2` are one, `(x-1)(x+1)` and `x^2-1` are one, `\\sqrt{3+2\\sqrt2}` and `1+\\sqrt2` are
one, and `\\frac13` and `0.333` are not. Otherwise the key is the text in one spelling. Equations,
lists, sets, intervals and matrices are taken apart first (`structure`). A unit, a degree or a per
cent sign belongs to the value. Values that this form does not cover may have two keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from programs.equivalence.characters import first_sentence
from programs.equivalence.latex import balanced, clean, outer, segments
from programs.equivalence.reading import MAX_CANDIDATE, NOTHING, Reading, readable, unreadable
from programs.equivalence.refusal import NO_ANSWER, refuses
from programs.equivalence.structure import key_of

MAX_WORDS = 8
"""Words of an answer such as `no real solutions`; more is a sentence, not an expression."""

_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_WORDS_ALONE = re.compile(r"[^\W\d_]{2,}(?: [^\W\d_]+)*")
_CURRENCY = re.compile(r"(?<![\w)])[$](?=[\d.\\])")
_NOT_PUNCTUATION = re.compile(r"[\w∞∅π°ℝ]|⦃ ?⦄")
_ASKS_ALL = re.compile(
    r"\b(?:(?:find|determine|compute|list|give|what are|state|enter|name) (?:out )?(?:all|both|every|each)"
    r"|what are (?:the|its) (?:\w+ ){0,2}(?:solutions|roots|values|zeros|zeroes|numbers|factors|divisors)"
    r"|(?:find|determine|compute|give|list|state) (?:the|its) (?:\w+ ){0,2}(?:solutions|roots|zeros|zeroes)"
    r"|all (?:the )?(?:\w+ ){0,3}(?:solutions|roots|values|zeros|zeroes|integers|primes|numbers|factors"
    r"|divisors|pairs|triples|points)"
    r"|solution set|solve (?:for|the (?:\w+ )?(?:equation|inequality))|separated by commas?"
    r"|comma[- ]separated|in any order)\b",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    r"\b(?:in (?:increasing|decreasing|ascending|descending|that|this) order|respectively|"
    r"from (?:smallest|least|largest|greatest|left)|ordered list|in the order)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=256)
def asks_all(question: str) -> bool:
    """Return whether a question asks for all solutions, so that their order does not count.

    Example:
        >>> asks_all("Find all real roots of x^2=4."), asks_all("What are the next two terms?")
        (True, False)
    """
    question = question[-2 * MAX_CANDIDATE :]
    return bool(_ASKS_ALL.search(question)) and not _ORDERED.search(question)


@dataclass(frozen=True, slots=True)
class ExpressionReader:
    """Reads LaTeX mathematics. `question` settles whether the order of a list counts."""

    question: str = ""

    def read(self, candidate: str) -> Reading:
        """Read one expression."""
        if len(candidate) > MAX_CANDIDATE:
            return unreadable(f"longer than {MAX_CANDIDATE} characters")
        if refuses(candidate):
            return unreadable(NO_ANSWER)
        shown = outer(candidate)
        text = clean(shown)
        if not _NOT_PUNCTUATION.search(text):
            return unreadable(NOTHING)
        if len(text) > 2 * MAX_CANDIDATE:
            return unreadable(f"longer than {MAX_CANDIDATE} characters")
        if not balanced(text):
            return unreadable("brackets that do not close, or nest too deep")
        if len(_WORD.findall(text)) > MAX_WORDS:
            return unreadable("a sentence, not an expression")
        if refuses(shown):
            return unreadable(NO_ANSWER)
        return readable(shown, key_of(_CURRENCY.sub("", text), unordered=asks_all(self.question)))

    def lead(self, clause: str) -> Reading:
        """Read the first piece of mathematics in a clause, else its first sentence."""
        clause = clause[:MAX_CANDIDATE]
        pieces = segments(clause)
        if pieces:
            return self.read(pieces[0])
        sentence = first_sentence(clause)
        if len(_WORD.findall(sentence)) > 1 and not _WORDS_ALONE.fullmatch(sentence.strip(" .")):
            sentence = re.split(r",? (?:because|since|as|which|so|for|when|where)\b", sentence)[0]
        return self.read(sentence)

    def last(self, text: str) -> Reading:
        """Read the last piece of mathematics of the last line: what it equals at the end."""
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            return unreadable(NOTHING)
        pieces = segments(lines[-1])
        if pieces:
            return self.read(pieces[-1].rpartition("=")[2])
        if len(_WORD.findall(lines[-1])) > 1:
            return unreadable(NOTHING)
        return self.read(lines[-1])
