"""`ds2 tune`: search what is not text, on recorded votes or live."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ds2.cli.replay import RecordingReader, ReplayFormat
from ds2.cli.run import MergerName

if TYPE_CHECKING:
    from collections.abc import Callable

    from optimizers.recorded import Recording
    from optimizers.tuning import StudyPlan, Tried
    from optimizers.tuning.results import Preference
    from optimizers.tuning.space import Space
    from optimizers.tuning.study import Evaluate


class Prefer(StrEnum):
    """Which point of the Pareto front becomes best.yaml."""

    CHEAP = "cheap"
    BALANCED = "balanced"
    PRECISE = "precise"


class CostName(StrEnum):
    """What the cost of an accepted row is counted in."""

    TOKENS = "tokens"
    CALLS = "calls"
    USD = "usd"


POLICY_NAME = "policy.json"
BASELINES: dict[str, dict[str, Any]] = {
    "default": {"policy": "lead", "lead.by": 3, "lead.max": 9},
    "paper": {"policy": "curtailed", "curtailed.k": 5, "curtailed.threshold": 0.5},
}


def tune_command(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[TASK|RUN]", help="A task to run small, or a run's folder."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tune the vote on recorded samples; no call is paid."),
    ] = None,
    trials: Annotated[
        int, typer.Option(help="Trials in all; a study is continued up to them.")
    ] = 100,
    prefer: Annotated[
        Prefer, typer.Option(help="Which trade-off becomes best.yaml.")
    ] = Prefer.BALANCED,
    min_precision: Annotated[
        float | None, typer.Option(help="Least precision that is feasible, such as 0.95.")
    ] = None,
    min_yield: Annotated[
        float | None, typer.Option(help="Least share of questions accepted that is feasible.")
    ] = None,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Narrow, fix or extend the search.")
    ] = None,
    held_out: Annotated[
        bool, typer.Option(help="Judge what is chosen on questions that no trial is measured on.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; runs/NAME-tune if not given.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A database, such as sqlite:///study.db; else a journal."),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study in its storage.")] = None,
    seed: Annotated[int, typer.Option(help="Of the search, and of the orders of samples.")] = 0,
    repeats: Annotated[int, typer.Option(help="Replay: random orders of each question.")] = 20,
    answer_format: Annotated[
        ReplayFormat | None,
        typer.Option("--format", help="Replay: answer format of the file; TASK's if given."),
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Replay: only samples of these models.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Replay: no samples of these models.")
    ] = None,
    options: Annotated[int | None, typer.Option(help="Replay: options of a choice.")] = None,
    labels: Annotated[str | None, typer.Option(help="Replay: labels, such as yes,no.")] = None,
    target: Annotated[int, typer.Option("--target", "-n", help="Live: rows of a trial.")] = 12,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Live: PROVIDER/NAME; several are compared."),
    ] = None,
    judge_model: Annotated[
        list[str] | None, typer.Option(help="Live: who compares answers; may be repeated.")
    ] = None,
    merger: Annotated[MergerName, typer.Option(help="Live: as in `ds2 run`.")] = MergerName.NONE,
    program: Annotated[
        list[Path] | None,
        typer.Option(help="Live: compiled prompts, against the plain ones; may be repeated."),
    ] = None,
    devset: Annotated[
        str | None, typer.Option(help="Live: questions with answers, to measure precision on.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Of the dev set, such as question=prompt,answer=label.")
    ] = None,
    calibrated: Annotated[
        Path | None,
        typer.Option(metavar="POLICY.json", help="Live: estimate precision by this table."),
    ] = None,
    cost: Annotated[CostName, typer.Option(help="Live: what an accepted row costs.")] = (
        CostName.TOKENS
    ),
    price: Annotated[
        str | None,
        typer.Option(metavar="IN,OUT", help="Live: of --model, USD for a million tokens."),
    ] = None,
    api_base: Annotated[
        str | None, typer.Option(help="Live: address of an OpenAI-compatible server.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Live: environment variable that holds its key.")
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option(help="Live: stop before the study costs more, US dollars.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(help="Live: stop before it uses more tokens.")
    ] = None,
    budget_calls: Annotated[
        int | None, typer.Option(help="Live: stop before it makes more calls.")
    ] = None,
    budget_minutes: Annotated[
        float | None, typer.Option(help="Live: stop before this command takes longer.")
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", help="Calls in flight.")] = 64,
    patience: Annotated[
        float,
        typer.Option(
            min=0,
            help="Live: seconds that an endpoint which has answered may be down before the study stops.",
        ),
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
) -> None:
    """Search policies, temperatures and sizes with Optuna; the same command again continues.

    Example: ds2 tune runs/medqa-1000 --trials 40
    """
    common = Common(
        out,
        storage,
        study,
        trials,
        seed,
        min_precision,
        min_yield,
        space,
        held_out,
        prefer,
        as_json,
        quiet,
    )
    path = replay or _run_folder(source)
    if path is not None:
        task = source if replay is not None else None
        reader = RecordingReader(answer_format, models, exclude, options, labels, task)
        tune_replay(common, reader.read(path), path, repeats)
        return
    if source is None:
        refuse("TASK, RUN or --replay", "be given", source, "Write `ds2 tune --replay FILE`.")
    from ds2.cli.tune_live import Live, tune_live

    live = Live(
        target,
        tuple(model or ()),
        tuple(judge_model or ()),
        merger.value,
        tuple(program or ()),
        devset,
        columns,
        calibrated,
        cost.value,
        price,
        api_base,
        api_key_env,
        {
            "budget_usd": budget_usd,
            "budget_tokens": budget_tokens,
            "budget_calls": budget_calls,
            "budget_minutes": budget_minutes,
        },
        concurrency,
        patience,
    )
    tune_live(common, live, source)


def _run_folder(source: str | None) -> Path | None:
    """Return the run that is meant; a task's name means the task, even beside a folder of that name."""
    from signatures.task import BUILT_IN

    if source is None or source in BUILT_IN or not Path(source).is_dir():
        return None
    return Path(source)


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every way of tuning has; see `tune_command`."""

    out: Path | None
    storage: str | None
    study: str | None
    trials: int
    seed: int
    min_precision: float | None
    min_yield: float | None
    space: Path | None
    held_out: bool
    prefer: Prefer
    as_json: bool
    quiet: bool

    def folder(self, stem: str) -> Path:
        """Return the study's folder."""
        return self.out or Path("runs") / f"{stem}-tune"

    def name(self, stem: str) -> str:
        """Return the study's name: in a database workers with folders of their own share one."""
        return self.study or (f"{stem}-tune" if self.storage else self.folder(stem).name)

    def minima(self, quality: str) -> dict[str, float]:
        """Return the constraints by the name of what they are about.

        Raises:
            ConfigError: one is out of its range, or asks for a precision that cannot be measured.
        """
        found = {}
        for option, name, least in (
            ("--min-precision", "precision", self.min_precision),
            ("--min-yield", "yield", self.min_yield),
        ):
            if least is None:
                continue
            if not 0 <= least <= 1:
                refuse(option, "be from 0 to 1", least, "Give a share, such as 0.95.")
            if name == "precision" and quality != "precision":
                rule = f"be left out: right answers are not known here, only the {quality.replace('_', ' ')}"
                refuse(option, rule, least, "Tune on a file with `gold`, or with --devset.")
            found[name] = least
        return found


