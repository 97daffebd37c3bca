"""Numbers: how one is written down, and when two are the same.

Rule: two numbers are the same when they round (half to even, in exact arithmetic) to the same value
at the stated tolerance: whole numbers exactly; otherwise two decimals where |x| >= 1 and four
significant digits where |x| < 1. So 100/3, 33.33 and 33.333 agree, 1/3 and 0.3333 agree, 1234567
and 1234568 do not. Rounding keeps equality transitive; the price is that two numbers that lie on
different sides of a rounding boundary differ, however near they are.

Units and currencies are dropped: the question asks for one unit. A per cent sign is kept (50 % is
neither 50 nor 0.5), unless the question asks for a percentage. A comma that cannot separate
thousands is a decimal comma (`3,5`, `1.234,56`); `1,234` and `1 234` are thousands and `1.234` is
a decimal, as in English. A range, a ratio, a sum that was not worked out, `5 ± 1`, an inequality
and two different numbers are unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from programs.equivalence.characters import first_sentence
from programs.equivalence.numerals import Spoken, spoken
from programs.equivalence.reading import (
    MAX_CANDIDATE,
    MAX_TEXT,
    NOTHING,
    Reading,
    readable,
    unreadable,
)
from programs.equivalence.refusal import NO_ANSWER, opens_without
from programs.equivalence.written import NUMBER, WHOLE, Number, number_key, numbers, prepare

_LAST_SENTENCES = 2
_BARE = 8  # characters; what is no longer cannot hold a number and say that it has none

_NOT_A_NUMBER = re.compile(r"[<>≤≥≠±√∞π\\]")
_GAP = re.compile(
    r"[\s()$]*(?:[-+*/×÷·^:~x]|\*\*|\bto\b|\b(?:through|until|till|or|by|of|bis|a|à)\b)[\s()$]*|\(",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"[-+*/×÷·^]\s?[($]?\s?$|(?:\b(?:more|less|fewer|greater|higher|lower) than|\b(?:over|under|up to)) $",
    re.IGNORECASE,
)
_WINDOW = 14  # characters before a number that can deprive it of standing free
_AFTER = re.compile(
    r" (?:\w+ )?or (?:more|less|fewer)\b|"
    r"\s?(?:[xyzneiπ](?![\w-])|x\d|[\^*×÷+]|-\s?$|[-/]\s?\(?[b-hj-z](?!\w))",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"\b(?:cannot|can't|can not|unable|impossible|not possible|not enough|insufficient|don't (?:know|"
    r"have)|do not (?:know|have)|without knowing|an error)\b",
    re.IGNORECASE,
)
_HEAD = re.compile(
    r"[\s\"'(\[{*_=~:]*(?:(?:about|approximately|around|roughly|exactly|only|just|at (?:least|most)|"
    r"a total of|the number|equal to|is|be)\s+){0,3}"
)
_ASIDE = re.compile(r"[^()]{0,40}\(([^()]{1,60})\)")
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)")
_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>(?=-?[$\d.])|<<(?:[^<>\n]{0,200}=)?([^<>\n=]{0,60})>>")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_PER_CENT = r"(?<!\d )(?<!\d)\b(?:percent(?:age)?|per cent|pct)\b"
_ASKS_PERCENT = re.compile(
    r"\b(?:what|which|how many|find|calculate|compute|determine|express|give|state)\b[^.?!\n%]{0,60}?"
    rf"{_PER_CENT}|\b(?:as an?|in) {_PER_CENT}|prozent|pour ?cent|porcent|por ciento|percentual|"
    r"per cento|процент|百分|パーセント|퍼센트",
    re.IGNORECASE,
)
_EITHER = re.compile(r"[,;]\s|\bor\b|\band\b", re.IGNORECASE)


_CONFLICT = "two different numbers"
_UNWORKED = "a range, a ratio or a calculation that is not worked out"
_SPECIAL = "not a plain number"
_UNCLEAR = "a number that is too large or has unclear separators"
_TOO_LONG = f"longer than {MAX_CANDIDATE} characters"


def asks_percent(question: str) -> bool:
    """Return whether a question asks for a percentage, so that the sign need not be written."""
    return bool(_ASKS_PERCENT.search(question[-2 * MAX_CANDIDATE :]))


@dataclass(frozen=True, slots=True)
class NumberReader:
    """Reads numbers. `question` settles per cent, and which numbers are only repeated from it."""

    question: str = ""

    def read(self, candidate: str) -> Reading:
        """Read one number, however it is written; two different ones are unreadable."""
        if len(candidate) > MAX_CANDIDATE:
            return unreadable(_TOO_LONG)
        if len(candidate) > _BARE and opens_without(candidate):
            return unreadable(NO_ANSWER)
        text = prepare(candidate)
        if WHOLE.fullmatch(text):
            return _shown(int(text))
        if _NOT_A_NUMBER.search(text):
            return unreadable(_SPECIAL)
        right = _right_side(text)
        if right is None:
            return unreadable(_CONFLICT)
        found = numbers(right)
        return self._agreed(right, found) if found else self._in_words(right)

    def lead(self, clause: str) -> Reading:
        """Read the number that a clause begins with; what follows it may hold others."""
        clause = first_sentence(clause[:MAX_CANDIDATE])
        whole = self.read(clause)
        unclear = whole.problem in (_CONFLICT, _UNWORKED)
        right = _right_side(prepare(clause)) if unclear else None
        if right is None:
            return whole
        found = numbers(right)
        head = _HEAD.match(right)
        if not found or head is None or found[0].start > head.end():
            return whole
        return self._chosen(right, found[0])

    def last(self, text: str) -> Reading:
        """Read the number that the last sentence with a number concludes with.

        Of several numbers it is the result after the last `=`, else the only one that the question
        does not hold, else the only one that was just worked out; else there is none. Nor is there
        one where the text ends by saying that it has no answer.
        """
        sentences = [s for s in _SENTENCE_END.split(_CALCULATOR.sub(r"\1", text)) if s.strip()]
        for back, sentence in enumerate(reversed(sentences[-_LAST_SENTENCES:]), start=1):
            if _NO_ANSWER.search(sentence) or opens_without(sentence):
                return unreadable(NOTHING)
            right = _right_side(prepare(sentence[-MAX_CANDIDATE:]))
            if right is None:
                return unreadable(_CONFLICT)
            if found := numbers(right):
                return self._conclusion(right, found, sentences[:-back])
            if "=" in sentence:
                return unreadable(_UNWORKED)
        return unreadable(NOTHING)

    def _conclusion(self, sentence: str, found: list[Number], before: list[str]) -> Reading:
        whole = self._agreed(sentence, found)
        if whole.problem != _CONFLICT:
            return whole
        known = {n.value for n in numbers(prepare(self.question[-MAX_TEXT:]))}
        fresh = [n for n in found if n.value not in known]
        results = [_right_side(prepare(s[-MAX_CANDIDATE:])) for s in before[-3:] if "=" in s]
        worked_out = {n.value for r in results if r for n in numbers(r)[:1]}
        for among in (fresh, [n for n in found if n.value in worked_out]):
            if len({(n.value, n.percent) for n in among}) == 1:
                return self._chosen(sentence, among[0])
        return whole

    def _agreed(self, text: str, found: list[Number]) -> Reading:
        if any(number.value is None for number in found):
            return unreadable(_UNCLEAR)
        if len(found) > 1:
            for left, right in pairwise(found):
                if _GAP.fullmatch(text, left.end, right.start):
                    return unreadable(_UNWORKED)
            if len({(number.value, number.percent) for number in found}) > 1:
                return unreadable(_CONFLICT)
        if not all(_stands_free(text, number) for number in found):
            return unreadable(_SPECIAL)
        if any(named.value != found[0].value for named in _in_words_too(text, found)):
            return unreadable(_CONFLICT)
        return self._shown(found[0])

    def _chosen(self, text: str, number: Number) -> Reading:
        following = NUMBER.search(text, number.end)
        if following and _GAP.fullmatch(text, number.end, following.start()):
            return unreadable(_UNWORKED)
        return self._shown(number) if _stands_free(text, number) else unreadable(_SPECIAL)

    def _in_words(self, text: str) -> Reading:
        named = spoken(text)
        if named is None:
            return unreadable(NOTHING)
        percent = named.rest[:1] in (("percent",), ("%",)) or named.rest[:2] == ("per", "cent")
        return self._shown(Number(named.value, percent, 0, 0))

    def _shown(self, number: Number) -> Reading:
        if number.value is None:
            return unreadable(_UNCLEAR)
        key = number_key(number.value)
        if number.percent and not asks_percent(self.question):
            key += "%"
        return readable(key, key)


def _shown(value: int) -> Reading:
    key = number_key(value)
    return readable(key, key)


def _stands_free(text: str, number: Number) -> bool:
    """Whether a number is no part of a sum, a product or a term with a variable."""
    before = text[max(0, number.start - _WINDOW) : number.start]
    return not (_AFTER.match(text, number.end) or _BEFORE.search(before))


def _in_words_too(text: str, found: list[Number]) -> list[Spoken]:
    """Return the numbers in words that stand before the written ones, or after them in brackets."""
    opening = text[: found[0].start] if text[0].isalpha() else ""
    aside = _ASIDE.match(text, found[-1].end)
    return [named for part in (opening, aside[1] if aside else "") if (named := spoken(part))]


def _right_side(text: str) -> str | None:
    """Return what stands after the last `=`, before it in `5 = x`; None for several equations."""
    signs = [sign.span() for sign in _EQUALS.finditer(text)]
    if not signs:
        return text
    if len(signs) > 1 and _EITHER.search(text, signs[0][1], signs[-1][0]):
        return None
    right = text[signs[-1][1] :].strip()
    if len(signs) == 1 and len(right) == 1 and right.isalpha():
        return text[: signs[0][0]].strip()
    return right
