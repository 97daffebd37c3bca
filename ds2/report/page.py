"""Facts of a run, or of two, -> one HTML file that needs nothing else and runs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from ds2.report.charts import WIDTH, Chart, Item, Series, Words, bars, columns, lines
from ds2.report.figures import Balance, Figures
from ds2.report.shown import script_json, shown
from signatures.bloom import LEVELS

if TYPE_CHECKING:
    from jinja2 import Environment

HEAT = 5  # steps of the heat map beside nought
FEWEST_MOMENTS = 5  # fewer make no line that says anything


class Figure(NamedTuple):
    """One figure of the headline: its name, its value, a word on it."""

    name: str
    value: str
    note: str = ""


class Stage(NamedTuple):
    """What one stage asked: calls, tokens (None: not reported), USD (None: unknown)."""

    name: str
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Branch:
    """A keyword, what was found from it, and how many rows it has."""

    text: str
    origin: str
    round: int
    rows: int
    children: tuple[Branch, ...] = ()


class Moment(NamedTuple):
    """A moment of a run: seconds since it began, calls a minute, rows a minute, calls in flight.

    `limit` is the most that might be in flight then; 0 where that is not known.
    """

    at_s: float
    calls_per_min: float
    rows_per_min: float
    in_flight: float
    limit: float = 0


class Front(NamedTuple):
    """The Pareto front of a study: its name, the titles of both objectives, and (x, y, settings)."""

    study: str
    cost: str
    quality: str
    points: tuple[tuple[float, float, str], ...]


class Example(NamedTuple):
    """One unit that was turned down: by which stage, why, its place, its question, what about it."""

    stage: str
    reason: str
    place: int
    question: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that a page shows of one run.

    Args:
        name: of the run.
        task, domain, description: of its task.
        model: who answered.
        simulated: the simulated teacher did.
        status: how it ended, or `running`.
        headline: the figures on top.
        figures: coverage, agreement, balance, diversity.
        ledger: planned, accepted, rejected, surplus, pending.
        tree: the keyword bank.
        stages: calls and tokens by stage.
        moments: how fast it went; empty where nothing is known.
        prompts: an example of what each stage sent: stage, prompt.
        compiled: what compiling changed, as lines of a diff; empty for the plain prompts.
        settings: what was asked, name and value.
        notices: what its reader should know.
        examples: the first unit that was turned down for each reason.
        front: the Pareto front of the study it was tuned by; None where none was given.
    """

    name: str
    task: str
    domain: str
    description: str
    model: str
    simulated: bool
    status: str
    headline: tuple[Figure, ...]
    figures: Figures
    ledger: Mapping[str, Any]
    tree: tuple[Branch, ...] = ()
    stages: tuple[Stage, ...] = ()
    moments: tuple[Moment, ...] = ()
    prompts: tuple[tuple[str, str], ...] = ()
    compiled: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    front: Front | None = None


class Difference(NamedTuple):
    """One line of two runs side by side."""

    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """The rows of a page.

    Args:
        rows: units as `ds2.report.rows.embedded` gives them.
        whole: how many there are in the runs.
    """

    rows: Sequence[Mapping[str, Any]]
    whole: int


