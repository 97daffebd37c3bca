"""The command line: one Typer app; each command's module and everything heavy load when it runs."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ds2.cli.check import check
from ds2.cli.compile import compile_command
from ds2.cli.configfile import ConfiguredCommand
from ds2.cli.devset import devset_command
from ds2.cli.doctor import doctor_command
from ds2.cli.explain import explain_command
from ds2.cli.export import export_command
from ds2.cli.plan import plan_command
from ds2.cli.preview import preview_command
from ds2.cli.prompts import prompts_command
from ds2.cli.push import push_command
from ds2.cli.replay import replay_command
from ds2.cli.report import report_command
from ds2.cli.run import run_command
from ds2.cli.simulate import simulate
from ds2.cli.stats import diff_command, stats_command
from ds2.cli.status import status_command
from ds2.cli.tasks import tasks_app
from ds2.cli.tune import tune_command
from ds2.cli.usage import HouseGroup
from ds2.cli.verify import verify_command
from ds2.cli.watch import watch_command

app = typer.Typer(
    name="ds2",
    cls=HouseGroup,
    help="Make a validated instruction-tuning dataset from one task description.\n\n"
    "Example: ds2 run gsm8k --target 60",
    epilog="Start with `ds2 run gsm8k`: the built-in simulated teacher needs no key and no network.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"ds2 {version('ds2-instruct')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


like_run: dict[str, Any] = {
    "cls": ConfiguredCommand,
    "context_settings": {"auto_envvar_prefix": "DS2_RUN"},
}
app.command("run", rich_help_panel="Make", **like_run)(run_command)
app.add_typer(tasks_app, name="tasks", rich_help_panel="Make")
app.command("plan", rich_help_panel="Make", **like_run)(plan_command)
app.command("preview", rich_help_panel="Make", **like_run)(preview_command)
app.command("simulate", rich_help_panel="Make")(simulate)
app.command("status", rich_help_panel="Look")(status_command)
app.command("report", rich_help_panel="Look")(report_command)
app.command("watch", rich_help_panel="Look")(watch_command)
app.command("stats", rich_help_panel="Look")(stats_command)
app.command("diff", rich_help_panel="Look")(diff_command)
app.command("explain", rich_help_panel="Look")(explain_command)
app.command("verify", rich_help_panel="Look")(verify_command)
app.command("prompts", rich_help_panel="Look")(prompts_command)
app.command("check", rich_help_panel="Look")(check)
app.command("doctor", rich_help_panel="Look")(doctor_command)
app.command("replay", rich_help_panel="Improve")(replay_command)
app.command("tune", rich_help_panel="Improve")(tune_command)
app.command("devset", rich_help_panel="Improve")(devset_command)
app.command("compile", rich_help_panel="Improve")(compile_command)
app.command("export", rich_help_panel="Export")(export_command)
app.command("push", rich_help_panel="Export")(push_command)


def _bug() -> str:
    """Return what is said above the traceback of a bug."""
    import platform
    from importlib.metadata import version

    return (
        f"This is a bug in ds2 {version('ds2-instruct')} (Python {platform.python_version()}, "
        f"{platform.system()}). What was answered is kept in the run's folder.\n"
        "Please report it at the project's issue tracker with the lines below; they may quote your "
        "data, but never a key."
    )


def main() -> None:
    """Run the command line; a user's mistake is one message and an exit code, never a traceback."""
    from ds2.cli.plain import survive_code_pages
    from ds2.runtime.stopping import signals

    survive_code_pages()
    with signals() as stop:
        try:
            _run()
        except SystemExit as ended:
            # Typer's own word for an interrupt knows one signal only.
            sys.exit(stop.code if ended.code == 130 else ended.code)
        except Exception:
            raise
        except BaseException as interrupted:
            # Of a command with a loop of its own the work was cancelled.
            if stop.asked or isinstance(interrupted, KeyboardInterrupt):
                sys.exit(stop.code)
            raise


def _run() -> None:
    from ds2.cli.stdout import checked_stdout
    from signatures.errors import DS2Error

    try:
        with checked_stdout():
            app(prog_name="ds2")
    except DS2Error as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:
        typer.echo(_bug(), err=True)
        raise
