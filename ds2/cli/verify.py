"""`ds2 verify`: a dataset against the store of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHOWN = 20


def verify_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/gsm8k-60.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove that a dataset is what its store yields, to the byte, and that every row follows from the
    call log and passes every screen again.

    Nothing is asked and nothing is written. Exit code 1 where something does not hold.

    Example: ds2 verify runs/gsm8k-60
    """
    import json
    from dataclasses import asdict

    from ds2.cli.plain import one_line
    from ds2.runtime.verifying import verify_run

    found = verify_run(run)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        for problem in found.problems[:SHOWN]:
            typer.echo(one_line(problem))
        if len(found.problems) > SHOWN:
            typer.echo(f"... and {len(found.problems) - SHOWN:,} more.")
        verdict = "Verified" if not found.problems else "Not verified"
        typer.echo(
            f"{verdict}: {found.rows:,} rows, {found.files} files compared byte by byte, "
            f"{found.calls:,} logged replies read again, {found.screened:,} rows pass every screen again."
        )
    if found.problems:
        raise typer.Exit(1)
