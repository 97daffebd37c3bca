"""The Pareto front of a study, read from the folder that `ds2 tune` left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ds2.report.facts import Front, FrontPoint
from ds2.report.shown import words_of
from signatures.errors import OutputError


def read_front(study: Path) -> Front:
    """Return the front of a study and its baselines, each with what it is beside a trial.

    Raises:
        OutputError: the folder is not that of a study.
    """
    try:
        told = json.loads((study / "trials.json").read_text("utf-8"))
        quality, cost = (
            next(o for o in told["objectives"] if o["higher"] is higher) for higher in (True, False)
        )
        points = tuple(_points(told, str(cost["name"]), str(quality["name"])))
        return Front(
            str(told["study"]), str(cost["title"]), str(quality["title"]), points, _apart(told)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise OutputError.rule(
            "Drawing a report failed",
            name="--study",
            rule="be the folder of a `ds2 tune` study, with its trials.json",
            value=f"{study} ({type(error).__name__})",
            todo="Give the folder that `ds2 tune` named at its end.",
        ) from error


def _points(told: Mapping[str, Any], cost: str, quality: str) -> Iterator[FrontPoint]:
    chosen = (told.get("chosen") or {}).get("trial")
    front = {trial["trial"] for trial in told["front"]}
    beside = [trial for trial in told.get("baselines", ()) if trial["trial"] not in front]
    for trial in (*told["front"], *beside):
        marks = (
            "chosen" if trial["trial"] == chosen else "",
            str(trial.get("baseline") or ""),
            "" if trial.get("feasible", True) else "not feasible",
        )
        yield FrontPoint(
            trial=int(trial["trial"]),
            cost=float(trial[cost]),
            quality=float(trial[quality]),
            policy=str(trial.get("policy", "")),
            settings=", ".join(f"{n} {words_of(v)}" for n, v in trial["settings"].items()),
            marks=tuple(filter(None, marks)),
            on_front=trial["trial"] in front,
            held_out=_held_out(trial, quality),
        )


def _apart(told: Mapping[str, Any]) -> str:
    """Return which questions are held out, in words; a study of before there were any has none."""
    part = told.get("held_out")
    if not part:
        return ""
    return (
        f"The trials were measured on {int(part['chosen_on']):,} questions; held out, in the table, is what "
        f"they came to on {int(part['questions']):,} others."
    )


def _held_out(trial: Mapping[str, Any], quality: str) -> str:
    told = trial.get("held_out") or {}
    if told.get(quality) is None:
        return ""
    low, high = (told.get(f"{quality}_{end}") for end in ("low", "high"))
    between = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{told[quality]:.4f}{between}"
