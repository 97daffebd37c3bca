"""Vote by meaning: which answers that are worded differently say the same?

Keys come first (`programs.equivalence`); only answers whose keys differ are compared, by a `Merger`:
a judge (a model call), an embedding, or any other comparer that is handed in. It can only merge
groups, never part one.

Rule: the distinct keys are taken in the order of their text, which no order of the samples changes.
The first opens a cluster and represents it; every other is compared with the representatives in
turn, joins the first that says the same, or opens a cluster of its own. So the outcome is a
partition whatever the comparer says, transitive by construction and the same for every order of the
samples, and n answers in c clusters cost at most n x c comparisons. A pair is always compared the
same way round, and its verdict is reused as the vote goes on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, NamedTuple, Protocol

import dspy
from dspy.utils.exceptions import AdapterParseError

from programs.equivalence.latex import clean
from programs.equivalence.written import numbers, prepare
from programs.loop import run_sync
from programs.sampling import call_config
from signatures.errors import ConfigError
from signatures.judging import SameAnswer
from signatures.records import content_id
from signatures.task import AnswerFormat, AnswerKind

# Part of a run's fingerprint, with the merger's name: raise it when answers would be merged otherwise.
MERGING_VERSION = 1

MERGED = (AnswerKind.EXPRESSION, AnswerKind.TEXT, AnswerKind.OPEN)
_APART = re.compile(r"[%°]|(?<![\\A-Za-z])[A-Za-zµ]{2,}")
_WRITTEN_OUT = re.compile(r"\\(?:text|mathrm|textrm|operatorname)\s?\{([^{}]*)\}")
_REMEMBERED = 4096


class Pair(NamedTuple):
    """Two answers to compare.

    Args:
        first: one answer.
        second: another, whose key is not the first one's.
        fmt: their format.
        question: what was asked.
    """

    first: str
    second: str
    fmt: AnswerFormat
    question: str


class Merger(Protocol):
    """Says whether two answers with different keys are the same answer.

    `same` may be asked from any event loop and any number of times at once. It is asked for each
    pair in one direction only; a comparer that is not symmetric wraps itself in `BothWays`. It
    should depend on its arguments alone: a verdict by the clock must be kept in `Verdicts`.
    `name` stands for it in the fingerprint of a run: whatever changes a verdict changes the name.
    """

    @property
    def name(self) -> str: ...

    async def same(self, pair: Pair) -> bool: ...


class Verdicts(Protocol):
    """Keeps verdicts by key. `put` returns the verdict that stands: the first that was stored."""

    def get(self, key: str) -> bool | None: ...

    def put(self, key: str, same: bool) -> bool: ...


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Which answers are the same: the format's keys, and what may merge them.

    Args:
        answer: the answer format.
        merger: compares what has different keys; None leaves it to the keys. For expression, text
            and open only: numbers, choices and labels have exact keys. `open` needs one.
        verdicts: where the merger's verdicts are kept and looked up; None where it needs no keeping,
            as a judge whose calls are logged.

    Raises:
        ConfigError: the format takes no merger, or needs one.
    """

    answer: AnswerFormat
    merger: Merger | None = None
    verdicts: Verdicts | None = None

    def __post_init__(self) -> None:
        kind = self.answer.kind
        if kind is AnswerKind.OPEN and self.merger is None:
            raise ConfigError.rule(
                "Building a vote failed",
                name="equivalence",
                rule="have a merger for the kind open: long answers are never worded alike",
                value="no merger",
                todo="Give Equivalence(answer, merger=Judge()) or an Embedding.",
            )
        if self.merger is not None and kind not in MERGED:
            raise ConfigError.rule(
                "Building a vote failed",
                name="merger",
                rule=f"be given for {', '.join(MERGED)} only: other kinds have exact keys",
                value=kind.value,
                todo="Leave the merger out.",
            )

    @property
    def name(self) -> str:
        """Return what stands for the merging in a fingerprint; empty without a merger."""
        return "" if self.merger is None else f"{MERGING_VERSION}:{self.merger.name}"

    async def merge(
        self, answers: Mapping[str, str], question: str, known: dict[tuple[str, str], bool]
    ) -> dict[str, str]:
        """Return the representative key of each key that is not its own; see the module's rule.

        Args:
            answers: by key, the answer as it is compared.
            question: what was asked.
            known: the verdicts of this vote so far; it is added to.
        """
        leaders: list[str] = []
        merged: dict[str, str] = {}
        if self.merger is None:
            return merged
        for key in sorted(answers):
            for leader in leaders:
                if (leader, key) not in known:
                    pair = Pair(answers[leader], answers[key], self.answer, question)
                    known[leader, key] = await self._same(self.merger, pair)
                if known[leader, key]:
                    merged[key] = leader
                    break
            else:
                leaders.append(key)
        return merged

    async def _same(self, merger: Merger, pair: Pair) -> bool:
        if self.answer.kind is AnswerKind.EXPRESSION and _marks(pair.first) != _marks(pair.second):
            return False
        if self.verdicts is None:
            return await merger.same(pair)
        kind = self.answer.kind.value
        key = content_id([self.name, kind, pair.question, pair.first, pair.second])
        stored = self.verdicts.get(key)
        return self.verdicts.put(key, await merger.same(pair)) if stored is None else stored


