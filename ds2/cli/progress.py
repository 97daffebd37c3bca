"""What a person sees of a run: notices, its progress on stderr, the table at the end."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import typer

from ds2.cli.dollars import dollars
from ds2.cli.faces import EventsFace, LinesFace, Screen
from ds2.cli.figures import clock, lost_calls, print_table, reasons, table, tokens_note
from ds2.cli.live import Gauge
from signatures.errors import StoreError

if TYPE_CHECKING:
    from rich.table import Table

    from ds2.cli.events import Events
    from ds2.cli.faces import Face
    from ds2.config import BudgetConfig
    from ds2.engines.base import Backend
    from ds2.runtime.runner import Progress
    from ds2.runtime.session import RunRequest
    from ds2.runtime.summary import RunSummary
    from ds2.store import RunStore
    from signatures.records import Keyword

LOOK_EVERY_S = 0.5


class Watcher:
    """Watches a run (see `ds2.runtime.runner.Observer`) and tells of it.

    On a terminal it draws a screen on stderr; elsewhere it prints a line every 30 s. With `events`
    they are told every 5 s instead, and at the beginning and the end of the units.

    Args:
        quiet: print neither progress nor notices; events are told all the same.
        events: where events go; None for none.
        clock: a steady clock, seconds.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        events: Events | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet, self._events, self._clock = quiet, events, clock
        self._face: Face | None = None
        self._quotas: dict[str, int | None] = {}
        self._gauge: Gauge | None = None
        self._shown_s = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def began(self, request: RunRequest, backends: Mapping[str, Backend], worst_calls: int) -> None:
        """Say what will be asked, and of whom."""
        config = request.config
        self._quotas = {
            str(level): wanted if config.quotas else None
            for level, wanted in sorted(config.level_quotas.items(), key=lambda item: item[0].rank)
        }
        if self._events is not None:
            self._events.began(request, backends, worst_calls)
        if backends["answers"].teacher == "simulated":
            self._say(
                "The simulated teacher answers: its rows are for trying the pipeline, not for "
                "training. Choose a real model with --model."
            )
        remote = sorted({b.model for b in backends.values() if b.remote})
        if remote:
            capped = _budgets(request.budget)
            self._say(f"Asking {', '.join(remote)}: at worst {worst_calls:,} calls{capped}.")
        self._face = self._choose_face()
        if self._face is not None:
            self._face.open()

    def grew(self, bank: tuple[Keyword, ...], stopped: str) -> None:
        """Say how large the keyword bank is."""
        if self._events is not None:
            self._events.keywords(len(bank), stopped)
        why = {"size": "", "nothing_new": " (expansion brought nothing new)"}.get(
            stopped, " (the last round was reached)"
        )
        self._say(f"{len(bank)} keywords{why}.")

    def started(self, progress: Progress, store: RunStore) -> None:
        """Begin to show how far the run is."""
        if self._face is None:
            return
        self._gauge = Gauge(progress, store, self._quotas)
        self._shown_s = self._clock()
        self.look(self._clock(), at_once=self._events is not None)
        self._thread = threading.Thread(target=self._watch, name="ds2-progress", daemon=True)
        self._thread.start()

    def look(self, now_s: float, *, at_once: bool = False) -> None:
        """Show the run where that is due; `at_once` shows it in any case."""
        if self._face is None or self._gauge is None:
            return
        seen = self._gauge.read(now_s)  # also between: the speed is of what was read
        if at_once or now_s - self._shown_s >= self._face.every_s:
            self._shown_s = now_s
            self._face.show(seen)

    def noticed(self, words: str) -> None:
        """Say that the run waits for an endpoint, or goes on."""
        if self._events is not None:
            self._events.notice(words)
        self._say(words)

    def ended(self) -> None:
        """Stop reading the store, which is closed next."""
        self.stop()

    def stop(self) -> None:
        """End; what was drawn last stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._face is not None:
            self._face.close()
            self._face = None

    def _choose_face(self) -> Face | None:
        if self._events is not None:
            return EventsFace(self._events)
        if self._quiet:
            return None
        dumb = os.environ.get("TERM", "").casefold() in {"dumb", "unknown"}
        return Screen(self._clock) if sys.stderr.isatty() and not dumb else LinesFace()

    def _watch(self) -> None:
        # A store that cannot be read for a moment is the run's to mend, not its picture's.
        while not self._stop.wait(LOOK_EVERY_S):
            with suppress(sqlite3.Error, StoreError):
                self.look(self._clock())
        if self._face is not None and self._face.shows_end:
            with suppress(sqlite3.Error, StoreError):
                self.look(self._clock(), at_once=True)

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._face is None:
            typer.echo(text, err=True)
        else:
            self._face.say(text)


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
    "collapsed": "the collapse alarm has retired every keyword",
    "endpoint": "the endpoint does not answer",
    "pilot": "the pilot is made",
}
_NEXT = {
    "budget": "Give the same command with a larger --budget-{which} to continue.",
    "candidates": "Look at the rejections above, or give the same command with a larger --max-candidates.",
    "exhausted": "A larger --target plans more.",
    "collapsed": "Look at the rejections above; another --out with a stronger or warmer writer, more "
    "keywords, or --collapse 0.",
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
        *lost_calls(summary.cancelled_calls, summary.failed_calls, summary.killed_calls),
        ("tokens", f"{tokens:,}", tokens_note(summary.stages)),
        ("cost", dollars(summary.cost_usd, summary.cost_at_least_usd), _cost_note(summary)),
        ("samples an accepted row", rows, "all answers drawn, over the rows accepted"),
        ("time", clock(summary.wall_s), f"{summary.new_calls:,} calls made now"),
    ]


def _surplus_note(summary: RunSummary) -> str:
    return f"{summary.surplus_calls:,} calls"


def _cost_note(summary: RunSummary) -> str:
    if summary.cost_usd is None:
        return "a price is not known, see --price" if not summary.cost_at_least_usd else ""
    return "" if summary.row_usd is None else f"{dollars(summary.row_usd)} an accepted row"
