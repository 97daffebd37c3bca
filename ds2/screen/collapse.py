"""The collapse alarm: when a keyword, or the whole run, gives little but repeats.

Rule for a keyword: it is retired once its last `window` units were all repeats (a duplicate, or one
too many of a family), counted in the global order over the units that came as far as the screens for
repeats. A unit whose keywords are all retired is rejected at its turn, `collapsed`, whatever it has
written by then. Retirement is for good, so a unit may be spared its calls as soon as it holds.

Rule for the run: over every hundred units a warning is given where more than half were repeats, or
where the spread has fallen below half of the first hundred's. The spread is the share of different
word pairs among all word pairs of the questions (distinct-2; Li et al. 2016, arXiv:1510.03055).

Only decisions are counted, in their order, so the alarm is the same at any concurrency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ds2.screen.text import words

WINDOW = 10
RUN_WINDOW = 100
_MOST_REPEATS = 0.5
_LEAST_SPREAD = 0.5


@dataclass(slots=True)
class CollapseAlarm:
    """Counts repeats in the global order.

    Args:
        window: repeats in a row that retire a keyword; 0 retires none and gives no warning.
        retired: the retired keywords, in the order in which they were, with the unit (counted from 1
            among those screened) that retired each.
        warnings: what a reader should know, first come first.
    """

    window: int = WINDOW
    retired: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _in_a_row: dict[str, int] = field(default_factory=dict)
    _seen: int = 0
    _repeats: int = 0
    _pairs: int = 0
    _distinct: set[tuple[str, str]] = field(default_factory=set)
    _first_spread: float | None = None

    def ended(self, keywords: Sequence[str]) -> bool:
        """Return whether all keywords of a unit are retired; once true, always true."""
        return bool(self.retired) and all(keyword in self.retired for keyword in keywords)

    def note(self, keywords: Sequence[str], question: str, *, repeat: bool) -> None:
        """Take in a unit that came as far as the screens for repeats, decided at its turn."""
        if not self.window:
            return
        self._count(question, repeat=repeat)
        for keyword in dict.fromkeys(keywords):
            row = self._in_a_row.get(keyword, 0) + 1 if repeat else 0
            self._in_a_row[keyword] = row
            if row >= self.window:
                self.retired.setdefault(keyword, self._seen)

    def _count(self, question: str, *, repeat: bool) -> None:
        told = [word.text for word in words(question)]
        pairs = list(pairwise(told))
        self._pairs += len(pairs)
        self._distinct.update(pairs)
        self._seen += 1
        self._repeats += repeat
        if self._seen % RUN_WINDOW == 0:
            self._conclude()

    def _conclude(self) -> None:
        spread = len(self._distinct) / self._pairs if self._pairs else 0.0
        if self._first_spread is None:
            self._first_spread = spread
        where = f"Of the {RUN_WINDOW} units before the {self._seen:,}th that was screened"
        if self._repeats > _MOST_REPEATS * RUN_WINDOW:
            self._warn(f"{where}, {self._repeats} repeated earlier ones: the keywords run dry.")
        elif spread < _LEAST_SPREAD * self._first_spread:
            self._warn(
                f"{where}, {spread:.0%} of the word pairs were different, "
                f"{self._first_spread:.0%} at first: the questions grow alike."
            )
        self._repeats, self._pairs = 0, 0
        self._distinct.clear()

    def _warn(self, text: str) -> None:
        if not self.warnings:  # the first tells when it began; the rest would say the same
            self.warnings.append(text)
