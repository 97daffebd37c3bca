"""`ds2 tune TASK`: a live study, each trial a small run under one budget and one call log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import typer

from ds2.cli.price import read_price
from ds2.cli.tune import Common, finish, refuse, refuse_calibrated
from ds2.config import BudgetConfig, EngineConfig, preset
from ds2.runtime.session import RunRequest, backends_for, open_folder, uses_judge
from ds2.runtime.trials import NoResult, Question, TrialSetup, trial_budget
from ds2.runtime.tuning import (
    COSTS,
    QUALITIES,
    LiveMeasure,
    LiveTrials,
    StudyStopped,
    bank_sizes,
    default_settings,
    trial_changes,
)
from ds2.store import RunStore
from optimizers.tuning import (
    HeldOut,
    Measured,
    Objective,
    Paused,
    StudyPlan,
    Tried,
    Unmeasured,
    read_space,
)
from optimizers.tuning.catalog import in_full, live_space, policy_text
from optimizers.tuning.heldout import held_out_part
from optimizers.tuning.space import Choice, Domain, Settings, Space
from programs.stopping import Calibrated, load_calibrated
from signatures.records import content_id
from signatures.task import TaskSpec, load_task

DIVERSITY = Objective("diversity", higher=True, title="distinct-2")


@dataclass(frozen=True, slots=True)
class Live:
    """The options of a live study; see `ds2.cli.tune.tune_command`."""

    target: int
    model: tuple[str, ...]
    judge_model: tuple[str, ...]
    merger: str
    program: tuple[Path, ...]
    devset: str | None
    columns: str | None
    calibrated: Path | None
    cost: str
    price: str | None
    api_base: str | None
    api_key_env: str | None
    budget: Mapping[str, Any]
    concurrency: int
    patience: float


class Dev(NamedTuple):
    """The dev questions to tune on, and to tell what was chosen is worth.

    Args:
        questions: those that trials are measured on.
        held_out: those that trials vote on as well, but are not chosen by.
        about: what is held out.
        id: of their set.
        labelled_by: who gave its answers, if the set says so.
    """

    questions: tuple[Question, ...] = ()
    held_out: tuple[Question, ...] = ()
    about: HeldOut = HeldOut(why="a trial is judged by the rows that it makes; see --devset")
    id: str | None = None
    labelled_by: str = ""

    @property
    def quality(self) -> str:
        """Return what right / accepted votes on them are called."""
        return "agreement_with_self_labels" if self.labelled_by else "precision"


def tune_live(common: Common, live: Live, name: str) -> None:
    """Tune a task by small runs."""
    task = load_task(name)
    table = load_calibrated(live.calibrated) if live.calibrated else None
    dev = _dev(task, live, hold_out=common.held_out)
    request = _request(task, live, common)
    if live.judge_model and not uses_judge(request):
        refuse(
            "--judge-model",
            "be left out where no model compares answers",
            live.judge_model[0],
            "Give --merger judge, for a task whose answers are expressions or text.",
        )
    if live.cost == "usd":
        _check_prices(request)
    measure = LiveMeasure(
        dev.quality if dev.questions else "estimated_precision" if table else "agreement",
        live.cost,  # type: ignore[arg-type]  # the option's choices are the literal's
    )
    plan = _plan(common, live, request, measure, table, dev)
    open_folder(request.out)
    with RunStore(request.out) as store:
        said = None if common.quiet else _say
        setup = TrialSetup(request, dev.questions, dev.held_out, table, on_notice=said)
        trials = LiveTrials(setup, measure, store, trial_budget(setup, store))

        def evaluate(settings: Settings) -> Measured:
            try:
                return Measured(*trials(_changes(settings)))
            except NoResult as reason:
                raise Unmeasured(str(reason)) from reason
            except StudyStopped as reason:
                raise Paused(str(reason)) from reason

        finish(
            plan,
            evaluate,
            lambda chosen: _config(chosen, live),
            common,
            lambda one: _on_held_out(one, dev),
        )


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _request(task: TaskSpec, live: Live, common: Common) -> RunRequest:
    models = {"model": live.model[0] if live.model else None}
    judge = {"judge": live.judge_model[0]} if live.judge_model else {}
    return RunRequest(
        task=task,
        config=preset("default", live.target, seed=common.seed, merger=live.merger),
        engine=EngineConfig.build(
            **models,
            model_for=judge,
            price=live.price and read_price("--price", live.price),
            api_base=live.api_base,
            api_key_env=live.api_key_env,
            concurrency=live.concurrency,
            patience_s=live.patience,
        ),
        budget=BudgetConfig.build(**live.budget),
        out=common.folder(task.name),
    )


def _check_prices(request: RunRequest) -> None:
    for stage, backend in backends_for(request).items():
        if backend.price is None or backend.price.is_free:
            known = "not known" if backend.price is None else "nothing"
            refuse(
                "--cost",
                f"be tokens or calls where the price of a model is {known}",
                f"usd, for {stage}: {backend.model}",
                "Give --price IN,OUT, or leave --cost out.",
            )


def _dev(task: TaskSpec, live: Live, *, hold_out: bool) -> Dev:
    """Return the dev questions to tune on: those that no held-out test will be made of.

    Where there are enough of them, trials are measured on the train side; the val side, on which they
    vote as well, is held out. So what is held out costs no call that the study would not have made.
    """
    if live.devset is None:
        return Dev()
    from optimizers.devsets import load_devset, parse_columns, split_devset

    devset = load_devset(live.devset, task, columns=parse_columns(live.columns))
    if not devset.labelled:
        rule = "hold an answer for every question"
        refuse("--devset", rule, live.devset, "Name another column with --columns answer=NAME.")
    sides = split_devset(devset.rows)
    both = sides[:2]
    name = content_id(sorted([row.question, row.context] for row in sides.val))
    about = held_out_part([len(side) for side in both], sides.different[:2], name)
    if not hold_out or not about.questions:
        both, about = ((*sides.train, *sides.val), ()), about if hold_out else HeldOut()
    return Dev(*both, about, devset.id, devset.labelled_by)


def _on_held_out(one: Tried, dev: Dev) -> dict[str, Any]:
    """Return what a trial came to on the held-out dev questions: right / accepted votes."""
    accepted, right = (one.facts[f"held_out_{what}"] for what in ("accepted", "right"))
    share = right / accepted if accepted else None
    low, high = dev.about.interval(share, accepted)
    return {dev.quality: share, f"{dev.quality}_low": low, f"{dev.quality}_high": high}


def _space(request: RunRequest, live: Live) -> Space:
    extra: dict[str, Domain] = {"bank": Choice(bank_sizes(request.config.bank))}
    if live.program:
        extra["program"] = Choice((None, *map(str, live.program)))
    for name, given in (("model", live.model), ("judge_model", live.judge_model)):
        if len(given) > 1:
            extra[name] = Choice(given)
    return live_space(extra)


def _plan(
    common: Common,
    live: Live,
    request: RunRequest,
    measure: LiveMeasure,
    table: Calibrated | None,
    dev: Dev,
) -> StudyPlan:
    space = _space(request, live)
    if common.space is not None:
        space = read_space(common.space, space)
        refuse_calibrated(space, "a live study fits nothing")
    name = f"{measure.cost}_per_accepted"
    objectives = (
        Objective(measure.quality, higher=True, title=QUALITIES[measure.quality]),
        Objective(name, higher=False, title=COSTS[measure.cost]),
        DIVERSITY,
    )
    base = default_settings(request.config.model_dump())
    paper: Mapping[str, Any] = {
        "policy": "curtailed",
        "curtailed.k": 5,
        "curtailed.threshold": 0.5,
        "answer_temperatures_by": "draw",
    }
    firsts = {"program": None, "model": live.model[:1], "judge_model": live.judge_model[:1]}
    for parameter in ("program", "model", "judge_model"):
        if parameter in space.domains:
            first = firsts[parameter]
            base[parameter] = first[0] if first else None
    # What the user has fixed is no part of what a baseline is.
    base |= {name: value for name, value in space.fixed.items() if name in base}
    known = {n: v for n, v in base.items() if n in space.domains}
    return StudyPlan(
        name=common.name(request.task.name),
        folder=request.out,
        space=space,
        objectives=objectives,
        minima=common.minima(measure.quality),
        baselines={
            "default": in_full(space, {"policy": "lead", "lead.by": 3, "lead.max": 9, **known}),
            "paper": in_full(space, {**known, **paper}),
        },
        identity={
            "way": "live",
            "task": request.task.name,
            "task_id": content_id(request.task.model_dump_json()),
            "target": live.target,
            "models": list(live.model),
            "judge_models": list(live.judge_model),
            "merger": live.merger,
            "dev": dev.id,
            # Only where it is known: a study on answers that people gave goes on.
            **({"labelled_by": dev.labelled_by} if dev.labelled_by else {}),
            "estimate": table.id if table else None,
            "seed": common.seed,
        },
        held_out=dev.about,
        trials=common.trials,
        seed=common.seed,
        storage=common.storage,
    )


def _changes(settings: Settings) -> dict[str, Any]:
    return trial_changes(settings, str(policy_text(settings)))


def _config(chosen: Tried, live: Live) -> dict[str, Any]:
    """Return what best.yaml holds: the settings of the trial, and the models it was made with."""
    changes = _changes(chosen.settings)
    judge = changes.pop("judge_model", None) or (live.judge_model[0] if live.judge_model else None)
    model = changes.pop("model", None) or (live.model[0] if live.model else None)
    found = {**changes, "model": model, "api_base": live.api_base}
    if live.merger != "none":
        found["merger"] = live.merger
    if judge is not None:
        found["model_for"] = {"judge": judge}
    # A bank suits its target: that of a small trial would starve a large run.
    found.pop("bank", None)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value is not None
    }
