"""The frontier of precision against cost as one SVG file: no script, no font, legible in the dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

from optimizers.replay import Judged

_WIDTH, _HEIGHT = 760, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 150, 56, 64
_LABEL_GAP = 13.0
_TICKS = 5
_LETTER = 7.0
_LONGEST = 36

_STYLE = """
  svg { background: #ffffff; }
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .head { font-size: 15px; font-weight: 600; }
  .grid { stroke: #d8dee4; stroke-width: 1; }
  .axis { stroke: #57606a; stroke-width: 1; }
  .bar { stroke: #57606a; stroke-width: 1.2; opacity: 0.55; }
  .line { fill: none; stroke: #0969da; stroke-width: 1.5; stroke-dasharray: 5 4; }
  .dot { fill: #57606a; }
  .best { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    text { fill: #e6edf3; }
    .grid { stroke: #30363d; }
    .axis, .bar { stroke: #9198a1; }
    .line { stroke: #58a6ff; }
    .dot { fill: #9198a1; }
    .best { fill: #58a6ff; }
  }
"""


class _Point(NamedTuple):
    name: str
    cost: float
    value: float
    low: float
    high: float
    best: bool


class _Scale(NamedTuple):
    """A linear axis from `low` to `high`, drawn from `start` to `end` in pixels."""

    low: float
    high: float
    start: float
    end: float
    step: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        first = ceil(round(self.low / self.step, 6))
        last = floor(round(self.high / self.step, 6))
        return [self.step * number for number in range(first, last + 1)]


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
    across = _scale([p.cost for p in points], _LEFT, _WIDTH - _RIGHT)
    ends = [end for p in points for end in (p.low, p.high)]
    up = _scale(ends, _HEIGHT - _BOTTOM, _TOP, most=1.0)
    said = "; ".join(
        f"{p.name}: {measure} {p.value:.4f}, {p.cost:.2f} samples an accepted row" for p in points
    )
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(said or "No policy accepted anything.")}</desc>',
        f"<style>{_STYLE}</style>",
        _text(_LEFT, 28, title, "head"),
        *_axes(across, up, measure),
        *_marks(points, across, up),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


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


def _scale(values: Sequence[float], start: float, end: float, most: float | None = None) -> _Scale:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = max(0.0, low - room), high + room
    if most is not None:
        high = min(high, most)
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
    return _Scale(low, high, start, end, step)


def _axes(across: _Scale, up: _Scale, measure: str) -> list[str]:
    parts = []
    for value in across.ticks():
        x = across.at(value)
        parts.append(_line(x, up.start, x, up.end, "grid"))
        parts.append(_text(x, up.start + 18, f"{value:g}", anchor="middle"))
    for value in up.ticks():
        y = up.at(value)
        parts.append(_line(across.start, y, across.end, y, "grid"))
        parts.append(_text(across.start - 8, y + 4, f"{value:.4g}", anchor="end"))
    parts.append(_line(across.start, up.start, across.end, up.start, "axis"))
    parts.append(_line(across.start, up.start, across.start, up.end, "axis"))
    middle = (across.start + across.end) / 2
    parts.append(_text(middle, _HEIGHT - 18, "samples an accepted row", anchor="middle"))
    height = (up.start + up.end) / 2
    parts.append(
        f'<text transform="translate(20 {height:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(measure)}</text>"
    )
    return parts


def _marks(points: Sequence[_Point], across: _Scale, up: _Scale) -> list[str]:
    best = sorted((p for p in points if p.best), key=lambda p: (p.cost, p.value))
    parts = []
    if len(best) > 1:
        way = " ".join(f"{across.at(p.cost):.1f},{up.at(p.value):.1f}" for p in best)
        parts.append(f'<polyline class="line" points="{way}"/>')
    for point in points:
        x = across.at(point.cost)
        parts.append(_line(x, up.at(point.low), x, up.at(point.high), "bar"))
        kind = "dot best" if point.best else "dot"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{up.at(point.value):.1f}" r="4"/>')
    return [*parts, *_labels(points, across, up)]


def _labels(points: Sequence[_Point], across: _Scale, up: _Scale) -> list[str]:
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
        if x + width > _WIDTH:
            x -= width + 16
        while any(
            abs(y - old_y) < _LABEL_GAP and x < end and start < x + width
            for start, end, old_y in taken
        ):
            y += 1
        taken.append((x, x + width, y))
        parts.append(_text(x, y, name))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
