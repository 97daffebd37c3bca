"""`ds2 push`: a run's dataset to the Hugging Face Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def push_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/gsm8k-60.")],
    repo: Annotated[str, typer.Argument(metavar="USER/REPO", help="The dataset on the Hub.")],
    upload: Annotated[
        bool, typer.Option("--upload", help="Do it; without this it is only shown.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private/--public", help="For a repository that is made now.")
    ] = True,
) -> None:
    """Send a run's dataset and its card to the Hugging Face Hub; a dry run unless --upload is given.

    The token is read from HF_TOKEN.

    Example: ds2 push runs/medqa-1000 maria/medqa-rows --upload
    """
    from ds2.output.push import TOKEN, plan_push, push
    from ds2.runtime.exporting import dataset_folder

    plan = plan_push(dataset_folder(run), repo)
    typer.echo(
        f"{plan.rows:,} rows, {len(plan.shards)} files, {plan.bytes / 1e6:.1f} MB, and the card"
    )
    typer.echo(f"-> https://huggingface.co/datasets/{repo} ({'private' if private else 'public'})")
    if plan.simulated:
        typer.echo("Note: these rows come from the simulated teacher; the card says so.")
    if not upload:
        there = "is set" if os.environ.get(TOKEN, "").strip() else "is not set"
        typer.echo(f"Dry run: nothing was sent. {TOKEN} {there}. Add --upload to send it.")
        return
    typer.echo(f"Sent: {push(plan, os.environ, private=private)}")
