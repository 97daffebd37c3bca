"""The teacher's server that notes the key of every call it was asked, to hold it against a call log."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from small_runs import go

from ds2.engines.question import call_key, rendered
from ds2.engines.resolve import resolve_backend
from ds2.engines.teacher import Teacher
from ds2.runtime.summary import RunSummary
from ds2.server.app import SimulatedServer, delay
from ds2.server.protocol import ChatCall
from ds2.server.serve import served
from ds2.store import STORE_NAME


@dataclass
class Counting:
    """The server: the keys it was asked, in the order of asking.

    Args:
        target: rows of the runs against it.
        answering: False holds every answer back.
    """

    target: int
    url: str = ""
    keys: list[str] = field(default_factory=list)
    answering: bool = True

    @property
    def request(self) -> dict[str, Any]:
        """Return the run against it, as a request of `small_runs`."""
        return {"target": self.target, "model": "simulated", "api_base": self.url, "concurrency": 8}

    def finish(self, out: Path, **changes: Any) -> RunSummary:
        """Run to the end in this process."""
        return go(out, **(self.request | changes))


@contextmanager
def counting_server(
    target: int, latency_s: float = 0.0, jitter_s: float = 0.0
) -> Iterator[Counting]:
    """Serve the teacher while the block runs."""
    counting = Counting(target)
    wait = delay(latency_s, jitter_s, seed=5)

    async def hook(call: ChatCall) -> None:
        backend = resolve_backend("simulated", api_base=counting.url)
        prompt, options = rendered(call.request)
        counting.keys.append(call_key(backend, prompt, options, call.seed or 0))
        await wait(call)
        while not counting.answering:  # noqa: ASYNC110 - set from the thread of the test
            await asyncio.sleep(0.005)

    with served(SimulatedServer(Teacher(0), hook=hook)) as running:
        counting.url = running.url
        yield counting


def logged_keys(out: Path) -> set[str]:
    """Return the keys in the log, read from a copy: whoever opens a torn store mends it."""
    with tempfile.TemporaryDirectory() as copy:
        for path in out.glob(f"{STORE_NAME}*"):
            shutil.copy(path, copy)
        connection = sqlite3.connect(Path(copy) / STORE_NAME)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            rows = connection.execute("SELECT key FROM calls") if "calls" in tables else ()
            return {key for (key,) in rows}
        finally:
            connection.close()
