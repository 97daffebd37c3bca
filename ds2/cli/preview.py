"""`ds2 preview`: a few finished rows on the screen, from the beginning of the run itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ds2.cli.plain import one_line, plain
from ds2.cli.run import interruptible, like_run

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ds2.runtime.session import RunRequest
    from signatures.records import Row


@like_run
def preview_command(
    request: RunRequest,
    *,
    rows: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 5,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
) -> None:
    """Make and show a few rows; `ds2 run` with the same options goes on from them for nothing.

    Example: ds2 preview medqa --model openai/gpt-4.1-mini --rows 5
    """
    from rich.console import Console

    from ds2.cli.progress import Watcher
    from ds2.runtime.pilot import pilot
    from ds2.runtime.session import Pilot

    with Watcher(quiet=quiet) as watcher:
        seen = interruptible(pilot(request, Pilot(rows=rows), watcher), watcher, request)
    console = Console()
    for number, row in enumerate(seen.rows, 1):
        console.print(panel(row, number))
    rejected = sum(not unit.accepted for unit in seen.units)
    calls = sum(use.calls for use in seen.known.spent.values())
    typer.echo(
        f"{len(seen.rows)} of {rows} rows, {rejected} units rejected, {calls:,.0f} calls so far, kept in "
        f"{request.out}: `ds2 run` with the same options goes on from them."
    )
    raise typer.Exit(0 if len(seen.rows) >= min(rows, request.config.target) else 3)


def panel(row: Row, number: int) -> RenderableType:
    """Return a row as it is shown. What a model wrote is plain text: no markup, no control characters."""
    from rich.panel import Panel
    from rich.text import Text

    instruction, vote = row.instruction, row.vote
    text = Text()
    text.append(plain(instruction.text), style="bold")
    text.append(f"\n\n{plain(row.response)}")
    title = f"{number}  {instruction.level}: {', '.join(map(one_line, instruction.keywords))}"
    votes = f"answer {one_line(row.answer)}, agreement {vote.agreement:.2f} of {vote.draws} draws"
    return Panel(text, title=Text(title), subtitle=Text(votes), title_align="left")
