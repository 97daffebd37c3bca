"""Charts as geometry: what stands where. `assets/charts.html.j2` draws them as SVG, with their table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# As wide as a column of the page or a telephone, so that words keep their size.
WIDTH = 400
_ROW = 26
_LABEL = 160
_VALUE = 56
_HEIGHT = 200
LETTER = 6.8  # user units a letter takes, about
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 12, 34
_HALF_LABEL = 34  # room for the right half of the last label of an axis


class Part(NamedTuple):
    """One stretch of a bar, in user units, and the class that colours it."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with its words.

    Args:
        label: what it is of.
        value: what is written at its end.
        parts: its stretches.
        x, y: where the label stands.
        end: where the value stands, along the bar.
    """

    label: str
    value: str
    parts: tuple[Part, ...]
    x: float
    y: float
    end: float


class Tick(NamedTuple):
    """One line of the grid: where, and its label."""

    at: float
    label: str


class Scale(NamedTuple):
    """How far the axes of a chart reach: the largest value, and the largest place of lines."""

    most: float = 0.0
    last: float = 0.0

    def both(self, other: Scale) -> Scale:
        """Return the scale that both fit into."""
        return Scale(max(self.most, other.most), max(self.last, other.last))


NO_SCALE = Scale()


class Dot(NamedTuple):
    """A point in a plane, its class, its name and where that stands; no anchor: it found no room."""

    x: float
    y: float
    kind: str
    name: str
    name_x: float
    name_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure with its name, its description and the data behind it.

    Args:
        id: unique on its page.
        title: the name, read by screen readers too.
        description: one sentence that says what is to be seen.
        kind: bars, columns, lines or scatter.
        height: of the picture; its width is `WIDTH`.
        head: the columns of the data table.
        rows: the data.
        bars: for bars and columns.
        ticks: grid lines of the value axis.
        axis: labels below lines: where, and what.
        lines: name, class, and the points as SVG wants them.
        dots: for scatter.
        legend: what the classes mean; empty where one is enough.
        note: one sentence below the figure.
        scale: how far its data reach.
    """

    id: str
    title: str
    description: str
    kind: str
    height: float
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[Bar, ...] = ()
    ticks: tuple[Tick, ...] = ()
    axis: tuple[Tick, ...] = ()
    lines: tuple[tuple[str, str, str], ...] = ()
    dots: tuple[Dot, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""
    scale: Scale = NO_SCALE


@dataclass(frozen=True, slots=True)
class Item:
    """One line of data for a bar chart: its label, its values by class, what is written beside it."""

    label: str
    values: tuple[tuple[float, str], ...]
    value: str = ""

    @property
    def total(self) -> float:
        """Return the length of its bar."""
        return sum(value for value, _ in self.values)

    @property
    def words(self) -> str:
        """Return what is written beside it."""
        return self.value or f"{self.total:,.0f}"


@dataclass(frozen=True, slots=True)
class Words:
    """The words around a chart; see `Chart`."""

    id: str
    title: str
    description: str
    head: tuple[str, ...]
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""


def bars(words: Words, items: Sequence[Item], *, at_least: Scale = NO_SCALE) -> Chart:
    """Return horizontal bars, one an item, in their order; the full width is `at_least.most` or more."""
    scale = at_least.both(Scale(max((item.total for item in items), default=0)))
    longest = scale.most
    room = WIDTH - _LABEL - _VALUE
    drawn = []
    for number, item in enumerate(items):
        top, x, parts = number * _ROW + 4.0, float(_LABEL), []
        for value, kind in item.values:
            width = value / longest * room if longest else 0.0
            parts.append(Part(round(x, 1), top, round(width, 1), _ROW - 8, kind))
            x += width
        end = round(x + 6, 1)
        label = cut(item.label, int((_LABEL - 8) / LETTER))
        drawn.append(Bar(label, item.words, tuple(parts), _LABEL - 8, top + 13, end))
    return Chart(
        id=words.id,
        title=words.title,
        description=words.description,
        kind="bars",
        height=max(1, len(items)) * _ROW + 4,
        head=words.head,
        rows=tuple(_row(item) for item in items),
        bars=tuple(drawn),
        legend=words.legend,
        note=words.note,
        scale=scale,
    )


def columns(words: Words, items: Sequence[Item], *, at_least: Scale = NO_SCALE) -> Chart:
    """Return vertical bars, one an item, with a grid that reaches `at_least.most`."""
    scale = at_least.both(Scale(max((item.total for item in items), default=0)))
    most, ticks = _grid(scale.most)
    room = _HEIGHT - _TOP - _BOTTOM
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(items))
    longest = max((len(item.label) for item in items), default=0)
    every = math.ceil((longest + 1) * LETTER / step)  # labels that fit; the last one always
    drawn = []
    for number, item in enumerate(items):
        x, bottom, parts = _LEFT + number * step, float(_HEIGHT - _BOTTOM), []
        for value, kind in item.values:
            height = value / most * room
            bottom -= height
            parts.append(
                Part(
                    round(x + step * 0.1, 1), round(bottom, 1), round(step * 0.8, 1),
                    round(height, 1), kind,
                )
            )  # fmt: skip
        drawn.append(
            Bar(
                "" if (len(items) - 1 - number) % every else item.label,
                item.words,
                tuple(parts),
                round(x + step / 2, 1),
                _HEIGHT - 14,
                bottom - 4,
            )
        )
    return Chart(
        id=words.id,
        title=words.title,
        description=words.description,
        kind="columns",
        height=_HEIGHT,
        head=words.head,
        rows=tuple(_row(item) for item in items),
        bars=tuple(drawn),
        ticks=tuple(Tick(round(_HEIGHT - _BOTTOM - t / most * room, 1), short(t)) for t in ticks),
        legend=words.legend,
        note=words.note,
        scale=scale,
    )


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, the class that colours it, its points (x ascending)."""

    name: str
    kind: str
    points: tuple[tuple[float, float], ...] = field(default=())


def lines(
    words: Words, series: Sequence[Series], *, unit: str, at_least: Scale = NO_SCALE
) -> Chart:
    """Return lines over one axis of `unit`, all from the same zero; both axes reach `at_least`."""
    points = [point for line in series for point in line.points]
    furthest = (max((xy[i] for xy in points), default=0) for i in (1, 0))
    scale = at_least.both(Scale(*furthest))
    last = scale.last or 1
    most, ticks = _grid(scale.most)
    room, wide = _HEIGHT - _TOP - _BOTTOM, WIDTH - _LEFT - _HALF_LABEL

    def path(line: Series) -> str:
        placed = (
            (_LEFT + x / last * wide, _HEIGHT - _BOTTOM - y / most * room) for x, y in line.points
        )
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)

    across = _grid(last)[1]
    return Chart(
        id=words.id,
        title=words.title,
        description=words.description,
        kind="lines",
        height=_HEIGHT,
        head=words.head,
        rows=tuple(
            (short(x), *(short(dict(line.points).get(x, math.nan)) for line in series))
            for x in sorted({x for x, _ in points})
        ),
        ticks=tuple(Tick(round(_HEIGHT - _BOTTOM - t / most * room, 1), short(t)) for t in ticks),
        axis=tuple(
            Tick(round(_LEFT + t / last * wide, 1), f"{short(t)} {unit}".strip())
            for t in across
            if t <= last
        ),
        lines=tuple((line.name, line.kind, path(line)) for line in series),
        legend=tuple((line.kind, line.name) for line in series) if len(series) > 1 else (),
        note=words.note,
        scale=scale,
    )


def cut(text: str, most: int) -> str:
    """Return a text of at most so many letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _row(item: Item) -> tuple[str, ...]:
    if len(item.values) < 2:
        return (item.label, item.words)
    return (item.label, *(f"{value:,.0f}" for value, _ in item.values))


def _grid(most: float) -> tuple[float, tuple[float, ...]]:
    """Return a round upper end of an axis from 0, and its ticks: 1, 2 or 5 times a power of ten."""
    if most < 1e-300:  # below it a quarter may be 0
        return 1.0, (0.0, 1.0)
    step = nice_step(most / 4)
    count = math.ceil(most / step - 1e-9)
    return count * step, tuple(i * step for i in range(count + 1))


def nice_step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(s * power for s in (1, 2, 5, 10) if s * power >= least * 0.999)


def short(value: float) -> str:
    """Return a number with as many digits as a label has room for; `-` for one that is missing."""
    if math.isnan(value):
        return "-"
    if abs(value) >= 10_000:
        return f"{value / 1000:,.6g}k"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"
