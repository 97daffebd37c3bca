"""The keyword bank: core keywords, rounds of expansion downward and upward, then out of a corpus.

Source: DS²-Instruct, section 3.1 (arXiv:2603.12932). Deviation: the bank grows to a stated size
instead of for a stated number of rounds, a stated share of it comes out of the corpus where there
is one, and every keyword keeps its lineage.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import dspy

from programs.loop import run_sync
from programs.redraw import Drawn, longer, once
from programs.retrieval import ReadingList, Retriever
from programs.sampling import call_config
from programs.wording import bullet_items, clean_keyword, extracted_keyword, keyword_key
from signatures.errors import ConfigError, StageError
from signatures.keywords import (
    AdvancedKeywords,
    CoreKeywords,
    ExtractKeywords,
    PrerequisiteKeywords,
    task_line,
)
from signatures.records import Keyword, KeywordOrigin, Passage
from signatures.task import TaskSpec

TRIES = 3  # for one list: the first draw and two repeats
KNOWN_SHOWN = 60  # keywords of the bank that a prompt shows, the newest and a seeded rest
DRY_ROUNDS = 2
FEW = 1 / 8  # of the keywords asked for: rounds that bring fewer are done two at a time


class Ask(NamedTuple):
    """One list to ask for: of what kind, from which keywords, in which round, as which call of it.

    `passage` is what is read, for `retrieved`.
    """

    origin: KeywordOrigin
    seeds: tuple[str, ...]
    round: int
    number: int
    passage: Passage | None = None

    def clean(self, text: str) -> str | None:
        """Return a keyword of this list as the bank takes it, or None where it is none."""
        return clean_keyword(text) if self.passage is None else extracted_keyword(text)


@dataclass(frozen=True, slots=True)
class ExpansionShape:
    """How the bank is grown.

    Args:
        core: core keywords to ask for.
        width: new keywords to ask for in one list.
        seeds: keywords of the bank that one list looks beneath or builds upon.
        parallel: most lists of one direction in a round.
        max_rounds: rounds after which the bank is taken as it is.
        retrieved: share of the bank that comes out of the corpus where there is one, 0 to below 1.
        per_passage: new keywords to ask for in one passage, at most.
    """

    core: int = 12
    width: int = 8
    seeds: int = 4
    parallel: int = 8
    max_rounds: int = 64
    retrieved: float = 0.4
    per_passage: int = 4


class KeywordBank:
    """Keywords in the order they were found, each known by its folded spelling."""

    def __init__(self, size: int, *, english: bool) -> None:
        self.size = size
        self.keywords: list[Keyword] = []
        self._english = english
        self._keys: set[str] = set()

    @property
    def full(self) -> bool:
        """Return whether the bank has its size."""
        return len(self.keywords) >= self.size

    def add(self, texts: Sequence[str], ask: Ask) -> int:
        """Add what is new among `texts`, up to the bank's size; return how many were."""
        added = 0
        for text in texts:
            cleaned = ask.clean(text)
            key = keyword_key(cleaned, english=self._english) if cleaned else ""
            if self.full or cleaned is None or key in self._keys:
                continue
            self._keys.add(key)
            self.keywords.append(
                Keyword(
                    text=cleaned,
                    origin=ask.origin,
                    round=ask.round,
                    parents=ask.seeds,
                    passage_id=ask.passage.id if ask.passage else None,
                )
            )
            added += 1
        return added

    def known(self, rng: random.Random) -> str:
        """Return the keywords that a prompt shows as already there."""
        texts = [keyword.text for keyword in self.keywords]
        if len(texts) > KNOWN_SHOWN:
            newest, older = texts[-KNOWN_SHOWN // 2 :], texts[: -KNOWN_SHOWN // 2]
            texts = rng.sample(older, KNOWN_SHOWN - len(newest)) + newest
        return ", ".join(texts)


class Brought(NamedTuple):
    """What rounds brought: new keywords, of so many that they asked for."""

    new: int
    asked: int

    @property
    def few(self) -> bool:
        """Return whether what one round finds hardly changes what the next one is shown."""
        return self.new < FEW * self.asked


class _Growth:
    """Rounds of a bank, counted over all its steps."""

    def __init__(self, bank: KeywordBank, max_rounds: int) -> None:
        self.rounds = 0
        self._bank, self._max_rounds = bank, max_rounds
        self._dry = 0

    async def by(self, step: Callable[[range], Awaitable[Brought]]) -> None:
        """Do rounds of one step until the bank is full, two brought nothing, or all are done.

        Args:
            step: does the rounds of these numbers at once.
        """
        self._dry, at_once = 0, 1
        while not self._bank.full and self._dry < DRY_ROUNDS and self.rounds < self._max_rounds:
            at_once = min(at_once, DRY_ROUNDS - self._dry)
            last = min(self.rounds + at_once, self._max_rounds)
            numbers = range(self.rounds + 1, last + 1)
            self.rounds = last
            brought = await step(numbers)
            self._dry = 0 if brought.new else self._dry + len(numbers)
            at_once = 2 if brought.few else 1

    @property
    def stopped(self) -> Literal["size", "nothing_new", "rounds"]:
        """Return why the last step ended."""
        if self._bank.full:
            return "size"
        return "nothing_new" if self._dry >= DRY_ROUNDS else "rounds"


class KeywordExpansion(dspy.Module):
    """Grow a keyword bank from one task description.

    Core keywords are asked for once. Then, by rounds, seeded samples of the bank are shown and
    prerequisites (downward) and advanced topics (upward) asked for, in parallel, the model being
    shown what is there. Results are merged in the order of asking, so the bank does not depend on
    timing. A round that brings few is followed by two at a time, which wait for each other no more. It
    stops when the bank has its size (`size`), when two rounds brought nothing new
    (`nothing_new`), or after `shape.max_rounds` (`rounds`).

    With a retriever, `shape.retrieved` of the bank is kept free for a third step: a query of the
    task's domain and a seeded sample of the bank finds a passage, those not yet read first, and the
    model extracts keywords from it, being shown what is there. Where that brings nothing new before
    the bank is full, expansion goes on. A passage whose reply stays unparsable, is refused or
    withheld is put aside (`unreadable`): one document must not end a run.

    Returns (of a call): a `dspy.Prediction` with `bank` (a tuple of `Keyword`), `stopped`, `rounds`,
    `passages` (those read, a tuple of `Passage`) and `unreadable` (ids of those put aside).

    Raises (of a call):
        ConfigError: `size` is below 1.
        StageError: a list stayed empty or unparsable after two repeats (of a passage it may be
            empty). Keywords are never invented.
    """

    def __init__(
        self,
        task: TaskSpec,
        shape: ExpansionShape | None = None,
        *,
        temperature: float | None = 0.7,
        max_tokens_cap: int | None = None,
        retriever: Retriever | None = None,
    ) -> None:
        super().__init__()
        self.max_tokens_cap = max_tokens_cap
        self.task = task
        self.retriever = retriever
        self.shape = shape or ExpansionShape()
        self.temperature = temperature
        self.core = dspy.Predict(CoreKeywords)
        self.prerequisites = dspy.Predict(PrerequisiteKeywords)
        self.advanced = dspy.Predict(AdvancedKeywords)
        self.extract = dspy.Predict(ExtractKeywords)

    async def aforward(self, size: int = 24, seed: int = 0) -> dspy.Prediction:
        """Return the keyword bank of up to `size` keywords; `seed` decides which are expanded when."""
        if size < 1:
            raise ConfigError.rule(
                "Growing the keyword bank failed",
                unit=self.task.name,
                name="size",
                rule="be at least 1",
                value=size,
                todo="Ask for one keyword or more.",
            )
        kept = 0 if self.retriever is None else int(size * self.shape.retrieved)
        bank = KeywordBank(size - kept, english=self.task.english)
        growth = _Growth(bank, self.shape.max_rounds)
        reading = ReadingList(self.retriever)
        first = Ask(KeywordOrigin.CORE, (), 0, 0)
        bank.add(await self._list(first, min(self.shape.core, bank.size), "") or (), first)

        async def expand(numbers: range) -> Brought:
            return await self._expand(bank, numbers, seed)

        async def extract(numbers: range) -> Brought:
            return await self._read(bank, numbers, seed, reading)

        await growth.by(expand)
        if self.retriever is not None:
            bank.size = size
            await growth.by(extract)
            await growth.by(expand)
        return dspy.Prediction(
            bank=tuple(bank.keywords),
            stopped=growth.stopped,
            rounds=growth.rounds,
            passages=tuple(reading.passages),
            unreadable=tuple(reading.unreadable),
        )

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Return the same as `aforward`, for callers without an event loop."""
        return run_sync(self.aforward(**inputs))

    async def _expand(self, bank: KeywordBank, numbers: range, seed: int) -> Brought:
        """Ask for the lists of rounds, merge them in the order of asking."""
        missing = bank.size - len(bank.keywords)
        lists = min(self.shape.parallel, math.ceil(missing / (2 * self.shape.width)))
        texts = [keyword.text for keyword in bank.keywords]
        asks, known = [], {}
        for number in numbers:
            rng = random.Random(f"{seed}/round/{number}")
            asks += [
                Ask(origin, tuple(rng.sample(texts, min(self.shape.seeds, len(texts)))), number, i)
                for i in range(lists)
                for origin in (KeywordOrigin.PREREQUISITE, KeywordOrigin.ADVANCED)
            ]
            known[number] = bank.known(rng)
        found = await self._lists(asks, self.shape.width, known)
        new = sum(bank.add(texts or (), ask) for ask, texts in zip(asks, found, strict=True))
        return Brought(new, len(asks) * self.shape.width)

    async def _read(
        self, bank: KeywordBank, numbers: range, seed: int, reading: ReadingList
    ) -> Brought:
        """Read the passages of rounds, merge what they gave in order."""
        missing = bank.size - len(bank.keywords)
        texts = [keyword.text for keyword in bank.keywords]
        by_passage: dict[str, Ask] = {}  # none is read twice at once
        known = {}
        for number in numbers:
            rng = random.Random(f"{seed}/read/{number}")
            for i in range(min(self.shape.parallel, math.ceil(missing / self.shape.per_passage))):
                seeds = tuple(rng.sample(texts, min(self.shape.seeds, len(texts))))
                passage = reading.take(" ".join((self.task.domain, *seeds)))
                if passage is not None:
                    ask = Ask(KeywordOrigin.RETRIEVED, seeds, number, i, passage)
                    by_passage.setdefault(passage.id, ask)
            known[number] = bank.known(rng)
        asks = [*by_passage.values()]
        found = await self._lists(asks, self.shape.per_passage, known)
        reading.unreadable += [
            id_ for id_, list_ in zip(by_passage, found, strict=True) if list_ is None
        ]
        new = sum(bank.add(texts or (), ask) for ask, texts in zip(asks, found, strict=True))
        return Brought(new, len(asks) * self.shape.per_passage)

    async def _lists(
        self, asks: Sequence[Ask], count: int, known: Mapping[int, str]
    ) -> list[list[str] | None]:
        """Ask for lists at once and return them in the order of asking; `known` is by round."""
        found = await asyncio.gather(
            *(self._list(ask, count, known[ask.round]) for ask in asks), return_exceptions=True
        )
        failures = [result for result in found if isinstance(result, BaseException)]
        # A circuit breaker or a cancellation goes before any ordinary error.
        for failure in sorted(failures, key=lambda f: isinstance(f, Exception)):
            raise failure
        return [result for result in found if not isinstance(result, BaseException)]

    async def _list(self, ask: Ask, count: int, known: str) -> list[str] | None:
        """Return one list; None for a passage whose reply stays unusable."""
        words, limit = "", None
        for attempt in range(TRIES):
            # Round and place are part of the sample number: asking again is a new call, not a repeat.
            sample = (ask.round * 64 + ask.number) * TRIES + attempt
            config = call_config(self, sample=sample, temperature=self.temperature)
            if limit is not None:
                config["max_tokens"] = limit
            drawn, texts = await self.draw(ask, count, known, config, words)
            if any(clean_keyword(text) for text in texts):
                return texts
            if ask.passage is not None and drawn.prediction is not None and not drawn.cut:
                return []  # a passage may hold nothing new
            if ask.passage is not None and (drawn.withheld or drawn.refused):
                return None  # another draw would be about the same text
            words = drawn.problem or "it held no keyword"
            # What was cut with nothing before the cut is not asked for again at the same length.
            if drawn.cut and (limit or (limit := longer(self, self.max_tokens_cap)) is None):
                break
        if ask.passage is not None:
            return None
        raise StageError.rule(
            "Growing the keyword bank failed",
            unit=f"{self.task.name}, {ask.origin} keywords, round {ask.round}",
            name="the model's reply",
            rule="be a list of keywords, not cut at the token limit"
            if drawn.cut
            else "be a list of keywords",
            value=drawn.text,
            todo="Give it a longer --max-tokens or --max-tokens-cap."
            if drawn.cut
            else f"It was asked {TRIES} times; try a stronger model, or `ds2 check` for its adapter.",
        )

    def predictor_of(self, ask: Ask) -> dspy.Predict:
        """Return the predictor that a list of this kind is asked of."""
        return {
            KeywordOrigin.CORE: self.core,
            KeywordOrigin.PREREQUISITE: self.prerequisites,
            KeywordOrigin.RETRIEVED: self.extract,
        }.get(ask.origin, self.advanced)

    async def draw(
        self, ask: Ask, count: int, known: str, config: dict[str, Any], words: str = ""
    ) -> tuple[Drawn, list[str]]:
        """Return one list as it was drawn, empty where the reply holds none; `words` as in `once`."""
        predict = self.predictor_of(ask)
        inputs: dict[str, Any] = {
            "task": task_line(self.task),
            "language": self.task.language,
            "count": count,
        }
        if ask.origin is KeywordOrigin.CORE:
            inputs["examples"] = ", ".join(self.task.example_keywords) or "none"
        elif ask.passage is not None:
            inputs |= {"passage": ask.passage.text, "known": known}
        else:
            inputs |= {"seeds": ", ".join(ask.seeds), "known": known}
        drawn = await once(lambda config: predict.acall(**inputs, config=config), config, words)
        if drawn.prediction is None:
            texts = bullet_items(drawn.text)
        else:
            texts = [str(text) for text in drawn.prediction["keywords"] or ()]
        # A list that was cut at the token limit ends in the middle of a keyword.
        return drawn, texts[:-1] if drawn.cut else texts