def _marks(expression: str) -> list[str]:
    """Return the units, words, degree and per cent signs of an expression; no merger may drop one.

    A unit of one letter counts where it is marked as text: `5\\text{ m}`.
    """
    words = [word for text in _WRITTEN_OUT.findall(expression) for word in text.split()]
    return sorted({*words, *_APART.findall(clean(expression))})


class Judge(dspy.Module):
    """A language model says whether two answers to a question say the same.

    A reply that gives no verdict counts as no: nothing is merged without a reason. The predictor is
    `judge.predict`, so it can be optimised, and its calls are logged and replayed as all others.

    Args:
        temperature: with what it is drawn; None where the model fixes its own.

    Returns (of a call): a `dspy.Prediction` with `same` (bool), `reason`, and `read` (the verdict as
    it was given, yes or no; None where there was none).
    """

    name = "judge"

    def __init__(self, temperature: float | None = 0.1) -> None:
        super().__init__()
        self.predict = dspy.Predict(SameAnswer)
        self.temperature = temperature

    async def aforward(self, question: str, first: str, second: str) -> dspy.Prediction:
        """Return the verdict on two answers."""
        config = call_config(self, sample=0, temperature=self.temperature)
        try:
            verdict = await self.predict.acall(
                question=question, first=first, second=second, config=config
            )
        except AdapterParseError:
            return dspy.Prediction(same=False, reason="The reply gave no verdict.", read=None)
        return dspy.Prediction(same=verdict.same == "yes", reason=verdict.reason, read=verdict.same)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Return the same as `aforward`, for callers without an event loop."""
        return run_sync(self.aforward(**inputs))

    async def same(self, pair: Pair) -> bool:
        """Return whether two answers say the same."""
        verdict = await self.acall(question=pair.question, first=pair.first, second=pair.second)
        return bool(verdict.same)


Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Returns one vector for each text; the model behind it is the caller's."""


@dataclass(slots=True)
class Embedding:
    """Two answers say the same when their embeddings are near and they name the same numbers.

    In symbols: cos(e(a), e(b)) >= threshold, and the multisets of numbers in a and b are equal, for
    a changed number hardly moves an embedding. Nor does a negation: use a judge where that matters.

    Args:
        embed: returns one vector for each text; called in a thread. No model comes with DS2.
        threshold: smallest cosine, 0 < threshold <= 1. To be set on data of one's own.
        model: names the model and its version, for the fingerprint of a run.
    """

    embed: Embed
    threshold: float = 0.9
    model: str = "embedding"
    _vectors: dict[str, tuple[float, ...]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError.rule(
                "Building an embedding comparer failed",
                name="threshold",
                rule="be above 0 and at most 1",
                value=self.threshold,
                todo="Give the smallest cosine of answers that say the same, such as 0.9.",
            )

    @property
    def name(self) -> str:
        """Return what stands for it in a fingerprint."""
        return f"{self.model}@{self.threshold!r}"

    async def same(self, pair: Pair) -> bool:
        """Return whether two answers are near and name the same numbers."""
        if _named_numbers(pair.first) != _named_numbers(pair.second):
            return False
        left, right = await asyncio.to_thread(self._embedded, pair.first, pair.second)
        return _cosine(left, right) >= self.threshold

    def _embedded(self, first: str, second: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        found = [self._vectors.get(text) for text in (first, second)]
        left, right = found
        if left is None or right is None:
            left, right = (tuple(map(float, vector)) for vector in self.embed([first, second]))
            if len(self._vectors) >= _REMEMBERED:
                self._vectors.clear()
            self._vectors.update({first: left, second: right})
        return left, right


@dataclass(frozen=True, slots=True)
class BothWays:
    """A merger that is asked in both directions and must say yes twice, for one that is asymmetric."""

    merger: Merger

    @property
    def name(self) -> str:
        """Return the merger's name, marked."""
        return f"{self.merger.name}, both ways"

    async def same(self, pair: Pair) -> bool:
        """Return whether both directions agree that two answers are the same."""
        turned = pair._replace(first=pair.second, second=pair.first)
        return await self.merger.same(pair) and await self.merger.same(turned)


def _named_numbers(text: str) -> list[tuple[str, bool]]:
    return sorted((str(n.value), n.percent) for n in numbers(prepare(text)))


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    size = sqrt(sum(x * x for x in left) * sum(y * y for y in right))
    return sum(x * y for x, y in zip(left, right, strict=True)) / size if size else 0.0
