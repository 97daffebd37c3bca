"""Live trials of a tuning study: each a small run in memory, over one call log for all of them.

A trial has its own settings and its own program, but every call goes through the study's store: what
an earlier trial asked with the same prompt, options and sample number answers at once. So a trial that
was broken off is made again at no cost, and trials that differ in the vote alone share their
instructions.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ds2.config import RunConfig
from ds2.engines.base import Backend
from ds2.engines.budget import Budget
from ds2.engines.limiter import place
from ds2.engines.logged import CallLog
from ds2.runtime.budgets import check_measurable, open_budget
from ds2.runtime.costs import at_known_prices, keep_prices
from ds2.runtime.plan import make_plan
from ds2.runtime.quiet import quiet_dspy
from ds2.runtime.scheduler import Decided, Scheduler
from ds2.runtime.screening import Screening, make_screening
from ds2.runtime.session import (
    Resolver,
    RunRequest,
    backends_for,
    build_program,
    connect,
)
from ds2.runtime.work import ProgramWork
from ds2.store import RunStore
from programs.equivalence import read_answer
from programs.stopping import Calibrated, Counts
from programs.synthesis import DS2Instruct
from signatures.errors import StageError
from signatures.receipts import Receipt
from signatures.records import Rejection, Row, Vote

DEV_PLACE = -2
"""The place of the votes on dev questions, which are no unit of a run."""


class Question(Protocol):
    """A question whose right answer is known, such as a row of `optimizers.devsets`.

    `key` is the right answer as readings are compared; None where it cannot be read.
    """

    @property
    def question(self) -> str: ...

    @property
    def key(self) -> str | None: ...

    @property
    def context(self) -> str: ...

    @property
    def options(self) -> tuple[str, ...]: ...


class NoResult(Exception):  # noqa: N818 - no error: the settings give nothing that could be measured
    """A trial came to nothing; the message says why."""


class TrialResult(NamedTuple):
    """What a trial came to.

    Args:
        accepted: rows.
        decided: units that were accepted or rejected.
        agreement: mean over the rows.
        estimate: mean estimated probability that a row is right; None without a calibrated table.
        dev_accepted: dev questions whose vote was accepted; None without a dev set.
        dev_right: those of them that were right.
        held_out_accepted: the same of the held-out questions; None without any.
        held_out_right: likewise.
        tokens: of all calls that the decided units and the keywords stand on, new or logged; None
            where the endpoint does not report them all.
        usd: their price; None where it is not known.
        calls: how many there are.
        new_calls: calls that this trial made; the rest was in the log.
        diversity: distinct-2 of the accepted instructions.
    """

    accepted: int
    decided: int
    agreement: float
    estimate: float | None
    dev_accepted: int | None
    dev_right: int | None
    held_out_accepted: int | None
    held_out_right: int | None
    tokens: int | None
    usd: float | None
    calls: int
    new_calls: int
    diversity: float


@dataclass(frozen=True, slots=True)
class TrialSetup:
    """What all trials of a study share.

    Args:
        request: task, models, budget, folder; its configuration is that of the default trial.
        dev: questions with right answers, on which the vote of a trial is judged.
        held_out: others, on which it is voted as well, to tell later what was chosen by `dev` is worth.
        estimate: a calibrated policy, whose table says how likely accepted rows are right.
        resolve: how a model's name becomes a backend; None for the ordinary way.
        on_notice: told when an endpoint is down and calls are held back, and when they go on.
    """

    request: RunRequest
    dev: Sequence[Question] = ()
    held_out: Sequence[Question] = ()
    estimate: Calibrated | None = None
    resolve: Resolver | None = None
    on_notice: Callable[[str], None] | None = None


def trial_budget(setup: TrialSetup, store: RunStore) -> Budget:
    """Return the budget of a study; what its log holds is spent.

    Raises:
        ConfigError: it cannot be held, for a price or a limit on replies is not known.
    """
    backends = at_known_prices(store, backends_for(setup.request, setup.resolve))
    check_measurable(setup.request.budget, backends)
    return open_budget(setup.request.budget, backends, store)


async def run_trial(
    setup: TrialSetup, changes: Mapping[str, Any], store: RunStore, budget: Budget
) -> TrialResult:
    """Run one trial and return what it came to.

    Args:
        setup: what all trials share.
        changes: fields of `RunConfig`, and `model`, `judge_model`, `max_tokens`, `program`.
        store: the call log of the study.
        budget: of the study.

    Raises:
        NoResult: the settings give no row, or a stage's replies are unusable.
        BudgetSpent: the budget is spent.
        RunStoppedError: the endpoint does not answer any more.
        DS2Error: something the user can mend.
    """
    request = _changed(setup.request, changes)
    backends = backends_for(request, setup.resolve)
    program = build_program(request, backends)
    backends, _ = keep_prices(store, backends)
    log = TrialLog(store)
    with quiet_dspy(request.config.adapter):
        engines = connect(
            program,
            backends,
            log=store,
            engine=request.engine,
            budget=budget,
            on_notice=setup.on_notice,
        )
        for engine in engines:
            engine.log = log.of(engine.stage)
        # The screens of a run, for what they turn away is paid all the same.
        screening = make_screening(request.config, request.task, ())
        work = ProgramWork(program, backends, answered=lambda: log.answered, screens=screening.own)
        try:
            decided = await _units(request, program, work, screening)
            dev = await _dev_votes((*setup.dev, *setup.held_out), program, work)
        except StageError as error:
            raise NoResult(str(error).splitlines()[0]) from error
        finally:
            for engine in engines:
                await engine.aclose()
    return _result(setup, backends, log, decided, dev)


async def _units(
    request: RunRequest, program: DS2Instruct, work: ProgramWork, screening: Screening
) -> list[Decided]:
    config = request.config
    with work.failures("keywords"):
        grown = await program.aexpand(config.bank, config.seed)
    decided: list[Decided] = []
    scheduler = Scheduler(
        make_plan([keyword.text for keyword in grown.bank], config),
        work,
        committed=screening.decided,
        written=screening.undecided,
        on_decided=decided.append,
        concurrency=request.engine.concurrency,
        candidates=config.candidates,
        families=screening.families,
        alarm=screening.alarm,
    )
    await scheduler.run()
    return decided


async def _dev_votes(
    dev: Sequence[Question], program: DS2Instruct, work: ProgramWork
) -> list[tuple[Vote, bool]]:
    """Return the vote on each dev question, and whether it was accepted with the right answer."""

    async def one(asked: Question) -> tuple[Vote, bool]:
        place.set(DEV_PLACE)
        inputs: dict[str, Any] = {"question": asked.question}
        if asked.context:
            inputs["context"] = asked.context
        if asked.options:
            inputs["options"] = list(asked.options)
        with work.failures("answers"):
            vote = (await program.vote.acall(**inputs)).vote
        return vote, vote.accepted and _key(program, vote, asked) == asked.key

    tasks = [asyncio.ensure_future(one(asked)) for asked in dev]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(program: DS2Instruct, vote: Vote, asked: Question) -> str | None:
    return read_answer(
        program.task.answer, typed=vote.winner, options=asked.options, question=asked.question
    ).key


def _result(
    setup: TrialSetup,
    backends: Mapping[str, Backend],
    log: TrialLog,
    decided: Sequence[Decided],
    dev: Sequence[tuple[Vote, bool]],
) -> TrialResult:
    rows = [d.outcome for d in decided if isinstance(d.outcome, Row)]
    dev, held_out = dev[: len(setup.dev)], dev[len(setup.dev) :]
    if not rows or (setup.dev and not any(vote.accepted for vote, _ in dev)):
        raise NoResult("nothing was accepted")
    calls = log.calls_at(_paid_places(decided))
    return TrialResult(
        accepted=len(rows),
        decided=sum(d.outcome is not None for d in decided),
        agreement=sum(row.vote.agreement for row in rows) / len(rows),
        estimate=_estimate(setup.estimate, rows),
        dev_accepted=_accepted(dev),
        dev_right=_right(dev),
        held_out_accepted=_accepted(held_out),
        held_out_right=_right(held_out),
        tokens=_sum(_tokens(receipt) for _, receipt in calls),
        usd=_sum(_usd(backends[stage], receipt) for stage, receipt in calls),
        calls=len(calls),
        new_calls=log.new_calls,
        diversity=distinct_2([row.instruction.question for row in rows]),
    )


def _accepted(votes: Sequence[tuple[Vote, bool]]) -> int | None:
    return sum(vote.accepted for vote, _ in votes) if votes else None


def _right(votes: Sequence[tuple[Vote, bool]]) -> int | None:
    return sum(right for _, right in votes) if votes else None


def _paid_places(decided: Sequence[Decided]) -> dict[int, frozenset[str]]:
    """Return the stages that count towards the cost, by place.

    Surplus units do not count, nor the vote of a duplicate: whether it was begun depends on timing.
    """
    writer, both = frozenset({"writer"}), frozenset({"writer", "answers", "judge"})
    return {
        d.unit.place: writer if isinstance(d.outcome, Rejection) and not d.outcome.vote else both
        for d in decided
        if d.outcome is not None
    }


def _estimate(table: Calibrated | None, rows: Sequence[Row]) -> float | None:
    """Return the mean probability of being right, each row by the last state that the table knows."""
    if table is None:
        return None
    found = [_probability(table, row.vote) for row in rows]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known else None


def _probability(table: Calibrated, vote: Vote) -> float | None:
    votes: Counter[str] = Counter()
    unreadable, found = 0, None
    for sample in vote.samples:
        if sample.key is None:
            unreadable += 1
        else:
            votes[sample.key] += 1
        counts = Counts(tuple(sorted(votes.values(), reverse=True)), unreadable)
        now = table.probability(counts)
        found = found if now is None else now
    return found


def distinct_2(texts: Iterable[str]) -> float:
    """Return how many of the word pairs of some texts are different, 0 to 1; 0 without any pair.

    Source: Li et al. (2016), arXiv:1510.03055, distinct-2.

    Example:
        >>> distinct_2(["how many apples", "how many pears"])
        0.75
    """
    pairs: list[tuple[str, str]] = []
    for text in texts:
        words = text.casefold().split()
        pairs += pairwise(words)
    return len(set(pairs)) / len(pairs) if pairs else 0.0


class TrialLog:
    """Which calls a trial stands on, whether they were made for it or were in the log.

    Args:
        store: the study's call log.
    """

    def __init__(self, store: CallLog) -> None:
        self.store = store
        self.new_calls = 0
        self._calls: dict[tuple[int, str, str], Receipt] = {}

    @property
    def answered(self) -> bool:
        """Return whether any call of the trial has a reply."""
        return bool(self._calls)

    def of(self, stage: str) -> StageLog:
        """Return the log of one stage's engine."""
        return StageLog(self, stage)

    def note(self, at: int, stage: str, receipt: Receipt) -> None:
        """Take in a reply."""
        self._calls[at, stage, receipt.call] = receipt

    def calls_at(self, places: Mapping[int, frozenset[str]]) -> list[tuple[str, Receipt]]:
        """Return the calls for the keywords and for some units, each once, with their stage."""
        found = {}
        for (at, stage, key), receipt in list(self._calls.items()):
            if at != DEV_PLACE and (stage == "keywords" or stage in places.get(at, ())):
                found[key] = (stage, receipt)
        return [found[key] for key in sorted(found)]


