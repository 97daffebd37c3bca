"""`ds2 tasks`: list the built-in tasks, print one, or start a new one from a template."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from signatures.task import AnswerFormat

tasks_app = typer.Typer(
    help="List the built-in tasks, show one, start a new one.\n\nExample: ds2 tasks show medqa",
    invoke_without_command=True,
)


class NewAnswer(StrEnum):
    """The answer formats that a new task may start with."""

    NUMBER = "number"
    EXPRESSION = "expression"
    CHOICE = "choice"
    LABEL = "label"
    TEXT = "text"


@tasks_app.callback()
def list_tasks(context: typer.Context) -> None:
    """List the built-in tasks."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from signatures.task import BUILT_IN, load_task

    table = Table("name", "domain", "answer", "language", box=None, pad_edge=False)
    for task in map(load_task, BUILT_IN):
        cells = (task.name, task.domain, _answer(task.answer), task.language)
        table.add_row(*map(Text, cells))
    Console().print(table)


@tasks_app.command("show")
def show_task(
    name: Annotated[str, typer.Argument(help="A built-in task, or a YAML file.")],
) -> None:
    """Print the YAML of a task.

    Example: ds2 tasks show medqa
    """
    from signatures.task import BUILT_IN, load_task, task_source

    if name in BUILT_IN:
        typer.echo(task_source(name), nl=False)
        return
    load_task(name)  # a bad file is reported as `ds2 run` would
    typer.echo(Path(name).read_text(encoding="utf-8"), nl=False)


@tasks_app.command("new")
def new_task(
    name: Annotated[str, typer.Argument(help="Its name: letters, digits, - and _.")],
    answer: Annotated[NewAnswer, typer.Option(help="Answer format.")] = NewAnswer.NUMBER,
    out: Annotated[Path | None, typer.Option(help="File to write; else NAME.yaml.")] = None,
) -> None:
    """Write a commented template for a task of your own; a file that is there is never touched.

    Example: ds2 tasks new my-domain --answer choice
    """
    from ds2.cli.task_template import task_template
    from signatures.errors import OutputError
    from signatures.task import AnswerKind

    _check_name(name)
    path = out if out is not None else Path(f"{name}.yaml")
    text = task_template(name, AnswerKind(answer.value), path.as_posix())
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise OutputError.rule(
            "Writing the template failed",
            name="out",
            rule="be a file that is not there yet",
            value=str(path),
            todo="Name another with --out.",
        ) from error
    except OSError as error:
        raise OutputError.rule(
            "Writing the template failed",
            name="out",
            rule="be in a folder that exists and can be written to",
            value=str(path),
            todo=f"{error.strerror or type(error).__name__}. Name another place with --out.",
        ) from error
    typer.echo(f"{path} written. Edit it, then: ds2 prompts {path.as_posix()}")


def _check_name(name: str) -> None:
    from signatures.errors import TaskError
    from signatures.task import BUILT_IN

    pattern = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
    if re.fullmatch(pattern, name) and name not in BUILT_IN:
        return
    raise TaskError.rule(
        "Writing the template failed",
        name="name",
        rule="start with a letter or digit, go on with letters, digits, - and _ to at most 64, and "
        "not be that of a built-in task",
        value=name,
        todo="Choose another name; `ds2 tasks show NAME` prints a built-in task to start from.",
    )


def _answer(answer: AnswerFormat) -> str:
    if answer.options:
        return f"{answer.kind.value} of {' or '.join(map(str, answer.options))}"
    if answer.labels:
        return f"{answer.kind.value}: {', '.join(answer.labels)}"
    return answer.kind.value
