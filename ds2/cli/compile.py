"""`ds2 compile`: make the prompts of a stage better, and show by how much."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ds2.cli.completing import TaskName
from ds2.cli.run import AdapterName, MergerName

if TYPE_CHECKING:
    from ds2.runtime.compiling import CompileRequest, CompileSession
    from optimizers.compile import Compiled, Job
    from optimizers.devsets import DevSet
    from optimizers.evaluating import Progress
    from optimizers.judges import JudgePrompts
    from signatures.task import TaskSpec

NO_GAIN = 4  # the exit code of --require-gain

_DATA = "What it is judged on"
_MODELS = "Models"


def compile_command(
    task: TaskName,
    stage: Annotated[
        str,
        typer.Option(
            help="keywords, instructions, answers, judge, answer-judge, question-judge, keyword-judge "
            "or chain."
        ),
    ] = "answers",
    optimizer: Annotated[
        str,
        typer.Option(
            help="bootstrap, random-search, bootstrap-optuna, mipro, gepa, simba or copro."
        ),
    ] = "random-search",
    devset: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="JSONL, Parquet, a datasets folder or a Hub name; answers and judges need one, all "
            "but keyword-judge.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="What its columns are called: question=prompt,answer=label.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(help="Refuse a dev set that shares questions with it.", rich_help_panel=_DATA),
    ] = None,
    cells: Annotated[
        int,
        typer.Option(
            min=10,
            help="Examples made of the task's own keywords, without a dev set that names them.",
            rich_help_panel=_DATA,
        ),
    ] = 60,
    repeats: Annotated[
        int, typer.Option(min=1, help="Draws of each test example.", rich_help_panel=_DATA)
    ] = 3,
    min_precision: Annotated[
        float,
        typer.Option(min=0, max=1, help="Floor of the chain's precision.", rich_help_panel=_DATA),
    ] = 0.9,
    budget_calls: Annotated[
        int | None, typer.Option(min=1, help="Most calls; the search is made to fit.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens, read and written.")
    ] = None,
    budget_usd: Annotated[float | None, typer.Option(help="Most that all may cost, USD.")] = None,
    require_gain: Annotated[
        bool, typer.Option("--require-gain", help="Exit with 4 where no gain was shown.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides every choice of the search.")] = 0,
    program: Annotated[Path | None, typer.Option(help="Compiled prompts to begin with.")] = None,
    judge_program: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compiled judges: their prompts for the judges inside the metric.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The folder is runs/NAME; made of the options if not given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="PROVIDER/NAME; the simulated teacher if not given.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(help="Judges and checks; --model if not given.", rich_help_panel=_MODELS),
    ] = None,
    proposer_model: Annotated[
        str | None,
        typer.Option(
            help="Writes new instructions; --model if not given.", rich_help_panel=_MODELS
        ),
    ] = None,
    api_base: Annotated[
        str | None,
        typer.Option(help="Address of an OpenAI-compatible server.", rich_help_panel=_MODELS),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(help="Environment variable that holds its key.", rich_help_panel=_MODELS),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            metavar="IN,OUT",
            help="Price of --model, USD for a million tokens; from DSPy's table if not given.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    price_for: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=IN,OUT",
            help="Price of --judge-model (judge) or --proposer-model (proposer); may be repeated.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Limit on a reply.", rich_help_panel=_MODELS)
    ] = None,
    sensitivity: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="How much prompts matter to the simulated teacher.",
            rich_help_panel=_MODELS,
        ),
    ] = 0.0,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=512, help="Examples run at once.")
    ] = 16,
    patience: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds that an endpoint which has answered may be down before the compile stops.",
            rich_help_panel=_MODELS,
        ),
    ] = 15.0,
    policy: Annotated[
        str | None, typer.Option(help="Voting policy of the chain; the run's default if not given.")
    ] = None,
    adapter: Annotated[
        AdapterName, typer.Option(help="How prompts are rendered and replies parsed.")
    ] = AdapterName.CHAT,
    merger: Annotated[MergerName, typer.Option(help="As in `ds2 run`.")] = MergerName.NONE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
) -> None:
    """Compile the prompts of a stage of TASK; give the same command again to continue.

    Example: ds2 compile gsm8k --model openai/gpt-4.1-mini --devset dev.jsonl
    """
    from ds2.cli.price import read_price, read_stage_prices
    from ds2.config import BudgetConfig, EngineConfig
    from ds2.config import preset as make_config
    from ds2.runtime.compiling import CompileRequest, compile_program
    from optimizers.compile import Job, check_job, check_names, idle_parts
    from signatures.task import load_task

    check_names(stage, optimizer)
    spec = load_task(task)
    # The judge of answers is there where answers are compared by it.
    compares = MergerName.JUDGE if stage == "answer-judge" else merger
    config = make_config(
        "default", seed=seed, policy=policy, adapter=adapter.value, merger=compares.value
    )
    engine = EngineConfig.build(
        model=model,
        api_base=api_base,
        api_key_env=api_key_env,
        max_tokens=max_tokens,
        price=price and read_price("--price", price),
        concurrency=concurrency,
        patience_s=patience,
        sensitivity=sensitivity,
    )
    request = CompileRequest(
        task=spec,
        stage=stage,
        config=config,
        engine=engine,
        out=out or Path("runs") / (name or f"{spec.name}-{stage}-{optimizer}"),
        judge_model=judge_model,
        proposer_model=proposer_model,
        price_for=read_stage_prices(price_for or []),
        program=program,
        judge_program=judge_program,
        budget=BudgetConfig.build(
            budget_calls=budget_calls, budget_tokens=budget_tokens, budget_usd=budget_usd
        ),
    )
    job = Job(
        program=compile_program(request),
        stage=stage,
        optimizer=optimizer,
        devset=_devset(spec, devset, columns, benchmark),
        seed=seed,
        budget_calls=budget_calls,
        cells=cells,
        repeats=repeats,
        threads=concurrency,
        min_precision=min_precision,
        judge_prompts=_judge_prompts(request),
    )
    most = check_job(job).most
    if not quiet:
        typer.echo(f"At most some {most:,} calls.", err=True)
        given = {"judge": judge_model, "proposer": proposer_model}
        for part, why in idle_parts(job):
            if given[part] is not None:
                typer.echo(f"--{part}-model is not used: {why}.", err=True)
    compiled, said = _compile(job, request, quiet=quiet)
    _show(job, compiled, said, request.out, as_json=as_json)
    if require_gain and not compiled.gained:
        raise typer.Exit(NO_GAIN)


def _judge_prompts(request: CompileRequest) -> JudgePrompts | None:
    from ds2.runtime.compiling import judge_program
    from optimizers.judges import JudgePrompts
    from programs.synthesis import judges_in

    if request.judge_program is None or (loaded := judge_program(request)) is None:
        return None
    return JudgePrompts(loaded, judges_in(request.judge_program))


def _devset(
    task: TaskSpec, source: str | None, columns: str | None, benchmark: str | None
) -> DevSet | None:
    from optimizers.devsets import load_devset, parse_columns, refuse_overlap

    if source is None:
        return None
    names = parse_columns(columns)
    found = load_devset(source, task, columns=names)
    if benchmark is not None:
        refuse_overlap(found, benchmark, columns=names)
    return found


def _compile(job: Job, request: CompileRequest, *, quiet: bool) -> tuple[Compiled, dict[str, Any]]:
    from ds2.cli.compile_views import CompileWatcher, manifest
    from ds2.runtime.compiling import open_compile, write_compiled
    from ds2.runtime.stopping import current
    from optimizers.evaluating import Progress

    progress, began_s = Progress(), time.monotonic()
    watcher = CompileWatcher(progress, quiet=quiet)
    try:
        with open_compile(request, on_notice=watcher.noticed) as session:
            identity = _identity(job, request, session)
            session.claim(identity)
            compiled = _run(job, session, progress, watcher)
            wall_s = time.monotonic() - began_s
            said = manifest(job, compiled, session, identity, wall_s, request.judge_program)
            write_compiled(request.out, compiled.program, said, compiled.diff)
    except KeyboardInterrupt:
        typer.echo(
            f"\nInterrupted. What was answered is kept in {request.out}; give the same command "
            "again to continue.",
            err=True,
        )
        raise typer.Exit(current().code) from None
    finally:
        watcher.ended()
    return compiled, said


def _run(job: Job, session: CompileSession, progress: Progress, watcher: Any) -> Compiled:
    from optimizers.compile import compile_stage
    from optimizers.search import Models

    return compile_stage(
        job,
        Models(**session.models),
        progress=progress,
        told=watcher.told,
        let_go=session.let_go,
    )


def _identity(job: Job, request: CompileRequest, session: CompileSession) -> dict[str, Any]:
    """Return all that decides what a compile comes to, but for its budget."""
    import dspy

    from ds2.runtime.session import sampled
    from optimizers.metrics import METRICS_VERSION

    # Only where they were given: what was compiled before there were any goes on.
    judges = {} if job.judge_prompts is None else {"judges": job.judge_prompts.id}
    return judges | {
        "task": request.task.model_dump(mode="json"),
        "config": request.config.model_dump(mode="json"),
        "stage": job.stage,
        "optimizer": job.optimizer,
        "seed": job.seed,
        "devset": job.devset.id if job.devset is not None else None,
        "cells": job.cells,
        "repeats": job.repeats,
        "min_precision": job.min_precision,
        "prompts": job.program.fingerprint(),
        "models": {part: f"{b.model} ({b.dialect})" for part, b in session.backends.items()},
        "sampling": {part: sampled(b, None) for part, b in session.backends.items()},
        "metrics": METRICS_VERSION,
        "dspy": dspy.__version__,
    }


def _show(
    job: Job, compiled: Compiled, said: dict[str, Any], folder: Path, *, as_json: bool
) -> None:
    import json

    from ds2.cli.compile_views import print_compiled

    if as_json:
        typer.echo(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        print_compiled(job, compiled, said, str(folder))
