"""`ds2 run`: make a dataset."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from ds2.cli.completing import TaskName
from ds2.cli.configfile import config_rest, take_config

if TYPE_CHECKING:
    from ds2.cli.events import Events
    from ds2.cli.progress import Watcher
    from ds2.config import CorpusConfig
    from ds2.corpus.corpus import Corpus
    from ds2.runtime.session import RunRequest
    from ds2.runtime.summary import RunSummary


T = TypeVar("T")


class Preset(StrEnum):
    """The presets."""

    DEFAULT = "default"
    PAPER = "paper"


class AdapterName(StrEnum):
    """How prompts are rendered and replies parsed; `ds2 check` says which one a model needs."""

    CHAT = "chat"
    JSON_SCHEMA = "json-schema"
    JSON = "json"


class MergerName(StrEnum):
    """What may say that answers that are worded differently are the same."""

    NONE = "none"
    JUDGE = "judge"


class Coalesce(StrEnum):
    """Whether draws of one question share a request."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


def read_request(
    context: typer.Context,
    task: TaskName,
    target: Annotated[
        int | None, typer.Option("--target", "-n", help="Rows wanted; 60 if not given.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="PROVIDER/NAME; the simulated teacher if not given."),
    ] = None,
    model_for: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE=MODEL",
            help="Another model for a stage, such as answers=openai/gpt-4.1; may be repeated.",
        ),
    ] = None,
    api_base: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds its key.")
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="`paper` does it as the paper's code does.")
    ] = Preset.DEFAULT,
    seed: Annotated[int, typer.Option(help="Decides every choice of the pipeline.")] = 0,
    policy: Annotated[
        str | None, typer.Option(help='When a vote has seen enough, such as "lead(3, 9)".')
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", help="Calls in flight.")] = 64,
    budget_usd: Annotated[
        float | None, typer.Option(help="Stop before the run costs more, US dollars.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(help="Stop before it uses more tokens.")
    ] = None,
    budget_calls: Annotated[
        int | None, typer.Option(help="Stop before it makes more calls.")
    ] = None,
    budget_minutes: Annotated[
        float | None, typer.Option(help="Stop before this command takes longer.")
    ] = None,
    max_candidates: Annotated[
        int | None, typer.Option(help="Most units to decide; 4 x target if not given.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Limit on a reply; by the model if not given.")
    ] = None,
    sampling: Annotated[
        str | None, typer.Option(help="Extras for the server as JSON, such as '{\"min_p\": 0.05}'.")
    ] = None,
    adapter: Annotated[
        AdapterName, typer.Option(help="How prompts are rendered and replies parsed.")
    ] = AdapterName.CHAT,
    merger: Annotated[
        MergerName, typer.Option(help="`judge`: a model says which answers mean the same.")
    ] = MergerName.NONE,
    price: Annotated[
        str | None,
        typer.Option(
            metavar="IN,OUT",
            help="Price of --model, USD for a million tokens; from DSPy's table if not given.",
        ),
    ] = None,
    price_for: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE=IN,OUT",
            help="Price of the model of a stage with --model-for; may be repeated.",
        ),
    ] = None,
    max_tokens_cap: Annotated[
        int | None,
        typer.Option(help="Up to where a reply that was cut may grow, once; twice the limit."),
    ] = None,
    sensitivity: Annotated[
        float, typer.Option(min=0, max=1, help="How much prompts matter to the simulated teacher.")
    ] = 0.0,
    avoid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|HUB_NAME",
            help="A benchmark whose questions may not be repeated; may be repeated.",
        ),
    ] = None,
    near_duplicates: Annotated[
        float | None, typer.Option(help="Smallest similarity of a near-duplicate, 0.5 to 1; 0.75.")
    ] = None,
    family_cap: Annotated[
        int | None, typer.Option(help="Most rows that differ in numbers only; 4, 0 for no cap.")
    ] = None,
    verify_level: Annotated[
        bool, typer.Option("--verify-level", help="A blind judge reads the level of each question.")
    ] = False,
    collapse: Annotated[
        int | None,
        typer.Option(help="Last questions of a keyword that may end it; 10, 0 for never."),
    ] = None,
    collapse_spread: Annotated[
        float | None,
        typer.Option(help="They do where their spread is below this part of the first; 0.4."),
    ] = None,
    checks: Annotated[
        bool | None, typer.Option(help="Turn down questions with faults that show in their text.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Limit on one request, seconds.")] = 600.0,
    rpm: Annotated[int | None, typer.Option(help="Most requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Most tokens a minute, in and out.")] = None,
    patience: Annotated[
        float, typer.Option(help="How long to wait for an endpoint that went away, seconds.")
    ] = 300.0,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE.yaml",
            callback=take_config,
            is_eager=True,
            help="Settings, such as best.yaml of `ds2 tune`; options and DS2_RUN_... go before it.",
        ),
    ] = None,
    coalesce: Annotated[
        Coalesce,
        typer.Option(
            help="Draws of one question as one request with `n`: `on` where `ds2 check` says so, "
            "`auto` finds out."
        ),
    ] = Coalesce.OFF,
    hedge: Annotated[
        bool,
        typer.Option("--hedge", help="Ask a call that takes 8 times the mean a second time."),
    ] = False,
    program: Annotated[
        Path | None, typer.Option(help="Compiled prompts that `DS2Instruct.save` wrote.")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Documents to take keywords and contexts from: JSONL, Parquet, text, Markdown, "
            "gzip, a folder of them.",
        ),
    ] = None,
    corpus_column: Annotated[
        str | None,
        typer.Option(help="Column with the text; text, content or abstract if not given."),
    ] = None,
    corpus_share: Annotated[
        float | None,
        typer.Option(help="Share of the keywords that come out of it; 0.4 if not given."),
    ] = None,
    corpus_index: Annotated[
        str | None, typer.Option(help="Folder for its index; the user's cache if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; runs/TASK-TARGET if not given.")
    ] = None,
    accept_new_prompts: Annotated[
        bool,
        typer.Option(
            "--accept-new-prompts", help="Go on with a run whose prompts or models changed."
        ),
    ] = False,
    stage_check: Annotated[
        bool, typer.Option(help="Stop when a stage's first replies are mostly unusable.")
    ] = True,
    quiet: bool = False,
) -> RunRequest:
    """Return what the options of `ds2 run` ask for; `quiet` says nothing of a corpus.

    Raises:
        DS2Error: an option is out of its range.
    """
    from ds2.cli.price import read_price, read_stage_prices
    from ds2.config import preset as make_config

    del config_file  # its callback has made its settings the defaults
    config = make_config(
        preset.value,
        target,
        seed=seed,
        policy=policy,
        candidates=max_candidates,
        adapter=adapter.value,
        merger=merger.value,
        corpus_share=corpus_share,
        **config_rest(context),
        avoid=tuple(avoid or ()),
        near_duplicates=near_duplicates,
        family_cap=family_cap,
        verify_level=verify_level,
        collapse=collapse,
        collapse_spread=collapse_spread,
        checks=checks,
    )
    return _request(
        task,
        config,
        {
            "model": model,
            "model_for": _pairs(model_for or []),
            "api_base": api_base,
            "api_key_env": api_key_env,
            "sampling": _sampling(sampling),
            "max_tokens": max_tokens,
            "concurrency": concurrency,
            "timeout_s": timeout,
            "price": price and read_price("--price", price),
            "price_for": read_stage_prices(price_for or []),
            "max_tokens_cap": max_tokens_cap,
            "rpm": rpm,
            "tpm": tpm,
            "patience_s": patience,
            "sensitivity": sensitivity,
            "coalesce": coalesce.value,
            "hedge": hedge,
        },
        {
            "budget_usd": budget_usd,
            "budget_tokens": budget_tokens,
            "budget_calls": budget_calls,
            "budget_minutes": budget_minutes,
            "stage_check": stage_check,
        },
        {"out": out, "program": program, "accept_new_prompts": accept_new_prompts},
        _corpus_config(corpus, corpus_column, corpus_index, corpus_share),
        quiet=quiet,
    )


