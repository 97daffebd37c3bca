"""From run folders to a report: what a page shows is gathered here, once, as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ds2.output.files import replacing, writing
from ds2.report.diversity import Reservoir
from ds2.report.figures import Figures
from ds2.report.page import (
    Branch,
    Difference,
    Embedded,
    Example,
    Front,
    Moment,
    ReportFacts,
    render,
)
from ds2.report.rows import embedded
from ds2.report.shown import shown
from ds2.runtime.comparison import compare, figure_counter, units_of
from ds2.runtime.heartbeat import HISTORY
from ds2.runtime.moments import moments
from ds2.runtime.past import PastRun, read_run
from ds2.runtime.standing import Standing
from ds2.runtime.status import RunStatus, read_status
from signatures.errors import OutputError
from signatures.records import Keyword

SAMPLE_ROWS = 2_000
_PROMPT = 40_000
_FIRST = 3  # units of each reason that every page holds, however rare they are


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What is to be drawn.

    Args:
        runs: one run folder, or two side by side.
        out: the file; None means `report.html` in the first folder.
        rows: most units that can be opened, over all runs; None for all.
        embedding: also measure diversity by it.
        study: the folder of a `ds2 tune` study, whose Pareto front is drawn too.
    """

    runs: tuple[Path, ...]
    out: Path | None = None
    rows: int | None = SAMPLE_ROWS
    embedding: str | None = None
    study: Path | None = None


def write_report(request: ReportRequest) -> Path:
    """Write the page of one run, or of two side by side, as one file and return its path.

    Memory grows with the rows that are embedded and with the keywords, not with the run.

    Raises:
        OutputError: a folder is no run, or the file cannot be written.
    """
    path = request.out or request.runs[0] / "report.html"
    text = report_page(request)
    with replacing(path) as temp, writing(path):
        temp.write_text(text, encoding="utf-8", newline="\n")
    return path


