"""Pictures of a study as SVG: the Pareto front, the history, what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import median

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
    spread_scale,
    text,
)
from optimizers.tuning.heldout import HELD_OUT
from optimizers.tuning.results import Objective, Tried

_PANEL = 210
_FAR = 4.0
_LINE = 14.0
_BAR = 18
_BARS = 12
_NAMES = 190
_MARGIN = WIDTH - RIGHT + 12


def front_svg(
    tried: Sequence[Tried],
    front: Sequence[Tried],
    objectives: Sequence[Objective],
    chosen: Tried | None = None,
) -> str:
    """Return quality against cost: every trial, the front joined, baselines and the choice ringed.

    From those that are ringed a line leads to a diamond: what they came to on the held-out questions.
    Trials that cost far more than the middle of the front are left out, unless they are named; how many
    of the front, and how far they go, is written into the picture. Names stand in the margin.
    """
    quality, cost = objectives[0], objectives[1]
    every = len(tried)
    named = {t.number for t in tried if t.baseline or (chosen and t.number == chosen.number)}
    dearest = _FAR * median([t.values[1] for t in front] or [0])
    tried = [t for t in tried if not front or t.values[1] <= dearest or t.number in named]
    dear = [t for t in front if t.values[1] > dearest and t.number not in named]
    front = [t for t in front if t not in dear]
    apart = {t.number: _apart(t, objectives) for t in tried if t.number in named}
    points = [*((t.values[1], t.values[0]) for t in tried), *filter(None, apart.values())]
    across = scale([cost for cost, _ in points], LEFT, WIDTH - RIGHT)
    up = scale([quality for _, quality in points], HEIGHT - BOTTOM, TOP, most=1.0)
    best = {one.number for one in front}
    body = axes(across, up, cost.title, quality.title)
    body += [_dot(t, across, up, "faint") for t in tried if t.number not in best]
    if len(front) > 1:
        path = sorted(front, key=lambda t: (t.values[1], t.values[0]))
        way = " ".join(f"{across.at(t.values[1]):.1f},{up.at(t.values[0]):.1f}" for t in path)
        body.append(f'<polyline class="line" points="{way}"/>')
    body += [_dot(t, across, up, "best") for t in front]
    below = 0.0
    for one in sorted((t for t in tried if t.number in named), key=lambda t: -t.values[0]):
        picked = "chosen" if chosen and one.number == chosen.number else ""
        x, y = across.at(one.values[1]), up.at(one.values[0])
        below = max(y + 4, below + _LINE)
        if (told := apart[one.number]) is not None:
            body += _diamond(x, y, across.at(told[0]), up.at(told[1]))
        body.append(f'<circle class="baseline" cx="{x:.1f}" cy="{y:.1f}" r="8"/>')
        body.append(line(x + 8, y, _MARGIN - 4, below - 4, "grid"))
        body.append(text(_MARGIN, below, ", ".join(filter(None, (one.baseline, picked)))))
    if any(apart.values()):
        body.append(text(_MARGIN, HEIGHT - BOTTOM, "diamonds: held out"))
    if dear:
        furthest = max(dear, key=lambda t: t.values[1])
        words = f"{len(dear)} more of the front, to {cost.name} {furthest.values[1]:.4g}, not shown"
        body.append(text(WIDTH - RIGHT, TOP - 10, words, anchor="end"))
    said = "; ".join(
        f"trial {t.number}: {quality.name} {t.values[0]:.4f}, {cost.name} {t.values[1]:.4g}"
        for t in front
    )
    said += "".join(
        f"; trial {number} held out: {quality.name} {told[1]:.4f}, {cost.name} {told[0]:.4g}"
        for number, told in sorted(apart.items())
        if told is not None
    )
    left_out = f" {every - len(tried)} far dearer ones are not shown." if every > len(tried) else ""
    description = f"{every} trials.{left_out} {said or 'None is feasible.'}"
    return page("The Pareto front", description, body)


def history_svg(tried: Sequence[Tried], objectives: Sequence[Objective]) -> str:
    """Return each objective by trial, one panel below another, with the best feasible one so far."""
    ordered = sorted(tried, key=lambda t: t.number)
    across = scale([float(t.number) for t in ordered], LEFT, WIDTH - 40)
    body, said = [], []
    for place, objective in enumerate(objectives):
        top = TOP + place * _PANEL
        values = [t.values[place] for t in ordered]
        most = 1.0 if max(values, default=2) <= 1 else None
        draw = scale if objective.higher else spread_scale
        up = draw(values, top + _PANEL - 70, top, most)
        body += [text(LEFT, top - 8, objective.title)]
        for value in up.ticks():
            y = up.at(value)
            body.append(line(LEFT, y, across.end, y, "grid"))
            body.append(text(LEFT - 8, y + 4, f"{value:.4g}", anchor="end"))
        body.append(line(LEFT, up.start, across.end, up.start, "axis"))
        for value in across.ticks():
            body.append(text(across.at(value), up.start + 16, f"{value:g}", anchor="middle"))
        for one in ordered:
            kind = "dot" if one.feasible else "faint"
            x, y = across.at(one.number), up.at(one.values[place])
            body.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>')
        steps = _best_so_far(ordered, place, objective)
        if steps:
            way = " ".join(f"{across.at(n):.1f},{up.at(v):.1f}" for n, v in steps)
            body.append(f'<polyline class="line" points="{way}"/>')
            said.append(f"{objective.name}: best {steps[-1][1]:.4g} after {len(ordered)} trials")
    body.append(text(across.end, TOP + len(objectives) * _PANEL - 36, "trial", anchor="end"))
    height = TOP + len(objectives) * _PANEL
    return page("The history", "; ".join(said) or "No feasible trial.", body, height=height)


def importances_svg(
    importances: Mapping[str, Mapping[str, float]], objectives: Sequence[Objective]
) -> str:
    """Return a bar for each parameter under each objective; the bars of an objective sum to 1."""
    body, said, y = [], [], float(TOP)
    for objective in objectives:
        shares = sorted(importances.get(objective.name, {}).items(), key=lambda item: -item[1])
        shares = [(name, share) for name, share in shares if share >= 0.005][:_BARS]
        if not shares:
            continue
        y += 10
        body.append(text(20, y, f"for {objective.title}"))
        for name, share in shares:
            y += _BAR + 6
            body.append(text(_NAMES, y, name, anchor="end"))
            width = share * (WIDTH - _NAMES - 90)
            body.append(
                f'<rect class="best" x="{_NAMES + 10}" y="{y - 13:.1f}" width="{width:.1f}" '
                f'height="{_BAR}"><title>{escape(name)}: {share:.2f}</title></rect>'
            )
            body.append(text(_NAMES + 16 + width, y, f"{share:.2f}"))
        y += 24
        said.append(
            f"for {objective.name}: " + ", ".join(f"{name} {share:.2f}" for name, share in shares)
        )
    if not said:
        body.append(text(LEFT, y, "Too few different trials to tell."))
    return page(
        "What mattered", "; ".join(said) or "Too few trials.", body, height=int(max(y + 20, 120))
    )


def _dot(one: Tried, across: Scale, up: Scale, kind: str) -> str:
    x, y = across.at(one.values[1]), up.at(one.values[0])
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{4 if kind == "best" else 2.5}"/>'


def _apart(one: Tried, objectives: Sequence[Objective]) -> tuple[float, float] | None:
    """Return cost and quality on the held-out questions; the cost of the trial where it has but one."""
    told = one.facts.get(HELD_OUT, {})
    quality = told.get(objectives[0].name)
    return None if quality is None else (told.get(objectives[1].name, one.values[1]), quality)


def _diamond(x: float, y: float, to_x: float, to_y: float) -> list[str]:
    edges = " ".join(
        f"{to_x + r:.1f},{to_y + d:.1f}" for r, d in ((0, -5), (5, 0), (0, 5), (-5, 0))
    )
    return [line(x, y, to_x, to_y, "baseline"), f'<polygon class="baseline" points="{edges}"/>']


def _best_so_far(
    tried: Sequence[Tried], place: int, objective: Objective
) -> list[tuple[float, float]]:
    steps: list[tuple[float, float]] = []
    pick = max if objective.higher else min
    for one in tried:
        if one.feasible:
            value = one.values[place]
            steps.append((one.number, pick(value, steps[-1][1]) if steps else value))
    return steps
