"""The frontier of precision against cost as one SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from optimizers.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    axes,
    line,
    page,
    scale,
    text,
)
from optimizers.replay import Judged

_LABEL_GAP = 13.0
_LETTER = 7.0
_LONGEST = 36


class _Point(NamedTuple):
    name: str
    cost: float
    value: float
    low: float
    high: float
    best: bool


def frontier_svg(judged: Sequence[Judged], *, title: str = "Precision against cost") -> str:
    """Return an SVG of precision against samples an accepted row, one point a policy.

    Points that no other beats in both are blue and joined; the bars are 95 % intervals of the
    precision. Policies that accept nothing have no point. Without right answers the agreement with
    the recorded winner stands in for the precision.

    Args:
        judged: the policies, any number.
        title: the heading.
    """
    measure = "precision"
    if judged and all(one.precision is None for one in judged):
        measure = "agreement with the recorded winner"
    points = _points(judged)
    across = scale([p.cost for p in points], LEFT, WIDTH - RIGHT)
    ends = [end for p in points for end in (p.low, p.high)]
    up = scale(ends, HEIGHT - BOTTOM, TOP, most=1.0)
    said = "; ".join(
        f"{p.name}: {measure} {p.value:.4f}, {p.cost:.2f} samples an accepted row" for p in points
    )
    body = [*axes(across, up, "samples an accepted row", measure), *_marks(points, across, up)]
    return page(title, said or "No policy accepted anything.", body)


def _points(judged: Sequence[Judged]) -> list[_Point]:
    found = []
    for one in judged:
        value = one.winner_agreement if one.precision is None else one.precision
        cost = one.samples_per_accepted
        if value is None or cost is None:
            continue
        low = value if one.precision_low is None else one.precision_low
        high = value if one.precision_high is None else one.precision_high
        found.append(_Point(one.policy, cost, value, low, high, best=False))
    return [p._replace(best=not any(_beats(other, p) for other in found)) for p in found]


def _beats(other: _Point, point: _Point) -> bool:
    as_good = other.cost <= point.cost and other.value >= point.value
    return as_good and (other.cost, other.value) != (point.cost, point.value)


def _marks(points: Sequence[_Point], across: Scale, up: Scale) -> list[str]:
    best = sorted((p for p in points if p.best), key=lambda p: (p.cost, p.value))
    parts = []
    if len(best) > 1:
        way = " ".join(f"{across.at(p.cost):.1f},{up.at(p.value):.1f}" for p in best)
        parts.append(f'<polyline class="line" points="{way}"/>')
    for point in points:
        x = across.at(point.cost)
        parts.append(line(x, up.at(point.low), x, up.at(point.high), "bar"))
        kind = "dot best" if point.best else "dot"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{up.at(point.value):.1f}" r="4"/>')
    return [*parts, *_labels(points, across, up)]


def _labels(points: Sequence[_Point], across: Scale, up: Scale) -> list[str]:
    """Return the names beside the points, moved down where two would touch.

    A name stands on the right of its point, or on the left where the picture ends; the middle of a
    long one is left out.
    """
    parts = []
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda p: (up.at(p.value), p.cost)):
        name = point.name
        if len(name) > _LONGEST:
            name = f"{name[:14]}...{name[-19:]}"
        x, y = across.at(point.cost) + 8, up.at(point.value) + 4
        width = _LETTER * len(name)
        if x + width > WIDTH:
            x -= width + 16
        while any(
            abs(y - old_y) < _LABEL_GAP and x < end and start < x + width
            for start, end, old_y in taken
        ):
            y += 1
        taken.append((x, x + width, y))
        parts.append(text(x, y, name))
    return parts
