"""`ds2 devset`: a small dev set out of a run's own rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ds2.cli.completing import TaskName


def devset_command(
    task: TaskName,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Rows wanted.")] = 60,
    run: Annotated[
        Path | None, typer.Option(help="The run whose rows are taken; runs/TASK-60 if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file; RUN/devset.jsonl if not given.")
    ] = None,
    min_agreement: Annotated[
        float, typer.Option(min=0, max=1, help="Least agreement of a row's vote.")
    ] = 0.8,
) -> None:
    """Take rows with high agreement from a run as a dev set that is labelled by the model itself.

    Example: ds2 devset medqa --n 40
    """
    from ds2.config import EngineConfig, preset
    from ds2.runtime.defaults import default_out
    from ds2.runtime.devset import write_devset
    from signatures.task import load_task

    spec = load_task(task)
    folder = run or default_out(spec, preset("default"), EngineConfig())
    file = out or folder / "devset.jsonl"
    made = write_devset(spec, folder, file, rows=n, min_agreement=min_agreement)
    typer.echo(f"{made.rows} of {made.eligible} rows: {made.file}")
    typer.echo(
        f"Self-labelled by {made.labelled_by}: a score on it is agreement with the model, not "
        "accuracy. Labels of your own are better.",
        err=True,
    )
