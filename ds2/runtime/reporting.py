"""From run folders to a report: what a page shows is gathered here, once, as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ds2.output.files import replacing, writing
from ds2.report.diversity import Reservoir
from ds2.report.facts import Branch, Difference, Embedded, Example, Moment, ReportFacts
from ds2.report.figures import Figures
from ds2.report.page import render
from ds2.report.rows import KEYWORD, embedded
from ds2.report.shown import shown, words_of
from ds2.runtime.changes import DIFF_NAME
from ds2.runtime.comparison import compare, figure_counter, units_of
from ds2.runtime.heartbeat import HISTORY
from ds2.runtime.moments import moments
from ds2.runtime.past import PastRun, read_run
from ds2.runtime.standing import Standing
from ds2.runtime.status import RunStatus, read_status
from ds2.runtime.study import read_front
from signatures.errors import ConfigError
from signatures.records import Keyword

SAMPLE_ROWS = 2_000
_PROMPT = 40_000
_FIRST = 3  # units of each reason that every page holds, however rare they are


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What is to be drawn.

    Args:
        runs: one run folder, or two side by side.
        out: the file; None means `report.html` in the folder of the run, and for two
            `report-A-B.html` in that of the first.
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
        ConfigError: both folders are the same.
    """
    path = request.out or _usual_path(request.runs)
    text = report_page(request)
    with replacing(path) as temp, writing(path):
        temp.write_text(text, encoding="utf-8", newline="\n")
    return path


def _usual_path(runs: Sequence[Path]) -> Path:
    if len(runs) == 1:
        return runs[0] / "report.html"
    return runs[0] / f"report-{'-'.join(run.resolve().name for run in runs)}.html"


def _check_different(runs: Sequence[Path]) -> None:
    if len({run.resolve() for run in runs}) < len(runs):
        raise ConfigError.rule(
            "Drawing a report failed",
            name="the two runs",
            rule="be different folders",
            value=[str(run) for run in runs],
            todo="Name another run to compare with, or leave the second out.",
        )


def report_page(request: ReportRequest, *, refresh_s: int | None = None) -> str:
    """Return the page itself; `refresh_s` reloads it, for a run that goes on."""
    _check_different(request.runs)
    facts, rows, whole = [], [], 0
    front = None if request.study is None else read_front(request.study)
    share = None if request.rows is None else max(1, request.rows // len(request.runs))
    for number, folder in enumerate(request.runs):
        past = read_run(folder)
        # Before the rest is read: what is decided meanwhile is then seen as in work at worst.
        status = read_status(folder)
        found = _read(past, number, share, request.embedding)
        facts.append(_facts(past, status, found))
        rows.extend(found.rows)
        whole += found.whole
    differences: Sequence[Difference] = ()
    if len(request.runs) == 2:
        differences = _differences(*request.runs)
    return render(facts, Embedded(rows, whole), differences, front=front, refresh_s=refresh_s)


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
        program=past.settings.get("program"),
        compiled=_compiled(past),
        bank=bank_of(past),
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
            yield f"{prefix}{name}", words_of(value)


def _prompt(stored: str) -> str:
    """Return a prompt as the call log keeps it, as text: the system's part, then each message."""
    system, messages, *_ = json.loads(stored)
    parts = [("system", system), *messages]
    return shown("\n\n".join(f"--- {role} ---\n{text}" for role, text in parts if text), _PROMPT)


def _compiled(past: PastRun) -> tuple[str, ...] | None:
    """Return what compiling changed: as the run kept it, or as it still stands beside the program."""
    program = past.settings.get("program")
    if program is None:
        return None
    for path in (past.folder / DIFF_NAME, Path(str(program)).with_name(DIFF_NAME)):
        if path.is_file():
            return tuple(path.read_text("utf-8", "replace").splitlines())
    return None


def bank_of(past: PastRun) -> dict[str, Any]:
    """Return the keyword bank as a page embeds it, by the text that its rows show.

    Keys are short, for there may be many: `o` origin, `r` round, `p` parents, `g` the passage it came
    from, with its document where that is known.
    """
    return {
        shown(keyword.text, KEYWORD): {
            "o": str(keyword.origin),
            "r": keyword.round,
            "p": [shown(parent, KEYWORD) for parent in keyword.parents],
            **({"g": passage_words(past, keyword.passage_id)} if keyword.passage_id else {}),
        }
        for keyword in past.keywords
    }


def passage_words(past: PastRun, passage_id: str) -> str:
    """Return a passage by its id, and its document where the run's folder names it."""
    source = past.sources.get(passage_id, "")
    return shown(f"{passage_id} of {source}" if source else passage_id, 300)


def _differences(first: Path, second: Path) -> tuple[Difference, ...]:
    found = compare(first, second)
    shared = f"{found.shared_questions:,}"
    return (
        *(Difference(name, words_of(one), words_of(two)) for name, one, two in found.settings),
        *(Difference(name, _figure(one), _figure(two)) for name, one, two in found.figures),
        Difference("questions in both", shared, shared),
    )


def _figure(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else words_of(value)
