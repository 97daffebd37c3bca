"""What a shell is offered behind a command: names that are known without asking anything."""

from __future__ import annotations

from typing import Annotated

import typer


def tasks(incomplete: str) -> list[str]:
    """Return the built-in tasks that begin so; a path is completed by the shell."""
    from signatures.task import BUILT_IN

    return [name for name in BUILT_IN if name.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """Return the formats of `ds2 export` that begin so."""
    from ds2.output.exports.formats import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A built-in task, or the path of a YAML file.",
        autocompletion=tasks,
    ),
]
