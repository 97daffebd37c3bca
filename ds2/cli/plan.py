"""`ds2 plan`: what a run will ask, in calls, tokens, dollars and minutes, before it asks it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ds2.cli.run import interruptible, like_run

if TYPE_CHECKING:
    from ds2.engines.base import Backend
    from ds2.runtime.assumptions import Given, PromptKind
    from ds2.runtime.foresight import Forecast, Interval
    from ds2.runtime.pilot import Seen
    from ds2.runtime.session import RunRequest
    from programs.synthesis import DS2Instruct


FEWEST = 6  # units that say more than the assumptions do


@like_run
def plan_command(
    request: RunRequest,
    *,
    pilot: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="UNITS",
            help="Work on so many units first (paid; the run goes on from them for nothing).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
) -> None:
    """Tell what `ds2 run` with these options will ask: calls, tokens, dollars and minutes by stage.

    From a pilot (--pilot 12), from what the run folder holds already, or else from assumptions that
    are printed.

    Example: ds2 plan medqa --target 1000 --model openai/gpt-4.1-mini --pilot 12
    """
    from ds2.runtime.costs import at_stored_prices
    from ds2.runtime.session import backends_for

    seen = _seen(request, pilot, quiet=quiet)
    if pilot is None and len(seen.units) < FEWEST:
        seen = seen._replace(units=())
    backends = at_stored_prices(request.out, backends_for(request))
    found = planned(request, seen, backends)
    plan = document(request, seen, found, backends)
    if as_json:
        typer.echo(json.dumps(plan, indent=2))
    else:
        from ds2.cli.plan_views import print_plan

        print_plan(plan)


def document(
    request: RunRequest, seen: Seen, found: Forecast, backends: Mapping[str, Backend]
) -> dict[str, Any]:
    """Return a plan as plain data; a figure is [low, middle, high], null where it is not known.

    All figures are of the whole run, what is in its folder already included, but for the minutes.
    Those of the stages are their parts of the whole, for stages run at the same time.
    """
    from ds2.runtime.allowance import allowances

    prices = {stage: backend.price for stage, backend in backends.items()}
    # A server that does not report its usage leaves tokens and cost unknown.
    known = not seen.units or any(use.output_tokens for use in found.known.spent.values())
    return {
        "task": request.task.name,
        "models": {stage: backend.model for stage, backend in backends.items()},
        "target": request.config.target,
        "out": str(request.out),
        "units_seen": len(seen.units),
        "calls_made": found.known.calls,
        "assumptions": [] if seen.units else _assumed(request, backends),
        "interval": 0.9,
        "stages": {
            stage: {
                "calls": _count(found.stage(stage, "calls")),
                "input_tokens": found.stage(stage, "input_tokens") if known else None,
                "output_tokens": found.stage(stage, "output_tokens") if known else None,
                "usd": found.cost_usd(prices, stage) if known else None,
                "minutes_to_go": found.minutes(stage),
            }
            for stage in backends
        },
        "units": _count(found.over(lambda run: run.units)),
        "rows": found.over(lambda run: run.rows),
        "calls": _count(found.total("calls")),
        "input_tokens": found.total("input_tokens") if known else None,
        "output_tokens": found.total("output_tokens") if known else None,
        "tokens": found.total("input_tokens", "output_tokens") if known else None,
        "usd": found.cost_usd(prices) if known else None,
        "minutes_to_go": found.minutes(),
        "pace": {"set_by": found.bound, **_limits(request)},
        "budgets": [asdict(one) for one in allowances(request.budget, found, prices, known=known)],
        "refused": _refusal(request, backends),
    }


def _refusal(request: RunRequest, backends: Mapping[str, Backend]) -> str | None:
    """Return the words with which `ds2 run` refuses the budgets; None where it takes them."""
    from ds2.runtime.budgets import check_measurable
    from signatures.errors import ConfigError

    try:
        check_measurable(request.budget, backends)
    except ConfigError as error:
        return str(error)
    return None


def _count(figure: Interval) -> Interval:
    """Return an interval of something that is counted: its ends are whole numbers."""
    low, mid, high = figure
    return figure._replace(low=math.floor(low), mid=round(mid), high=math.ceil(high))


def planned(request: RunRequest, seen: Seen, backends: Mapping[str, Backend]) -> Forecast:
    """Return the forecast of a run from the units that were seen, or from assumptions without any."""
    from ds2.runtime.assumptions import from_assumptions, shared_requests
    from ds2.runtime.foresight import forecast, from_pilot
    from ds2.runtime.pilot import wanted

    given = given_of(request, backends)
    piloted = bool(seen.units)
    draw = from_pilot(seen.units, shared_requests(given)) if piloted else from_assumptions(given)
    return forecast(wanted(request, backends), seen.known, draw)


def given_of(request: RunRequest, backends: Mapping[str, Backend]) -> Given:
    """Return what is known of a run before anything is asked."""
    from ds2.runtime.assumptions import Given
    from ds2.runtime.session import build_program, expansion_shape, merges_by_judge
    from ds2.runtime.voteplay import Voter
    from signatures.task import AnswerKind

    config, answers = request.config, backends["answers"]
    program = build_program(request, backends)
    voter = Voter(
        agreement=0.8,
        shares=request.engine.coalesce != "off" and answers.several,
        seeded=answers.send_seed,
        temperatures=program.config.temperatures,
    )
    return Given(
        policy=config.policy,
        bank=config.bank,
        shape=expansion_shape(config),
        backends=backends,
        prompts=_prompts(request, program),
        passages=request.corpus.passages if request.corpus else 0,
        voter=voter,
        compares=merges_by_judge(request),
        open_answers=request.task.answer.kind is AnswerKind.OPEN,
        verify_level=config.verify_level,
    )


_KINDS: tuple[tuple[str, PromptKind], ...] = (
    ("keywords.core", "core"),
    ("keywords.extract", "extract"),
    ("keywords.", "expand"),
    ("writer.", "writer"),
    ("vote.judge", "compare"),
    ("vote.", "answers"),
    ("level_judge", "level"),
)


def _prompts(request: RunRequest, program: DS2Instruct) -> dict[PromptKind, float]:
    """Return the tokens of each kind of prompt as they are rendered, the mean of its predictors."""
    from ds2.cli.prompt_views import prompt_views

    adapter: Literal["chat", "json"] = "chat" if request.config.adapter == "chat" else "json"
    seen: dict[PromptKind, list[int]] = {}
    for view in prompt_views(program, adapter, passage=_passage(request)):
        kind = next(kind for start, kind in _KINDS if view.predictor.startswith(start))
        seen.setdefault(kind, []).append(view.all_tokens)
    return {kind: sum(tokens) / len(tokens) for kind, tokens in seen.items()}


def _passage(request: RunRequest) -> str:
    """Return a passage as long as they are: of five about the field, the middle one."""
    from ds2.cli.prompt_views import PASSAGE

    if request.corpus is None:
        return PASSAGE
    task = request.task
    found = request.corpus.index.search(" ".join((task.domain, *task.example_keywords)), 5)
    return sorted((p.text for p in found), key=len)[len(found) // 2] if found else PASSAGE


def _limits(request: RunRequest) -> dict[str, int | None]:
    engine = request.engine
    return {"concurrency": engine.concurrency, "rpm": engine.rpm, "tpm": engine.tpm}


def _seen(request: RunRequest, units: int | None, *, quiet: bool) -> Seen:
    from ds2.cli.progress import Watcher
    from ds2.runtime.pilot import look, pilot
    from ds2.runtime.session import Pilot

    if units is None:
        return look(request)
    with Watcher(quiet=quiet) as watcher:
        return interruptible(pilot(request, Pilot(units=units), watcher), watcher, request)


def _assumed(request: RunRequest, backends: Mapping[str, Backend]) -> list[str]:
    from ds2.runtime.assumptions import Assumptions

    return list(Assumptions().lines(given_of(request, backends)))
