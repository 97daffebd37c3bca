"""`ds2 simulate`: the simulated teacher behind OpenAI's HTTP shape."""

from __future__ import annotations

from typing import Annotated

import typer


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    latency: Annotated[float, typer.Option(min=0, help="Seconds before each reply.")] = 0.5,
    jitter: Annotated[
        float, typer.Option(min=0, help="Latency varies evenly by as many seconds.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the teacher.")] = 0,
) -> None:
    """Serve the simulated teacher as an OpenAI-compatible server, until Ctrl-C."""
    from ds2.engines.teacher import Teacher
    from ds2.server.app import MODEL, SimulatedServer, delay
    from ds2.server.serve import listen, serve

    server = SimulatedServer(Teacher(seed), hook=delay(latency, jitter, seed=seed))

    def ready(url: str) -> None:
        typer.echo(f"Serving `{MODEL}` at {url} (Ctrl-C ends it).", err=True)
        typer.echo(f"Try: ds2 run gsm8k --model {MODEL} --api-base {url}", err=True)

    serve(server, listen(host, port), ready)
    counts = server.counts
    typer.echo(f"{counts.requests} requests, {counts.completions} completions.", err=True)
