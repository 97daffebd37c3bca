"""Questions that speak of a figure, table, passage or link which does not come with them."""

from __future__ import annotations

import re

from ds2.screen.text import words

_PASSAGE = 20  # words beside the sentence that speaks of them

_SHOWN_THING = (
    r"(?:figure|diagram|graph|chart|plot|image|picture|photo(?:graph)?|illustration|drawing|map|table|"
    r"video|screenshot)"
)
_THING = (
    r"(?:figure|diagram|graph|chart|plot|image|picture|photo(?:graph)?|illustration|drawing|map|table|"
    r"passage|text|paragraph|excerpt|article|story|dialogue|code snippet|snippet|video|link|attachment|"
    r"screenshot|scan|radiograph|x-ray image)"
)
_SHAPE = (
    r"(?:triangle|circle|rectangle|square|polygon|quadrilateral|shape|solid|circuit|structure|curve|"
    r"molecule|parabola|trapezoid|cylinder|cone)"
)
_SHOWS = r"(?:show|depict|illustrate|display|indicate|represent|suggest|reveal)"
# `The picture above the fireplace` hangs there: what follows is the place, not the rest of the question.
_PLACE = r"(?! (?:the|an?|his|her|its|their|my|your|this|that|each|every|it|him|them|one|two|three|\d+)\b)"
_ELSEWHERE = re.compile(
    rf"\b(?:the|this) (?:\w+ )?{_THING}s? (?:shown |given |provided |presented |displayed |printed )?"
    rf"(?:(?:above|below)\b{_PLACE}|(?:on|to) the (?:right|left)\b(?! of\b)|"
    r"(?:overleaf|attached|provided|shown)\b)|"
    r"\b(?:attached|enclosed) (?:file|document)s?\b|"
    rf"\b(?:above|below|attached|accompanying|preceding|following|previous|provided) {_THING}s?\b|"
    rf"\bthe (?:\w+ )?{_SHAPE}s? (?:shown|pictured|depicted)\b(?! (?:to|that|by)\b)|"
    r"\b(?:see|refer to|shown in|as in|in|consult|from) "
    r"(?:fig(?:ure|\.)|table|exhibit|diagram|appendix|chart) \(?(?:\d+|[A-Z])\b|"
    r"!\[[^\]]*\]\(|<img\b|\[(?:image|figure|diagram|graph|insert [^\]]*)\]",
    re.IGNORECASE,
)
# These may speak of what the question itself has told of: `A map of ...: in the map ...`.
_NAMED = re.compile(
    rf"\b(?:in|from|using|see|consult|refer to|according to|based on|as (?:shown|seen) in|shown in|"
    rf"given in|listed in) (?:the|this) (?P<thing>{_SHOWN_THING})\b(?! of\b| that| you\b|['’]s)|"
    rf"\bdo(?:es)? (?:the|this|these) (?:\w+ )?(?P<asked>{_SHOWN_THING})s? {_SHOWS}\b|"
    rf"\bas (?:the|this) (?:\w+ )?(?P<said>{_SHOWN_THING}) {_SHOWS}s?\b|"
    rf"\b(?:according to|based on|from|in|see|refer to|read) (?:the|this) (?:passage|excerpt)\b",
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


def speaks_of_missing(question: str, context: str) -> re.Match[str] | None:
    """Return the place where a question speaks of what does not come with it, or None (pure).

    A passage may be what stands in the context or in the rest of the question; a table or list may
    stand in the question itself, a drawing may be what the student is to make, and a figure one that
    the question tells of in words.
    """
    found = [*_ELSEWHERE.finditer(question), *_NAMED.finditer(question)]
    for match in sorted(found, key=re.Match.start):
        told = match[0].casefold()
        shown = re.search(f"{_SHOWN_THING}|{_SHAPE}", told) is not None or "fig" in told
        if not shown and (context or _reads(question, match)):
            continue
        if _PRESENT.search(question) or ("table" in told and "|" in context):
            continue
        before = question[: match.start()]
        if _DRAWN.search(re.split(r"[.?!]", before)[-1]) or _introduced(before, match):
            continue
        return match
    return None


def _introduced(before: str, match: re.Match[str]) -> bool:
    """Return whether what is named by `the` was told of before."""
    thing = next(filter(None, match.groupdict().values()), None)
    told = rf"\b(?:an?|one|two|each|every|his|her|their|my|its|your) (?:[\w-]+ ){{0,3}}{thing}s?\b"
    return thing is not None and re.search(told, before, re.IGNORECASE) is not None


def _reads(question: str, match: re.Match[str]) -> bool:
    """Return whether a question holds, beside the sentence that speaks of it, a passage to read."""
    start = max(question.rfind(mark, 0, match.start()) for mark in ".?!\n") + 1
    ends = [i for mark in ".?!\n" if (i := question.find(mark, match.end())) >= 0]
    rest = question[:start] + question[min(ends, default=len(question)) :]
    return len(words(rest)) >= _PASSAGE
