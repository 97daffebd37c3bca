"""Candidates by MinHash: which sets are likely to share as much as a threshold asks?

The signature of a set is cut into bands of r values; two sets whose Jaccard similarity is J agree in
one band with J^r, so they meet in some of b bands with 1 - (1 - J^r)^b. What meets is compared in
full by the caller, so only a pair that never meets is decided by chance, and that chance is fixed:
one seed for all.

Source: Broder (1997); Leskovec, Rajaraman, Ullman (2014), chapter 3. Signatures are rensa's.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

SEED = 20260312
MOST_VALUES = 128  # of a signature
RECALL = 0.995  # of pairs at the threshold; above it more
RECENT = 65_536
_REMEMBERED = 64  # a set is looked up, added and removed within a moment
_BITS = (1 << 32) - 1


class Bands(NamedTuple):
    """How a signature is cut: `number` bands of `rows` values."""

    number: int
    rows: int

    @property
    def values(self) -> int:
        """Return the length of a signature."""
        return self.number * self.rows

    def recall(self, similarity: float) -> float:
        """Return the chance that two sets of this similarity meet in some band."""
        return 1 - (1 - similarity**self.rows) ** self.number


def bands_for(threshold: float) -> Bands:
    """Return the widest bands, and of these the fewest, that find 99.5 % of the pairs at a threshold.

    Args:
        threshold: a Jaccard similarity, 0.3 to 1.

    Example:
        >>> bands_for(0.75)
        Bands(number=20, rows=5)
    """
    for rows in range(MOST_VALUES, 0, -1):
        for number in range(1, MOST_VALUES // rows + 1):
            bands = Bands(number, rows)
            if bands.recall(threshold) >= RECALL:
                return bands
    raise ValueError("the threshold must be at least 0.3")


class BandIndex:
    """Numbers of sets by the bands of their signatures.

    The latest ones lie in a dictionary; what is older in sorted arrays that are merged as they grow,
    eight bytes a band instead of some hundred.

    Args:
        bands: how signatures are cut.
        recent: buckets in the dictionary before they are packed.
    """

    def __init__(self, bands: Bands, recent: int = RECENT) -> None:
        self.bands = bands
        self._recent = recent
        self._buckets: dict[int, int | list[int]] = {}  # a lone number needs no list
        self._packed: list[_Packed] = []
        self._gone: set[int] = set()  # numbers that were removed after they were packed

    def keys(self, shingles: frozenset[str], salt: Hashable = None) -> tuple[int, ...]:
        """Return the buckets of a set; sets with different salts never meet."""
        return _keys(self.bands, shingles, salt)

    def add(self, number: int, keys: tuple[int, ...]) -> None:
        """Put a number, one that was never given before, into its buckets."""
        for key in keys:
            held = self._buckets.get(key)
            if held is None:
                self._buckets[key] = number
            elif isinstance(held, int):
                self._buckets[key] = [held, number]
            else:
                held.append(number)
        if len(self._buckets) >= self._recent:
            self._pack()

    def remove(self, number: int, keys: tuple[int, ...]) -> None:
        """Take a number that was added out of its buckets."""
        for key in keys:
            held = self._buckets.get(key)
            if held == number or held == [number]:
                del self._buckets[key]
            elif isinstance(held, list) and number in held:
                held.remove(number)
            else:
                self._gone.add(number)
                return

    def candidates(self, keys: tuple[int, ...]) -> Iterator[int]:
        """Yield the numbers that share a bucket, lowest first, each once."""
        found: set[int] = set()
        for key in keys:
            held = self._buckets.get(key)
            if isinstance(held, int):
                found.add(held)
            elif held is not None:
                found.update(held)
        for packed in self._packed:
            found.update(packed.find(keys))
        yield from sorted(found - self._gone)

    def _pack(self) -> None:
        packed = _Packed.of(self._buckets)
        self._buckets = {}
        while self._packed and len(self._packed[-1].keys) <= 2 * len(packed.keys):
            packed = self._packed.pop().merged(packed)
        # A number lies in one piece, with all its buckets: what goes from there is gone.
        packed, dropped = packed.without(self._gone)
        self._gone -= dropped
        self._packed.append(packed)


@lru_cache(maxsize=_REMEMBERED)
def _keys(bands: Bands, shingles: frozenset[str], salt: Hashable) -> tuple[int, ...]:
    from rensa import RMinHash

    sketch = RMinHash(num_perm=bands.values, seed=SEED)
    sketch.update(list(shingles))
    values = sketch.digest()
    # Python's hash differs from process to process: it only names a bucket, and is never kept. With
    # 32 of its bits one in a hundred sets meets another by chance, and is then compared in vain.
    return tuple(
        hash((salt, start, *values[start : start + bands.rows])) & _BITS
        for start in range(0, bands.values, bands.rows)
    )


class _Packed(NamedTuple):
    """Buckets as two arrays of one length, sorted by key: a number for each bucket that it is in."""

    keys: np.ndarray[tuple[int], np.dtype[np.uint32]]
    numbers: np.ndarray[tuple[int], np.dtype[np.int32]]

    @classmethod
    def of(cls, buckets: Mapping[int, int | list[int]]) -> _Packed:
        import numpy as np

        keys: list[int] = []
        numbers: list[int] = []
        for key, held in buckets.items():
            each = [held] if isinstance(held, int) else held
            keys += [key] * len(each)
            numbers += each
        return cls._sorted(np.array(keys, np.uint32), np.array(numbers, np.int32))

    @classmethod
    def _sorted(cls, keys: np.ndarray, numbers: np.ndarray) -> _Packed:
        order = keys.argsort(kind="stable")
        return cls(keys[order], numbers[order])

    def merged(self, later: _Packed) -> _Packed:
        import numpy as np

        keys = np.concatenate([self.keys, later.keys])
        return self._sorted(keys, np.concatenate([self.numbers, later.numbers]))

    def without(self, numbers: Collection[int]) -> tuple[_Packed, set[int]]:
        """Return what is left without some numbers, and which of them there were."""
        import numpy as np

        gone = np.isin(self.numbers, np.fromiter(numbers, np.int32))
        dropped = set(self.numbers[gone].tolist())
        return _Packed(self.keys[~gone], self.numbers[~gone]), dropped

    def find(self, keys: tuple[int, ...]) -> Iterator[int]:
        import numpy as np

        asked = np.array(keys, np.uint32)
        first = self.keys.searchsorted(asked, "left")
        last = self.keys.searchsorted(asked, "right")
        for low, high in zip(first.tolist(), last.tolist(), strict=True):
            if low < high:
                yield from self.numbers[low:high].tolist()
