"""Which unit of work comes when: the global order of a run, decided before its first call.

A unit's place never depends on how another one ended. With quotas, place = visit x 6 + level, each
level walking through its own seeded stream of cells. Without (the `paper` preset), keywords and
pairs are crossed with the levels, shuffled by the seed and cut.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from ds2.config import RunConfig
from programs.pairing import Cell, cells, pair_at, shuffled
from signatures.bloom import LEVELS, BloomLevel

ALL = "all levels"


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

    `unit(place)` is None past the end; it is asked for in any order, and always answers the same.
    `quotas` gives the rows wanted of each group. The places of a group are those with
    `unit(place).group`; `group_of` says so without making the unit.
    """

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
                cells(len(bank), pair_share=config.pair_share, seed=f"{config.seed}/{level}")
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
    """A stream of cells that can be asked for any place; places are asked for nearly in order."""

    def __init__(self, stream: Iterator[Cell]) -> None:
        self._stream = stream
        self._seen: list[Cell] = []

    def at(self, place: int) -> Cell:
        missing = place + 1 - len(self._seen)
        if missing > 0:
            self._seen.extend(islice(self._stream, missing))
        return self._seen[place]
