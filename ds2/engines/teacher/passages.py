"""What the teacher makes of a passage it is shown: its keywords, and yes-or-no questions about it.

It reads like a pedant: a keyword is one of its domain's that stands there, else a term that comes
again; a question asks whether a sentence is reported, with one of its figures changed or not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from random import Random

from ds2.engines.teacher import generic
from ds2.engines.teacher.frame import Node, Solution, solution
from signatures.bloom import BloomLevel

DIFFICULTY = 0.35

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s)[^.!?\n]*)*")
_FIGURE = re.compile(r"(?<![\w.,])\d{1,6}(?![\w.,]*\d)")
_ASKED = re.compile(r"is it reported that “([^“”]+)”\?")
_ASKS = {
    BloomLevel.REMEMBER: "Recall the text.",
    BloomLevel.UNDERSTAND: "Explain the text to yourself.",
    BloomLevel.APPLY: "Apply what the text lays down.",
    BloomLevel.ANALYZE: "Take the report apart.",
    BloomLevel.EVALUATE: "Judge whether the text backs a claim.",
    BloomLevel.CREATE: "Draft a summary of the text that may quote it.",
}


def keywords_in(
    passage: str, nodes: Sequence[Node], taken: Collection[str], count: int, rng: Random
) -> list[str]:
    """Return up to `count` keywords of a passage that are not in `taken` (folded); it may hold none.

    Those of the domain (`nodes`) come first, then words and pairs of words that come at least twice.
    """
    folded = " ".join(passage.casefold().split())
    found = [
        node.text
        for node in nodes
        if any(
            re.search(rf"\b{re.escape(t.casefold())}s?\b", folded) for t in (node.text, *node.also)
        )
    ]
    words = generic.words_of(passage)
    terms = [f"{a} {b}".casefold() for a, b in pairwise(words)]
    often = Counter({term: folded.count(term) for term in (*terms, *map(str.casefold, words))})
    found += [t for t, n in often.most_common() if n > 1 and (len(t) > 5 or not t.isascii())]
    left = [text for text in dict.fromkeys(found) if text.casefold() not in taken]
    head = left[: 2 * count]
    rng.shuffle(head)
    return head[:count]


def write(
    rng: Random, passage: str, keywords: Sequence[str], level: BloomLevel, labels: Sequence[str]
) -> tuple[str, Solution] | None:
    """Return a question about a passage and its solution; None where it cannot be asked about.

    It can where yes and no are among the labels and a sentence of it can be quoted.
    """
    if not {"yes", "no"} <= set(labels):
        return None
    sentences = [" ".join(match[0].split()) for match in _SENTENCE.finditer(passage)]
    fit = [s for s in sentences if 30 <= len(s) <= 300 and not set("“”") & set(s)]
    if not fit:
        return None
    said = rng.choice(fit)
    if rng.random() < 0.5:
        figures = list(_FIGURE.finditer(said))
        if figures:
            at = rng.choice(figures)
            other = int(at[0]) + rng.randint(1, 9)
            said = f"{said[: at.start()]}{other}{said[at.end() :]}"
    topic = " and ".join(" ".join(keyword.split()) for keyword in keywords)
    question = f"{_ASKS[level]} With {topic} in mind: is it reported that “{said}”?"
    found = read(question, passage)
    return None if found is None else (question, found)


def read(question: str, passage: str) -> Solution | None:
    """Return the solution of a question of this module, or None where it is none."""
    asked = _ASKED.search(question)
    if asked is None or not passage:
        return None
    if asked[1] in " ".join(passage.split()):
        return solution("yes", ["no", "maybe"], "The text has this sentence, figure for figure.")
    return solution("no", ["yes", "maybe"], "The text has other figures in this sentence.")