def tune_replay(common: Common, recording: Recording, path: Path, repeats: int) -> None:
    """Tune the voting policy on recorded samples."""
    from optimizers.tuning import (
        HeldOut,
        ReplayTrials,
        StudyPlan,
        hold_out,
        read_space,
        replay_space,
    )
    from optimizers.tuning.catalog import PARAMETERS
    from programs.stopping import Calibrated
    from signatures.records import content_id

    whole, apart, about = hold_out(recording) if common.held_out else (recording, None, HeldOut())
    trials = ReplayTrials(whole, held_out=apart, repeats=repeats, seed=common.seed)
    space = replay_space(whole)
    if common.space is not None:
        live = {n: "only a live study can search it" for n in PARAMETERS if "." not in n}
        for name in ("policy", "wave"):
            live.pop(name)
        space = read_space(common.space, space, fixed_here=live)
    if not recording.labelled:
        refuse_calibrated(space, "right answers are not known here, so that nothing can be fitted")
    stem = path.name.split(".")[0]
    folder = common.folder(stem)
    plan = StudyPlan(
        name=common.name(stem),
        folder=folder,
        space=space,
        objectives=trials.objectives,
        minima=common.minima(trials.objectives[0].name),
        baselines=_baselines(space),
        identity={
            "way": "replay",
            "source": path.name,
            "votes": content_id([[list(b.answers), b.right] for b in recording.ballots]),
            "repeats": repeats,
            "seed": common.seed,
        },
        held_out=about,
        trials=common.trials,
        seed=common.seed,
        storage=common.storage,
    )

    def config(chosen: Tried) -> dict[str, Any]:
        policy = trials.policy(chosen.settings, chosen.values[0])
        if isinstance(policy, Calibrated):
            policy.save(folder / POLICY_NAME)
            return {"policy": f"calibrated({POLICY_NAME})"}
        return {"policy": policy.spec}

    finish(plan, trials, config, common, lambda one: trials.held_out(one.settings, about))


