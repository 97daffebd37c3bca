"""The figures of a run: coverage, agreement, balance, lengths, diversity. One pass over its units."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from ds2.report.diversity import (
    Diversity,
    EmbeddedDiversity,
    Reservoir,
    diversity,
    embedded_diversity,
    words,
)
from ds2.report.embedding import load_embedding
from ds2.report.units import DecidedUnit
from signatures.bloom import LEVELS

SAMPLE = 1_000
_BINS = 10
_QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


@dataclass(slots=True)
class Count:
    """Units of one cell, level or keyword."""

    accepted: int = 0
    rejected: int = 0

    @property
    def accept_share(self) -> float | None:
        """Return accepted / decided, 0 to 1; None where nothing was decided."""
        decided = self.accepted + self.rejected
        return self.accepted / decided if decided else None


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """One Bloom level.

    Args:
        level: its name.
        accepted: rows.
        rejected: units turned down.
        accept_share: accepted / (accepted + rejected).
        mean_agreement: over its votes, accepted or not: lower means harder for the teacher.
        mean_draws: answers drawn a vote.
    """

    level: str
    accepted: int
    rejected: int
    accept_share: float | None
    mean_agreement: float | None
    mean_draws: float | None


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Balance:
    """How evenly a closed set of answers is used.

    Args:
        answers: rows by answer, most first.
        chi_square: against letters that are uniform over the options of each question; None for
            answers that are no letters of options.
        degrees: degrees of freedom.
        p: probability of a chi-square at least as large where the letters are in truth uniform.
    """

    answers: tuple[tuple[str, int], ...]
    chi_square: float | None = None
    degrees: int | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a run.

    Args:
        accepted, rejected, surplus: units by state; `rejected` by reason.
        rejected_by_stage: units turned down, by the stage that did, then by reason.
        mean_agreement: over the accepted rows, with the 95 % interval of that mean; None without rows.
        mean_confidence: mean probability of being right, as a calibrated policy estimates it; None
            unless every row has one.
        levels: one entry a Bloom level, lowest first.
        coverage: units by keyword, then level; a pair counts for both of its keywords.
        agreement: votes of accepted rows by agreement, in ten equal bins from 0 to 1; 1 is in the
            last.
        draws: accepted rows by answers drawn.
        stops: votes by the reason why they stopped.
        balance: the answers of the rows, where they are of a closed set.
        question_words, response_words: minimum, 10th percentile, median, 90th percentile, maximum.
        instructions, responses: diversity over a seeded sample of at most `SAMPLE` rows.
        embedded: diversity of the instructions by an embedding; None unless one was asked for.
    """

    accepted: int
    rejected: Mapping[str, int]
    surplus: int
    rejected_by_stage: Mapping[str, Mapping[str, int]]
    mean_agreement: Interval | None
    mean_confidence: float | None
    levels: tuple[LevelFigures, ...]
    coverage: Mapping[str, Mapping[str, Count]]
    agreement: tuple[int, ...]
    draws: Mapping[int, int]
    stops: Mapping[str, int]
    balance: Balance | None
    question_words: tuple[int, ...]
    response_words: tuple[int, ...]
    instructions: Diversity
    responses: Diversity
    embedded: EmbeddedDiversity | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        plain = asdict(self)
        plain["draws"] = {str(draws): rows for draws, rows in self.draws.items()}
        return plain


@dataclass(slots=True)
class _Level:
    count: Count = field(default_factory=Count)
    votes: int = 0
    agreement: float = 0.0
    draws: int = 0

    def figures(self, name: str) -> LevelFigures:
        votes = self.votes
        return LevelFigures(
            level=name,
            accepted=self.count.accepted,
            rejected=self.count.rejected,
            accept_share=self.count.accept_share,
            mean_agreement=self.agreement / votes if votes else None,
            mean_draws=self.draws / votes if votes else None,
        )