class StageLog:
    """The study's call log (see `ds2.engines.logged.CallLog`) as one stage of a trial uses it."""

    def __init__(self, trial: TrialLog, stage: str) -> None:
        self._trial, self._stage = trial, stage

    def get(self, key: str) -> Receipt | None:
        """Return the stored reply of a call, or None."""
        found = self._trial.store.get(key)
        if found is not None:
            self._trial.note(place.get(), self._stage, found)
        return found

    def put(self, receipt: Receipt, **about: Any) -> Future[Receipt]:
        """Store a reply; see `CallLog`."""
        self._trial.new_calls += 1
        stored = self._trial.store.put(receipt, **about)
        at = place.get()

        def noted(done: Future[Receipt]) -> None:
            if done.exception() is None:
                self._trial.note(at, self._stage, done.result())

        stored.add_done_callback(noted)
        return stored


def _tokens(receipt: Receipt) -> int | None:
    if receipt.input_tokens is None or receipt.output_tokens is None:
        return None
    return receipt.input_tokens + receipt.output_tokens


def _usd(backend: Backend, receipt: Receipt) -> float | None:
    if backend.price is None:
        return None
    if backend.price.is_free:
        return 0.0
    if receipt.input_tokens is None or receipt.output_tokens is None:
        return None
    return backend.price.cost_usd(
        receipt.input_tokens, receipt.output_tokens, receipt.reasoning_tokens or 0
    )


def _sum(parts: Iterable[Any]) -> Any:
    """Return the sum; None where a part is unknown."""
    values = list(parts)
    return None if any(value is None for value in values) else sum(values)


def _changed(request: RunRequest, changes: Mapping[str, Any]) -> RunRequest:
    """Return the request of a trial; the settings are checked as those of any run."""
    own = ("model", "judge_model", "max_tokens", "program")
    given = {name: value for name, value in changes.items() if name not in own}
    config = RunConfig.build(**{**request.config.model_dump(), **given})
    engine = request.engine.model_dump()
    for name in ("model", "max_tokens"):
        if name in changes:
            engine[name] = changes[name]
    if changes.get("judge_model"):
        engine["model_for"] = {**engine["model_for"], "judge": changes["judge_model"]}
    program = changes.get("program", request.program)
    return replace(
        request,
        config=config,
        engine=type(request.engine).build(**engine),
        program=None if program is None else Path(program),
    )
