"""What a person sees of a run: notices, a progress line on stderr, the table at the end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import typer

from ds2.cli.dollars import dollars
from ds2.cli.figures import clock, print_table, reasons, table, tokens_note

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.table import Table

    from ds2.config import BudgetConfig
    from ds2.engines.base import Backend
    from ds2.runtime.runner import Progress
    from ds2.runtime.session import RunRequest
    from ds2.runtime.summary import RunSummary
    from ds2.store import RunStore
    from signatures.records import Keyword

REFRESH_S = 0.5


class Watcher:
    """Watches a run (see `ds2.runtime.runner.Observer`) and draws it on stderr.

    Without a terminal it prints the notices and no progress; `quiet` prints nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Bar | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def began(self, request: RunRequest, backends: Mapping[str, Backend], worst_calls: int) -> None:
        """Say what will be asked, and of whom."""
        if backends["answers"].teacher == "simulated":
            self._say(
                "The simulated teacher answers: its rows are for trying the pipeline, not for "
                "training. Choose a real model with --model."
            )
        remote = sorted({b.model for b in backends.values() if b.remote})
        if remote:
            capped = _budgets(request.budget)
            self._say(f"Asking {', '.join(remote)}: at worst {worst_calls:,} calls{capped}.")

    def grew(self, bank: tuple[Keyword, ...], stopped: str) -> None:
        """Say how large the keyword bank is."""
        why = {"size": "", "nothing_new": " (expansion brought nothing new)"}.get(
            stopped, " (the last round was reached)"
        )
        self._say(f"{len(bank)} keywords{why}.")

    def started(self, progress: Progress, store: RunStore) -> None:
        """Begin to draw the progress line."""
        if self._quiet or not sys.stderr.isatty():
            return
        self._bar = _bar()
        self._bar.start()
        task = self._bar.add_task("rows", total=progress.target, note="", left="")
        self._thread = threading.Thread(
            target=self._draw, args=(task, progress, store), name="ds2-progress", daemon=True
        )
        self._thread.start()

    def noticed(self, words: str) -> None:
        """Say that the run waits for an endpoint, or goes on."""
        if self._bar is None:
            self._say(words)
        else:
            self._bar.console.print(words, markup=False, highlight=False)

    def ended(self) -> None:
        """Stop reading the store, which is closed next."""
        self.stop()

    def stop(self) -> None:
        """End the progress line; what was drawn last stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _draw(self, task: Any, progress: Progress, store: RunStore) -> None:
        from ds2.runtime.costs import run_cost, total

        while self._bar is not None:
            ended = self._stop.wait(REFRESH_S)
            ledger = progress.ledger
            if ended:
                self._bar.update(task, completed=ledger.accepted)
                return
            usage = store.usage().values()
            calls = sum(u.calls for u in usage)
            tokens = sum(u.input_tokens + u.output_tokens for u in usage)
            mean = f"{progress.agreement_sum / ledger.accepted:.2f}" if ledger.accepted else "-"
            cost = total(run_cost(store))
            note = (
                f"{ledger.planned:,} units  agreement {mean}  {calls:,} calls  "
                f"{_short(tokens)} tokens  cost {dollars(cost.usd, cost.at_least_usd)}"
            )
            beat = store.meta().get("heartbeat") or {}
            left_s = beat.get("time_left_s")
            self._bar.update(
                task,
                completed=ledger.accepted,
                note=f"{note}  {_flying(beat.get('limits', ()))}",
                left="" if left_s is None else f"{clock(left_s)} left",
            )

    def _say(self, text: str) -> None:
        if not self._quiet:
            typer.echo(text, err=True)


def print_summary(summary: RunSummary) -> None:
    """Print the closing table on stdout, and what a reader should know."""
    from rich.console import Console

    print_table(summary_table(summary))
    console = Console()
    for reason, example in summary.examples.items():
        line = f"rejected as {reason.replace('_', ' ')}, for example {example}"
        console.print(line, markup=False, highlight=False, soft_wrap=True, style="dim")
    for notice in summary.notices:
        console.print(notice, markup=False, highlight=False, soft_wrap=True, style="dim")
    console.print(closing_line(summary), markup=False, highlight=False, soft_wrap=True)


def closing_line(summary: RunSummary) -> str:
    """Return where the dataset is, or why the run stopped and the one thing to do."""
    if summary.exit_code == 0:
        return f"Dataset: {summary.out}/dataset"
    reason, todo = ending(summary.status, summary.stopped_by)
    rows = f"{summary.ledger['accepted']:,} of {summary.target:,} rows"
    return f"Stopped ({reason}) with {rows}. {todo}"


def ending(status: str, stopped_by: str | None = None) -> tuple[str, str]:
    """Return why a run stopped, by its status and its budget, and the one thing to do."""
    which = stopped_by or "calls"
    reason = _REASONS.get(status, status).format(which=_spoken(which))
    return reason, _NEXT.get(status, "Give the same command to continue.").format(which=which)


def _budgets(config: BudgetConfig) -> str:
    """Return what holds a run, as the end of a sentence; nothing where nothing does."""
    held = [
        f"{value:,} {_spoken(name)}"
        for name in ("usd", "tokens", "calls", "minutes")
        if (value := getattr(config, f"budget_{name}")) is not None
    ]
    return f", held to {' and '.join(held)}" if held else ""


def _spoken(budget: str) -> str:
    return "USD" if budget == "usd" else budget


_REASONS = {
    "budget": "the budget of {which} is spent",
    "candidates": "the candidate cap is reached",
    "exhausted": "the plan has no more units",
    "endpoint": "the endpoint does not answer",
    "pilot": "the pilot is made",
}
_NEXT = {
    "budget": "Give the same command with a larger --budget-{which} to continue.",
    "candidates": "Look at the rejections above, or give the same command with a larger --max-candidates.",
    "exhausted": "A larger --target plans more.",
    "endpoint": "Give the same command again once it does.",
}


def summary_table(summary: RunSummary) -> Table:
    """Return the closing table: the ledger, the calls, the tokens."""
    return table(_lines(summary))


def _lines(summary: RunSummary) -> list[tuple[str, str, str]]:
    ledger = summary.ledger
    tokens = sum(s["input_tokens"] + s["output_tokens"] for s in summary.stages.values())
    by_stage = ", ".join(f"{name} {stage['calls']:,}" for name, stage in summary.stages.items())
    rows = "" if summary.samples_per_row is None else f"{summary.samples_per_row:.1f}"
    agreement = (
        "" if summary.mean_agreement is None else f"mean agreement {summary.mean_agreement:.2f}"
    )
    return [
        ("planned", f"{ledger['planned']:,}", "units"),
        (
            "accepted",
            f"{ledger['accepted']:,}",
            f"of {summary.target:,} wanted  {agreement}".strip(),
        ),
        ("rejected", f"{sum(ledger['rejected'].values()):,}", reasons(ledger["rejected"])),
        ("surplus", f"{ledger['surplus']:,}", _surplus_note(summary)),
        ("pending", f"{sum(ledger['pending'].values()):,}", reasons(ledger["pending"])),
        ("calls", f"{summary.calls:,}", by_stage),
        ("tokens", f"{tokens:,}", tokens_note(summary.stages)),
        ("cost", dollars(summary.cost_usd, summary.cost_at_least_usd), _cost_note(summary)),
        ("samples an accepted row", rows, "all answers drawn, over the rows accepted"),
        ("time", clock(summary.wall_s), f"{summary.new_calls:,} calls made now"),
    ]


def _surplus_note(summary: RunSummary) -> str:
    note = f"{summary.surplus_calls:,} calls"
    lost = summary.cancelled_calls
    return f"{note}, {lost:,} more cancelled under way" if lost else note


def _cost_note(summary: RunSummary) -> str:
    if summary.cost_usd is None:
        return "a price is not known, see --price" if not summary.cost_at_least_usd else ""
    return "" if summary.row_usd is None else f"{dollars(summary.row_usd)} an accepted row"


def _flying(limits: Sequence[Mapping[str, Any]]) -> str:
    """Return the calls in flight, and what holds them where it is one endpoint."""
    flying = sum(limit["in_flight"] for limit in limits)
    return (
        f"{flying} in flight ({limits[0]['holding']})"
        if len(limits) == 1
        else f"{flying} in flight"
    )


def _short(number: int) -> str:
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(number)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        # Rich's own reckoning takes rows that the log answered for the speed of the rest.
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
    )