def render(
    runs: Sequence[ReportFacts],
    rows: Embedded,
    differences: Sequence[Difference] = (),
    *,
    refresh_s: int | None = None,
) -> str:
    """Return the page of one run, or of two side by side.

    Every text of a model is escaped or handed to the script as data; the page's policy lets only
    its own style and script run, by their hashes, and nothing be fetched, but by a live view itself.

    Args:
        runs: one or two.
        rows: what can be opened.
        differences: what was asked differently, for two.
        refresh_s: the page looks again after so many seconds; None for a file.
    """
    assets = _assets()
    policy = (
        f"default-src 'none'; script-src '{_hash(assets['page.js'])}'; style-src "
        f"'{_hash(assets['page.css'])}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    if refresh_s is not None:
        policy += "; connect-src 'self'"  # where new figures come from
    template = _environment().get_template("page.html.j2")
    text: str = template.render(
        title=" and ".join(f"{run.name}" for run in runs),
        runs=[_view(run, number) for number, run in enumerate(runs)],
        differences=differences,
        policy=policy,
        css=assets["page.css"],
        js=assets["page.js"],
        data=script_json({"rows": rows.rows, "runs": [run.name for run in runs]}),
        embedded=len(rows.rows),
        whole=rows.whole,
        levels=[level.value for level in LEVELS],
        refresh_s=refresh_s,
        chart_width=WIDTH,
    )
    return text


def _view(run: ReportFacts, number: int) -> dict[str, Any]:
    """Return what the template shows of one run."""
    return {
        "facts": run,
        "charts": _charts(run, f"r{number}"),
        "heat": _heat(run.figures),
        "number": number,
    }


def _heat(figures: Figures) -> list[dict[str, Any]]:
    """Return the lines of the heat map: keyword, cells (level, accepted, rejected, step)."""
    most = max((c.accepted for by in figures.coverage.values() for c in by.values()), default=0)
    table = []
    for keyword, by_level in figures.coverage.items():
        cells = [
            {
                "level": level,
                "accepted": count.accepted,
                "rejected": count.rejected,
                "step": -(-count.accepted * HEAT // most) if most else 0,
            }
            for level, count in by_level.items()
        ]
        rows = sum(count.accepted for count in by_level.values())
        table.append({"keyword": keyword, "cells": cells, "rows": rows})
    return table


def _charts(run: ReportFacts, prefix: str) -> dict[str, Chart]:
    figures = run.figures
    charts = {
        "funnel": _funnel(run, prefix),
        "agreement": columns(
            Words(
                f"{prefix}-agreement",
                "Agreement of the accepted rows",
                "How many rows have which share of their draws behind the answer.",
                ("agreement", "rows"),
            ),
            [Item(_bin(i), ((n, "c1"),)) for i, n in enumerate(figures.agreement)],
        ),
        "draws": columns(
            Words(
                f"{prefix}-draws",
                "Answers drawn a row",
                "How many answers it took until the vote of an accepted row had seen enough.",
                ("answers drawn", "rows"),
            ),
            [Item(str(draws), ((rows, "c1"),)) for draws, rows in figures.draws.items()],
        ),
        "stops": bars(
            Words(
                f"{prefix}-stops",
                "Why votes stopped",
                "The reasons why votes ended, accepted or not.",
                ("reason", "votes"),
            ),
            [Item(spoken(reason), ((n, "c1"),)) for reason, n in figures.stops.items()],
        ),
        "levels": bars(
            Words(
                f"{prefix}-levels",
                "Units by Bloom level",
                "Accepted and rejected units of each level; the share that was accepted beside them.",
                ("level", "accepted", "rejected"),
                legend=(("c1", "accepted"), ("c2", "rejected")),
            ),
            [
                Item(
                    level.level,
                    ((level.accepted, "c1"), (level.rejected, "c2")),
                    "-" if level.accept_share is None else f"{level.accept_share:.0%}",
                )
                for level in figures.levels
            ],
        ),
        "reasons": bars(
            Words(
                f"{prefix}-reasons",
                "Why units were rejected",
                "Rejected units by stage and reason.",
                ("stage: reason", "units"),
            ),
            _reasons(figures),
        ),
    }
    if figures.balance is not None:
        charts["balance"] = _balance(figures.balance, prefix)
    if run.front is not None and run.front.points:
        charts["front"] = _front(run.front, prefix)
    if len(run.moments) >= FEWEST_MOMENTS:
        charts["rate"] = _rate(run, prefix)
        if any(moment.in_flight for moment in run.moments):
            charts["flight"] = _flight(run, prefix)
    return charts


def _funnel(run: ReportFacts, prefix: str) -> Chart:
    by_stage = {s: sum(r.values()) for s, r in run.figures.rejected_by_stage.items()}
    planned = int(run.ledger["planned"])
    pending = sum(run.ledger["pending"].values())
    left = planned - int(run.ledger["surplus"]) - pending
    steps = [Item("planned", ((planned, "c3"),)), Item("came to their turn", ((left, "c3"),))]
    for stage, name in (
        ("writer", "written"),
        ("screen", "passed the screens"),
        ("vote", "agreed on"),
    ):
        left -= by_stage.get(stage, 0)
        steps.append(Item(name, ((left, "c1" if stage == "vote" else "c3"),)))
    note = f"Surplus {run.ledger['surplus']:,}, pending {pending:,}."
    words = Words(
        f"{prefix}-funnel",
        "From planned to accepted",
        "How many units were left after each stage.",
        ("stage", "units left"),
        note=note,
    )
    return bars(words, steps)


def spoken(reason: str) -> str:
    """Return a reason as words: `no lead`, as on the terminal."""
    return shown(reason, 60).replace("_", " ")


def _reasons(figures: Figures) -> list[Item]:
    pairs = [
        (f"{stage}: {spoken(reason)}", count)
        for stage, reasons in figures.rejected_by_stage.items()
        for reason, count in reasons.items()
    ]
    return [Item(name, ((n, "c2"),)) for name, n in sorted(pairs, key=lambda p: (-p[1], p[0]))]


def _balance(balance: Balance, prefix: str) -> Chart:
    p = balance.p
    note = ""
    if p is not None:
        note = f"Chi-square {balance.chi_square:.1f} with {balance.degrees} degrees of "
        note += f"freedom against uniform letters: p = {p:.2g}."
    answers = sorted(balance.answers)
    words = Words(
        f"{prefix}-balance", "Answers", "Rows by their answer.", ("answer", "rows"), note=note
    )
    return columns(words, [Item(shown(answer, 20), ((n, "c1"),)) for answer, n in answers])


def _rate(run: ReportFacts, prefix: str) -> Chart:
    words = Words(
        f"{prefix}-rate",
        "Throughput",
        "New calls a minute and rows accepted a minute over the time of the run.",
        ("minutes", "calls a minute", "rows a minute"),
    )
    minutes = [(moment.at_s / 60, moment) for moment in run.moments]
    return lines(
        words,
        [
            Series("calls a minute", "c1", tuple((at, m.calls_per_min) for at, m in minutes)),
            Series("rows a minute", "c2", tuple((at, m.rows_per_min) for at, m in minutes)),
        ],
        unit="min",
    )


def _flight(run: ReportFacts, prefix: str) -> Chart:
    words = Words(
        f"{prefix}-flight",
        "Calls in flight",
        "How many calls were in flight over the time of the run, and how many might have been.",
        ("minutes", "calls in flight", *(["limit"] if any(m.limit for m in run.moments) else [])),
    )
    minutes = [(moment.at_s / 60, moment) for moment in run.moments]
    series = (
        Series("calls in flight", "c1", tuple((at, m.in_flight) for at, m in minutes)),
        Series("limit", "c2", tuple((at, m.limit) for at, m in minutes if m.limit)),
    )
    return lines(words, [line for line in series if line.points], unit="min")


def _front(front: Front, prefix: str) -> Chart:
    words = Words(
        f"{prefix}-front",
        f"Pareto front of {shown(front.study, 80)}",
        f"{front.quality} against {front.cost}: no trial that was tried is better in both.",
        (front.cost, front.quality),
        note=f"Across: {front.cost}. Upwards: {front.quality}.",
    )
    points = tuple(sorted((round(x, 4), round(y, 4)) for x, y, _ in front.points))
    return lines(words, [Series(front.quality, "c1", points)], unit="")


def _bin(number: int) -> str:
    return f"{number / 10:.1f}-{(number + 1) / 10:.1f}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _assets() -> dict[str, str]:
    folder = files("ds2.report") / "assets"
    return {name: (folder / name).read_text("utf-8") for name in ("page.css", "page.js")}


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ds2.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment
