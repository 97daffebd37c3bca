"""What a compile stands on: its folder, its call log, its language models, its price so far."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dspy

from ds2.config import BudgetConfig, EngineConfig, RunConfig
from ds2.engines.base import Backend
from ds2.engines.budget import Budget, BudgetSpent
from ds2.engines.candidates import EndpointGone, optimizer_lm
from ds2.engines.explain import explain, unreachable
from ds2.engines.limiter import Limiter
from ds2.engines.lm import engine_of, limiter_for
from ds2.engines.pace import Pace
from ds2.engines.prices import given_price
from ds2.output.files import replacing
from ds2.runtime.budgets import check_measurable, keep_lost, open_budget
from ds2.runtime.changes import DIFF_NAME
from ds2.runtime.costs import at_stored_prices, keep_prices, run_cost, total
from ds2.runtime.defaults import PROGRAM_NAME
from ds2.runtime.folder import write_json
from ds2.runtime.session import (
    Resolver,
    RunRequest,
    backends_for,
    build_program,
    make_adapter,
    open_folder,
    resolve_model,
)
from ds2.runtime.stopping import current
from ds2.store import RunStore, Usage
from programs.loop import run_sync
from programs.meaning import MERGED
from programs.synthesis import JUDGES, DS2Instruct, judges_in
from signatures.errors import ConfigError, RunStoppedError, StoreError
from signatures.task import TaskSpec

MANIFEST_NAME = "manifest.json"
_PRICED = ("judge", "proposer")  # parts whose model may be another than the stage's
# The judges that a program holds to be compiled, by the stage.
_HELD = {
    "judge": "level_judge",
    "question-judge": "question_judge",
    "keyword-judge": "keyword_judge",
}


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What a user asks to compile, as far as models and folder go.

    Args:
        task: the task.
        stage: what is compiled; `judge` has the program hold a blind judge of levels,
            `question-judge` and `keyword-judge` theirs; `answer-judge` wants a configuration with the
            merger `judge`.
        config: the settings that shape the chain (policy, temperatures, adapter, merger, seed).
        engine: which models, and how they are reached.
        judge_model: judges and checks; None for the model of the stage.
        proposer_model: writes new instructions; None for the model of the stage.
        price_for: what those two cost, by `judge` and `proposer`, USD for a million tokens in and out;
            without one it is looked up. The price of `engine` is that of the stage's model.
        out: the folder.
        program: prompts to begin with; None takes them as they are written.
        judge_program: prompts of the judges inside the metric; None likewise.
        budget: what it may use, over its life.
    """

    task: TaskSpec
    stage: str
    config: RunConfig
    engine: EngineConfig
    out: Path
    judge_model: str | None = None
    proposer_model: str | None = None
    price_for: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    program: Path | None = None
    judge_program: Path | None = None
    budget: BudgetConfig = field(default_factory=BudgetConfig)