def report_page(request: ReportRequest, *, refresh_s: int | None = None) -> str:
    """Return the page itself; `refresh_s` reloads it, for a run that goes on."""
    facts, rows, whole = [], [], 0
    front = None if request.study is None else _front(request.study)
    share = None if request.rows is None else max(1, request.rows // len(request.runs))
    for number, folder in enumerate(request.runs):
        past = read_run(folder)
        # Before the rest is read: what is decided meanwhile is then seen as in work at worst.
        status = read_status(folder)
        found = _read(past, number, share, request.embedding)
        facts.append(replace(_facts(past, status, found), front=front))
        rows.extend(found.rows)
        whole += found.whole
    differences: Sequence[Difference] = ()
    if len(request.runs) == 2:
        differences = _differences(*request.runs)
    return render(facts, Embedded(rows, whole), differences, refresh_s=refresh_s)


@dataclass(frozen=True, slots=True)
class _Found:
    figures: Figures
    rows: list[dict[str, Any]]
    whole: int
    prompts: dict[str, str]
    moments: tuple[Moment, ...]
    examples: tuple[Example, ...]


def _read(past: PastRun, number: int, most: int | None, embedding: str | None) -> _Found:
    counter = figure_counter(past)
    kept: Reservoir[dict[str, Any]] | None = None
    if most is not None:
        kept = Reservoir(most, seed=past.config.seed)
    rows: list[dict[str, Any]] = []
    first: dict[tuple[str, str], list[dict[str, Any]]] = {}
    whole = 0
    with past.store() as store:
        for unit in units_of(past, store) if past.keywords else ():
            counter.add(unit)
            if unit.state == "surplus":
                continue
            whole += 1
            if unit.state == "rejected":
                few = first.setdefault((unit.record.get("stage", ""), unit.reason), [])
                if len(few) < _FIRST:
                    few.append(embedded(unit, number))
            if kept is None:
                rows.append(embedded(unit, number))
            elif kept.wants():
                kept.keep(embedded(unit, number))
        return _Found(
            figures=counter.figures(embedding),
            rows=rows if kept is None else _with(kept.items, first.values(), most or 0),
            whole=whole,
            prompts=store.example_prompts(),
            moments=moments(store.meta().get(HISTORY, ())),
            examples=tuple(_examples(first)),
        )


def _with(
    sample: list[dict[str, Any]], first: Iterable[list[dict[str, Any]]], most: int
) -> list[dict[str, Any]]:
    """Return at most so many rows, by place: the first of each reason, then the sample's."""
    rows = {row["n"]: row for few in zip_longest(*first) for row in few if row is not None}
    rows |= {row["n"]: row for row in sample}
    kept = list(rows.values())[:most]
    return sorted(kept, key=lambda row: row["n"])


def _examples(first: Mapping[tuple[str, str], list[dict[str, Any]]]) -> Iterator[Example]:
    for (stage, reason), (row, *_) in sorted(first.items()):
        yield Example(stage, reason, row["n"], row["q"], row["d"])


def _facts(past: PastRun, status: RunStatus, found: _Found) -> ReportFacts:
    task, figures = past.task, found.figures
    standing = Standing(past, status, figures)
    return ReportFacts(
        name=past.folder.resolve().name,
        task=task.name,
        domain=task.domain,
        description=task.description,
        model=str(past.settings["models"]["answers"][0]),
        simulated=standing.simulated,
        status=standing.words,
        headline=tuple(standing.headline()),
        figures=figures,
        ledger=standing.ledger.as_dict(),
        tree=keyword_tree(past.keywords, figures),
        stages=tuple(standing.stages()),
        moments=found.moments,
        prompts=tuple((stage, _prompt(prompt)) for stage, prompt in found.prompts.items()),
        compiled=_compiled(past),
        settings=tuple(_settings(past.settings)),
        examples=found.examples,
        notices=tuple(standing.notices()),
    )


def keyword_tree(keywords: Sequence[Keyword], figures: Figures) -> tuple[Branch, ...]:
    """Return the bank as trees: each keyword below the first of its parents that is in the bank."""
    below: dict[str | None, list[Keyword]] = {}
    placed: set[str] = set()
    for keyword in keywords:  # a parent stands before its children in the bank
        above = next((p for p in keyword.parents if p in placed), None)
        below.setdefault(above, []).append(keyword)
        placed.add(keyword.text)

    def branch(keyword: Keyword) -> Branch:
        counts = figures.coverage.get(keyword.text, {}).values()
        return Branch(
            text=keyword.text,
            origin=str(keyword.origin),
            round=keyword.round,
            rows=sum(count.accepted for count in counts),
            children=tuple(branch(child) for child in below.get(keyword.text, ())),
        )

    return tuple(branch(keyword) for keyword in below.get(None, ()))


def _settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _prompt(stored: str) -> str:
    """Return a prompt as the call log keeps it, as text: the system's part, then each message."""
    system, messages, *_ = json.loads(stored)
    parts = [("system", system), *messages]
    return shown("\n\n".join(f"--- {role} ---\n{text}" for role, text in parts if text), _PROMPT)


def _compiled(past: PastRun) -> tuple[str, ...]:
    """Return what compiling changed, which `ds2 compile` keeps beside the program."""
    program = past.settings.get("program")
    path = Path(str(program)).with_name("prompts.diff")
    if program is None or not path.is_file():
        return ()
    return tuple(path.read_text("utf-8", "replace").splitlines())


def _front(study: Path) -> Front:
    path = study / "trials.json"
    try:
        told = json.loads(path.read_text("utf-8"))
        quality, cost = (
            next(o for o in told["objectives"] if o["higher"] is higher) for higher in (True, False)
        )
        points = tuple(
            (float(trial[cost["name"]]), float(trial[quality["name"]]), str(trial["settings"]))
            for trial in told["front"]
        )
        return Front(str(told["study"]), str(cost["title"]), str(quality["title"]), points)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise OutputError.rule(
            "Drawing a report failed",
            name="--study",
            rule="be the folder of a `ds2 tune` study, with its trials.json",
            value=f"{study} ({type(error).__name__})",
            todo="Give the folder that `ds2 tune` named at its end.",
        ) from error


def _differences(first: Path, second: Path) -> tuple[Difference, ...]:
    found = compare(first, second)
    shared = f"{found.shared_questions:,}"
    return (
        *(Difference(*(_shown(part) for part in line)) for line in found.settings),
        *(Difference(*(_shown(part) for part in line)) for line in found.figures),
        Difference("questions in both", shared, shared),
    )


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
