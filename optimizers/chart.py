"""What the pictures of this project are drawn with: SVG, no script, no font, legible in the dark.

Every picture has a title and a description that a screen reader says.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, exp, floor, log, log10
from typing import NamedTuple

WIDTH, HEIGHT = 760, 480
LEFT, RIGHT, TOP, BOTTOM = 76, 150, 56, 64
_TICKS = 5
DECADES = 2

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
  .baseline { fill: none; stroke: #bf3989; stroke-width: 2; }
  .faint { fill: #57606a; opacity: 0.35; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    text { fill: #e6edf3; }
    .grid { stroke: #30363d; }
    .axis, .bar { stroke: #9198a1; }
    .line { stroke: #58a6ff; }
    .dot { fill: #9198a1; }
    .best { fill: #58a6ff; }
    .baseline { stroke: #ff80c8; }
    .faint { fill: #9198a1; }
  }
"""


class Scale(NamedTuple):
    """An axis from `low` to `high`, drawn from `start` to `end` in pixels.

    `logarithmic` draws equal factors equally far apart; then `low` is above 0.
    """

    low: float
    high: float
    start: float
    end: float
    step: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        low, high, value = (
            (log(v) for v in (self.low, self.high, value))
            if self.logarithmic
            else (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.logarithmic:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            marks = [10.0**power for power in powers]
            return [mark for mark in marks if self.low <= mark <= self.high]
        first = ceil(round(self.low / self.step, 6))
        last = floor(round(self.high / self.step, 6))
        return [self.step * number for number in range(first, last + 1)]


def page(title: str, description: str, body: Sequence[str], *, height: int = HEIGHT) -> str:
    """Return a whole SVG with its heading."""
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(description)}</desc>',
        f"<style>{_STYLE}</style>",
        text(LEFT, 28, title, "head"),
        *body,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def scale(values: Sequence[float], start: float, end: float, most: float | None = None) -> Scale:
    """Return an axis that holds all values with some room, never below 0 nor above `most`."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = max(0.0, low - room), high + room
    if most is not None:
        high = min(high, most)
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
    return Scale(low, high, start, end, step)


def spread_scale(
    values: Sequence[float], start: float, end: float, most: float | None = None
) -> Scale:
    """Return an axis as `scale` does, a logarithmic one where values spread over `DECADES` tenfolds."""
    if not values or min(values) <= 0 or max(values) / min(values) < 10**DECADES:
        return scale(values, start, end, most)
    room = exp(0.05 * log(max(values) / min(values)))
    return Scale(min(values) / room, max(values) * room, start, end, 1.0, logarithmic=True)


def axes(across: Scale, up: Scale, along: str, measure: str) -> list[str]:
    """Return the grid, the two axes and their names."""
    parts = []
    for value in across.ticks():
        x = across.at(value)
        parts.append(line(x, up.start, x, up.end, "grid"))
        parts.append(text(x, up.start + 18, f"{value:g}", anchor="middle"))
    for value in up.ticks():
        y = up.at(value)
        parts.append(line(across.start, y, across.end, y, "grid"))
        parts.append(text(across.start - 8, y + 4, f"{value:.4g}", anchor="end"))
    parts.append(line(across.start, up.start, across.end, up.start, "axis"))
    parts.append(line(across.start, up.start, across.start, up.end, "axis"))
    middle = (across.start + across.end) / 2
    parts.append(text(middle, HEIGHT - 18, along, anchor="middle"))
    height = (up.start + up.end) / 2
    parts.append(
        f'<text transform="translate(20 {height:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(measure)}</text>"
    )
    return parts


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Return a line of a class."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Return some words, escaped."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
