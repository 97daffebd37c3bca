"""Which unit of work comes when: the global order of a run, decided before its first call.

A unit's place never depends on how another one ended. With quotas, place = visit x 6 + level, each
level walking through its own seeded stream of cells. Without (the `paper` preset), keywords and
pairs are crossed with the levels, shuffled by the seed and cut.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from ds2.config import RunConfig
from programs.pairing import Cell, cells, pair_at, shuffled
from signatures.bloom import LEVELS, BloomLevel

ALL = "all levels"
KEPT = 1024  # cells of a level that are remembered


class Unit(NamedTuple):
    """One unit of work.

    Args:
        place: its index in the global order.
        level: the level to write at.
        keywords: one or two keywords.
        visit: how often this cell (keywords, level) came before.
        group: whose quota it counts towards.
    """

    place: int
    level: BloomLevel
    keywords: tuple[str, ...]
    visit: int
    group: str


class Plan(Protocol):
    """The order of units and what is wanted of them.

    `bank` holds the keywords that units are made of. `unit(place)` is None past the end; it is asked
    for in any order, and always answers the same. `quotas` gives the rows wanted of each group. The
    places of a group are those with `unit(place).group`; `group_of` says so without making the unit.
    """

    bank: Sequence[str]
    quotas: dict[str, int]

    def unit(self, place: int) -> Unit | None: ...

    def group_of(self, place: int) -> str: ...


class LevelPlan:
    """Levels take turns; each has its own quota and its own endless stream of cells."""

    def __init__(self, bank: Sequence[str], config: RunConfig) -> None:
        self.bank = bank
        self.quotas = {str(level): n for level, n in config.level_quotas.items()}
        self._streams = {
            level: _Stream(
                partial(
                    cells, len(bank), pair_share=config.pair_share, seed=f"{config.seed}/{level}"
                )
            )
            for level in LEVELS
        }

    def group_of(self, place: int) -> str:
        """Return the level of a place."""
        return str(LEVELS[place % len(LEVELS)])

    def unit(self, place: int) -> Unit:
        """Return the unit at a place; there is no end."""
        level = LEVELS[place % len(LEVELS)]
        cell = self._streams[level].at(place // len(LEVELS))
        words = tuple(self.bank[i] for i in cell.keywords)
        return Unit(place, level, words, cell.visit, str(level))


class ShuffledPlan:
    """Keywords and a number of pairs, crossed with all levels, shuffled, cut; one quota for all."""

    def __init__(self, bank: Sequence[str], config: RunConfig) -> None:
        self.bank = bank
        self.quotas = {ALL: config.target}
        rng = random.Random(f"{config.seed}/cut")
        every = len(bank) * (len(bank) - 1) // 2
        pairs = shuffled(every, f"{config.seed}/pairs")[: config.pairs]
        sets: list[tuple[int, ...]] = [(i,) for i in range(len(bank))]
        sets += [pair_at(i) for i in pairs]
        crossed = [(words, level) for words in sets for level in LEVELS]
        rng.shuffle(crossed)
        self._units = crossed[: config.candidates]

    def group_of(self, place: int) -> str:  # noqa: ARG002
        """Return the one group there is."""
        return ALL

    def unit(self, place: int) -> Unit | None:
        """Return the unit at a place, or None past the cut."""
        if place >= len(self._units):
            return None
        indices, level = self._units[place]
        return Unit(place, level, tuple(self.bank[i] for i in indices), 0, ALL)


class KnownEnds:
    """A plan whose groups end where a run that was complete decided their last unit.

    What comes later would be surplus: with it a finished run is read again without a new call.

    Args:
        plan: the plan that was run to its end.
        last: the last place of each group that was accepted or rejected.
    """

    def __init__(self, plan: Plan, last: Mapping[str, int]) -> None:
        self.bank = plan.bank
        self.quotas = plan.quotas
        self.group_of = plan.group_of
        self._plan, self._last = plan, last

    def unit(self, place: int) -> Unit | None:
        """Return the unit at a place, or None past the end of its group."""
        if place > self._last.get(self.group_of(place), -1):
            return None
        return self._plan.unit(place)


def make_plan(bank: Sequence[str], config: RunConfig) -> Plan:
    """Return the plan that a configuration asks for, over a bank of at least one keyword."""
    return LevelPlan(bank, config) if config.quotas else ShuffledPlan(bank, config)


class _Stream:
    """A stream of cells that can be asked for any place; places are asked for nearly in order.

    Only the last `KEPT` cells are remembered, so that memory does not grow with the target; a place
    before them is found by going through the stream again.
    """

    def __init__(self, begin: Callable[[], Iterator[Cell]]) -> None:
        self._begin = begin
        self._restart()

    def at(self, place: int) -> Cell:
        """Return the cell at a place."""
        if place < self._next - len(self._recent):
            self._restart()
        while self._next <= place:
            self._recent.append(next(self._stream))
            self._next += 1
        return self._recent[place - self._next]

    def _restart(self) -> None:
        self._stream = self._begin()
        self._recent: deque[Cell] = deque(maxlen=KEPT)
        self._next = 0
