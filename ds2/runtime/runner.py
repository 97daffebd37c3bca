"""One run from its request to its dataset: keyword bank, scheduler, output, summary."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ds2.engines.base import Backend
from ds2.engines.budget import Budget, BudgetSpent
from ds2.engines.logged import LoggedEngine
from ds2.fingerprint import fingerprint
from ds2.runtime.budgets import check_measurable, open_budget
from ds2.runtime.changes import keep_changes
from ds2.runtime.costs import at_stored_prices, keep_prices, run_cost, total
from ds2.runtime.examples import example_of
from ds2.runtime.folder import resolved, write_json, write_making, write_rows
from ds2.runtime.grounding import bank_facts, corpus_notices, write_passages
from ds2.runtime.heartbeat import Heartbeat
from ds2.runtime.ledger import Ledger, unbalanced
from ds2.runtime.naming import strange_models
from ds2.runtime.plan import KnownEnds, Plan, make_plan
from ds2.runtime.quiet import quiet_dspy
from ds2.runtime.remembered import Remembered
from ds2.runtime.scheduler import HEDGED_WINDOW, WINDOW, Decided, Scheduler
from ds2.runtime.screening import Screening, make_screening
from ds2.runtime.session import (
    Pilot,
    Resolver,
    RunRequest,
    backends_for,
    build_program,
    claim,
    connect,
    grounded,
    merges_by_judge,
    open_folder,
    useless,
)
from ds2.runtime.stopping import current
from ds2.runtime.summary import RunSummary, stage_usage, surplus_calls
from ds2.runtime.work import ProgramWork, StageCheck
from ds2.runtime.worst_case import worst_case_calls
from ds2.screen.avoid import read_avoided
from ds2.store import RunStore, UnitRecord
from programs.stopping import parse_policy
from programs.synthesis import DS2Instruct
from signatures.errors import RunStoppedError, StoreError
from signatures.records import Keyword, Passage, Rejection, Row, canonical_json


@dataclass(slots=True)
class Progress:
    """How far a run is; read it at any time, it changes under way.

    Args:
        target: rows wanted.
        ledger: the ledger so far.
        agreement_sum: over the accepted rows; divide by `ledger.accepted`.
        by_level: accepted rows by level.
        decided_calls: calls of the units that were accepted or rejected, logged ones among them.
        behind: the run ended before it had read all that was decided before, so that its ledger is not
            that of the end.
    """

    target: int
    ledger: Ledger
    agreement_sum: float = 0.0
    by_level: Counter[str] = field(default_factory=Counter)
    decided_calls: int = 0
    behind: bool = False


class Observer(Protocol):
    """Who watches a run. Calls come from the run's event loop, in this order, and must be quick.

    `began` comes before the first call, with the most calls the run can make; `grew` when the
    keyword bank is there; `started` when units begin, with what can be read from then on; `ended`
    when the stages have ended in any way, after which the store may not be read. In between, at any
    time and from any thread, `noticed` says that an endpoint is down and when it is tried next, or
    that it answers again.
    """

    def began(
        self, request: RunRequest, backends: Mapping[str, Backend], worst_calls: int
    ) -> None: ...

    def grew(self, bank: tuple[Keyword, ...], stopped: str) -> None: ...

    def started(self, progress: Progress, store: RunStore) -> None: ...

    def noticed(self, words: str) -> None: ...

    def ended(self) -> None: ...


class _Ended(NamedTuple):
    status: str
    error: BaseException | None = None


async def run(
    request: RunRequest, observer: Observer | None = None, *, resolve: Resolver | None = None
) -> RunSummary:
    """Run a request to its end and return what it came to.

    The run folder holds the store, `config.json`, `keywords.json`, `summary.json` and `dataset/`.
    The same request on the same folder continues it: logged calls answer at once.

    Args:
        request: what is asked for.
        observer: who watches.
        resolve: how a model's name becomes a backend; None for the ordinary way.

    Raises:
        DS2Error: something the user can mend; the store is kept.
        LedgerError: the ledger does not add up, however the run ended.
        asyncio.CancelledError: the run was interrupted; everything is written.
    """
    began_s = time.monotonic()
    request = grounded(request)
    backends = backends_for(request, resolve)
    check_measurable(request.budget, at_stored_prices(request.out, backends))
    program = build_program(request, backends)
    avoided = read_avoided(request.config.avoid)
    screening = make_screening(request.config, request.task, avoided)
    open_folder(request.out)
    with RunStore(request.out) as store, quiet_dspy(request.config.adapter):
        identity = claim(store, request, program, backends, avoided)
        backends, told = keep_prices(store, backends)
        write_json(request.out / "config.json", resolved(request, backends))
        if avoided:  # relative paths are of here
            store.set_meta({"folder": str(Path.cwd())})
        keep_changes(request.program, request.out)
        logged = store.calls
        budget = open_budget(request.budget, backends, store)
        engines = connect(
            program,
            backends,
            log=store,
            engine=request.engine,
            budget=budget,
            on_notice=None if observer is None else observer.noticed,
        )
        if observer is not None:
            worst = worst_case_calls(
                request.config,
                request.engine.concurrency,
                judge=merges_by_judge(request),
                corpus=request.corpus is not None,
            )
            observer.began(request, backends, worst)
        job = _Job(request, backends, program, store, observer, identity, budget, screening)
        del screening  # the job gives its memory back before files are written
        job.engines, job.told = engines, told
        heartbeat = Heartbeat(store, engines, budget, job.progress)
        stop = current()
        with stop.at_last(heartbeat.cut_short):
            try:
                async with heartbeat.beating():
                    ended = await job.work()
            finally:
                if observer is not None:
                    observer.ended()
                for engine in engines:
                    await engine.aclose()
            with heartbeat.noting_errors(), stop.unhurried():
                heartbeat.beat("writing")
                summary = job.conclude(ended, logged, began_s)
            why = stop.words if summary.status == "interrupted" else str(ended.error or "")
            heartbeat.beat("ended", status=summary.status, why=why)
    if isinstance(ended.error, asyncio.CancelledError):
        raise ended.error
    return summary


class _Job:
    """The parts of one run that belong together while it runs."""

    def __init__(
        self,
        request: RunRequest,
        backends: Mapping[str, Backend],
        program: DS2Instruct,
        store: RunStore,
        observer: Observer | None,
        identity: Mapping[str, Any],
        budget: Budget,
        screening: Screening,
    ) -> None:
        self.request, self.backends, self.budget = request, backends, budget
        self.program, self.store, self.observer = program, store, observer
        self.screening = screening
        self.identity, self.fingerprint = identity, fingerprint(identity)
        self.pilot = request.pilot or Pilot()
        self.last: dict[str, int] = {}
        self.engines: list[LoggedEngine] = []
        self.told: tuple[str, ...] = ()
        self.examples: dict[str, str] = {}
        self.ledger = Ledger()
        self.remembered: Remembered | None = None
        self.keywords: dict[str, Any] = {}
        self.read: tuple[Passage, ...] = ()
        self.progress = Progress(request.config.target, self.ledger)
        self.check = StageCheck(enabled=request.budget.stage_check, reply_at=store.reply_at)

    async def work(self) -> _Ended:
        """Run the stages and return how they ended; what is in flight is booked as pending."""
        try:
            async with asyncio.timeout(self.budget.seconds_left) as line:
                return await self._stages()
        except BudgetSpent:
            return _Ended("budget")
        except asyncio.CancelledError as error:
            return _Ended("interrupted", error)
        except RunStoppedError as error:
            return _Ended("endpoint", error)
        except BaseException as error:
            if isinstance(error, TimeoutError) and line.expired():
                self.budget.stopped_by = "minutes"
                return _Ended("budget")
            # The run ends with this error; only that no unit was lost on the way is still to say.
            problem = self.ledger.imbalance()
            if problem is not None:
                raise unbalanced(self.request.out, problem) from error
            with suppress(StoreError):  # of a damaged store the error itself tells
                self.progress.behind = self._has_left
            raise

    async def _stages(self) -> _Ended:
        config = self.request.config
        work = ProgramWork(
            self.program,
            self.backends,
            answered=lambda: self.store.calls > 0,
            screens=self.screening.own,
        )
        with work.failures("keywords"):
            grown = await self.program.aexpand(config.bank, config.seed)
        self._keep_bank(grown)
        return await self._units(grown.bank, work)

    def conclude(self, ended: _Ended, logged: int, began_s: float) -> RunSummary:
        """Write the dataset, the card and the summary from the store; return the summary.

        Raises:
            LedgerError: the ledger does not add up; the summary says so, the dataset is left as it
                was unless its own rows are what does not fit.
        """
        store, request = self.store, self.request
        self.progress.behind = self._is_behind(ended)
        store.flush()
        problem = self.ledger.imbalance(None if self.progress.behind else store.counts())
        shrinks = self.progress.behind or self._would_shrink(ended)
        writes = problem is None and bool(self.keywords) and not shrinks
        if writes:
            rows = write_rows(request, store, self.backends, self.identity, self.ledger)
            if rows != self.ledger.accepted:
                problem = f"accepted {self.ledger.accepted}, but {rows} rows written"
            if request.corpus is not None:
                write_passages(request.out, request.corpus, store, self.read)
        summary = self._summary(ended, logged, began_s, problem)
        if not self.progress.behind:
            summary.write(request.out)
        if writes:
            write_making(request.out, summary)
        if problem is not None:
            raise unbalanced(request.out, problem) from ended.error
        if ended.status == "complete":
            store.set_meta({"ended": self._ended_facts()})
        return summary

    def _summary(
        self, ended: _Ended, logged: int, began_s: float, problem: str | None
    ) -> RunSummary:
        store, request = self.store, self.request
        stages, calls, cost = stage_usage(store), store.calls, total(run_cost(store))
        accepted = self.ledger.accepted
        draws = stages.get("answers", {}).get("calls", 0)
        agreement = self.progress.agreement_sum
        return RunSummary(
            status=ended.status if problem is None else "unbalanced",
            stopped_by=self.budget.stopped_by if ended.status == "budget" else None,
            task=request.task.name,
            model=self.backends["answers"].model,
            teacher=self.backends["answers"].teacher,
            target=request.config.target,
            out=str(request.out),
            ledger=self.ledger.as_dict(),
            keywords={k: v for k, v in self.keywords.items() if k not in {"keywords", "passages"}},
            stages=stages,
            calls=calls,
            new_calls=calls - logged,
            requests=sum(engine.requests for engine in self.engines),
            cancelled_calls=self.budget.lost.cancelled,
            failed_calls=self.budget.lost.failed,
            killed_calls=self.budget.lost.killed,
            surplus_calls=surplus_calls(store, self.ledger),
            samples_per_row=draws / accepted if accepted else None,
            mean_agreement=agreement / accepted if accepted else None,
            fingerprint=self.fingerprint,
            wall_s=round(time.monotonic() - began_s, 3),
            cost_usd=cost.usd,
            cost_at_least_usd=cost.at_least_usd,
            row_usd=cost.each_usd(accepted),
            notices=(*self._notices(ended), *self.told, *strange_models(store, self.engines)),
            examples=dict(sorted(self.examples.items())),
            retired=self.screening.alarm.retired,
        )

    def _is_behind(self, ended: _Ended) -> bool:
        """Return whether the run was broken off before it had got to where it was: all of that stands.

        Otherwise what was decided beyond its end, as by a longer run before a pilot, is forgotten.
        """
        if ended.status in {"budget", "interrupted", "endpoint"}:
            return self._has_left
        if self.remembered is not None and self.remembered.left:
            self.remembered.forget()
        return False

    @property
    def _has_left(self) -> bool:
        """Return whether the store holds decisions that this process has not come to."""
        if self.remembered is None:  # it ended before its first unit
            return bool(self.store.counts())
        return self.remembered.left

    def _would_shrink(self, ended: _Ended) -> bool:
        """Return whether a finished run was begun again and broken off: its dataset stands."""
        known = self.store.meta().get("ended", {})
        return ended.status != "complete" and known.get("fingerprint") == self.fingerprint

    async def _units(self, bank: tuple[Keyword, ...], work: ProgramWork) -> _Ended:
        config = self.request.config
        if self._is_finished():
            return _Ended("complete")
        self.remembered = remembered = Remembered(self.store, self.identity)
        scheduler = Scheduler(
            self._plan(bank),
            work,
            committed=self.screening.decided,
            written=self.screening.undecided,
            on_decided=self._decided,
            concurrency=self._units_at_once(),
            candidates=min(config.candidates, self.pilot.units or config.candidates),
            rows=self.pilot.rows,
            window=HEDGED_WINDOW if self.request.engine.hedge else WINDOW,
            families=self.screening.families,
            alarm=self.screening.alarm,
            known=remembered.take,
        )
        self.ledger = self.progress.ledger = scheduler.ledger
        if self.observer is not None:
            self.observer.started(self.progress, self.store)
        cause = "error"
        try:
            status = await scheduler.run()
            # Without quotas there is nothing to refill: the end of the plan is the end of the run.
            # A bank that has run dry is told in any case.
            planned = status != "collapsed" and not config.quotas
            cause = "complete" if planned else status
            if status == "candidates" and self.ledger.decided < config.candidates:
                cause = "pilot"
            return _Ended(cause)
        except BudgetSpent:
            cause = "budget"
            raise
        except asyncio.CancelledError:
            cause = "budget" if self.budget.seconds_left == 0 else "interrupted"
            raise
        except RunStoppedError:
            cause = "endpoint"
            raise
        finally:
            scheduler.pend(cause)
            self.screening = self.screening.forgotten()

    def _is_finished(self) -> bool:
        """Return whether this very run was complete before, and take over what it decided.

        The decisions are a function of what its fingerprint is of, so nothing is decided anew. Where
        the store does not hold them any more as they were, none is trusted, and the run goes through
        its log again.
        """
        ended = self.store.meta().get("ended", {})
        if ended.get("fingerprint") != self.fingerprint or "ledger" not in ended:
            return False
        if ended.get("units") != self.store.units_digest():
            self.store.forget_units()
            return False
        ledger = Ledger.from_dict(ended["ledger"])
        self.last, self.ledger = ended["last"], ledger
        self.progress.ledger, self.progress.agreement_sum = ledger, ended["agreement_sum"]
        self.progress.by_level.update(ended["by_level"])
        self.examples.update(ended.get("examples", {}))
        self.screening.alarm.retired.update(ended.get("retired", {}))
        self.screening.alarm.warnings.extend(ended.get("warnings", []))
        if self.observer is not None:
            self.observer.started(self.progress, self.store)
        return True

    def _ended_facts(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "units": self.store.units_digest(),
            "last": self.last,
            "ledger": self.ledger.as_dict(),
            "agreement_sum": self.progress.agreement_sum,
            "by_level": dict(self.progress.by_level),
            "examples": self.examples,
            "retired": self.screening.alarm.retired,
            "warnings": self.screening.alarm.warnings,
        }

    def _units_at_once(self) -> int:
        """Return how many units to work on at once: no more than are wanted or could be finished.

        Otherwise a small budget would be spent on beginnings. It decides nothing about the rows.
        """
        most = min(self.request.engine.concurrency, self.pilot.rows or sys.maxsize)
        left = self.budget.calls_left
        config = self.request.config
        a_unit = 1 + config.verify_level + parse_policy(config.policy).max_draws
        return most if left is None else max(1, min(most, left // a_unit))

    def _plan(self, bank: tuple[Keyword, ...]) -> Plan:
        plan = make_plan([keyword.text for keyword in bank], self.request.config)
        ended = self.store.meta().get("ended", {})
        if ended.get("fingerprint") == self.fingerprint:
            return KnownEnds(plan, ended["last"])
        return plan

    def _decided(self, decided: Decided) -> None:
        outcome, progress = decided.outcome, self.progress
        if outcome is not None:
            self.last[decided.unit.group] = decided.unit.place
            progress.decided_calls += 1 + (outcome.vote.draws if outcome.vote else 0)
        if isinstance(outcome, Row):
            progress.agreement_sum += outcome.vote.agreement
            progress.by_level[outcome.instruction.level.value] += 1
        record = (
            canonical_json([decided.unit.level, decided.unit.keywords])
            if outcome is None
            else outcome.model_dump_json()
        )
        reason = outcome.reason if isinstance(outcome, Rejection) else ""
        if isinstance(outcome, Rejection) and reason not in self.examples:
            self.examples[reason] = example_of(decided.unit.place, outcome)
        unit = UnitRecord(decided.unit.place, decided.state, reason, record)
        if self.remembered is None or not self.remembered.holds(unit):
            self.store.record_unit(unit)
        if outcome is not None:
            self.check.note(decided.unit.place, outcome)

    def _keep_bank(self, grown: Any) -> None:
        bank, stopped = grown.bank, grown.stopped
        self.keywords = {
            "size": len(bank),
            "wanted": self.request.config.bank,
            "stopped": stopped,
            "rounds": grown.rounds,
            "keywords": [json.loads(keyword.model_dump_json()) for keyword in bank],
        }
        if self.request.corpus is not None:
            self.read = grown.passages
            self.keywords |= bank_facts(self.request.corpus, grown)
        write_json(self.request.out / "keywords.json", self.keywords)
        if self.observer is not None:
            self.observer.grew(bank, stopped)

    def _notices(self, ended: _Ended) -> Iterator[str]:
        if self.backends["answers"].teacher == "simulated":
            yield "The rows are from the simulated teacher: for trying the pipeline, not for training."
        yield from useless(self.request.engine, self.backends)
        short = self.budget.short_of
        measured = self.budget.stopped_by in {"tokens", "usd"}
        if ended.status == "budget" and measured and short is not None:
            yield (
                f"The next call could use {short.tokens:,} tokens, its prompt and the whole of "
                "--max-tokens: more than is left. None is begun that could cross the line."
            )
        if isinstance(ended.error, RunStoppedError):
            yield str(ended.error)
        if self.progress.behind:
            yield "It was stopped while it read what was decided before; all of that stands."
        if self.keywords and self.keywords["stopped"] != "size":
            size, wanted = self.keywords["size"], self.keywords["wanted"]
            yield f"The keyword bank has {size} of {wanted} keywords: expansion brought nothing new."
        if self.keywords and self.request.corpus is not None:
            share = self.request.config.corpus_share
            yield from corpus_notices(self.keywords, self.ledger.rejected, share)
        yield from self.screening.notices()
        if self.keywords and not self.ledger.accepted:
            yield "No row was accepted, so no Parquet file was written."
