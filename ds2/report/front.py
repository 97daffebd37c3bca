"""The Pareto front of a study as a chart: what each trial gave for what it cost."""

from __future__ import annotations

from ds2.report.charts import Chart, Words, cut
from ds2.report.facts import Front, FrontPoint
from ds2.report.scatter import Named, scatter
from ds2.report.shown import shown

_NAMES = 34  # letters of a name that stands beside its point


def draw_front(front: Front) -> Chart | None:
    """Return the front with its baselines, each named by its policy; None without any trial."""
    if not front.points:
        return None
    cost, quality = shown(front.cost, 80), shown(front.quality, 80)
    points = sorted(front.points, key=lambda point: (point.cost, point.quality))
    apart = f" {front.apart}" if front.apart else ""
    words = Words(
        "front-chart",
        f"Pareto front of {shown(front.study, 80)}",
        f"{quality} against {cost}: no trial that was tried is better in both than one of the front.",
        (
            "trial",
            cost,
            quality,
            *(["held out"] if front.apart else []),
            "which",
            "policy",
            "settings",
        ),
        legend=(("c1", "on the front"), ("c2", "chosen"), ("c3", "a baseline beside it")),
        note=f"Across: {cost}. Upwards: {quality}. Names without room stand in the table.{apart}",
    )
    return scatter(
        words, [_named(point) for point in points], [_row(point, apart) for point in points]
    )


def _named(point: FrontPoint) -> Named:
    chosen = "chosen" in point.marks
    said = f"{', '.join(point.marks)}: {point.policy}" if point.marks else point.policy
    kind = "c2" if chosen else "c1" if point.on_front else "c3"
    return Named(
        point.cost,
        point.quality,
        cut(shown(said, 100), _NAMES),
        kind,
        short=", ".join(point.marks),
        rank=0 if chosen else 1 if point.marks else 2,
        joined=point.on_front,
    )


def _row(point: FrontPoint, apart: str) -> tuple[str, ...]:
    which = ", ".join(point.marks) or ("on the front" if point.on_front else "")
    return (
        str(point.trial),
        number(point.cost),
        f"{point.quality:.4f}",
        *([point.held_out or "-"] if apart else []),
        which,
        shown(point.policy, 200),
        shown(point.settings, 500),
    )


def number(value: float) -> str:
    """Return a cost with the digits that tell two trials apart."""
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
