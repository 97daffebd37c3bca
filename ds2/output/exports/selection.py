"""Which rows go out, and into which file: filters, and a split that keeps like rows together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from signatures.bloom import BloomLevel
from signatures.errors import OutputError

_NAMES = {1: ("all",), 2: ("train", "test"), 3: ("train", "validation", "test")}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows are wanted.

    Args:
        min_agreement: least agreement of a row, 0 to 1.
        levels: Bloom levels; empty for all.
    """

    min_agreement: float = 0.0
    levels: tuple[BloomLevel, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.min_agreement <= 1:
            raise OutputError.rule(
                "Exporting failed",
                name="--min-agreement",
                rule="be from 0 to 1",
                value=self.min_agreement,
                todo="Give a share, such as 0.8.",
            )

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Return whether a row goes out."""
        if self.levels and record["level"] not in {level.value for level in self.levels}:
            return False
        return bool(record["agreement"] >= self.min_agreement)


class Split(NamedTuple):
    """One part of a split: its name, and the share of the rows that it gets."""

    name: str
    share: float


WHOLE = (Split("all", 1.0),)


def parse_split(text: str | None) -> tuple[Split, ...]:
    """Return the parts that `0.95,0.05` or `train=0.9,test=0.1` means; None means one whole.

    Two shares are train and test, three train, validation and test; more need names.

    Raises:
        OutputError: shares that are no numbers above 0 with the sum 1, or names given twice.
    """
    if text is None:
        return WHOLE
    parts = [part.strip() for part in text.split(",") if part.strip()]
    named = [part.partition("=") for part in parts]
    names = [name.strip() for name, equals, _ in named if equals]
    if not names:
        names = list(_NAMES.get(len(parts), ()))
    try:
        shares = [float(share if equals else name) for name, equals, share in named]
    except ValueError:
        shares = []
    # Parts are files, and some disks tell no case apart.
    fits = len(names) == len(shares) > 0 and len({n.casefold() for n in names}) == len(names)
    safe = all(name.replace("-", "").replace("_", "").isalnum() for name in names)
    if not (fits and safe and min(shares) > 0 and abs(sum(shares) - 1) < 1e-6):
        raise OutputError.rule(
            "Exporting failed",
            name="--split",
            rule="be shares above 0 that add up to 1, such as 0.95,0.05 or train=0.9,test=0.1",
            value=text,
            todo="Two shares are train and test, three train, validation and test.",
        )
    return tuple(Split(name, share) for name, share in zip(names, shares, strict=True))


def assign(groups: Iterable[str], splits: tuple[Split, ...], *, seed: int = 0) -> dict[str, str]:
    """Return the split of each group, so that all rows of a group stand on one side.

    Groups are walked in the order of a hash of (seed, group), the smallest split is filled first,
    each until one more group would bring it further from its share than it is; the largest split
    takes the rest. Sizes are off by less than half a group. The order is the groups' own, so a
    dataset that grows moves few of them.

    Args:
        groups: the group of each row.
        splits: the parts.
        seed: another one gives another split.

    Raises:
        OutputError: a part would stay empty.
    """
    sizes = Counter(groups)
    rows = sizes.total()
    order = sorted(sizes, key=lambda group: _hashed(f"{seed}/{group}"))
    chosen: dict[str, str] = {}
    last = max(splits, key=lambda split: split.share)
    place = 0
    for split in sorted((s for s in splits if s is not last), key=lambda s: (s.share, s.name)):
        wanted, got = split.share * rows, 0
        while place < len(order):
            more = got + sizes[order[place]]
            if got and abs(more - wanted) > abs(got - wanted):
                break
            chosen[order[place]] = split.name
            got, place = more, place + 1
    chosen |= dict.fromkeys(order[place:], last.name)
    empty = [split.name for split in splits if split.name not in chosen.values()]
    if empty:
        raise OutputError.rule(
            "Splitting failed",
            name="every part",
            rule="get a row; rows of one family stay together",
            value=f"{', '.join(empty)}: none of {rows} rows in {len(sizes)} families",
            todo="Give a larger share, fewer parts, or make more rows.",
        )
    return chosen


def _hashed(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
