"""What a command line of our pages and help texts asks for, held against the Typer app."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import typer

from ds2.cli.app import app


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its words, `ds2` first."""
    yield from _below("ds2", typer.main.get_command(app))


def _below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield words, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from _below(f"{words} {name}", sub)


def check_command_line(line: str) -> None:
    """Hold a line such as `ds2 run gsm8k --target 12` to the commands and options that there are."""
    words = shlex.split(line, comments=True)
    assert words, line
    assert words[0] == "ds2", line
    command, rest = typer.main.get_command(app), words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    asked = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert asked <= known | {"--help"}, f"{line}: there is no {', '.join(asked - known)}"
    takes = [
        one
        for one in command.params
        if isinstance(one, click.Argument) or one.param_type_name == "argument"
    ]
    assert takes or not rest or rest[0].startswith("-"), f"{line}: there is no {rest[0]!r}"
