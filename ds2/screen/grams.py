"""Runs of words by their hashes: which of them two texts share, and how much of a text they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]

_BASE = 0x9E3779B97F4A7C15


def ngrams(hashes: Hashes, size: int) -> Hashes:
    """Return the hash of every run of `size` words, in order; none where there are fewer words."""
    import numpy as np

    count = len(hashes) - size + 1
    if count < 1 or size < 1:
        return np.zeros(0, np.uint64)
    rolled = np.zeros(count, np.uint64)
    for i in range(size):
        rolled = rolled * np.uint64(_BASE) + hashes[i : i + count]
    return rolled ^ (rolled >> np.uint64(31))


def covered(text: Hashes, other: Hashes, size: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each word of a text whether it stands in a run of `size` words that `other` has."""
    import numpy as np

    shared = np.isin(ngrams(text, size), ngrams(other, size))
    marks = np.zeros(len(text), np.bool_)
    for i in range(size):
        marks[i : i + len(shared)] |= shared
    return marks


def longest_run(text: Hashes, other: Hashes) -> tuple[int, int]:
    """Return where the longest run of words that `other` has too starts in a text, and its length.

    The first of equally long ones; length 0 where no word is shared.
    """
    import numpy as np

    # A run of n words holds runs of every smaller length, so the longest can be searched by halves.
    low, high, start = 0, min(len(text), len(other)), 0
    while low < high:
        size = (low + high + 1) // 2
        places = np.flatnonzero(np.isin(ngrams(text, size), ngrams(other, size)))
        if len(places):
            low, start = size, int(places[0])
        else:
            high = size - 1
    return start, low
