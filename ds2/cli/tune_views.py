"""What `ds2 tune` prints and writes: progress, the Pareto table, best.yaml, the pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import typer
import yaml

from optimizers.tuning import Objective, Outcome, StudyPlan, Tried, choose, front
from optimizers.tuning.catalog import policy_text
from optimizers.tuning.results import Preference
from optimizers.tuning.study import BARREN
from signatures.errors import OutputError

BEST_NAME = "best.yaml"
TRIALS_NAME = "trials.json"
NOTHING_FEASIBLE = 4
_ROWS = 18


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
        }

    return {
        "study": plan.name,
        **plan.identity,
        "folder": str(plan.folder),
        "objectives": [o._asdict() for o in plan.objectives],
        "minima": dict(plan.minima),
        "trials": len(outcome.tried),
        "trials_wanted": plan.trials,
        "without_result": outcome.failed,
        "front": [entry(one) for one in front(outcome.tried, plan.objectives)],
        "baselines": [entry(one) for one in outcome.tried if one.baseline],
        "baselines_outside_the_space": outcome.skipped,
        "prefer": prefer,
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


def write_best(plan: StudyPlan, chosen: Tried, prefer: str, settings: Mapping[str, Any]) -> Path:
    """Write `best.yaml`, which `ds2 run --config` takes."""
    measured = ", ".join(
        f"{o.title} {v:.4g}" for o, v in zip(plan.objectives, chosen.values, strict=True)
    )
    between = interval(plan.objectives[0], chosen.facts)
    measured += "" if between is None else f"; {plan.objectives[0].title}: {between}"
    source = " ".join(
        f"{name} {value}" for name, value in sorted(plan.identity.items()) if name in _SAID
    )
    head = (
        f"# Made by `ds2 tune` ({' '.join(source.split())}): trial {chosen.number}, {prefer}.\n"
        f"# Measured: {measured}.\n"
        "# Use it with `ds2 run TASK --config best.yaml`; an option given there goes before it.\n"
    )
    text = yaml.safe_dump(dict(settings), allow_unicode=True, sort_keys=False)
    return write(plan.folder / BEST_NAME, head + text)


_SAID = ("task", "source")
_FAR_BELOW = 0.85  # of the default's yield


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
    chosen = found["chosen"] and found["chosen"]["trial"]
    rows = [["", *(o.title for o in objectives), "yield", "trial", "policy"]]
    there = {entry["trial"] for entry in found["front"]}
    others = [entry for entry in found["baselines"] if entry["trial"] not in there]
    for entry in [*_thinned(found["front"], chosen), *others]:
        mark = "chosen" if entry["trial"] == chosen else ""
        name = entry["baseline"] or ""
        if not entry["feasible"]:
            name = f"{name} (not feasible)"
        numbers = [
            f"{entry[o.name]:.4f}" if o.higher else f"{entry[o.name]:,.2f}" for o in objectives
        ]
        rows.append(
            [
                ", ".join(part for part in (mark, name) if part),
                *numbers,
                f"{entry['yield']:.3f}",
                str(entry["trial"]),
                entry["policy"],
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:-1]), row[-1]]
        lines.append("  ".join(cells).rstrip())
    return lines


def _thinned(entries: Sequence[Any], chosen: int | None) -> list[Any]:
    """Return at most some twenty entries of a long front: the ends, the named, and some between."""
    step = max(1, -(-len(entries) // _ROWS))
    last = len(entries) - 1
    return [
        entry
        for place, entry in enumerate(entries)
        if place % step == 0 or place == last or entry["baseline"] or entry["trial"] == chosen
    ]


def notes(plan: StudyPlan, found: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the table should know: what counted, what did not, why nothing was chosen."""
    whole = len(found["front"])
    part = f"; {TRIALS_NAME} has all {whole} points" if whole > _ROWS else ""
    counted = f"{found['trials']:,}"
    if found["trials"] < found["trials_wanted"]:
        counted += f" of {found['trials_wanted']:,}"
    front_of = f"above is the Pareto front of the feasible ones{part}."
    said = [f"{counted} trials gave a result; {front_of}"]
    for name, parameter in found["baselines_outside_the_space"].items():
        said.append(f"The baseline {name} was not tried: {parameter} is outside the space.")
    if failed := found["without_result"]:
        why = ", ".join(f"{reason} ({times:,})" for reason, times in sorted(failed.items()))
        said.append(
            f"{sum(failed.values()):,} more gave none: {why}. They have numbers of their own, so that "
            "those above go further than the count, and do not count towards --trials."
        )
        if found["trials"] < found["trials_wanted"] and not found["paused"]:
            said.append(f"The study ended early: its last {BARREN} in a row gave none.")
    if found["chosen"] is None and found["trials"]:
        wanted = ", ".join(f"{name} of at least {least:g}" for name, least in plan.minima.items())
        said.append(f"No trial is feasible: none reached {wanted}. Ask for less, or tune longer.")
    elif found["chosen"] is None:
        said.append("No trial gave a result, so nothing can be chosen.")
    said += _doubts(plan, found)
    if found["paused"]:
        said.append(f"Stopped: {found['paused']} Give the same command again to continue.")
    return said


def _doubts(plan: StudyPlan, found: Mapping[str, Any]) -> list[str]:
    """Return how far what was chosen can be believed, and what its price leaves out."""
    chosen = found["chosen"]
    if chosen is None:
        return []
    said = []
    quality = plan.objectives[0]
    if (between := interval(quality, chosen)) is not None:
        said.append(
            f"Of the chosen trial the {quality.title} has the {between}, on the questions that it was "
            "chosen by; on others expect a little less."
        )
        if quality.name in plan.minima:
            said.append(
                "The least that was asked for holds for what was measured, not for its lower end."
            )
    default = next((e for e in found["baselines"] if e["baseline"] == "default"), None)
    if default is not None and chosen["yield"] < _FAR_BELOW * default["yield"]:
        said.append(
            f"It accepts {chosen['yield']:.2f} of the questions, the default {default['yield']:.2f}: what "
            "writing those that are turned down costs is no part of the price above."
        )
    return said


def interval(quality: Objective, facts: Mapping[str, Any]) -> str | None:
    """Return the 95 % interval (Wilson) of a trial's quality in words, None where none is known."""
    low, high = facts.get(f"{quality.name}_low"), facts.get(f"{quality.name}_high")
    return None if low is None or high is None else f"95 % interval {low:.3f} to {high:.3f}"
