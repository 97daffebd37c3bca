"""`ds2 export`: a run's rows in the file formats of trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ds2.cli import completing
from signatures.bloom import LEVELS, BloomLevel

_FORMATS = (
    "sharegpt, alpaca, openai, trl, trl-messages, dpo, verifier, llama-factory, "
    "llama-factory-dpo, axolotl, parquet, csv"
)


def export_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/gsm8k-60.")],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help=f"One of {_FORMATS}.",
            metavar="FORMAT",
            autocompletion=completing.formats,
        ),
    ] = "sharegpt",
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; else dataset.FORMAT.json(l) in the folder of the run."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="Parts, such as 0.95,0.05: one file each; families stay on one side.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one gives another split.")] = 0,
    min_agreement: Annotated[
        float, typer.Option(help="Only rows whose draws agree at least this much, 0 to 1.")
    ] = 0.0,
    levels: Annotated[
        str | None, typer.Option(help="Only these Bloom levels, such as apply,analyze.")
    ] = None,
    reasoning: Annotated[
        bool,
        typer.Option("--reasoning/--no-reasoning", help="Without it: the answer alone responds."),
    ] = True,
    min_margin: Annotated[
        float, typer.Option(help="Pairs: least margin of the vote, 0 to 1.")
    ] = 0.0,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Pairs: one for every losing answer of a row.")
    ] = False,
) -> None:
    """Write a run's rows in the file format of a trainer.

    Example: ds2 export runs/gsm8k-60 --format dpo --min-margin 0.4 --split 0.95,0.05
    """
    from ds2.output.exports import Selection, parse_split
    from ds2.output.exports.formats import Options
    from ds2.runtime.exporting import ExportRequest, export_run

    request = ExportRequest(
        run=run,
        format_name=format_name,
        out=out,
        splits=parse_split(split),
        seed=seed,
        selection=Selection(min_agreement, _levels(levels)),
        reasoning=reasoning,
        options=Options(min_margin, all_pairs),
    )
    for done in export_run(request):
        part = "" if done.split == "all" else f"{done.split}: "
        typer.echo(f"{part}{done.entries} entries -> {done.path}")


def _levels(text: str | None) -> tuple[BloomLevel, ...]:
    from signatures.errors import OutputError

    by_name = {level.value.casefold(): level for level in LEVELS}
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name.casefold() not in by_name:
            raise OutputError.rule(
                "Exporting failed",
                name="--levels",
                rule=f"name Bloom levels: {', '.join(by_name)}",
                value=name,
                todo="Give one or more of them, with commas.",
            )
    return tuple(by_name[name.casefold()] for name in names)
