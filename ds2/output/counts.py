"""What a card and a report say about the rows, counted while they pass by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from signatures.bloom import LEVELS
from signatures.records import Row

# The widest closed set of answers: beyond it their balance is no finding.
_MAX_ANSWERS = 26


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Counts over the rows of one dataset, in their order.

    Args:
        rows: how many there are.
        by_level: rows by Bloom level, lowest first, levels without rows as 0.
        from_pairs: rows written from two keywords.
        draws: answers drawn for these rows.
        unanimous: rows whose draws all agreed.
        mean_agreement: mean of the rows' agreement, 0 to 1; None with no rows.
        answers: rows by answer, most first; None beyond 26 different ones.
        first: the first row; None with no rows.
    """

    rows: int = 0
    by_level: tuple[tuple[str, int], ...] = tuple((level.value, 0) for level in LEVELS)
    from_pairs: int = 0
    draws: int = 0
    unanimous: int = 0
    mean_agreement: float | None = None
    answers: tuple[tuple[str, int], ...] | None = ()
    first: Row | None = None


@dataclass(slots=True)
class RowCounter:
    """Counts rows as they are read through `watch`; memory does not grow with them."""

    _rows: int = 0
    _levels: Counter[str] = field(default_factory=Counter)
    _from_pairs: int = 0
    _draws: int = 0
    _unanimous: int = 0
    _agreement: float = 0.0
    _answers: Counter[str] | None = field(default_factory=Counter)
    _first: Row | None = None

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield `rows` as they are, counting each."""
        for row in rows:
            self._add(row)
            yield row

    def _add(self, row: Row) -> None:
        if self._first is None:
            self._first = row
        self._rows += 1
        self._levels[row.instruction.level.value] += 1
        self._from_pairs += len(row.instruction.keywords) > 1
        self._draws += row.vote.draws
        self._unanimous += row.vote.agreement >= 1
        self._agreement += row.vote.agreement
        if self._answers is not None:
            self._answers[row.answer] += 1
            if len(self._answers) > _MAX_ANSWERS:
                self._answers = None

    def counts(self) -> RowCounts:
        """Return the counts of the rows seen so far."""
        answers = self._answers
        return RowCounts(
            rows=self._rows,
            by_level=tuple((level.value, self._levels[level.value]) for level in LEVELS),
            from_pairs=self._from_pairs,
            draws=self._draws,
            unanimous=self._unanimous,
            mean_agreement=self._agreement / self._rows if self._rows else None,
            answers=None
            if answers is None
            else tuple(sorted(answers.items(), key=lambda pair: (-pair[1], pair[0]))),
            first=self._first,
        )
