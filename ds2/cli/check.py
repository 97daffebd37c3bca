"""`ds2 check`: does a model answer, as whom, what does it take, which adapter parses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ds2.engines.check import CheckReport


def check(
    model: Annotated[str, typer.Option(help="PROVIDER/NAME, or the server's own name.")],
    api_base: Annotated[
        str | None, typer.Option(help="Root of an OpenAI-compatible server.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Variable that holds the key; default DS2_API_KEY.")
    ] = None,
    sampling: Annotated[
        str | None, typer.Option(help='Extras as JSON, such as {"min_p": 0.05}.')
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Limit on a reply, thinking included.")
    ] = None,
    task: Annotated[str, typer.Option(help="Task whose signatures are tried.")] = "gsm8k",
    timeout: Annotated[float, typer.Option(min=1, help="Seconds one attempt may take.")] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Tell in seconds whether a model can be used, and what is wrong where it cannot.

    Example: ds2 check --model Qwen/Qwen3-8B --api-base http://localhost:8000/v1
    """
    from ds2.engines.check import check as run_check
    from ds2.engines.resolve import parse_sampling, resolve_backend
    from signatures.errors import DS2Error
    from signatures.task import load_task

    try:
        backend = resolve_backend(
            model,
            api_base=api_base,
            api_key_env=api_key_env,
            sampling=parse_sampling(sampling),
            max_tokens=max_tokens,
            timeout_s=timeout,
        )
        report = run_check(backend, load_task(task))
    except DS2Error as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"ok": False, "model": model, "problems": [str(error)]}, indent=2))
        raise typer.Exit(error.exit_code) from error
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        for line in lines(report):
            typer.echo(line)
    if not report.ok:
        raise typer.Exit(2)


def lines(report: CheckReport) -> list[str]:
    """Return the report as lines for people."""
    shown = [
        f"endpoint   {report.endpoint}",
        f"model      {report.model} (answered as {report.answered_as or 'nothing'})",
    ]
    if report.served is not None:
        shown.append(f"serves     {', '.join(report.served[:8]) or 'no model'}")
    if report.latency_s is not None:
        shown.append(f"latency    {report.latency_s:.2f} s (median)")
    shown.append(f"thinks     {'by itself' if report.thinking else 'in its reply'}")
    for name, finding in report.takes.items():
        shown.append(f"{name:<16} {finding.verdict:<9} {finding.words}")
    for adapter, stages in report.parses.items():
        failed = {name: why for name, why in stages.items() if why}
        good = len(stages) - len(failed)
        shown.append(f"adapter {adapter:<12} {good} of {len(stages)} signatures parse")
        shown += [f"  {name}: {why}" for name, why in failed.items()]
    for problem in report.problems:
        shown.append(f"problem    {problem}")
    if report.ok and report.adapter is not None:
        shown.append(f"The model can be used: `ds2 run ... --adapter {report.adapter}`.")
    return shown
