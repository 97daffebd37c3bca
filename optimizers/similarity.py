"""Which questions are the same but for their figures and a few words (pure).

Rule: a question is folded (NFKC, case, punctuation, every number one mark) and cut into runs of
three words; two questions are near when the Jaccard index of their runs is at least 0.7. Near ones
are joined transitively. Questions of fewer than three words are near only when they fold alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

NEAR = 0.7
MOST = 10_000
"""The most texts of which all that are near are found by `groups`: the work grows with their square."""

_RUN = 3
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W_]+|#")


def folded(text: str) -> str:
    """Return a text without case, punctuation and figures.

    Example:
        >>> folded("A pen costs $3.50!") == folded("a pen costs 12")
        True
    """
    plain = _NUMBER.sub("#", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_WORD.findall(plain))


@lru_cache(maxsize=4096)  # a question is compared again and again while a dev set is split
def runs(text: str) -> frozenset[str]:
    """Return the runs of three words of a folded text; a shorter text is one run."""
    words = folded(text).split()
    if len(words) < _RUN:
        return frozenset((" ".join(words),))
    return frozenset(" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1))


class NearIndex:
    """Texts to find near ones among."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._runs: list[frozenset[str]] = []
        self._with: dict[str, list[int]] = defaultdict(list)
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add one text; its place is the number of texts before it."""
        found = runs(text)
        for run in found:
            self._with[run].append(len(self._runs))
        self._runs.append(found)

    def near(self, text: str) -> list[int]:
        """Return the places of the texts that are near to `text`, in order."""
        ours = runs(text)
        shared: dict[int, int] = defaultdict(int)
        for run in ours:
            for place in self._with.get(run, ()):
                shared[place] += 1
        return sorted(
            place
            for place, count in shared.items()
            if count >= NEAR * (len(ours) + len(self._runs[place]) - count)
        )


def clusters(texts: Sequence[str]) -> list[int]:
    """Return for each text the place of the first one in its cluster of near texts."""
    leaders = list(range(len(texts)))

    def leader(place: int) -> int:
        while leaders[place] != place:
            leaders[place] = place = leaders[leaders[place]]
        return place

    index = NearIndex(())
    for place, text in enumerate(texts):
        for other in index.near(text):
            first, second = sorted((leader(other), leader(place)))
            leaders[second] = first
        index.add(text)
    return [leader(place) for place in range(len(texts))]


def groups(texts: Sequence[str]) -> list[int]:
    """Return the clusters of some texts; of more than `MOST` those alone that fold alike are joined."""
    if len(texts) <= MOST:
        return clusters(texts)
    first: dict[str, int] = {}
    return [first.setdefault(folded(text), place) for place, text in enumerate(texts)]
