"""What `ds2 tune` prints and writes: progress, the Pareto table, best.yaml, the pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import typer
import yaml

from ds2.cli.tune_notes import ROWS, TRIALS_NAME, held_out, measured, not_kept, notes
from optimizers.tuning import Objective, Outcome, StudyPlan, Tried, choose, front
from optimizers.tuning.catalog import policy_text
from optimizers.tuning.heldout import HELD_OUT, below
from optimizers.tuning.results import PREFERENCES, Preference
from signatures.errors import OutputError

BEST_NAME = "best.yaml"
NOTHING_FEASIBLE = 4


class TuneWatcher:
    """Says on stderr how far a study is and what is best so far; `quiet` says nothing.

    A terminal shows one line that changes; elsewhere a line stands for each tenth of the trials.
    """

    def __init__(self, plan: StudyPlan, prefer: Preference, *, quiet: bool) -> None:
        self._plan, self._prefer, self._quiet = plan, prefer, quiet
        self._front: list[Tried] = []
        self._done = 0
        self._live, self._drawn = sys.stderr.isatty(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            typer.echo(err=True)  # what comes next stands on a line of its own

    def began(self, known: Sequence[Tried], wanted: int) -> None:
        """Say what is there already."""
        self._done = len(known)
        self._front = front(known, self._plan.objectives)
        if known and not self._quiet:
            typer.echo(f"Continuing: {len(known)} of {wanted} trials are there.", err=True)

    def measured(self, one: Tried) -> None:
        """Take in a new trial."""
        self._done += 1
        self._front = front([*self._front, one], self._plan.objectives)
        if self._quiet:
            return
        wanted = self._plan.trials
        if self._live:
            typer.echo(f"\r\x1b[2K{self._line()}", err=True, nl=False)
            self._drawn = True
        elif self._done % max(1, wanted // 10) == 0:
            typer.echo(self._line(), err=True)

    def _line(self) -> str:
        said = f"{self._done:,} of {self._plan.trials:,} trials"
        if not self._front:
            return f"{said}; none is feasible yet"
        best = choose(self._front, self._plan.objectives, self._prefer)
        parts = [
            f"{objective.title} {value:.4g}"
            for objective, value in zip(self._plan.objectives, best.values, strict=True)
        ]
        return f"{said}; {self._prefer} so far: {', '.join(parts)} ({shown_policy(best.settings)})"


def shown_policy(settings: Mapping[str, Any]) -> str:
    """Return the policy of a trial as a person reads it."""
    text = policy_text(dict(settings))
    if text is not None:
        return text
    wrong, sample = (float(settings[f"calibrated.{price}"]) for price in ("wrong", "sample"))
    return (
        f"calibrated({settings['calibrated.variant']}, {settings['calibrated.max']}; "
        f"prices {wrong:.3g}, {sample:.3g})"
    )


def document(
    plan: StudyPlan, outcome: Outcome, chosen: Tried | None, prefer: str
) -> dict[str, Any]:
    """Return all that a study came to, as JSON values."""

    def entry(one: Tried) -> dict[str, Any]:
        named = {o.name: v for o, v in zip(plan.objectives, one.values, strict=True)}
        return {
            "trial": one.number,
            "baseline": one.baseline or None,
            "feasible": one.feasible,
            "policy": shown_policy(one.settings),
            "settings": one.settings,
            **named,
            **{name: value for name, value in one.facts.items() if name not in named},
            HELD_OUT: held(one),
        }

    def held(one: Tried) -> dict[str, Any] | None:
        if HELD_OUT not in one.facts:
            return None
        return {**one.facts[HELD_OUT], "below": below(one.facts, plan.minima)}

    best = front(outcome.tried, plan.objectives)
    return {
        "study": plan.name,
        **plan.identity,
        HELD_OUT: plan.held_out.identity if plan.held_out.questions else None,
        "not_held_out": plan.held_out.why or None,
        "folder": str(plan.folder),
        "objectives": [o._asdict() for o in plan.objectives],
        "minima": dict(plan.minima),
        "trials": len(outcome.tried),
        "trials_wanted": plan.trials,
        "without_result": outcome.failed,
        "front": [entry(one) for one in best],
        "baselines": [entry(one) for one in outcome.tried if one.baseline],
        "baselines_outside_the_space": outcome.skipped,
        "prefer": prefer,
        "choices": {p: choose(best, plan.objectives, p).number for p in PREFERENCES if best},
        "chosen": None if chosen is None else entry(chosen),
        "importances": outcome.importances,
        "paused": outcome.paused or None,
    }


def write_all(
    plan: StudyPlan, outcome: Outcome, chosen: Tried | None, found: Mapping[str, Any]
) -> list[Path]:
    """Write the trials and the pictures into the study's folder; return the files."""
    from optimizers.tuning.drawing import front_svg, history_svg, importances_svg

    best = front(outcome.tried, plan.objectives)
    texts = {
        TRIALS_NAME: json.dumps(found, ensure_ascii=False, indent=2) + "\n",
        "pareto.svg": front_svg(outcome.tried, best, plan.objectives, chosen),
        "history.svg": history_svg(outcome.tried, plan.objectives),
        "importances.svg": importances_svg(outcome.importances, plan.objectives),
    }
    return [write(plan.folder / name, text) for name, text in texts.items()]


