"""Questions that hold their answer: by the words that announce one, and by the answer once it is known.

Before the vote only the words can tell: `Answer: 42`, `the correct answer is (B)`, `\\\\boxed{7}`. After it
the answer itself is looked for where a question gives it away: after `hint`, `answer`, `solution` and their
like, in brackets behind the question, or as the result of a sum that the question goes on to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

MOST_ANSWER = 120  # characters; what is longer is not given away in passing

# What states an answer: a letter, a number, a boxed value or a word; never a blank or what follows.
_NUMBER = (
    r"[-−+]?[$€£]?\d[\d.,/]*(?:\s?[%°€£$]|\s[a-z/²³]+){0,2}"
    r"(?:(?<=[.])|\W{0,2}(?:[.?!;)*\]\n]|$))"
)
_VALUE = (
    rf"(?:(?-i:\(?[A-H]\)?)(?=[.,;)]|\s*$|\n)|{_NUMBER}|\\boxed|\\frac|"
    r"(?:yes|no|maybe|true|false)\b(?!,? or\b))"
)
# `The solution is 5 % salt` speaks of another one.
_OPENED = (
    r"(?:(?:answer|ans\b\.?)(?: key)?\W{0,3}(?: is\W{0,3}|:|=|\s[-–—]\s)|"
    r"(?:solution|result)\W{0,3}(?::|=))"
)
STATED = re.compile(
    r"\\boxed\s*\{\s*[^\s{}?_.…]|^\s*####\s*\S|"
    rf"(?im:^|(?<=[.!?:;)\n])\s*)\W{{0,4}}"
    rf"(?i:(?:the )?(?:correct |right |final |expected )?{_OPENED}\W{{0,3}}{_VALUE})|"
    rf"(?i:\b(?:correct|right|final|expected) answer(?: is|:)\W{{0,3}}{_VALUE})",
    re.MULTILINE,
)
"""Finds where a question states an answer, whatever it is."""

_ANNOUNCED = (
    r"\b(?:(?:hint|ans|answer|correct (?:option|choice))\b\W{{0,3}}(?::|=|\s[-–—]\s|\bis\b|\bequals\b)|"
    r"(?:solution|result|key)\b\W{{0,3}}(?::|=|\s[-–—]\s|is\s(?={answer}\s?(?:[.!?]|\Z))))\W{{0,4}}"
    r"(?:(?:it|this|that|the answer|the result)\s(?:is|equals|=)\s?)?\W{{0,3}}(?:the |an? )?{answer}"
    r"(?!\s*(?:,|/|\||or\b|and\b|to\b|if\b|when\b|percent of\b|%\s*of\b))"
)
_BRACKETED = r"[.?!:]\s*[\[(]\s*(?:the |an? )?{answer}\s*[\])]\W*\Z"
# What a question needs for one of these to hold: where it has none, no answer's pattern is made.
_MARK = re.compile(
    r"\b(?:hint|ans|answer|correct (?:option|choice)|solution|result|key)\b", re.IGNORECASE
)
# Numbers and sums are bounded, so that no text takes long.
_FIGURE = r"\d[\d.,]{0,20}"
_SUM = re.compile(
    rf"(?<![\d.,])(?P<sum>{_FIGURE}\s{{0,3}}(?:[-−+*/×÷^x·]\s{{0,3}}{_FIGURE}\s{{0,3}}){{1,12}})"
    r"=\s{0,3}(?P<result>[-−]?[$€£]?(?:\d[\d.,]{0,20}\d|\d))"
)


def told_answer(question: str, answers: Sequence[str]) -> str | None:
    """Return the place where a question gives its answer away, or None (pure).

    Args:
        question: what is asked, without its options.
        answers: how the answer may be written: of options its letter and its text.
    """
    forms = [_ANNOUNCED] if _MARK.search(question) else []
    forms += [_BRACKETED] if "]" in question or ")" in question else []
    sums = list(_summed(question)) if "=" in question else []
    if not forms and not sums:
        return None
    for answer in answers:
        answer = answer.strip()
        if not answer or len(answer) > MOST_ANSWER:
            continue
        written = _written(answer)
        for form in forms:
            found = re.search(form.format(answer=written), question, re.IGNORECASE)
            if found is not None:
                return found[0].strip()
        for told in sums:
            if re.fullmatch(written, told["result"], re.IGNORECASE):
                return told[0].strip()
    return None


def _written(answer: str) -> str:
    """Return a pattern of an answer as it may stand in a text."""
    number = re.fullmatch(r"[$€£]?(-?)(\d[\d,]*)(?:\.(\d+))?", answer)
    if number is not None:
        digits = ",?".join(number[2].replace(",", ""))
        rest = (number[3] or "").rstrip("0")
        decimals = rf"\.{rest}0*" if rest else r"(?:\.0+)?"
        return rf"[$€£]?{number[1]}{digits}{decimals}(?![\d]|[.,/:]\d)"
    if re.fullmatch(r"[A-Z]", answer):
        return rf"(?-i:\(?{answer}\)?)(?!\w)(?!\s[a-z])"
    words = re.sub(r"^(?:the|an?) ", "", answer.rstrip("."), flags=re.IGNORECASE).split()
    last = r"(?!\w)" if words and words[-1][-1].isalnum() else ""
    return r"\s+".join(map(re.escape, words)) + last


def _summed(question: str) -> Iterator[re.Match[str]]:
    """Yield each sum with its result that the question asks again, or ends with."""
    bare = re.sub(r"\s", "", question)
    for told in _SUM.finditer(question):
        asked = re.sub(r"\s", "", told["sum"])
        if bare.count(asked) > 1 or not question[told.end() :].strip(" .?!)$"):
            yield told
