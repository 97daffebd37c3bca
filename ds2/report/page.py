"""Facts of a run, or of two, -> one HTML file that needs nothing else and runs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ds2.report.charts import WIDTH
from ds2.report.drawn import charts_of
from ds2.report.facts import Difference, Embedded, Front, ReportFacts
from ds2.report.figures import Figures
from ds2.report.front import draw_front
from ds2.report.shown import script_json, shown
from signatures.bloom import LEVELS

if TYPE_CHECKING:
    from jinja2 import Environment

HEAT = 5  # steps of the heat map beside nought


def render(
    runs: Sequence[ReportFacts],
    rows: Embedded,
    differences: Sequence[Difference] = (),
    *,
    front: Front | None = None,
    refresh_s: int | None = None,
) -> str:
    """Return the page of one run, or of two side by side.

    Every text of a model is escaped or handed to the script as data; the page's policy lets only
    its own style and script run, by their hashes, and nothing be fetched, but by a live view itself.

    Args:
        runs: one or two.
        rows: what can be opened.
        differences: what was asked differently, for two.
        front: the Pareto front of the study that they were tuned by; None where none was given.
        refresh_s: the page looks again after so many seconds; None for a file.
    """
    assets = _assets()
    policy = (
        f"default-src 'none'; script-src '{_hash(assets['page.js'])}'; style-src "
        f"'{_hash(assets['page.css'])}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    if refresh_s is not None:
        policy += "; connect-src 'self'"  # where new figures come from
    most = max(_most_in_a_cell(run.figures) for run in runs)  # colours mean the same in both
    template = _environment().get_template("page.html.j2")
    text: str = template.render(
        title=" and ".join(f"{run.name}" for run in runs),
        runs=[
            {"facts": run, "charts": charts, "heat": _heat(run.figures, most), "number": number}
            for number, (run, charts) in enumerate(zip(runs, charts_of(runs), strict=True))
        ],
        differences=differences,
        front=None if front is None else draw_front(front),
        policy=policy,
        css=assets["page.css"],
        js=assets["page.js"],
        data=script_json(
            {
                "rows": rows.rows,
                "runs": [run.name for run in runs],
                "banks": [run.bank for run in runs],
            }
        ),
        embedded=len(rows.rows),
        whole=rows.whole,
        levels=[level.value for level in LEVELS],
        refresh_s=refresh_s,
        chart_width=WIDTH,
    )
    return text


def _most_in_a_cell(figures: Figures) -> int:
    return max((c.accepted for by in figures.coverage.values() for c in by.values()), default=0)


def _heat(figures: Figures, most: int) -> list[dict[str, Any]]:
    """Return the lines of the heat map: keyword, cells (level, accepted, rejected, step)."""
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


def diff_lines(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the lines of a unified diff, each with its class: head, add, del or same.

    A head is `--- a`, `+++ b` and `@@ ... @@` in a row; a changed line that begins alike is none.
    """
    heads = 0
    for line, second, third in zip_longest(lines, lines[1:], lines[2:], fillvalue=""):
        if line.startswith("--- ") and second.startswith("+++ ") and third.startswith("@@"):
            heads = 3
        if heads or line.startswith(("@@ ", "## ")):
            kind = "head"
        else:
            kind = {"+": "add", "-": "del"}.get(line[:1], "same")
        heads = max(0, heads - 1)
        yield kind, line


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
    environment.filters["diff_lines"] = diff_lines
    return environment