def like_run(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes a request all the options of `ds2 run`, before its own.

    So that `ds2 plan`, `ds2 preview` and `ds2 run` mean the same run by the same words.
    """
    shared = [one for one in _parameters(read_request) if one.name != "quiet"]
    own = _parameters(command)[1:]

    def wrapped(**given: Any) -> None:
        asked = {one.name: given.pop(one.name) for one in shared}
        request = read_request(**asked, quiet=bool(given.get("quiet")))
        command(request, **given)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__annotations__ = {one.name: one.annotation for one in (*shared, *own)}
    signature = inspect.Signature([*shared, *own])
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    return wrapped


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function, as options: by name, their annotations resolved."""
    # A request is no option, and its module is too heavy to import for `--help`.
    hints = get_type_hints(function, localns={"RunRequest": object}, include_extras=True)
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
    ]


@like_run
def run_command(
    request: RunRequest,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Tell the run as events: JSON lines on stdout.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
) -> None:
    """Make a dataset for TASK; give the same command again to continue a run that stopped.

    Example: ds2 run medqa --target 1000 --model openai/gpt-4.1-mini --budget-usd 5
    """
    if as_json:
        summary = _tell(request, quiet=quiet)
    else:
        from ds2.cli.progress import print_summary

        summary = _run(request, quiet=quiet)
        print_summary(summary)
    raise typer.Exit(summary.exit_code)