@dataclass(frozen=True, slots=True)
class CompileSession:
    """An open compile.

    Args:
        program: the program to compile.
        models: the language models by part: program, judge, proposer.
        backends: who is behind them.
        store: the call log.
        budget: what may be used.
        limiters: of the endpoints.
        logged: calls that were in the log when it was opened.
    """

    program: DS2Instruct
    models: Mapping[str, dspy.LM]
    backends: Mapping[str, Backend]
    store: RunStore
    budget: Budget
    limiters: Sequence[Limiter]
    logged: int

    def let_go(self) -> None:
        """Have nobody wait for an endpoint any more: the compile is to end."""
        for limiter in self.limiters:
            limiter.give_up("it was interrupted")

    def usage(self) -> dict[str, Usage]:
        """Return calls and tokens by part, over the life of the compile."""
        return self.store.usage()

    def cost_usd(self) -> float | None:
        """Return what the compile has cost, USD; None where a price is not known."""
        return total(run_cost(self.store)).usd

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Make sure that the folder is of this compile and no other; one without a call is of nobody.

        Raises:
            StoreError: it is of another compile or of a run; what differs is named.
        """
        ours = json.loads(json.dumps(identity))
        meta = self.store.meta()
        stored = meta.get("compile")
        if stored is None and "identity" in meta:
            raise _foreign(self.store.folder, "a run", "a compile")
        if stored is not None and stored != ours and self.logged:
            names = sorted(k for k in {**stored, **ours} if stored.get(k) != ours.get(k))
            was = {name: stored.get(name) for name in names}
            raise _foreign(self.store.folder, was, {name: ours.get(name) for name in names})
        self.store.set_meta({"compile": ours})


def _foreign(folder: Path, was: object, asked: object) -> StoreError:
    return StoreError.rule(
        "Continuing the compile failed",
        unit=str(folder),
        name="what it is of",
        rule=f"be what was asked for now ({asked})",
        value=was,
        todo="Choose another --out; a compile goes on only with the same command.",
    )


def compile_program(request: CompileRequest, resolve: Resolver | None = None) -> DS2Instruct:
    """Return the program of a request without language models: what can be checked before a call.

    Raises:
        DS2Error: the task has no judge of answers to compile; or the model, or the program to begin
            with, is not as it must be.
    """
    kind = request.task.answer.kind
    if request.stage == "answer-judge" and kind not in MERGED:
        raise ConfigError.rule(
            "Compiling failed",
            unit=request.task.name,
            name="answers, for the stage answer-judge,",
            rule=f"be of the kind {', '.join(MERGED)}",
            value=kind.value,
            todo="Answers of other kinds are compared by their keys: compile --stage answers.",
        )
    backends = backends_for(_run_request(request), resolve)
    judges = {_HELD[request.stage]} if request.stage in _HELD else set()
    if request.program is not None:
        judges |= judges_in(request.program)  # those compiled before are kept
    return build_program(_run_request(request), backends, judges=judges)


def judge_program(request: CompileRequest, resolve: Resolver | None = None) -> DS2Instruct | None:
    """Return the program that has the prompts of the judges inside the metric, if one was given.

    Raises:
        DS2Error: it cannot be read, is of another task, or was made for other signatures.
    """
    if request.judge_program is None:
        return None
    run = replace(_run_request(request), program=request.judge_program)
    return build_program(run, backends_for(run, resolve), judges=tuple(JUDGES))


@contextmanager
def open_compile(
    request: CompileRequest,
    *,
    resolve: Resolver | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Iterator[CompileSession]:
    """Open a compile; its calls go through one log, one budget and one limit for each endpoint.

    Args:
        request: what is compiled.
        resolve: how a model's name becomes a backend; None for the ordinary way.
        on_notice: told when an endpoint is down and calls are held back, and when they go on.

    Raises:
        RunStoppedError: the budget is spent, or the endpoint is gone: the same command goes on.
        EndpointError: the endpoint refuses, or was never there.
        StoreError: the folder cannot be used.
    """
    program = compile_program(request, resolve)
    backends = _parts(request, resolve or resolve_model)
    check_measurable(request.budget, at_stored_prices(request.out, backends))
    open_folder(request.out)
    with RunStore(request.out) as store:
        backends, notices = keep_prices(store, backends)
        if on_notice is not None:
            for notice in notices:
                on_notice(notice)
        logged = store.calls
        budget = open_budget(request.budget, backends, store)
        limiters: dict[tuple[str, str], Limiter] = {}
        models = {}
        for part, backend in backends.items():
            place = (backend.dialect, backend.model)
            if place not in limiters:
                limiters[place] = _limiter(request.engine, backend, on_notice)
            models[part] = optimizer_lm(
                backend, log=store, limiter=limiters[place], budget=budget, stage=part
            )
        session = CompileSession(
            program, models, backends, store, budget, [*limiters.values()], logged
        )
        try:
            with (
                dspy.context(adapter=make_adapter(request.config.adapter)),
                current().at_last(lambda: keep_lost(store, budget)),
            ):
                yield session
        except BudgetSpent as spent:
            raise _spent(request, budget, store) from spent
        except EndpointGone as gone:
            raise _gone(gone, answered=store.calls > 0) from gone.error
        finally:
            for model in models.values():
                run_sync(engine_of(model).aclose())
                model.engine.close()


def _run_request(request: CompileRequest) -> RunRequest:
    """Return the run that would use what is compiled."""
    return RunRequest(
        task=request.task,
        config=request.config,
        engine=request.engine,
        budget=request.budget,
        out=request.out,
        program=request.program,
    )


def _parts(request: CompileRequest, resolve: Resolver) -> dict[str, Backend]:
    """Return the backend of each part.

    A judge is not moved by the wording of a prompt: a simulated one has no sensitivity.

    Raises:
        ConfigError: there is a price of another part.
    """
    stage = {"keywords": "keywords", "instructions": "writer"}.get(request.stage, "answers")
    model = request.engine.model_of(stage)
    judge = request.judge_model or model
    proposer = request.proposer_model or model
    steady = request.engine.model_copy(update={"sensitivity": 0.0})
    named = {
        "program": (model, request.engine),
        "judge": (judge, steady),
        "proposer": (proposer, steady),
    }
    if others := set(request.price_for).difference(_PRICED):
        raise ConfigError.rule(
            "Reading the options failed",
            name="--price-for",
            rule=f"name a part with a model of its own: {' or '.join(_PRICED)}",
            value=min(others),
            todo="The price of --model is --price.",
        )
    schema = request.config.adapter == "json-schema"
    parts = {}
    for part, (name, engine) in named.items():
        backend = replace(resolve(name, engine, request.config.seed), response_schema=schema)
        price = request.price_for.get(part, engine.price if name == model else None)
        parts[part] = replace(backend, price=given_price(*price)) if price else backend
    return parts


def _limiter(
    engine: EngineConfig, backend: Backend, on_notice: Callable[[str], None] | None
) -> Limiter:
    return limiter_for(
        backend,
        engine.concurrency,
        patience_s=engine.patience_s,
        pace=Pace.of(engine.rpm, engine.tpm),
        on_notice=on_notice,
    )


def _spent(request: CompileRequest, budget: Budget, store: RunStore) -> RunStoppedError:
    used = store.usage().values()
    # A budget that is held by calls alone does not count tokens.
    tokens = sum(usage.input_tokens + usage.output_tokens for usage in used)
    tokens = max(tokens, budget.spent.tokens)
    return RunStoppedError.rule(
        "Compiling stopped",
        unit=str(request.out),
        name="what was used",
        rule=f"stay within --budget-{budget.stopped_by}",
        value=f"{store.calls:,} calls, {tokens:,} tokens",
        todo="Give the same command with a larger one: what was asked costs nothing again.",
    )


def _gone(gone: EndpointGone, *, answered: bool) -> Exception:
    refused = explain(gone.error, gone.backend)
    if refused is not None:
        return refused
    told = unreachable(gone.error, gone.backend)
    return RunStoppedError(str(told)) if answered else told


def write_compiled(
    folder: Path, program: DS2Instruct, manifest: Mapping[str, Any], diff: str
) -> None:
    """Write `program.json`, `manifest.json` and `prompts.diff`, each as a whole or not at all."""
    with replacing(folder / PROGRAM_NAME) as temp:
        program.save(temp)
    write_json(folder / MANIFEST_NAME, manifest)
    with replacing(folder / DIFF_NAME) as temp:
        temp.write_text(diff, encoding="utf-8", newline="\n")
