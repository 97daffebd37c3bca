"""`ds2 doctor`: is this machine ready for a run?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor_command(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Also ask this model (as ds2 check does, with calls)."),
    ] = None,
    api_base: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds its key.")
    ] = None,
    folder: Annotated[Path, typer.Option("--out", help="Where runs would go.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the environment, extras, disk and prices, and with --model the endpoint too.

    Without --model nothing is sent.

    Example: ds2 doctor --model openai/gpt-4.1-mini
    """
    import json
    import os
    from dataclasses import asdict

    from ds2.engines.resolve import resolve_backend
    from ds2.runtime.diagnosis import Finding, diagnose

    backend = resolve_backend(model, api_base=api_base, api_key_env=api_key_env)
    findings = diagnose(folder, {"answers": backend}, os.environ)
    if model is not None:
        from ds2.engines.check import check
        from signatures.task import load_task

        report = check(backend, load_task("gsm8k"))
        good = f"answers as {report.answered_as}; adapter {report.adapter}"
        words = good if report.ok else "; ".join(report.problems) or "no adapter parses"
        findings.append(Finding("endpoint", "ok" if report.ok else "wrong", words))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(_line(finding.name, finding.verdict, finding.words))
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(2)


def _line(name: str, verdict: str, words: str) -> str:
    from ds2.cli.plain import one_line

    return f"{verdict:<6} {name:<16} {one_line(words)}"
