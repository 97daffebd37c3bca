"""`ds2 watch`: the report of a run that goes on, refreshed by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def watch_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/gsm8k-60.")],
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 8750,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks.")] = 5,
    rows: Annotated[int, typer.Option(min=1, help="Most units that can be opened.")] = 500,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Show the report of a running job on loopback, refreshed by itself, until Ctrl-C.

    Example: ds2 watch runs/medqa-1000 --open
    """
    from ds2.runtime.past import read_run
    from ds2.runtime.reporting import ReportRequest, report_page
    from ds2.server.serve import listen, serve_app
    from ds2.server.watch import watch_app

    read_run(run)
    request = ReportRequest((run,), rows=rows)
    sock = listen("127.0.0.1", port)
    port = sock.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"

    def ready() -> None:
        typer.echo(f"Watching {run} at {url} (Ctrl-C ends it).", err=True)
        if open_it:
            typer.launch(url)

    serve_app(watch_app(lambda: report_page(request, refresh_s=every), port), sock, ready)
