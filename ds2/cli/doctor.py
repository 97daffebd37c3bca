"""`ds2 doctor`: is this machine ready for a run?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ds2.engines.base import Backend
    from ds2.engines.prices import Price
    from ds2.runtime.diagnosis import Finding

TIMEOUT_S = 120.0  # one attempt; a run would wait longer


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

    Without --model nothing is sent. All is told, whatever is wrong; then it leaves with 2.

    Example: ds2 doctor --model openai/gpt-4.1-mini
    """
    import json
    import os
    from dataclasses import asdict

    from ds2.runtime.diagnosis import diagnose

    prices, endpoint = _asked(model, api_base, api_key_env)
    findings = [*diagnose(folder, prices, os.environ), *endpoint]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(_line(finding.name, finding.verdict, finding.words))
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(2)


def _asked(
    model: str | None, api_base: str | None, api_key_env: str | None
) -> tuple[dict[str, Price | None], list[Finding]]:
    """Return the price of the model, and what came of asking it: an error of its is a finding."""
    from ds2.engines.backends import SIMULATED
    from ds2.engines.resolve import listed_price, resolve_backend
    from ds2.runtime.diagnosis import Finding
    from signatures.errors import EndpointError

    prices: dict[str, Price | None] = {}
    try:
        if api_base is None or model is not None:
            name = model or SIMULATED
            prices[name] = listed_price(name, api_base=api_base)
        backend = resolve_backend(
            model, api_base=api_base, api_key_env=api_key_env, timeout_s=TIMEOUT_S
        )
        return prices, [] if model is None else [_endpoint(backend)]
    except EndpointError as error:
        return prices, [Finding("endpoint", "wrong", str(error))]


def _endpoint(backend: Backend) -> Finding:
    from ds2.engines.check import check
    from ds2.runtime.diagnosis import Finding
    from signatures.task import load_task

    report = check(backend, load_task("gsm8k"))
    good = f"answers as {report.answered_as}; adapter {report.adapter}"
    words = good if report.ok else "; ".join(report.problems) or "no adapter parses"
    return Finding("endpoint", "ok" if report.ok else "wrong", words)


def _line(name: str, verdict: str, words: str) -> str:
    from ds2.cli.plain import one_line

    return f"{verdict:<6} {name:<16} {one_line(words)}"
