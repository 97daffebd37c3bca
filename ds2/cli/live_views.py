"""A run under way for people: a screen that is drawn anew, or one line for a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ds2.cli.dollars import dollars
from ds2.cli.figures import clock, reasons
from ds2.cli.plain import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ds2.cli.live import Snapshot

BAR_WIDTH = 60


def screen(seen: Snapshot) -> RenderableType:
    """Return a bar and a table of names and values; what is too wide for a terminal is wrapped."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines(seen):
        table.add_row(Text(name, style="dim"), Text(value))
    bar = ProgressBar(total=max(1, seen.target), completed=seen.accepted)
    # A bar ends without a line of its own; padded it is one, and what follows begins anew.
    return Group(Constrain(Padding(bar, 0), BAR_WIDTH), table)


def lines(seen: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a screen."""
    yield "rows", f"{_rows(seen)}, {_left(seen)}"
    yield "units", _units(seen.ledger)
    if seen.by_level:
        yield "levels", ", ".join(_level(*item) for item in seen.by_level.items())
    yield "quality", f"{_yielded(seen)} accepted of decided, mean agreement {_agreement(seen)}"
    yield "speed", _speed(seen)
    stages = ", ".join(f"{name} {stage['calls']:,}" for name, stage in seen.stages.items())
    yield "calls", f"{seen.calls:,} ({stages or 'none yet'}), {short(seen.tokens)} tokens"
    for limit in seen.limits:
        yield "in flight", _flying(limit)
    yield "cost", _cost(seen)


def line(seen: Snapshot) -> str:
    """Return the same in one line, for a log."""
    flying = "; ".join(_flying(limit) for limit in seen.limits)
    parts = [
        _rows(seen),
        f"{seen.ledger['planned']:,} units",
        f"yield {_yielded(seen)}",
        f"agreement {_agreement(seen)}",
        f"{seen.calls:,} calls",
        _speed(seen),
        f"in flight {flying}" if flying else "",
        f"cost {_cost(seen)}",
        _left(seen),
    ]
    return ", ".join(part for part in parts if part)


def short(number: float) -> str:
    """Return a number with three digits or so.

    Example:
        >>> short(950), short(12_345), short(7_600_000)
        ('950', '12.3k', '7.6M')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.0f}"


def _rows(seen: Snapshot) -> str:
    share = seen.accepted / seen.target if seen.target else 1.0
    return f"{seen.accepted:,} of {seen.target:,} rows ({share:.0%})"


def _left(seen: Snapshot) -> str:
    if seen.time_left_s is None:
        return "time left not known yet"
    return f"{clock(seen.time_left_s)} left"


def _units(ledger: Mapping[str, Any]) -> str:
    rejected, pending = ledger["rejected"], ledger["pending"]
    parts = [
        f"{ledger['accepted']:,} accepted",
        f"{sum(rejected.values()):,} rejected" + (f" ({reasons(rejected)})" if rejected else ""),
        f"{ledger['surplus']:,} surplus",
        f"{sum(pending.values()):,} in work",
    ]
    return f"{ledger['planned']:,} begun: {', '.join(parts)}"


def _level(level: str, rows: tuple[int, int | None]) -> str:
    accepted, wanted = rows
    return f"{level} {accepted:,}" if wanted is None else f"{level} {accepted:,}/{wanted:,}"


def _yielded(seen: Snapshot) -> str:
    return "-" if seen.yielded is None else f"{seen.yielded:.2f}"


def _agreement(seen: Snapshot) -> str:
    return "-" if seen.mean_agreement is None else f"{seen.mean_agreement:.2f}"


def _speed(seen: Snapshot) -> str:
    if seen.speed is None:
        return ""
    calls, tokens = seen.speed
    rows = "" if seen.rows_per_min is None else f", {seen.rows_per_min:,.1f} rows a minute"
    return f"{calls:,.1f} calls and {short(tokens)} tokens a second{rows}"


def _flying(limit: Mapping[str, Any]) -> str:
    """Return the calls in flight at an endpoint and what holds them at that number."""
    held = one_line(str(limit["holding"]))
    return f"{limit['in_flight']:,} of {limit['limit']:,} (held by: {held})"


def _cost(seen: Snapshot) -> str:
    each = seen.cost.each_usd(seen.accepted)
    whole = dollars(seen.cost.usd, seen.cost.at_least_usd)
    return whole if each is None else f"{whole}, {dollars(each)} an accepted row"