def write_best(plan: StudyPlan, found: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Write `best.yaml`, which `ds2 run --config` takes: the settings of the trial that was chosen."""
    entry = found["chosen"]
    told = [f"Measured{' ' if plan.held_out.questions else ': '}{measured(plan, entry)}"]
    if entry[HELD_OUT] is not None:
        told += [held_out(plan, entry), *not_kept(entry)]
    source = " ".join(
        f"{name} {value}" for name, value in sorted(plan.identity.items()) if name in _SAID
    )
    head = (
        f"# Made by `ds2 tune` ({' '.join(source.split())}): trial {entry['trial']}, {found['prefer']}.\n"
        + "".join(f"# {line}.\n" for line in told)
        + "# Use it with `ds2 run TASK --config best.yaml`; an option given there goes before it.\n"
    )
    text = yaml.safe_dump(dict(settings), allow_unicode=True, sort_keys=False)
    return write(plan.folder / BEST_NAME, head + text)


_SAID = ("task", "source")


def write(path: Path, text: str) -> Path:
    """Write a file of the study.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError.rule(
            "Writing the study failed",
            unit=str(path),
            name="the file",
            rule="be in a folder that can be written to",
            value=f"{type(error).__name__}: {error.strerror or error}",
            todo="Free space or choose another --out; the trials are kept.",
        ) from error
    return path


def show(plan: StudyPlan, found: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Print the Pareto table and what a reader should know."""
    for line in [*_table(plan.objectives, found), "", *notes(plan, found)]:
        typer.echo(line)
    if files:
        typer.echo(f"Files: {', '.join(str(path) for path in files)}")


def _table(objectives: Sequence[Objective], found: Mapping[str, Any]) -> list[str]:
    there = {entry["trial"] for entry in found["front"]}
    others = [entry for entry in found["baselines"] if entry["trial"] not in there]
    named = {*found["choices"].values()}
    entries = [*_thinned(found["front"], named), *others]
    columns: list[tuple[str, list[str]]] = [("", [_marks(found, entry) for entry in entries])]
    for one in objectives:
        columns.append((one.title, [_number(one, entry) for entry in entries]))
        apart = [_number(one, entry[HELD_OUT] or {}) for entry in entries]
        if any(apart):
            columns.append(("held out", apart))
    columns.append(("yield", [f"{entry['yield']:.3f}" for entry in entries]))
    columns.append(("trial", [str(entry["trial"]) for entry in entries]))
    columns.append(("policy", [entry["policy"] for entry in entries]))
    rows = list(zip(*([head, *cells] for head, cells in columns), strict=True))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:-1]), row[-1]]
        lines.append("  ".join(cells).rstrip())
    return lines


def _marks(found: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Return what a trial is: chosen, what another --prefer would choose, a baseline."""
    prefers = [name for name, trial in found["choices"].items() if trial == entry["trial"]]
    if found["chosen"] and entry["trial"] == found["chosen"]["trial"]:
        prefers = [f"chosen ({', '.join(prefers)})"]
    name = entry["baseline"] or ""
    if not entry["feasible"]:
        name = f"{name} (not feasible)"
    return ", ".join(part for part in (*prefers, name) if part)


def _number(objective: Objective, values: Mapping[str, Any]) -> str:
    value = values.get(objective.name)
    if value is None:
        return ""
    return f"{value:.4f}" if objective.higher else f"{value:,.2f}"


def _thinned(entries: Sequence[Any], named: Collection[int]) -> list[Any]:
    """Return at most some twenty entries of a long front: the ends, the named, and some between."""
    step = max(1, -(-len(entries) // ROWS))
    last = len(entries) - 1
    return [
        entry
        for place, entry in enumerate(entries)
        if place % step == 0 or place == last or entry["baseline"] or entry["trial"] in named
    ]
