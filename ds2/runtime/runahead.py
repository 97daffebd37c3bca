"""How many units a run starts to fill its quotas: those it decides, and those that become surplus.

The last stretch is played through as `ds2.runtime.scheduler` dispatches it (the same guard, the same
prior), unit by unit, with times drawn at random; what lies before it only takes luck with the yield.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ds2.runtime.scheduler import GUARD_Z, PRIOR_ACCEPTED, PRIOR_DECIDED

_STRETCH = 3  # how many full houses of units are played through, unit by unit
_EXACT = 30  # below so many rows luck is drawn row by row


class Started(NamedTuple):
    """What a run started.

    Args:
        accepted: units that gave a row.
        rejected: units that did not.
        surplus: units whose quota was full; one that was broken off counts in part.
    """

    accepted: int
    rejected: int
    surplus: float


@dataclass(slots=True)
class _Group:
    need: int
    rate: float
    outcomes: list[bool | None]
    good: int = 0
    unknown: int = 0
    first_open: int = 0
    kept: int = 0

    def commit(self) -> None:
        """Decide in order up to the first open unit or the quota."""
        while self.kept < self.need and self.first_open < len(self.outcomes):
            outcome = self.outcomes[self.first_open]
            if outcome is None:
                return
            self.kept += outcome
            self.first_open += 1

    def may_start(self, believed: float) -> bool:
        luck = GUARD_Z * math.sqrt(self.unknown * believed * (1 - believed))
        return self.kept < self.need and self.good + self.unknown * believed - luck < self.need


def start_units(
    needs: Sequence[int],
    rates: Sequence[float],
    *,
    concurrency: int,
    most: int,
    known: tuple[int, int] = (0, 0),
    slower: float = 1.0,
    rng: random.Random,
) -> Started:
    """Return what a run starts until each group has the rows it needs, or `most` are decided.

    Args:
        needs: rows wanted of each group.
        rates: yield of each group, above 0 to 1.
        concurrency: units at work at once.
        most: units that may be decided.
        known: units accepted and decided before.
        slower: how many times as long a unit takes that gives no row; above 1 where it draws all it
            may. The sooner the good ones are known, the fewer are started in vain.
        rng: luck.
    """
    stretch = _STRETCH * concurrency // max(1, len(needs)) + 2
    last = [min(need, stretch) for need in needs]
    accepted = sum(needs) - sum(last)
    decided = sum(_decided_for(n - m, r, rng) for n, m, r in zip(needs, last, rates, strict=True))
    if decided >= most:
        return Started(min(accepted, most), max(0, most - accepted), 0.0)
    known = (known[0] + accepted, known[1] + decided)
    played = _play(last, rates, concurrency, most - decided, known, slower, rng)
    return Started(accepted + played.accepted, decided - accepted + played.rejected, played.surplus)


def _decided_for(rows: int, rate: float, rng: random.Random) -> int:
    """Return how many units it takes for so many rows: negative binomial, by its normal limit."""
    if rows <= 0 or rate >= 1:
        return max(0, rows)
    if rows < _EXACT:
        misses = (math.log(1 - rng.random()) / math.log(1 - rate) for _ in range(rows))
        return rows + sum(int(miss) for miss in misses)
    return max(rows, round(rows / rate + rng.gauss() * math.sqrt(rows * (1 - rate)) / rate))


def _play(
    needs: Sequence[int],
    rates: Sequence[float],
    concurrency: int,
    most: int,
    known: tuple[int, int],
    slower: float,
    rng: random.Random,
) -> Started:
    groups = [_Group(need, rate, []) for need, rate in zip(needs, rates, strict=True)]
    turns = range(len(groups))
    sizes = [0] * len(groups)  # units that each has started
    flights: list[tuple[float, int, int, bool]] = []
    now = 0.0
    good, ended = known
    while any(group.kept < group.need for group in groups) and ended - known[1] < most:
        believed = (good + PRIOR_ACCEPTED) / (ended + PRIOR_DECIDED)
        while len(flights) < concurrency:
            behind = sorted(turns, key=sizes.__getitem__)
            chosen = next((turn for turn in behind if groups[turn].may_start(believed)), None)
            if chosen is None:
                break
            group = groups[chosen]
            row = rng.random() < group.rate
            takes = rng.uniform(0.5, 1.5) * (1.0 if row else slower)
            heapq.heappush(flights, (now + takes, chosen, len(group.outcomes), row))
            group.outcomes.append(None)
            sizes[chosen] += 1
            group.unknown += 1
        now, chosen, number, row = heapq.heappop(flights)
        group = groups[chosen]
        group.outcomes[number] = row
        group.unknown -= 1
        group.good += row
        good, ended = good + row, ended + 1
        group.commit()
    kept = sum(group.kept for group in groups)
    decided = sum(group.first_open for group in groups)
    after = sum(
        1.0 if outcome is not None else rng.random()
        for group in groups
        for outcome in group.outcomes[group.first_open :]
    )
    return Started(kept, decided - kept, after)