def _tell(request: RunRequest, *, quiet: bool) -> RunSummary:
    """Run, and tell it as events; the last one says how it ended, whatever the end."""
    from ds2.cli.events import Events, to_stdout
    from signatures.errors import DS2Error

    events = Events(to_stdout)
    try:
        summary = _run(request, quiet=quiet, events=events)
    except typer.Exit as stop:
        events.ended(stop.exit_code, error="Interrupted.")
        raise
    except DS2Error as error:
        events.ended(error.exit_code, error=str(error))
        raise
    except Exception as error:
        events.ended(1, error=f"A bug: {type(error).__name__}.")
        raise
    events.ended(summary.exit_code, summary)
    return summary


def _request(
    task: str,
    config: Any,
    engine: dict[str, Any],
    budget: dict[str, Any],
    rest: dict[str, Any],
    corpus: CorpusConfig | None,
    *,
    quiet: bool,
) -> RunRequest:
    from ds2.config import BudgetConfig, EngineConfig
    from ds2.runtime.defaults import default_out
    from ds2.runtime.session import RunRequest, grounded
    from signatures.task import load_task

    spec = load_task(task)
    engine_config = EngineConfig.build(**engine)
    out = rest.pop("out") or default_out(spec, config, engine_config, corpus, rest.get("program"))
    asked = RunRequest(
        task=spec,
        config=config,
        engine=engine_config,
        budget=BudgetConfig.build(**budget),
        out=out,
        corpus=None if corpus is None else _corpus(corpus, quiet=quiet),
        **rest,
    )
    return grounded(asked)


def _run(request: RunRequest, *, quiet: bool, events: Events | None = None) -> RunSummary:
    from ds2.cli.progress import Watcher
    from ds2.runtime.runner import run

    with Watcher(quiet=quiet, events=events) as watcher:
        return interruptible(run(request, watcher), watcher, request)


def interruptible(work: Coroutine[Any, Any, T], watcher: Watcher, request: RunRequest) -> T:
    """Return the result of work on a run; a signal says what is kept and leaves with 130 or 143."""
    import asyncio

    from ds2.runtime.stopping import signals

    with signals() as stop:
        try:
            with stop.at_last(watcher.stop):
                return stop.run(work)
        except (KeyboardInterrupt, asyncio.CancelledError):
            watcher.stop()
            typer.echo(
                f"Interrupted. What was answered is kept in {request.out}; "
                "give the same command again to continue.",
                err=True,
            )
            raise typer.Exit(stop.code) from None


def _corpus_config(
    path: str | None, column: str | None, index: str | None, share: float | None
) -> CorpusConfig | None:
    from ds2.config import CorpusConfig
    from signatures.errors import ConfigError

    if path is not None:
        return CorpusConfig.build(path=path, column=column, index=index)
    if column is None and index is None and share is None:
        return None
    raise ConfigError.rule(
        "Reading the options failed",
        name="--corpus",
        rule="be given with --corpus-column, --corpus-index or --corpus-share",
        value="nothing",
        todo="Give --corpus PATH, or leave them out.",
    )


def _corpus(config: CorpusConfig, *, quiet: bool) -> Corpus:
    """Return the corpus, indexed; say how large it is."""
    from ds2.corpus.corpus import open_corpus

    def say(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    opened = open_corpus(config, say)
    say(
        f"Corpus: {opened.passages:,} passages of {opened.documents:,} documents, index {opened.how}."
    )
    if opened.passed_over:
        say(f"{opened.passed_over:,} files of other formats were passed over.")
    return opened


def _pairs(texts: list[str]) -> dict[str, str]:
    from signatures.errors import ConfigError

    pairs = {}
    for text in texts:
        stage, equals, model = text.partition("=")
        if not equals or not model:
            raise ConfigError.rule(
                "Reading the options failed",
                name="--model-for",
                rule="be STAGE=MODEL",
                value=text,
                todo="Write for example --model-for answers=openai/gpt-4.1-mini.",
            )
        pairs[stage.strip()] = model.strip()
    return pairs


def _sampling(text: str | None) -> dict[str, Any]:
    import json

    from signatures.errors import ConfigError

    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError.rule(
            "Reading the options failed",
            name="--sampling",
            rule="be a JSON object",
            value=text,
            todo="Write for example --sampling '{\"min_p\": 0.05}'.",
        )
    return value
