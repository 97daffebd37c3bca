"""All that a run stands on, opened together: models, limits, store, program."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dspy

from ds2.config import BudgetConfig, EngineConfig, RunConfig
from ds2.corpus.corpus import Corpus
from ds2.engines.adapters import ChatAdapter, JSONAdapter
from ds2.engines.base import Backend
from ds2.engines.budget import Budget
from ds2.engines.hedging import Hedge
from ds2.engines.limiter import Limiter
from ds2.engines.lm import engine_of, limiter_for, logged_lm
from ds2.engines.logged import CallLog, LoggedEngine
from ds2.engines.pace import Pace
from ds2.engines.prices import given_price
from ds2.engines.resolve import resolve_backend
from ds2.engines.retry import RetryPolicy
from ds2.fingerprint import check_same, identity
from ds2.lock import LOCK_NAME
from ds2.runtime.past import refuse_compile
from ds2.runtime.screening import screens_version
from ds2.screen.avoid import Avoided, same_questions
from ds2.store import STORE_NAME, RunStore
from programs.keywords import ExpansionShape
from programs.sampling import Temperatures
from programs.stopping import Calibrated, parse_policy
from programs.synthesis import ChainConfig, DS2Instruct
from programs.voting import READING_VERSION
from signatures.errors import ConfigError, StoreError
from signatures.task import AnswerKind, TaskSpec

RUN_STAGES = ("keywords", "writer", "answers")
_PROBE = ".writable"


@dataclass(frozen=True, slots=True)
class Pilot:
    """How far a pilot goes: to so many decided units, or to so many rows. None is no limit."""

    units: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a user asks for.

    Args:
        task: the task.
        config: what determines the rows.
        engine: which models, and how they are reached.
        budget: when to stop.
        out: the run folder.
        program: a program that `DS2Instruct.save` wrote; None takes the prompts as they are written.
        accept_new_prompts: go on with a run whose prompts, models or versions have changed.
        pilot: stop after the first units; the same request without it goes on from there.
        corpus: the documents that keywords and contexts are taken from; None for none.
    """

    task: TaskSpec
    config: RunConfig
    engine: EngineConfig
    budget: BudgetConfig
    out: Path
    program: Path | None = None
    accept_new_prompts: bool = False
    pilot: Pilot | None = None
    corpus: Corpus | None = None


def grounded(request: RunRequest) -> RunRequest:
    """Return the request as it is run: with a corpus, a written context becomes a passage of it.

    Raises:
        ConfigError: the task's contexts are passages, and there is no corpus.
    """
    task = request.task
    if request.corpus is None:
        if task.context != "passage":
            return request
        raise ConfigError.rule(
            "Starting the run failed",
            unit=task.name,
            name="--corpus",
            rule="be given for a task whose context is `passage`",
            value="nothing",
            todo="Give --corpus PATH, or set `context: written` to have texts made up.",
        )
    if task.context == "written":
        task = task.model_copy(update={"context": "passage"})
    return replace(request, task=task)


Resolver = Callable[[str | None, EngineConfig, int], Backend]


def backends_for(request: RunRequest, resolve: Resolver | None = None) -> dict[str, Backend]:
    """Return the backend of each stage; stages that name the same model share one."""
    resolve = resolve or resolve_model
    schema = request.config.adapter == "json-schema"
    by_model: dict[str | None, Backend] = {}
    stages = {}
    for stage in (*RUN_STAGES, "judge") if uses_judge(request) else RUN_STAGES:
        model = request.engine.model_of(stage)
        if model not in by_model:
            backend = resolve(model, request.engine, request.config.seed)
            by_model[model] = replace(backend, response_schema=schema)
        price = request.engine.price_of(stage)
        backend = by_model[model]
        stages[stage] = replace(backend, price=given_price(*price)) if price else backend
    return stages


def merges_by_judge(request: RunRequest) -> bool:
    """Return whether a model compares answers: where it is asked for, and for open ones."""
    return request.config.merger == "judge" or request.task.answer.kind is AnswerKind.OPEN


