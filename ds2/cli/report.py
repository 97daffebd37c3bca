"""`ds2 report`: a run, or two side by side, as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN [OTHER]", help="Folder of a run; two to compare.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write; else report.html in the folder of the run, report-A-B.html for two."
        ),
    ] = None,
    rows: Annotated[
        str, typer.Option(metavar="N|all", help="Most units that can be opened in the page.")
    ] = "2000",
    embedding: Annotated[
        str | None,
        typer.Option(
            metavar="lexical|FOLDER", help="Also measure diversity in an embedding (see ds2 stats)."
        ),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="Folder of a `ds2 tune` study: draw its Pareto front too.")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Draw a run as one HTML file: figures, coverage, votes, cost, prompts, and every row to open.

    Example: ds2 report runs/gsm8k-60 --open
    """
    from ds2.runtime.reporting import ReportRequest, write_report

    _check(runs)
    path = write_report(ReportRequest(tuple(runs), out, _number(rows), embedding, study))
    typer.echo(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if open_it:
        typer.launch(path.resolve().as_uri())


def _check(runs: list[Path]) -> None:
    from signatures.errors import ConfigError

    if len(runs) > 2:
        raise ConfigError.rule(
            "Drawing a report failed",
            name="runs",
            rule="be one, or two to compare",
            value=len(runs),
            todo="Name at most two folders.",
        )


def _number(text: str) -> int | None:
    from signatures.errors import ConfigError

    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError.rule(
            "Drawing a report failed",
            name="--rows",
            rule="be a number of 1 or more, or all",
            value=text,
            todo="Give for example --rows 2000.",
        )
    return int(text)
