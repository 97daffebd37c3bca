"""`ds2 export`: a run's dataset in the file formats of trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/gsm8k.")],
    format_name: Annotated[
        str, typer.Option("--format", "-f", help="File format: sharegpt.", metavar="FORMAT")
    ] = "sharegpt",
    out: Annotated[
        Path | None,
        typer.Option(help="File to write [default: dataset.FORMAT.json in the run's folder]."),
    ] = None,
) -> None:
    """Write a run's dataset in another file format."""
    from ds2.output.export import export_dataset

    done = export_dataset(run, format_name, out)
    typer.echo(f"{done.rows} rows -> {done.path}")
