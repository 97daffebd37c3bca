"""Mathematical expressions in LaTeX, by canonical keys.

Rule: where an expression has an exact value in our form (`formula`), the key is that value, so
`0.5`, `\\frac12`, `\\dfrac{2}{4}` and `1/2` are one and `\\frac{1}{3}` is another. Otherwise the key
is the text in one spelling. Tuples, intervals, sets, unions, lists and matrices are compared part
by part; sets and unions in any order. `x=3` counts by its right side where the left one is a single
symbol that does not occur on the right. A unit, a degree or a per cent sign belongs to the value.
Two keys that are equal never belong to different values; values that this form does not cover may
have two keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from programs.equivalence import algebra
from programs.equivalence.characters import first_sentence
from programs.equivalence.formula import value_of
from programs.equivalence.latex import balanced, clean, enclosed, outer, segments, split
from programs.equivalence.reading import MAX_CANDIDATE, NOTHING, Reading, readable, unreadable

MAX_WORDS = 6
"""Words of an answer such as `no real solutions`; more is a sentence, not an expression."""

MAX_PARTS = 64
"""Parts of a list, set or matrix."""

_MIN_WORD = 3
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_WORDS_ALONE = re.compile(r"[^\W\d_]{2,}(?: [^\W\d_]+)*")
_THOUSANDS = re.compile(r"[-+]?[$]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:[%°]|(?=\D)(?![,\d]).*)?")
_VARIABLE = re.compile(r"(?:[A-Za-z]|\\[A-Za-z]+)(?:_\{\w{1,8}\}|_\w)?(?:\([a-z]\))?")
_MATRIX = re.compile(r"\\begin\{([pbvBV]?)matrix\}(.*)\\end\{\1matrix\}")
_MEMBER = re.compile(r"[A-Za-z] ?∈ ?(.+)")
_RELATION = re.compile(r"[<>≤≥≠≈]|\\[A-Za-z]*(?:equiv|sim|approx|implies|to\b)")
_CURRENCY = re.compile(r"(?<![\w)])[$](?=[\d.\\])")
_LOOSE_BLANK = re.compile(r"(?<![\d.]) | (?![\d.])")
_LONE_BRACES = re.compile(r"(?<=[\^_])\{(\w)\}(?!\w)")
_NOT_PUNCTUATION = re.compile(r"[\w∞∅π°]")


@dataclass(frozen=True, slots=True)
class ExpressionReader:
    """Reads LaTeX mathematics."""

    def read(self, candidate: str) -> Reading:
        """Read one expression."""
        if len(candidate) > MAX_CANDIDATE:
            return unreadable(f"longer than {MAX_CANDIDATE} characters")
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
        return readable(shown, key_of(_CURRENCY.sub("", text)))

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


def key_of(text: str) -> str:
    """Return the canonical key of a cleaned expression."""
    return _equation(text) if "=" in text or "∈" in text else _collection(text)


def _equation(text: str) -> str:
    if (member := _MEMBER.fullmatch(text)) and "=" not in text:
        return _collection(member[1].strip())
    sides = [side.strip() for side in split(text, "=")]
    if len(sides) != 2 or len(split(text, ",")) > 1 or _RELATION.search(text):
        return _textual(text)
    left, right = sides
    if _names(left, right):
        return _collection(right)
    if _names(right, left):
        return _collection(left)
    return "=".join(sorted((_collection(left), _collection(right))))


def _names(variable: str, expression: str) -> bool:
    """Whether one side is a single symbol that the other side does not hold."""
    if not expression or not _VARIABLE.fullmatch(variable):
        return False
    symbol = variable.partition("(")[0]
    return re.search(rf"(?<![A-Za-z\\]){re.escape(symbol)}(?![A-Za-z_])", expression) is None


def _collection(text: str) -> str:
    """Return the key of a union, a bracketed list, a matrix, a plain list or one value."""
    text = text.strip()
    if len(unions := split(text, "∪")) > 1:
        return "∪".join(sorted({_collection(part) for part in unions}))
    if matrix := _MATRIX.fullmatch(text):
        return _matrix(matrix[1], matrix[2])
    parts = split(text, ",")
    if len(parts) > MAX_PARTS or (len(parts) > 1 and _THOUSANDS.fullmatch(text)):
        return _value(text) if len(parts) <= MAX_PARTS else _textual(text)
    if len(parts) > 1:
        return ",".join(_collection(part) for part in parts)
    if enclosed(text):
        return _bracketed(text)
    return _value(text)


def _bracketed(text: str) -> str:
    opening, inside, closing = text[0], text[1:-1].strip(), text[-1]
    parts = split(inside, ",")
    if opening == "⦃":
        if len(parts) > MAX_PARTS or "|" in inside or ":" in inside:
            return _textual(text)
        members = {_collection(part) for part in parts} if inside else set()
        return "⦃" + ",".join(sorted(members)) + "⦄"
    if len(parts) == 1:
        return _value(text) if opening + closing in ("()", "{}") else _textual(text)
    if len(parts) > MAX_PARTS:
        return _textual(text)
    return opening + ",".join(_collection(part) for part in parts) + closing


def _matrix(kind: str, body: str) -> str:
    rows = [row for row in body.split("⏎") if row.strip()]
    cells = [[_value(cell) for cell in split(row, "&")] for row in rows]
    name = "matrix" if kind in ("", "p", "b") else f"{kind}matrix"
    return name + "[" + ";".join(",".join(row) for row in cells) + "]"


def _value(text: str) -> str:
    value = value_of(text)
    return _textual(text) if value is None else algebra.write(value)


def _textual(text: str) -> str:
    """Return the text in one spelling, marked so that it never meets the key of a value."""
    if _WORDS_ALONE.fullmatch(text):
        return "~" + " ".join(_folded(word) for word in text.split(" "))
    return "~" + _LONE_BRACES.sub(r"\1", _LOOSE_BLANK.sub("", text))


def _folded(word: str) -> str:
    """Fold the capital of a word such as `Even`; `AB` and `ab` may name different things."""
    return word.casefold() if len(word) >= _MIN_WORD and word[1:].islower() else word