def uses_judge(request: RunRequest) -> bool:
    """Return whether any stage of a run judges: answers by their meaning, or levels."""
    return merges_by_judge(request) or request.config.verify_level


def resolve_model(model: str | None, engine: EngineConfig, seed: int) -> Backend:
    """Return the backend that a model's name means, reached as `engine` says."""
    return resolve_backend(
        model,
        api_base=engine.api_base,
        api_key_env=engine.api_key_env,
        sampling=engine.sampling,
        max_tokens=engine.max_tokens,
        seed=seed,
        concurrency=engine.concurrency,
        timeout_s=engine.timeout_s,
        sensitivity=engine.sensitivity,
    )


def expansion_shape(config: RunConfig) -> ExpansionShape:
    """Return how a configuration grows its keyword bank."""
    return ExpansionShape(
        width=config.expansion_width,
        max_rounds=config.expansion_rounds,
        retrieved=config.corpus_share,
    )


def build_program(
    request: RunRequest, backends: Mapping[str, Backend], *, judges: Collection[str] = ()
) -> DS2Instruct:
    """Return the chain for a request, compiled prompts loaded, without language models yet.

    It holds the `judges` that are named, of `programs.synthesis.JUDGES`.
    """
    answers = backends["answers"]
    config = request.config
    temperatures = Temperatures(
        keywords=None if backends["keywords"].fixed_temperature else config.keyword_temperature,
        writer=None if backends["writer"].fixed_temperature else config.writer_temperature,
        answers=() if answers.fixed_temperature else config.answer_temperatures,
        answers_by=config.answer_temperatures_by,
    )
    program = DS2Instruct(
        request.task,
        ChainConfig(
            policy=parse_policy(config.policy),
            temperatures=temperatures,
            shape=expansion_shape(config),
            retriever=request.corpus.index if request.corpus else None,
            thinking=answers.thinking,
            teacher=answers.teacher,
            model=answers.model,
            merger="judge" if merges_by_judge(request) else None,
            max_tokens_cap=request.engine.max_tokens_cap,
            level_judge="level_judge" in judges or config.verify_level,
            question_judge="question_judge" in judges,
            keyword_judge="keyword_judge" in judges,
        ),
    )
    if request.program is not None:
        program.load(request.program)
    return program


def connect(
    program: DS2Instruct,
    backends: Mapping[str, Backend],
    *,
    log: CallLog,
    engine: EngineConfig,
    budget: Budget,
    on_notice: Callable[[str], None] | None = None,
) -> list[LoggedEngine]:
    """Give each stage of the program its language model; stages on one backend share its limits.

    Args:
        program: the chain.
        backends: the backend of each stage.
        log: where replies are kept.
        engine: concurrency, limits by hand, patience.
        budget: what may be spent.
        on_notice: told what does nothing, and when an endpoint is down and calls are held back, and
            when they go on.

    Returns:
        The engines behind them; whoever runs the program closes them on the loop it ran on.
    """
    if on_notice is not None:
        for words in useless(engine, backends):
            on_notice(words)
    limiters: dict[tuple[str, str], Limiter] = {}
    retries: dict[tuple[str, str], RetryPolicy] = {}
    hedges: dict[tuple[str, str], Hedge] = {}
    modules: dict[str, dspy.Module] = {
        "keywords": program.keywords,
        "writer": program.writer,
        "answers": program.vote,
    }
    stages = list(modules.items())
    # After the vote, whose model its judge would have otherwise.
    if program.vote.judge is not None:
        stages.append(("judge", program.vote.judge))
    if program.config.level_judge:
        stages.append(("judge", program.level_judge))
    engines = []
    for stage, module in stages:
        backend = backends[stage]
        place = (backend.dialect, backend.model)
        if place not in limiters:
            limiters[place] = limiter_for(
                backend,
                engine.concurrency,
                patience_s=engine.patience_s,
                pace=Pace.of(engine.rpm, engine.tpm),
                on_notice=on_notice,
            )
            retries[place] = RetryPolicy(breaker=limiters[place].breaker)
        lm = logged_lm(
            backend,
            log=log,
            limiter=limiters[place],
            retry=retries[place],
            budget=budget,
            stage=stage,
            coalesce=engine.coalesce,
            hedge=hedges.setdefault(place, Hedge()) if engine.hedge else None,
        )
        module.set_lm(lm)
        engines.append(engine_of(lm))
    return engines


