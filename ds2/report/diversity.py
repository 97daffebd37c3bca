"""How much texts differ from one another, by measures that need no model.

All of them depend on how many texts are measured: compare figures of equal `n` only.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

# A run of letters and digits, or one sign of a script that sets no spaces between words.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]|[^\W_]+")
REPEATED_WORDS = 4

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Diversity:
    """How much `n` texts differ.

    Args:
        n: texts measured.
        distinct_1: different words / words, 0 to 1; higher is more diverse.
        distinct_2: different pairs of words that follow each other / all such pairs, 0 to 1.
        compression_ratio: bytes / bytes deflated together; lower is more diverse.
        repeated_4grams: share of the runs of four words that occur in another text too, 0 to 1;
            lower is more diverse.
    """

    n: int
    distinct_1: float | None
    distinct_2: float | None
    compression_ratio: float | None
    repeated_4grams: float | None


def words(text: str) -> list[str]:
    """Return the words of a text, case folded."""
    return _WORD.findall(text.casefold())


def diversity(texts: Sequence[str]) -> Diversity:
    """Return how much `texts` differ; with no text, or no word in any, the figures are None.

    Source: distinct-n is of Li et al. (2016, arXiv:1510.03055). The compression ratio and repeated
    n-grams stand for self-BLEU, which they follow closely at a small part of its quadratic cost
    (Shaib et al. 2024, arXiv:2403.00553).
    """
    single: Counter[str] = Counter()
    double: Counter[tuple[str, str]] = Counter()
    texts_with: Counter[tuple[str, ...]] = Counter()
    runs: list[list[tuple[str, ...]]] = []
    for text in texts:
        said = words(text)
        single.update(said)
        double.update(pairwise(said))
        grams = [tuple(said[i : i + REPEATED_WORDS]) for i in range(len(said) - REPEATED_WORDS + 1)]
        texts_with.update(set(grams))
        runs.append(grams)
    repeated = sum(texts_with[gram] > 1 for grams in runs for gram in grams)
    whole = "\n".join(texts).encode("utf-8", "replace")
    return Diversity(
        n=len(texts),
        distinct_1=_share(len(single), single.total()),
        distinct_2=_share(len(double), double.total()),
        compression_ratio=len(whole) / len(zlib.compress(whole, 9)) if whole else None,
        repeated_4grams=_share(repeated, sum(map(len, runs))),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


class Reservoir(Generic[Item]):
    """A sample of fixed size from a stream of unknown length, the same for the same stream and seed.

    Args:
        size: most items kept.
        seed: decides which.
    """

    def __init__(self, size: int, *, seed: int = 0) -> None:
        self._size = size
        self._rng = random.Random(seed)
        self._kept: list[tuple[int, Item]] = []
        self._seen = 0
        self._place = 0

    def add(self, item: Item) -> None:
        """Take in the next item."""
        if self.wants():
            self.keep(item)

    def wants(self) -> bool:
        """Return whether the next item is to be kept; if so `keep` must follow."""
        full = len(self._kept) == self._size
        self._place = self._rng.randrange(self._seen + 1) if full else len(self._kept)
        self._seen += 1
        return self._place < self._size

    def keep(self, item: Item) -> None:
        """Keep the item that was asked for."""
        entry = (self._seen, item)
        if self._place == len(self._kept):
            self._kept.append(entry)
        else:
            self._kept[self._place] = entry

    @property
    def items(self) -> list[Item]:
        """Return the sample in the order of the stream."""
        return [item for _, item in sorted(self._kept, key=lambda pair: pair[0])]


@dataclass(frozen=True, slots=True)
class EmbeddedDiversity:
    """How much texts differ in meaning, by an embedding; compare equal `n` and `embedding` only.

    Args:
        embedding: which one.
        n: texts measured.
        mean_cosine: mean cosine of all pairs of different texts, -1 to 1; lower is more diverse.
        vendi: the effective number of different texts, 1 to n (Friedman & Dieng 2023,
            arXiv:2210.02410).
    """

    embedding: str
    n: int
    mean_cosine: float | None
    vendi: float | None


def embedded_diversity(
    texts: Sequence[str], embed: Callable[[Sequence[str]], Iterable[Iterable[float]]], name: str
) -> EmbeddedDiversity:
    """Return how much `texts` differ by `embed`, which gives one vector a text.

    In closed form: with unit vectors x and s their sum, mean cosine = (|s|² - n) / (n (n - 1));
    Vendi = exp(entropy of the eigenvalues of XᵀX / n), so both cost n vectors, not n² pairs.
    """
    import numpy as np

    n = len(texts)
    if n < 2:
        return EmbeddedDiversity(name, n, None, 1.0 if n else None)
    vectors = np.asarray([list(vector) for vector in embed(texts)], dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(lengths == 0, 1, lengths)
    total = vectors.sum(axis=0)
    own = float((vectors * vectors).sum())
    cosine = (float(total @ total) - own) / (n * (n - 1))
    values = np.linalg.eigvalsh(vectors.T @ vectors / n)
    values = values[values > 1e-12]
    return EmbeddedDiversity(name, n, cosine, math.exp(float(-(values * np.log(values)).sum())))
