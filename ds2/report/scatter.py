"""Points with their names in a plane, such as a Pareto front: what stands where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ds2.report.charts import LETTER, WIDTH, Chart, Dot, Tick, Words, nice_step, short

_HEIGHT = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 34, 34
_AWAY, _LINE = 9, 14  # of a name from its point; between lines of names


class Named(NamedTuple):
    """A point of a plane.

    Args:
        x, y: where it is.
        name: what stands beside it, where there is room.
        short: what stands there where there is room for that only; empty for nothing.
        kind: the class that colours it.
        rank: whose name goes first; the smallest.
        joined: a line goes through all such points, from left to right.
    """

    x: float
    y: float
    name: str
    kind: str
    short: str = ""
    rank: int = 0
    joined: bool = False


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def scatter(words: Words, points: Sequence[Named], rows: Sequence[tuple[str, ...]]) -> Chart:
    """Return points in a plane whose axes span them; a name that finds no room is left to the table.

    Args:
        words: around it.
        points: at least one.
        rows: of the table behind it.
    """
    across, up = _span([p.x for p in points]), _span([p.y for p in points])
    wide, high = WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(point: Named) -> tuple[float, float]:
        x = _LEFT + (point.x - across[0]) / (across[-1] - across[0]) * wide
        y = _HEIGHT - _BOTTOM - (point.y - up[0]) / (up[-1] - up[0]) * high
        return round(x, 1), round(y, 1)

    joined = sorted(at(point) for point in points if point.joined)
    path = " ".join(f"{x},{y}" for x, y in joined)
    return Chart(
        id=words.id,
        title=words.title,
        description=words.description,
        kind="scatter",
        height=_HEIGHT,
        head=words.head,
        rows=tuple(rows),
        ticks=tuple(
            Tick(round(_HEIGHT - _BOTTOM - (v - up[0]) / (up[-1] - up[0]) * high, 1), short(v))
            for v in up
        ),
        axis=tuple(
            Tick(round(_LEFT + (v - across[0]) / (across[-1] - across[0]) * wide, 1), short(v))
            for v in across
        ),
        lines=(("", "c3", path),) if len(joined) > 1 else (),
        dots=tuple(_named(points, [at(point) for point in points])),
        legend=words.legend,
        note=words.note,
    )


def _named(points: Sequence[Named], places: Sequence[tuple[float, float]]) -> Iterator[Dot]:
    taken = [_Box(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    names: dict[int, tuple[str, float, float, str]] = {}
    for i in sorted(range(len(points)), key=lambda i: (points[i].rank, i)):
        for name, x, y, anchor in _ways(points[i], *places[i]):
            wide = len(name) * LETTER
            left = x - (wide if anchor == "end" else wide / 2 if anchor == "middle" else 0)
            box = _Box(left, y - 11, left + wide, y + 3)
            inside = box.left >= _LEFT and box.right <= WIDTH and box.top >= 0
            if inside and box.bottom < _HEIGHT - _BOTTOM and not any(map(box.meets, taken)):
                taken.append(box)
                names[i] = (name, round(x, 1), round(y, 1), anchor)
                break
    for i, (point, (x, y)) in enumerate(zip(points, places, strict=True)):
        name, name_x, name_y, anchor = names.get(i, (point.name, 0.0, 0.0, ""))
        yield Dot(x, y, point.kind, name, name_x, name_y, anchor)


def _ways(point: Named, x: float, y: float) -> Iterator[tuple[str, float, float, str]]:
    """Yield what may stand beside a point, and where, best first."""
    for name in filter(None, (point.name, point.short)):
        yield name, x + _AWAY, y + 4, "start"
        yield name, x - _AWAY, y + 4, "end"
        for dy in (-_LINE + 4, _LINE + 4):
            for anchor in ("middle", "start", "end"):
                yield name, x, y + dy, anchor


def _span(values: Sequence[float]) -> tuple[float, ...]:
    """Return round ticks from below the least value to above the most."""
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(abs(high), 1e-9):
        away = abs(high) * 0.1 or 1.0
        low, high = low - away, high + away
    step = nice_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(i * step for i in range(first, last + 1))