def useless(engine: EngineConfig, backends: Mapping[str, Backend]) -> Iterator[str]:
    """Yield what was asked for and does nothing with these models."""
    lone = sorted({backend.model for backend in backends.values() if not backend.several})
    if engine.coalesce != "off" and lone:
        yield (
            f"--coalesce {engine.coalesce} does nothing with {', '.join(lone)}: only endpoints of "
            "OpenAI's chat completions shape take several draws in one request."
        )


def make_adapter(name: str) -> dspy.Adapter:
    """Return the adapter of a configuration; it renders a prompt once for all its draws.

    It never falls back to another adapter on its own.
    """
    if name == "chat":
        return ChatAdapter(use_json_adapter_fallback=False)
    return JSONAdapter()


def open_folder(folder: Path) -> None:
    """Make sure that a folder can hold a run.

    Raises:
        StoreError: it holds something else, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = _strangers(folder)
        probe = folder / _PROBE
        if not strangers:
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise StoreError.rule(
            "Opening the run failed",
            unit=str(folder),
            name="the run folder",
            rule="be a folder that can be written",
            value=f"{type(error).__name__}: {error.strerror or error}",
            todo="Choose another --out.",
        ) from error
    if strangers:
        raise StoreError.rule(
            "Opening the run failed",
            unit=str(folder),
            name="the run folder",
            rule="be empty or hold a run",
            value=strangers[:5],
            todo="Choose another --out; nothing in it was touched.",
        )


def _strangers(folder: Path) -> list[str]:
    """Return the names in a folder that holds no run; what a kill at the very start leaves is ours."""
    if (folder / STORE_NAME).exists():
        return []
    return sorted({path.name for path in folder.iterdir()} - {LOCK_NAME, _PROBE})


def sampled(backend: Backend, max_tokens_cap: int | None) -> dict[str, Any]:
    """Return what shapes a model's replies beside its prompt and temperature, as plain data."""
    limits = {"max_tokens": backend.max_tokens, "max_tokens_cap": max_tokens_cap}
    return {**limits, **backend.extensions}


def claim(
    store: RunStore,
    request: RunRequest,
    program: DS2Instruct,
    backends: Mapping[str, Backend],
    avoided: Sequence[Avoided] = (),
) -> dict[str, Any]:
    """Return the run's identity after making sure that the store is of this run and no other.

    Args:
        store, request, program, backends: the run.
        avoided: what the request's `avoid` came to.

    Raises:
        StoreError: the store belongs to another run, or to a compile.
    """
    policy = program.vote.policy
    # A fitted policy is what its table says, wherever its file lies.
    named = f"calibrated({policy.id})" if isinstance(policy, Calibrated) else policy.spec
    ours = identity(
        request.task,
        request.config.model_copy(update={"policy": named, "avoid": tuple(map(str, avoided))}),
        prompts=program.fingerprint(),
        models={stage: f"{b.model} ({b.dialect})" for stage, b in backends.items()},
        sampling={s: sampled(b, request.engine.max_tokens_cap) for s, b in backends.items()},
        dspy=dspy.__version__,
        equivalence=" ".join(filter(None, (str(READING_VERSION), program.vote.equivalence.name))),
        corpus=request.corpus.id if request.corpus else None,
        screens=screens_version(),
    )
    refuse_compile(store)
    stored = store.meta().get("identity")
    if stored is not None:
        told = stored.get("config", {}).get("avoid", [])
        if same_questions(told, ours["config"]["avoid"]):
            ours["config"]["avoid"] = told  # under the name that the card has already
        check_same(
            stored,
            ours,
            folder=store.folder,
            logged_calls=store.calls,
            accept_new_prompts=request.accept_new_prompts,
        )
    store.set_meta({"identity": ours})
    return ours
