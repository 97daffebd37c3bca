"""The ways a run under way is shown: a screen on a terminal, lines for a log, events for machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import typer

from ds2.cli.figures import clock

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from ds2.cli.events import Events
    from ds2.cli.live import Snapshot


class Face(Protocol):
    """A way to show a run.

    `say` comes from any thread, the rest from one at a time. `every_s` is the least time between two
    pictures; with `shows_end` the last one is shown whenever it comes.
    """

    every_s: float
    shows_end: bool

    def open(self) -> None:
        """Begin, before anything is known."""

    def show(self, seen: Snapshot) -> None:
        """Show how far the run is."""

    def say(self, text: str) -> None:
        """Say something in between."""

    def close(self) -> None:
        """End; may be called more than once."""


class LinesFace:
    """A line every half minute on stderr."""

    every_s, shows_end = 30.0, False

    def open(self) -> None:
        """Nothing is known yet."""

    def show(self, seen: Snapshot) -> None:
        """Print a line."""
        from ds2.cli.live_views import line

        typer.echo(line(seen), err=True)

    def say(self, text: str) -> None:
        """Print it."""
        typer.echo(text, err=True)

    def close(self) -> None:
        """Nothing is left open."""


class EventsFace(LinesFace):
    """A `progress` event every few seconds; what is said goes to stderr."""

    every_s, shows_end = 5.0, True

    def __init__(self, events: Events) -> None:
        self._events = events

    def show(self, seen: Snapshot) -> None:
        """Tell it as an event."""
        self._events.progress(seen)


class Screen:
    """A picture on a terminal, drawn anew twice a second."""

    every_s, shows_end = 0.5, True

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._began_s = clock, clock()
        self._seen: Snapshot | None = None
        self._live: Live | None = None

    def open(self) -> None:
        """Begin with the keywords, of which only the time is known."""
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=2)
        self._live.start()

    def show(self, seen: Snapshot) -> None:
        """Draw it."""
        self._seen = seen
        if self._live is not None:
            self._live.refresh()

    def say(self, text: str) -> None:
        """Print it above the picture."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last picture."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self) -> RenderableType:
        from rich.text import Text

        from ds2.cli.live_views import screen

        if self._seen is None:
            return Text(f"asking for keywords, {clock(self._clock() - self._began_s)}", style="dim")
        return screen(self._seen)