class FigureCounter:
    """Counts units as they pass; memory grows with keywords and different lengths, not with units.

    Args:
        keywords: the bank, so that a keyword without a row is seen to have none.
        closed: the answers are of a closed set, whose balance is a finding.
        sample: most rows whose diversity is measured.
        seed: decides which rows are sampled.
    """

    def __init__(
        self,
        keywords: Iterable[str] = (),
        *,
        closed: bool = False,
        sample: int = SAMPLE,
        seed: int = 0,
    ) -> None:
        self._coverage: dict[str, dict[str, Count]] = {
            keyword: {level.value: Count() for level in LEVELS} for keyword in keywords
        }
        self._levels: dict[str, _Level] = {level.value: _Level() for level in LEVELS}
        self._rejected: Counter[str] = Counter()
        self._stages: dict[str, Counter[str]] = {}
        self._surplus = 0
        self._sums = [0.0, 0.0]
        self._confidence: float | None = 0.0
        self._agreement = [0] * _BINS
        self._draws: Counter[int] = Counter()
        self._stops: Counter[str] = Counter()
        self._answers: Counter[str] | None = Counter() if closed else None
        self._options: Counter[int] = Counter()
        self._question_words: Counter[int] = Counter()
        self._response_words: Counter[int] = Counter()
        self._sample: Reservoir[tuple[str, str]] = Reservoir(sample, seed=seed)

    def add(self, unit: DecidedUnit) -> None:
        """Take in the next unit."""
        if unit.state == "surplus":
            self._surplus += 1
            return
        level = self._levels[unit.cell.level]
        counts = [
            level.count,
            *(self._of(keyword, unit.cell.level) for keyword in unit.cell.keywords),
        ]
        for count in counts:
            if unit.state == "accepted":
                count.accepted += 1
            else:
                count.rejected += 1
        if unit.vote is not None:
            level.votes += 1
            level.agreement += unit.vote["agreement"]
            level.draws += unit.vote["draws"]
            self._stops[unit.vote["reason"]] += 1
        if unit.state == "accepted":
            self._add_row(unit)
        else:
            self._rejected[unit.reason] += 1
            stage = str(unit.record.get("stage", "vote"))
            self._stages.setdefault(stage, Counter())[unit.reason] += 1

    def _add_row(self, unit: DecidedUnit) -> None:
        row, vote = unit.record, unit.record["vote"]
        asked = row["instruction"]
        self._sums[0] += vote["agreement"]
        self._sums[1] += vote["agreement"] ** 2
        right = vote.get("confidence")
        missing = right is None or self._confidence is None
        self._confidence = None if missing else self._confidence + right
        self._agreement[min(_BINS - 1, int(vote["agreement"] * _BINS + 1e-9))] += 1
        self._draws[vote["draws"]] += 1
        if self._answers is not None:
            self._answers[row["answer"]] += 1
            self._options[len(asked["options"])] += 1
        self._question_words[len(words(asked["question"]))] += 1
        self._response_words[len(words(row["response"]))] += 1
        self._sample.add((asked["question"], row["response"]))

    def _of(self, keyword: str, level: str) -> Count:
        by_level = self._coverage.setdefault(keyword, {level.value: Count() for level in LEVELS})
        return by_level[level]

    def figures(self, embedding: str | None = None) -> Figures:
        """Return the figures of all units taken in; `embedding` as in `load_embedding`."""
        sampled = self._sample.items
        questions = [question for question, _ in sampled]
        embedded = None
        if embedding is not None:
            embedded = embedded_diversity(questions, load_embedding(embedding), embedding)
        accepted = sum(level.count.accepted for level in self._levels.values())
        confidence = self._confidence
        return Figures(
            accepted=accepted,
            rejected=dict(sorted(self._rejected.items(), key=lambda p: (-p[1], p[0]))),
            surplus=self._surplus,
            rejected_by_stage={stage: dict(counts) for stage, counts in self._stages.items()},
            mean_agreement=_mean(accepted, *self._sums),
            mean_confidence=confidence / accepted if confidence is not None and accepted else None,
            levels=tuple(level.figures(name) for name, level in self._levels.items()),
            coverage=self._coverage,
            agreement=tuple(self._agreement),
            draws=dict(sorted(self._draws.items())),
            stops=dict(sorted(self._stops.items(), key=lambda p: (-p[1], p[0]))),
            balance=self._balance(),
            question_words=_quantiles(self._question_words),
            response_words=_quantiles(self._response_words),
            instructions=diversity(questions),
            responses=diversity([response for _, response in sampled]),
            embedded=embedded,
        )

    def _balance(self) -> Balance | None:
        if not self._answers:
            return None
        ordered = tuple(sorted(self._answers.items(), key=lambda p: (-p[1], p[0])))
        expected = [0.0] * max(self._options)
        for options, rows in self._options.items():
            for letter in range(options):
                expected[letter] += rows / options
        counts = [self._answers[chr(65 + letter)] for letter in range(len(expected))]
        return Balance(ordered, *chi_square(counts, expected))


def chi_square(
    counts: Sequence[int], expected: Sequence[float]
) -> tuple[float | None, int | None, float | None]:
    """Return Pearson's statistic of `counts` against `expected`, its degrees of freedom, its p-value.

    All None with fewer than two classes. The p-value is an approximation that wants some five
    expected in each class.
    """
    if len(expected) < 2:
        return None, None, None
    pairs = zip(counts, expected, strict=True)
    statistic = sum((count - wanted) ** 2 / wanted for count, wanted in pairs)
    return statistic, len(expected) - 1, chi_square_tail(statistic, len(expected) - 1)


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Return P(X >= statistic) for X chi-square with that many degrees of freedom, at least 1.

    By the recurrence Q(a + 1, x) = Q(a, x) + x^a e^-x / Γ(a + 1) from Q(1/2) or Q(1).
    """
    x = statistic / 2
    if degrees % 2:
        a, tail = 0.5, math.erfc(math.sqrt(x))
    else:
        a, tail = 1.0, math.exp(-x)
    while a < degrees / 2:
        tail += math.exp(a * math.log(x) - x - math.lgamma(a + 1)) if x > 0 else 0.0
        a += 1
    return min(1.0, tail)


def _mean(n: int, total: float, squares: float) -> Interval | None:
    """Return the mean of n values in [0, 1] and its 95 % interval by the normal approximation."""
    if not n:
        return None
    mean = total / n
    spread = math.sqrt(max(0.0, squares / n - mean * mean) / n)
    return Interval(mean, max(0.0, mean - 1.96 * spread), min(1.0, mean + 1.96 * spread))


def _quantiles(lengths: Counter[int]) -> tuple[int, ...]:
    total = lengths.total()
    if not total:
        return ()
    ordered, wanted, seen = sorted(lengths), [], 0
    places = [round(q * (total - 1)) for q in _QUANTILES]
    for length in ordered:
        seen += lengths[length]
        while places and places[0] < seen:
            wanted.append(length)
            places.pop(0)
    return tuple(wanted)
