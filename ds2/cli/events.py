"""What `ds2 run --json` says to machines: one JSON object a line (docs/events.md)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import typer

from ds2.cli.stdout import to_nowhere, untaken

if TYPE_CHECKING:
    from ds2.cli.live import Snapshot
    from ds2.engines.base import Backend
    from ds2.runtime.session import RunRequest
    from ds2.runtime.summary import RunSummary

VERSION = 1  # raised when a field changes its meaning or goes; a new field does not raise it

Name = Literal["began", "keywords", "progress", "notice", "ended"]


class Events:
    """Writes the events of a run, from any thread, each as a whole line.

    Args:
        write: takes a line without its end, and hands it on at once.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lock = threading.Lock()

    def began(self, request: RunRequest, backends: Mapping[str, Backend], worst_calls: int) -> None:
        """Tell what is asked, and of whom."""
        self._tell(
            "began",
            version=VERSION,
            task=request.task.name,
            target=request.config.target,
            seed=request.config.seed,
            out=str(request.out),
            teacher=backends["answers"].teacher,
            models={stage: backend.model for stage, backend in sorted(backends.items())},
            worst_calls=worst_calls,
        )

    def keywords(self, number: int, stopped: str) -> None:
        """Tell how large the keyword bank is and why it stopped growing."""
        self._tell("keywords", keywords=number, stopped=stopped)

    def progress(self, seen: Snapshot) -> None:
        """Tell how far the run is."""
        self._tell("progress", **seen.as_event())

    def notice(self, words: str) -> None:
        """Tell what people are told: an endpoint that is waited for, or is back."""
        self._tell("notice", text=words)

    def ended(
        self, exit_code: int, summary: RunSummary | None = None, *, error: str | None = None
    ) -> None:
        """Tell how it ended: the last event."""
        whole = None if summary is None else asdict(summary)
        self._tell("ended", exit_code=exit_code, error=error, summary=whole)

    def _tell(self, event: Name, **facts: Any) -> None:
        # ASCII: whatever the code page of the pipe, the line is the same.
        text = json.dumps({"event": event, **facts})
        with self._lock:
            self._write(text)


def to_stdout(text: str) -> None:
    """Print a line at once; no broken stdout ends the run, whose rows it is for.

    A reader that has gone away is no mistake; a disk that is full is told once on stderr.
    """
    try:
        typer.echo(text)
    except BrokenPipeError:
        to_nowhere()
    except OSError as error:
        to_nowhere()
        typer.echo(f"Error: {untaken(error)} The run goes on without its events.", err=True)
