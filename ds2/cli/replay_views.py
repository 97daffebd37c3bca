"""What `ds2 replay` prints: the JSON that `docs/replay.md` describes, and a table of the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer

from optimizers.recorded import Recording
from optimizers.replay import Judged
from programs.calibration import Fit

_SHOWN = 5


def as_document(
    recording: Recording,
    judged: Sequence[Judged],
    repeats: int,
    seed: int,
    fit: Fit | None,
    train: Recording | None,
) -> dict[str, Any]:
    """Return all that was measured, as JSON values."""
    document: dict[str, Any] = {
        "source": recording.source,
        "labelled": recording.labelled,
        "questions": len(recording.ballots),
        "samples": recording.samples,
        "unreadable_samples": recording.unreadable,
        "unreadable_gold": list(recording.unreadable_gold),
        "repeats": repeats,
        "seed": seed,
        "policies": [one.as_json() for one in judged],
        "fit": None,
    }
    if fit is not None and train is not None:
        document["fit"] = _fit(fit, train, recording)
    return document


def show(document: dict[str, Any], *, as_json: bool) -> None:
    """Print the document as JSON, or as a table with what a reader must know of it."""
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for line in [*_table(document), "", *_notes(document)]:
        typer.echo(line)


def _fit(fit: Fit, train: Recording, judged_on: Recording) -> dict[str, Any]:
    both = set(train.questions) & set(judged_on.questions)
    expected = fit.policy.expected.model_dump(by_alias=True)
    return {
        "source": train.source,
        "questions": len(train.ballots),
        "target_precision": fit.target_precision,
        "min_yield": fit.min_yield,
        "variant": fit.policy.provenance.variant,
        "expected": expected,
        "variants": [
            {
                "variant": tried.variant,
                "yield": tried.figures and tried.figures.yielded,
                "precision": tried.figures and tried.figures.precision,
                "samples": tried.figures and tried.figures.samples,
                "samples_per_accepted": tried.figures and tried.figures.samples_per_accepted,
            }
            for tried in fit.tried
        ],
        "questions_judged_and_fitted": len(both),
    }


def _table(document: dict[str, Any]) -> list[str]:
    labelled = document["labelled"]
    measure = "precision" if labelled else "as recorded"
    rows = [["policy", "yield", measure, "95 % interval", "samples", "a row", "reading", "n"]]
    for found in document["policies"]:
        low, high = found["precision_low"], found["precision_high"]
        rows.append(
            [
                found["policy"],
                f"{found['yield']:.4f}",
                _number(found["precision" if labelled else "winner_agreement"], 4),
                "-" if low is None else f"{low:.4f}-{high:.4f}",
                f"{found['samples']:.2f}",
                _number(found["samples_per_accepted"], 2),
                _number(found["reading_agreement"], 4),
                str(found["n"]),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def _notes(document: dict[str, Any]) -> list[str]:
    counted = f"{document['samples']} samples ({document['unreadable_samples']} unreadable)"
    notes = [f"{document['questions']} questions, {counted}, {document['repeats']} random orders."]
    if not document["labelled"]:
        notes.append(
            "A run holds no right answers: there is no precision. `as recorded` is the share of "
            "accepted questions whose winner is that of the recorded vote."
        )
    missing = document["unreadable_gold"]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        notes.append(f"Left out, gold unreadable: {'; '.join(missing[:_SHOWN])}{more}.")
    short = [row for row in document["policies"] if row["ran_out"] > 0]
    notes += [
        f"{row['policy']} asked for more samples than were recorded in {row['ran_out']:.1%} of the "
        "votes; they count as not accepted."
        for row in short
    ]
    if document["fit"]:
        notes += _fit_notes(document["fit"])
    return notes


def _fit_notes(fit: dict[str, Any]) -> list[str]:
    wanted = f"precision {fit['target_precision']:.4f}, yield at least {fit['min_yield']:.3f}"
    notes = [
        f"Fitted to {fit['questions']} questions of {fit['source']} for {wanted}.",
        "Each variant at its cheapest, by cross-validation over questions:",
    ]
    for tried in fit["variants"]:
        chosen = " (chosen)" if tried["variant"] == fit["variant"] else ""
        if tried["yield"] is None:
            notes.append(f"  {tried['variant']:<9} does not reach it")
            continue
        notes.append(
            f"  {tried['variant']:<9} yield {tried['yield']:.4f}, precision "
            f"{tried['precision']:.4f}, {tried['samples_per_accepted']:.2f} samples a row{chosen}"
        )
    if fit["questions_judged_and_fitted"]:
        notes.append(
            f"{fit['questions_judged_and_fitted']} of the questions judged were fitted to as well: "
            "on them the fitted policy looks better than it is."
        )
    return notes


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
