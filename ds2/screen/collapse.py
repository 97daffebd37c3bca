"""The collapse alarm: when a keyword, or the whole run, gives little but repeats or grows alike.

Of a keyword, the last `window` units count, in the global order, over the units that came as far as
the screens for repeats; a unit of a pair counts for both. It is retired

- once all of them were repeats (a duplicate, or one too many of a family), or
- once their spread is below `least_spread` times that of the run's first ten windows. The spread is
  the share of different word pairs among all word pairs of the questions (distinct-2; Li et al. 2016,
  arXiv:1510.03055); the first ten windows are those of `window` units in a row, whatever their
  keywords, and their spreads are averaged. It depends on how many questions are looked at, so that
  windows of one size only are compared. Before the ten are full no spread retires.

A unit whose keywords are all retired is rejected at its turn, `collapsed`, whatever it has written by
then. Pairs with a keyword that is not retired go on, until the same is true of the next `window` units
of such pairs: then every unit with the keyword is rejected. Both are for good, so a unit may be spared
its calls as soon as it holds. A keyword stands for its cells at all levels: one cell alone is met too
seldom to fill a window.

Rule for the run: over every hundred units a warning is given where more than half were repeats, or
where the spread has fallen below half of the first hundred's.

Only decisions are counted, in their order, so the alarm is the same at any concurrency.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from zlib import crc32

from ds2.screen.text import words

WINDOW = 10
LEAST_SPREAD = 0.4
FIRST_WINDOWS = 10
RUN_WINDOW = 100
REMEDY = (
    "More keywords or a warmer writer (`bank`, `writer_temperature` of --config, in a new --out) bring "
    "more variety."
)
_MOST_REPEATS = 0.5
_LEAST_RUN_SPREAD = 0.5

Pairs = array  # hashes of word pairs: what is remembered of a question, four bytes a word


@dataclass(slots=True)
class CollapseAlarm:
    """Counts repeats, and how alike questions are, in the global order.

    Args:
        window: units of a keyword that are looked at; 0 retires none and gives no warning.
        least_spread: share of the run's first spread below which a keyword is retired, 0 to 1; 0 for
            never.
        retired: the retired keywords, in the order in which they were, each with why.
        warnings: what a reader should know, first come first.
    """

    window: int = WINDOW
    least_spread: float = LEAST_SPREAD
    retired: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _barred: set[str] = field(default_factory=set)  # ended in pairs too
    _in_a_row: dict[str, int] = field(default_factory=dict)
    _recent: dict[str, deque[Pairs[int]]] = field(default_factory=dict)
    _first: list[float] = field(default_factory=list)
    _begun: list[Pairs[int]] = field(default_factory=list)
    _hundred: list[Pairs[int]] = field(default_factory=list)
    _seen: int = 0
    _repeats: int = 0
    _first_hundred: float | None = None

    def ended(self, keywords: Sequence[str]) -> bool:
        """Return whether a unit with these keywords is to be rejected; once true, always true."""
        if not self.retired:
            return False
        alone = all(keyword in self.retired for keyword in keywords)
        return alone or not self._barred.isdisjoint(keywords)

    def all_ended(self, bank: Collection[str]) -> bool:
        """Return whether no keyword of a bank is left; once true, always true."""
        return len(self.retired) >= len(bank) and self.ended(list(bank))

    def why(self, keywords: Sequence[str]) -> str:
        """Return why the retired ones among keywords are: each with its figure and its window."""
        found = dict.fromkeys(keyword for keyword in keywords if keyword in self.retired)
        return "; ".join(f"{keyword!r} ({self.retired[keyword]})" for keyword in found)

    def note(self, keywords: Sequence[str], question: str, *, repeat: bool) -> None:
        """Take in a unit that came as far as the screens for repeats, decided at its turn."""
        if not self.window:
            return
        pairs = _pairs(question)
        self._seen += 1
        self._measure_first(pairs)
        self._watch_run(pairs, repeat=repeat)
        for keyword in dict.fromkeys(keywords):
            if keyword not in self._barred and (why := self._spent(keyword, pairs, repeat=repeat)):
                self._end(keyword, why)

    def _end(self, keyword: str, why: str) -> None:
        del self._recent[keyword], self._in_a_row[keyword]
        if keyword in self.retired:
            self._barred.add(keyword)
            self.retired[keyword] += "; then the same in its pairs"
        else:
            self.retired[keyword] = why

    def _spent(self, keyword: str, pairs: Pairs[int], *, repeat: bool) -> str | None:
        """Return why a keyword has nothing more to give, or None."""
        row = self._in_a_row.get(keyword, 0) + 1 if repeat else 0
        self._in_a_row[keyword] = row
        recent = self._recent.setdefault(keyword, deque(maxlen=self.window))
        recent.append(pairs)
        if row >= self.window:
            return f"its last {self.window} questions were all repeats"
        if len(recent) < self.window or len(self._first) < FIRST_WINDOWS:
            return None
        now, first = spread(recent), fmean(self._first)
        if now >= self.least_spread * first:
            return None
        return (
            f"its last {self.window} questions grew alike: {now:.0%} of their word pairs were "
            f"different, {first:.0%} in windows of the run's first {FIRST_WINDOWS * self.window}"
        )

    def _measure_first(self, pairs: Pairs[int]) -> None:
        if len(self._first) == FIRST_WINDOWS:
            return
        self._begun.append(pairs)
        if len(self._begun) == self.window:
            self._first.append(spread(self._begun))
            self._begun.clear()

    def _watch_run(self, pairs: Pairs[int], *, repeat: bool) -> None:
        self._hundred.append(pairs)
        self._repeats += repeat
        if len(self._hundred) == RUN_WINDOW:
            self._conclude(spread(self._hundred))
            self._hundred.clear()
            self._repeats = 0

    def _conclude(self, now: float) -> None:
        if self._first_hundred is None:
            self._first_hundred = now
        where = f"Of the {RUN_WINDOW} units before the {self._seen:,}th that was screened"
        if self._repeats > _MOST_REPEATS * RUN_WINDOW:
            self._warn(f"{where}, {self._repeats} repeated earlier ones. {REMEDY}")
        elif now < _LEAST_RUN_SPREAD * self._first_hundred:
            self._warn(
                f"{where}, {now:.0%} of the word pairs were different, "
                f"{self._first_hundred:.0%} at first: the questions grow alike. {REMEDY}"
            )

    def _warn(self, text: str) -> None:
        if not self.warnings:  # the first tells when it began; the rest would say the same
            self.warnings.append(text)


def spread(questions: Collection[Pairs[int]]) -> float:
    """Return different word pairs / word pairs of some questions, 0 to 1; 1 without any pair."""
    count = sum(map(len, questions))
    return len(set().union(*questions)) / count if count else 1.0


def _pairs(question: str) -> Pairs[int]:
    told = [word.text.encode("utf-8", "replace") for word in words(question)]
    return array("I", [crc32(b"%b %b" % pair) for pair in pairwise(told)])
