"""What a report shows, as plain facts: of a run, of two side by side, of the study it was tuned by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ds2.report.figures import Figures


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


class FrontPoint(NamedTuple):
    """A trial of a study.

    Args:
        trial: its number.
        cost, quality: its values.
        policy: its voting policy, as a person reads it.
        settings: all that was set, name and value.
        marks: what it is beside: chosen, default, paper, not feasible; most are nothing.
        on_front: no feasible trial is better in both.
        held_out: its quality on questions that no trial was measured on, in words; empty where none is.
    """

    trial: int
    cost: float
    quality: float
    policy: str
    settings: str
    marks: tuple[str, ...] = ()
    on_front: bool = True
    held_out: str = ""


class Front(NamedTuple):
    """The Pareto front of a study: its name, the titles of both objectives, front and baselines.

    `apart` says of how many held-out questions the points tell; empty where there are none.
    """

    study: str
    cost: str
    quality: str
    points: tuple[FrontPoint, ...]
    apart: str = ""


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
        program: the file of its prompts; None for the plain ones.
        compiled: what compiling changed, as lines of a diff; None where it was not found.
        bank: the keywords of the run by their text, for the lineage of its rows.
        settings: what was asked, name and value.
        notices: what its reader should know.
        examples: the first unit that was turned down for each reason.
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
    program: str | None = None
    compiled: tuple[str, ...] | None = None
    bank: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()


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
