"""A command line that cannot be read, told as every other mistake: what, which rule, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from signatures.errors import ConfigError

# Click's own name for it, wherever Typer carries that.
_UsageError: Any = typer.BadParameter.__bases__[0]


class HouseGroup(TyperGroup):
    """The root of our commands; a mistake on the command line leaves it as a `ConfigError`."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read what stands before the command."""
        with _in_our_words(lambda: "ds2"):
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest and run the command."""
        with _in_our_words(lambda: f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip()):
            return super().invoke(ctx)


@contextmanager
def _in_our_words(command: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        raise told(error, command()) from error


class _Broken(NamedTuple):
    """Which rule was broken: by what, which rule, the value, what to do (empty: see the help)."""

    name: str
    rule: str
    value: object
    todo: str = ""


def told(error: Any, command: str) -> ConfigError:
    """Return what Typer found wrong in a command line, in the house's template.

    Args:
        error: what Typer raised.
        command: which command it was, where the error does not know.
    """
    from signatures.errors import ConfigError

    context = error.ctx
    if context is not None:
        command = context.command_path
    broken = _broken(error, context, command)
    return ConfigError.rule(
        "Reading the command line failed",
        unit=command,
        name=broken.name,
        rule=broken.rule,
        value=broken.value,
        todo=broken.todo or f"`{command} --help` shows what it takes, with an example.",
    )


def _broken(error: Any, context: Any, command: str) -> _Broken:
    param = getattr(error, "param", None)
    if type(error).__name__ == "NoSuchOption":
        options = [name for one in context.command.params for name in one.opts] if context else []
        near = get_close_matches(error.option_name, options, n=3, cutoff=0.6)
        return _Broken("the option", f"be one that `{command}` has", error.option_name, _near(near))
    if type(error).__name__ == "MissingParameter" and param is not None:
        return _Broken(_name(param), "be given", None)
    if param is not None:
        rule, value = _rule(error)
        return _Broken(_name(param), rule, value)
    if type(error).__name__ == "BadOptionUsage":
        return _Broken(error.option_name, "be followed by a value", None)
    if (commands := getattr(getattr(context, "command", None), "commands", None)) is not None:
        asked = re.search(r"'(.*?)'", error.message)
        value = asked[1] if asked else None
        near = get_close_matches(value or "", commands, n=3, cutoff=0.6)
        return _Broken("the command", f"be one of {', '.join(commands)}", value, _near(near))
    return _Broken("the rest of the line", "be left out", _rest(error.message))


def _name(param: Any) -> str:
    """Return an option by its longest spelling, an argument as the help shows it."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name).upper()


def _rule(error: Any) -> tuple[str, object]:
    """Return the rule that a value broke, and the value."""
    from pydantic import ValidationError

    from ds2.config import rule_of

    if isinstance(error.__cause__, ValidationError):
        first = error.__cause__.errors()[0]
        return rule_of(first), first["input"]
    return f"be right ({error.message.rstrip('.')})", None


def _rest(message: str) -> str:
    found = re.findall(r"\(([^()]+)\)", message)
    return str(found[-1]) if found else message


def _near(names: list[str]) -> str:
    return f"Nearest: {', '.join(names)}." if names else ""