def _baselines(space: Space) -> dict[str, dict[str, Any]]:
    """Return the baselines; what the user has fixed is no part of what a baseline is."""
    from optimizers.tuning.catalog import in_full

    wave = {"wave": space.fixed.get("wave", 1)} if "wave" in space.domains else {}
    return {name: in_full(space, {**settings, **wave}) for name, settings in BASELINES.items()}


def finish(
    plan: StudyPlan,
    evaluate: Evaluate,
    config: Callable[[Tried], dict[str, Any]],
    common: Common,
    judge: Callable[[Tried], dict[str, Any]],
) -> None:
    """Run the study, write what it came to, print it, and leave with its exit code.

    Args:
        plan: the study.
        evaluate: measures a trial.
        config: gives what best.yaml shall hold for the trial that is chosen.
        common: the options.
        judge: gives what a trial comes to on the held-out questions, where there are some.
    """
    from ds2.cli import tune_views as views
    from ds2.runtime.stopping import current
    from optimizers.tuning import choose, front, judged, run_study

    prefer: Preference = common.prefer.value
    watcher = views.TuneWatcher(plan, prefer, quiet=common.quiet)
    try:
        with watcher:
            outcome = run_study(plan, evaluate, watcher)
        if plan.held_out.questions:
            told = judged(outcome.tried, plan.objectives, judge)
            outcome = outcome._replace(tried=told)
    except KeyboardInterrupt:
        typer.echo(
            f"Interrupted. The trials are kept in {plan.folder}; give the same command again to "
            "continue.",
            err=True,
        )
        raise typer.Exit(current().code) from None
    best = front(outcome.tried, plan.objectives)
    chosen = choose(best, plan.objectives, prefer) if best else None
    found = views.document(plan, outcome, chosen, prefer)
    files = views.write_all(plan, outcome, chosen, found)
    if chosen is not None:
        files = [views.write_best(plan, found, config(chosen)), *files]
    if common.as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        views.show(plan, found, files)
    if outcome.paused:
        raise typer.Exit(3)
    if chosen is None:
        raise typer.Exit(views.NOTHING_FEASIBLE)


def refuse_calibrated(space: Space, why: str) -> None:
    """Raise where the space asks for fitted policies that this study cannot fit."""
    if "calibrated.variant" in space.domains:
        todo = "Name a fitted one as calibrated(policy.json); `ds2 replay --fit --save` makes it."
        refuse("policy", f"not be `calibrated`: {why}", "calibrated", todo)


def refuse(name: str, rule: str, value: object, todo: str) -> NoReturn:
    from signatures.errors import ConfigError

    raise ConfigError.rule("Tuning failed", name=name, rule=rule, value=value, todo=todo)
