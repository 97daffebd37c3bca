"""Which passages of a corpus are read, and which one a question is about.

The index is handed in from above as a `Retriever`; every choice here is a pure function of what it
returns and of what is asked, so that a run that is continued reads the same passages.

Source: DS²-Instruct, section 3.1 (arXiv:2603.12932): the bank's keywords retrieve documents by BM25,
further keywords are extracted from them. Deviation: a question may be written about a passage, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from programs.wording import keyword_key
from signatures.bloom import LEVELS, BloomLevel
from signatures.records import Passage

DEPTH = 24  # best passages among which the levels and visits of one cell take turns

_WORD = re.compile(r"[^\W_]+")


class Retriever(Protocol):
    """A corpus that can be searched.

    `search` returns at most `k` passages that share a word with `query`, the best first, each once;
    none where nothing does. `query` is plain text in any script, never a query language. The result
    is a pure function of the corpus and the query, ties decided by the passages' ids, and a smaller
    `k` gives the beginning of what a larger one gives. Callers mutate nothing they are handed.
    """

    def search(self, query: str, k: int) -> list[Passage]: ...


class ReadingList:
    """The passages that were read, in order; those that were not yet read come first.

    Args:
        retriever: the corpus; None for one without passages.
    """

    def __init__(self, retriever: Retriever | None) -> None:
        self.passages: list[Passage] = []
        self.unreadable: list[str] = []  # ids of those whose reply could not be used
        self._retriever = retriever
        self._times: Counter[str] = Counter()

    def take(self, query: str) -> Passage | None:
        """Return the best passage for `query` among those read least often; None where none matches."""
        if self._retriever is None:
            return None
        found = self._retriever.search(query, len(self._times) + 1)
        if not found:
            return None
        passage = min(found, key=lambda p: self._times[p.id])  # the first of equals, so the best
        if not self._times[passage.id]:
            self.passages.append(passage)
        self._times[passage.id] += 1
        return passage


def passage_for(
    retriever: Retriever,
    keywords: Sequence[str],
    level: BloomLevel,
    visit: int = 0,
    *,
    english: bool = True,
) -> Passage | None:
    """Return the passage that a unit's question is about; None where none shares a word with it.

    The query is the unit's keywords. Of the `DEPTH` best passages those count that hold every word of
    every keyword (case, width and, in English, plurals folded); where none does, the best one alone.
    Levels and visits of one cell take turns: number (6 visit + rank of the level) modulo their
    number. So six levels of one keyword ask about six passages where there are as many.
    """
    found = retriever.search(" ".join(keywords), DEPTH)
    words = [word for keyword in keywords for word in _words(keyword, english)]
    holding = [passage for passage in found if _holds(passage.text, words, english)] or found[:1]
    if not holding:
        return None
    return holding[(visit * len(LEVELS) + level.rank) % len(holding)]


def _holds(text: str, words: Sequence[str], english: bool) -> bool:
    there = set(_words(text, english))
    # Scripts without spaces have no words to compare: there a part of the text will do.
    folded = unicodedata.normalize("NFKC", text).casefold()
    return all(word in there or (not word.isascii() and word in folded) for word in words)


def _words(text: str, english: bool) -> list[str]:
    return _WORD.findall(keyword_key(text, english=english))
