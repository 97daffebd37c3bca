"""The figures of a run from its folder, and two runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ds2.report.figures import SAMPLE, FigureCounter, Figures
from ds2.report.units import Cell, DecidedUnit, decided
from ds2.runtime.decisions import damaged_unit, decisions
from ds2.runtime.past import PastRun, read_run
from ds2.store import RunStore, UnitRecord
from signatures.records import content_id
from signatures.task import AnswerKind

# What says where and how fast, not what was asked.
_NOT_ASKED = frozenset({"engine.concurrency", "engine.timeout_s"})


def units_of(past: PastRun, store: RunStore) -> Iterator[DecidedUnit]:
    """Yield the decided units of a run with what each was asked for, in their order.

    Raises:
        StoreError: a unit's record is damaged, or the plan has no unit at its place.
    """
    plan = past.plan()

    def cell_of(place: int) -> Cell:
        unit = plan.unit(place)
        if unit is None:
            stray = UnitRecord(place, "", "", "")
            raise damaged_unit(stray, past.folder, ValueError("no unit of the run's plan"))
        return Cell(unit.level.value, unit.keywords)

    whole = (unit for unit, _ in decisions(store.units(), past.folder))
    return decided(whole, cell_of)


def figures_of(past: PastRun, *, embedding: str | None = None, sample: int = SAMPLE) -> Figures:
    """Return the figures of a run, read in one pass over its store.

    Args:
        past: the run.
        embedding: also measure diversity by it, see `ds2.report.embedding.load_embedding`.
        sample: most rows whose diversity is measured, at least 2.
    """
    counter = figure_counter(past, sample=sample)
    with past.store() as store:
        for unit in units_of(past, store):
            counter.add(unit)
    return counter.figures(embedding)


def figure_counter(past: PastRun, *, sample: int = SAMPLE) -> FigureCounter:
    """Return what counts the units of a run."""
    return FigureCounter(
        [keyword.text for keyword in past.keywords],
        closed=past.task.answer.kind in {AnswerKind.CHOICE, AnswerKind.LABEL},
        sample=sample,
        seed=past.config.seed,
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    Args:
        settings: what was asked differently: name, value of the first, value of the second.
        figures: what came of it, in the same form.
        shared_questions: instructions that both have a row for.
        shared_rows: rows that both have, response included.
    """

    settings: list[tuple[str, Any, Any]]
    figures: list[tuple[str, Any, Any]]
    shared_questions: int
    shared_rows: int

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        return asdict(self)


def compare(
    first: Path, second: Path, *, embedding: str | None = None, sample: int = SAMPLE
) -> Comparison:
    """Return what two runs were asked differently and what came of it.

    Diversity depends on how many texts are measured, so both are measured on as many rows as the
    smaller one has, at most `sample`; by `embedding` too, where one is given. Where one of them has
    no two rows, it is left out.

    Raises:
        OutputError: one of them is no run folder.
        ConfigError: the embedding cannot be loaded.
    """
    runs = (read_run(first), read_run(second))
    rows = [_rows(past) for past in runs]
    equal = min(sample, *(len(found) for found in rows))
    figures = []
    for past in runs:
        found = figures_of(past, embedding=embedding, sample=max(2, equal))
        figures.append(_flat_figures(past, found) | (_flat_diversity(found) if equal > 1 else {}))
    asked = [_flat(past.settings) for past in runs]
    questions = [{question for question, _ in found.values()} for found in rows]
    return Comparison(
        settings=[
            (name, asked[0].get(name), asked[1].get(name))
            for name in sorted(asked[0].keys() | asked[1].keys())
            if asked[0].get(name) != asked[1].get(name) and name not in _NOT_ASKED
        ],
        figures=[
            (name, figures[0].get(name), figures[1].get(name))
            for name in dict.fromkeys([*figures[0], *figures[1]])
        ],
        shared_questions=len(questions[0] & questions[1]),
        shared_rows=len(rows[0].keys() & rows[1].keys()),
    )


def _rows(past: PastRun) -> dict[str, tuple[str, str]]:
    """Return the accepted rows by id: what identifies the question, and the level."""
    found = {}
    with past.store() as store:
        for unit in units_of(past, store):
            if unit.state == "accepted" and unit.instruction is not None:
                asked = unit.instruction
                question = content_id([asked["question"], asked["options"], asked["context"]])
                found[unit.record["id"]] = (question, unit.cell.level)
    return found


def _flat_figures(past: PastRun, figures: Figures) -> dict[str, Any]:
    with past.store() as store:
        usage = store.usage()
    draws = usage["answers"].calls if "answers" in usage else 0
    decided_units = figures.accepted + sum(figures.rejected.values())
    flat: dict[str, Any] = {
        "accepted": figures.accepted,
        "decided": decided_units,
        "accepted / decided": figures.accepted / decided_units if decided_units else None,
        "calls": sum(used.calls for used in usage.values()),
        "samples an accepted row": draws / figures.accepted if figures.accepted else None,
        "mean agreement": figures.mean_agreement.mean if figures.mean_agreement else None,
    }
    flat |= {f"{level.level}: accepted share": level.accept_share for level in figures.levels}
    flat |= {f"rejected: {reason}": count for reason, count in figures.rejected.items()}
    return flat


def _flat_diversity(figures: Figures) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    texts = figures.instructions
    at = f"questions, n = {texts.n}"
    if (seen := figures.embedded) is not None:
        flat[f"mean cosine of {at}"] = seen.mean_cosine
        flat[f"Vendi of {at}"] = seen.vendi
    return flat | {
        f"distinct-1 of {at}": texts.distinct_1,
        f"distinct-2 of {at}": texts.distinct_2,
        f"compression of {at}": texts.compression_ratio,
        f"repeated 4-grams of {at}": texts.repeated_4grams,
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
