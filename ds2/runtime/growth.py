"""How many lists a keyword bank takes: the steps of `programs.keywords` played through with a model
that names so many keywords and repeats itself so often.

The rounds, one or two at a time, their width, dry rounds, repeated lists and the three steps with a
corpus are those of `KeywordExpansion`; its constants are read and not copied. What cannot be known
before is how a model lists, see `Lister`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from programs.keywords import DRY_ROUNDS, KNOWN_SHOWN, TRIES, Brought, ExpansionShape

Kind = Literal["core", "expand", "extract"]
KINDS: tuple[Kind, ...] = ("core", "expand", "extract")
_OBVIOUS = 2  # the larger, the more a model names the same first, whatever the list


@dataclass(frozen=True, slots=True)
class Lister:
    """How a model lists keywords.

    Args:
        vocabulary: keywords of the field that it can name at all, at least 1.
        fresh: share of a list that is no repeat, synonym or known keyword, 0 to 1.
        found: share of the keywords asked for that a passage read for the first time gives, 0 to 1.
        again: chance that a reply is no list and is asked for again, 0 to below 1.
    """

    vocabulary: int
    fresh: float
    found: float
    again: float


@dataclass(slots=True)
class Lists:
    """The lists that one bank took.

    Args:
        asked: replies asked for, repeats included, by kind.
        known: keywords shown as known, over those replies, by kind.
        named: keywords in those replies, by kind.
        rounds: replies that wait for each other: the core list, then rounds, each as long as its
            longest chain of repeats.
        keywords: size of the bank.
    """

    asked: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    known: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    named: dict[Kind, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    rounds: int = 0
    keywords: int = 0

    @property
    def calls(self) -> int:
        """Return the replies asked for."""
        return sum(self.asked.values())


def play_growth(
    size: int, shape: ExpansionShape, lister: Lister, rng: random.Random, *, passages: int = 0
) -> Lists:
    """Return the lists that a bank of up to `size` keywords takes.

    Args:
        size: keywords wanted, at least 1.
        shape: how the bank is grown.
        lister: the model.
        rng: luck.
        passages: of the corpus; 0 for none.
    """
    return _Growth(size, shape, lister, rng, passages).played()


class _Growth:
    def __init__(
        self, size: int, shape: ExpansionShape, lister: Lister, rng: random.Random, passages: int
    ) -> None:
        self._size, self._shape, self._lister, self._rng = size, shape, lister, rng
        self._passages = passages
        self._room = size - (int(size * shape.retrieved) if passages else 0)
        self._bank: set[int] = set()  # keywords of the field; those of passages have negative names
        self._read = 0
        self._rounds = 0
        self._lists = Lists()

    def played(self) -> Lists:
        wanted = min(self._shape.core, self._room)
        self._round("core", [self._listed(wanted)], wanted)
        self._by(self._expand)
        if self._passages:
            self._room = self._size
            self._by(self._extract)
            self._by(self._expand)
        self._lists.keywords = len(self._bank)
        return self._lists

    @property
    def _missing(self) -> int:
        return self._room - len(self._bank)

    def _by(self, step: Callable[[int], Brought]) -> None:
        dry, at_once = 0, 1
        while self._missing > 0 and dry < DRY_ROUNDS and self._rounds < self._shape.max_rounds:
            times = min(at_once, DRY_ROUNDS - dry, self._shape.max_rounds - self._rounds)
            self._rounds += times
            brought = step(times)
            dry = 0 if brought.new else dry + times
            at_once = 2 if brought.few else 1

    def _expand(self, times: int) -> Brought:
        width = self._shape.width
        lists = 2 * times * min(self._shape.parallel, math.ceil(self._missing / (2 * width)))
        new = self._round("expand", [self._listed(width) for _ in range(lists)], width)
        return Brought(new, lists * width)

    def _extract(self, times: int) -> Brought:
        wanted = self._shape.per_passage
        asks = times * min(self._shape.parallel, math.ceil(self._missing / wanted))
        found = []
        # Of a corpus that is smaller than a round no passage is read twice at once.
        for _ in range(min(asks, self._passages)):
            often = self._read // self._passages
            share = self._lister.found * 0.5**often
            self._read += 1
            new = sum(self._rng.random() < share for _ in range(wanted))
            found.append({-1 - self._rng.randrange(1 << 40) for _ in range(new)})
        return Brought(self._round("extract", found, wanted), len(found) * wanted)

    def _listed(self, wanted: int) -> set[int]:
        """Return what a list brings that the bank did not hold when it was asked for."""
        left = self._lister.vocabulary - sum(name >= 0 for name in self._bank)
        # A field runs dry by degrees: the last half of it is found less and less often.
        share = self._lister.fresh * min(1.0, 2 * left / self._lister.vocabulary)
        new = min(left, sum(self._rng.random() < share for _ in range(wanted)))
        names: set[int] = set()
        while len(names) < new:
            name = int(self._lister.vocabulary * self._rng.random() ** _OBVIOUS)
            if name not in self._bank:
                names.add(name)
        return names

    def _round(self, kind: Kind, found: list[set[int]], wanted: int) -> int:
        """Take in the lists of a round; return how many keywords were new."""
        shown = 0 if kind == "core" else min(len(self._bank), KNOWN_SHOWN)
        before, longest = len(self._bank), 0
        for names in found:
            tries = 1
            while tries < TRIES and self._rng.random() < self._lister.again:
                tries += 1
            longest = max(longest, tries)
            self._lists.asked[kind] += tries
            self._lists.known[kind] += tries * shown
            # A passage is not made to give what it does not hold; a list is as long as was asked.
            self._lists.named[kind] += tries * (len(names) if kind == "extract" else wanted)
            self._bank |= set(sorted(names)[: max(0, self._missing)])
        self._lists.rounds += longest
        return len(self._bank) - before
