"""`ds2 plan`: what a run will ask, in calls, tokens, dollars and minutes, before it asks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ds2.cli.dollars import dollars
from ds2.cli.run import interruptible, like_run

if TYPE_CHECKING:
    from rich.table import Table

    from ds2.engines.base import Backend
    from ds2.runtime.foresight import Forecast, Interval
    from ds2.runtime.pilot import Seen
    from ds2.runtime.session import RunRequest


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
    from ds2.runtime.session import backends_for

    seen = _seen(request, pilot, quiet=quiet)
    if pilot is None and len(seen.units) < FEWEST:
        seen = seen._replace(units=())
    backends = backends_for(request)
    found = _forecast(request, seen, backends)
    plan = document(request, seen, found, backends)
    if as_json:
        typer.echo(json.dumps(plan, indent=2))
    else:
        _print(plan)


def document(
    request: RunRequest, seen: Seen, found: Forecast, backends: Mapping[str, Backend]
) -> dict[str, Any]:
    """Return a plan as plain data; a figure is [low, middle, high], null where it is not known.

    All figures are of the whole run, what is in its folder already included, but for the minutes.
    """
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
                "calls": found.stage(stage, "calls"),
                "input_tokens": found.stage(stage, "input_tokens") if known else None,
                "output_tokens": found.stage(stage, "output_tokens") if known else None,
                "usd": found.cost_usd(prices, stage) if known else None,
            }
            for stage in backends
        },
        "units": found.over(lambda run: run.units),
        "rows": found.over(lambda run: run.rows),
        "calls": found.total("calls"),
        "input_tokens": found.total("input_tokens") if known else None,
        "output_tokens": found.total("output_tokens") if known else None,
        "tokens": found.total("input_tokens", "output_tokens") if known else None,
        "usd": found.cost_usd(prices) if known else None,
        "minutes_to_go": found.over(lambda run: run.seconds / 60),
    }


def _seen(request: RunRequest, units: int | None, *, quiet: bool) -> Seen:
    from ds2.cli.progress import Watcher
    from ds2.runtime.pilot import look, pilot
    from ds2.runtime.session import Pilot

    if units is None:
        return look(request)
    with Watcher(quiet=quiet) as watcher:
        return interruptible(pilot(request, Pilot(units=units), watcher), watcher, request)


def _forecast(request: RunRequest, seen: Seen, backends: Mapping[str, Backend]) -> Forecast:
    from ds2.runtime.assumptions import from_assumptions
    from ds2.runtime.foresight import forecast, from_pilot
    from ds2.runtime.pilot import wanted
    from ds2.runtime.session import merges_by_judge

    if seen.units:
        draw = from_pilot(seen.units)
    else:
        config = request.config
        draw = from_assumptions(
            config.policy,
            config.bank,
            backends,
            _prompt_tokens(request, backends),
            compares=merges_by_judge(request),
            verify_level=config.verify_level,
        )
    return forecast(wanted(request), seen.known, draw)


def _prompt_tokens(request: RunRequest, backends: Mapping[str, Backend]) -> dict[str, float]:
    """Return the tokens of the prompts as they are rendered, the mean of each stage.

    The judge's prompt, which holds a question and two answers, is taken to be like an answer's.
    """
    from ds2.cli.prompt_views import prompt_views
    from ds2.runtime.session import build_program

    adapter: Literal["chat", "json"] = "chat" if request.config.adapter == "chat" else "json"
    seen: dict[str, list[int]] = {}
    program = build_program(request, backends)
    for view in prompt_views(program, adapter, passage=_passage(request)):
        seen.setdefault(view.stage, []).append(view.all_tokens)
    means = {stage: sum(tokens) / len(tokens) for stage, tokens in seen.items()}
    return {stage: means.get(stage, means["answers"]) for stage in backends}


def _passage(request: RunRequest) -> str:
    """Return a passage as long as they are: of five about the field, the middle one."""
    from ds2.cli.prompt_views import PASSAGE

    if request.corpus is None:
        return PASSAGE
    task = request.task
    found = request.corpus.index.search(" ".join((task.domain, *task.example_keywords)), 5)
    return sorted((p.text for p in found), key=len)[len(found) // 2] if found else PASSAGE


def _assumed(request: RunRequest, backends: Mapping[str, Backend]) -> list[str]:
    from ds2.runtime.assumptions import Assumptions
    from ds2.runtime.session import merges_by_judge

    return list(
        Assumptions().lines(
            thinking=any(backend.thinking for backend in backends.values()),
            judge="judge" in backends,
            compares=merges_by_judge(request),
            remote=any(backend.remote for backend in backends.values()),
        )
    )


def _print(plan: Mapping[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    console.print(_table(plan))
    for line in _notes(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(plan: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    names = ("calls", "input_tokens", "output_tokens")
    table = Table("", "calls", "tokens in", "tokens out", "USD", box=None, pad_edge=False)
    for stage, figures in (*plan["stages"].items(), ("in all", plan)):
        cells = [_figures(figures[name]) for name in names]
        table.add_row(*map(Text, (stage, *cells, _money(figures["usd"]))))
    return table


def _notes(plan: Mapping[str, Any]) -> list[str]:
    units, rows = plan["units"], plan["rows"]
    minutes = _minutes(plan["minutes_to_go"])
    notes = [
        f"{plan['target']:,} rows take {_figures(units)} units.",
        f"{minutes} to go, if the endpoint takes the concurrency.",
        "Each figure is the middle of what may come, and the range that holds 90 % of it.",
    ]
    if rows.low < plan["target"]:
        notes.append(f"The candidate cap may end it earlier: {_figures(rows)} rows.")
    if plan["units_seen"]:
        notes.append(
            f"From {plan['units_seen']:,} units and {plan['calls_made']:,} calls in {plan['out']}, "
            "which are counted in; `ds2 run` with the same options goes on from them."
        )
    else:
        notes.append("Assumed (--pilot 12 finds out):")
        notes += [f"- {line}" for line in plan["assumptions"]]
    if plan["usd"] is None:
        notes.append("The cost is unknown: no price is known for a model (--price IN,OUT).")
    return notes


def _figures(interval: Interval | None) -> str:
    if interval is None:
        return "unknown"
    return _range(*(_rounded(value) for value in interval))


def _range(low: str, mid: str, high: str) -> str:
    return mid if low == high else f"{mid} ({low} to {high})"


def _rounded(value: float) -> str:
    """Return a count with three digits that matter: more would claim too much."""
    if value < 10_000:
        return f"{round(value):,}"
    power = min(3, (len(str(round(value))) - 1) // 3)
    short = value / 1000**power
    return f"{short:,.{max(0, 3 - len(str(int(short))))}f}{' kMG'[power]}"


def _money(interval: Interval | None) -> str:
    if interval is None:
        return "unknown"
    return _range(*(dollars(value).removesuffix(" USD") for value in interval))


def _minutes(interval: Interval) -> str:
    return f"{_range(*(f'{value:.1f}' for value in interval))} minutes"
