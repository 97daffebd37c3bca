"""`ds2 status`: how a run is doing, from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ds2.cli.figures import Line
    from ds2.runtime.status import RunStatus

_ENDINGS = {
    "interrupted": ("it was interrupted", "Give the same command again to continue."),
    "error": ("an error ended it", "Mend that, then give the same command again to continue."),
    "killed": (
        "the process ended without a word: killed, its disk was full, or the machine stopped",
        "What was answered is kept; give the same command again to continue.",
    ),
    "unknown": (
        "it was written by a version that did not say why",
        "Give the same command again to continue or read it.",
    ),
}


def status_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run: runs/gsm8k-60.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a running or stopped run is doing: progress, ledger, rate, cost, time left.

    Example: ds2 status runs/medqa-1000
    """
    import json

    from ds2.runtime.status import read_status

    status = read_status(run)
    if as_json:
        typer.echo(json.dumps(status.as_dict(), indent=2))
    else:
        _show(status)
    raise typer.Exit(0 if status.problem is None else 1)


def _show(status: RunStatus) -> None:
    from ds2.cli.figures import print_table, table

    print_table(table([*_progress(status), *_ledger(status), *_spent(status), *_speed(status)]))
    for line in _closing(status):
        typer.echo(line)


def _progress(status: RunStatus) -> Iterator[Line]:
    from ds2.cli.plain import one_line

    yield "run", status.state, one_line(_whereabouts(status))
    accepted, target = status.ledger.accepted, status.target
    if target is not None:
        levels = ", ".join(_level(*item) for item in status.levels.items())
        yield "rows", f"{accepted:,}", f"of {target:,}, {accepted / target:.0%}: {levels}"


def _ledger(status: RunStatus) -> Iterator[Line]:
    from ds2.cli.figures import reasons

    ledger = status.ledger
    yield "planned", f"{ledger.planned:,}", "units"
    yield "accepted", f"{ledger.accepted:,}", ""
    yield "rejected", f"{ledger.rejected.total():,}", reasons(ledger.rejected)
    yield "surplus", f"{ledger.surplus:,}", ""
    yield "pending", f"{ledger.pending.total():,}", reasons(ledger.pending)


def _spent(status: RunStatus) -> Iterator[Line]:
    from ds2.cli.dollars import dollars
    from ds2.cli.figures import lost_calls, tokens_note

    stages = status.stages.values()
    tokens = sum(stage["input_tokens"] + stage["output_tokens"] for stage in stages)
    by_stage = ", ".join(f"{name} {stage['calls']:,}" for name, stage in status.stages.items())
    cost, row_usd = status.cost, status.row_usd
    yield "calls", f"{status.calls:,}", by_stage
    yield from lost_calls(status.cancelled_calls, status.failed_calls, status.killed_calls)
    yield "tokens", f"{tokens:,}", tokens_note(status.stages)
    each = "" if row_usd is None else f"{dollars(row_usd)} an accepted row"
    yield "cost", dollars(cost.usd, cost.at_least_usd), each


def _speed(status: RunStatus) -> Iterator[Line]:
    from ds2.cli.figures import clock
    from ds2.cli.plain import one_line

    running = status.state == "running"
    if status.rate is not None:
        rows, window = status.rate["rows_per_min"], clock(status.rate["window_s"])
        when = f"over the last {window}" if running else f"over its last {window}"
        note = f"calls a minute, {rows:,.1f} rows a minute, {when}"
        yield "rate", f"{status.rate['calls_per_min']:,.0f}", note
    if running:
        left_s = status.time_left_s
        known = "unknown" if left_s is None else clock(left_s)
        yield "time left", known, "too few new calls yet" if left_s is None else ""
    for limit in status.limits:
        most = "" if limit["limit"] == limit["most"] else f", --concurrency {limit['most']}"
        note = f"of {limit['limit']} now{most}; held by: {limit['holding']}; {limit['model']}"
        yield "in flight", f"{limit['in_flight']}", one_line(note)


def _level(level: str, rows: tuple[int, int | None]) -> str:
    accepted, wanted = rows
    return f"{level} {accepted:,}" if wanted is None else f"{level} {accepted:,}/{wanted:,}"


def _whereabouts(status: RunStatus) -> str:
    import time

    from ds2.cli.figures import clock

    said = [f"{status.task or 'no task yet'}, {status.model or 'no model yet'}"]
    if status.phase is not None:
        said.append(f"at {status.phase}")
    if status.began_s is not None and status.beat_s is not None and status.phase != "starting":
        said.append(f"process {status.pid}, begun {_moment(status.began_s)}")
        said.append(f"for {clock(max(0.0, status.beat_s - status.began_s))}")
        if status.state != "running":
            said.append(f"ended {clock(max(0.0, time.time() - status.beat_s))} ago")
    return ", ".join(said)


def _moment(unix_s: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _closing(status: RunStatus) -> Iterator[str]:
    from ds2.cli.plain import plain
    from ds2.cli.progress import ending
    from ds2.runtime.ledger import unbalanced

    if status.problem is not None:
        yield f"Error: {unbalanced(Path(status.folder), status.problem)}"
    if status.silent_s is not None:
        yield (
            f"No sign of the process for {status.silent_s:.0f} s: it is suspended, or the machine "
            "or its disk is very busy."
        )
    if status.state == "complete":
        yield f"Dataset: {status.folder}/dataset"
    elif status.state != "running":
        if status.why:
            yield plain(status.why)
        reason, todo = _ENDINGS.get(status.state) or ending(status.state, status.stopped_by)
        yield f"Stopped: {reason}. {todo}"
