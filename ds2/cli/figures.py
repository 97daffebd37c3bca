"""Figures for people: tables of name, value and note, counts by reason, spans of time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

Line = tuple[str, str, str]


def table(lines: Iterable[Line]) -> Table:
    """Return a table of names, values and notes, without a frame."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    made.add_column()
    made.add_column(justify="right")
    made.add_column()
    for name, value, note in lines:
        made.add_row(Text(name), Text(value), Text(note, style="dim"))
    return made


def print_table(made: Table) -> None:
    """Print a table on stdout, without spaces at the ends of its lines."""
    from rich.console import Console

    # A file or a pipe has no width that a line would have to keep to.
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as printed:
        console.print(made)
    for line in printed.get().splitlines():
        typer.echo(line.rstrip())


def reasons(counts: Mapping[str, int]) -> str:
    """Return counts by reason, most first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason.replace('_', ' ')} {number:,}" for reason, number in ordered)


def tokens_note(stages: Mapping[str, Mapping[str, int]]) -> str:
    """Return what the tokens of all stages are made of."""
    names = ("input_tokens", "output_tokens", "reasoning_tokens", "unreported")
    read, written, thought, unreported = (
        sum(stage[name] for stage in stages.values()) for name in names
    )
    note = f"{read:,} in, {written:,} out"
    if thought:
        note += f" ({thought:,} of them thinking)"
    return f"{note}; {unreported:,} calls did not report theirs" if unreported else note


def lost_calls(cancelled: int, failed: int, killed: int) -> Iterator[Line]:
    """Yield the line on calls that brought no reply and may be billed, where there are any."""
    counts = {"cancelled": cancelled, "failed": failed, "killed": killed}
    whys = reasons({why: number for why, number in counts.items() if number})
    if whys:
        most = " at most" if killed else ""
        lost = f"{cancelled + failed + killed:,}"
        yield "lost calls", lost, f"{whys}{most}: no reply, and may be billed"


def clock(seconds: float) -> str:
    """Return a span of time.

    Example:
        >>> clock(12.34), clock(3661), clock(90_000)
        ('12.3 s', '01:01:01', '25:00:00')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"
