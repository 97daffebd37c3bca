"""A run of minutes, wide and in bad weather: memory stays flat, nothing is lost, nothing leaks.

Excluded by default. By hand, with its figures printed:

    pytest -n0 -s -m slow tests/ds2_tests/test_soak.py

The server is `ds2 simulate` in a process of its own, so that this one's memory is the run's alone.
DS2_SOAK_MINUTES says how long, 10 by default.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import linear_regression, mean
from typing import Any

import pytest
from dspy import lm15
from faulty_runs import no_leaks
from small_runs import Witness, adds_up, asked, summary_of

from ds2.config import EngineConfig
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.resolve import resolve_backend
from ds2.runtime.heartbeat import META
from ds2.runtime.runner import Progress, run
from ds2.runtime.status import read_status
from ds2.store import STORE_NAME, RunStore

MINUTES = float(os.environ.get("DS2_SOAK_MINUTES", "10"))
IN_FLIGHT = 256
EVERY_S = 5.0
SMALLER = {"huge-bytes": 200_000, "slow-s": 2}
MOST_MB_A_MINUTE = 2.0


@dataclass
class Counted:
    """A backend that counts the replies it hands over."""

    url: str
    replies: int = 0

    def resolve(self, model: str | None, engine: EngineConfig, seed: int) -> Backend:
        """Return the endpoint as a backend."""
        backend = resolve_backend(
            model, api_base=self.url, concurrency=engine.concurrency, timeout_s=engine.timeout_s
        )
        return replace(backend, open=lambda: _Counting(self, backend.open()))


class _Counting:
    def __init__(self, owner: Counted, inner: AsyncEngine) -> None:
        self._owner, self._inner = owner, inner

    async def complete(self, request: lm15.Request) -> lm15.Response:
        reply = await self._inner.complete(request)
        self._owner.replies += 1
        return reply

    async def aclose(self) -> None:
        await self._inner.aclose()  # type: ignore[attr-defined]


@dataclass
class Sampled(Witness):
    """An observer that notes minutes, memory, calls in flight and their limit every few seconds."""

    points: list[tuple[float, float, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def started(self, progress: Progress, store: RunStore) -> None:
        self._thread = threading.Thread(target=self._watch, args=(progress, store))
        self._thread.start()

    def ended(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, progress: Progress, store: RunStore) -> None:
        minutes = 0.0
        while not self._stop.wait(EVERY_S):
            minutes += EVERY_S / 60
            [limit] = store.meta()[META]["limits"]
            point = (minutes, _memory_mb(), limit["in_flight"], limit["limit"])
            self.points.append(point)


@contextmanager
def stormy_server() -> Iterator[str]:
    """Run `ds2 simulate --storm` in a process of its own and yield its address."""
    options = {"port": 0, "latency": 0.5, "jitter": 0.25, "seed": 1} | SMALLER
    words = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-c", "from ds2.cli.app import main; main()", "simulate", "--storm"]
    server = subprocess.Popen([*command, *words], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        found = re.search(r"at (http\S+)", server.stderr.readline())
        assert found is not None
        yield found[1]
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


async def soak(out: Path, counted: Counted, observer: Sampled) -> None:
    """Run for the minutes, then interrupt it as a Ctrl-C does."""
    request = asked(
        out,
        1_000_000,
        model="simulated",
        api_base=counted.url,
        bank=48,
        concurrency=IN_FLIGHT,
        timeout_s=5.0,
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60 * MINUTES):
            await run(request, observer, resolve=counted.resolve)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_a_soak_keeps_memory_flat_and_loses_nothing(tmp_path: Path) -> None:
    observer = Sampled()
    with stormy_server() as url:
        counted = Counted(url)
        with no_leaks():
            asyncio.run(soak(tmp_path, counted, observer))
    summary = summary_of(tmp_path)
    settled = observer.points[len(observer.points) // 5 :]
    assert len(settled) > 1, "the soak was too short"
    slope = linear_regression([p[0] for p in settled], [p[1] for p in settled]).slope
    print(_figures(summary, observer, settled, slope))  # noqa: T201 - what the soak is run for

    assert summary["status"] == "interrupted"
    assert adds_up(summary["ledger"])
    assert read_status(tmp_path).problem is None
    assert counted.replies == _stored_replies(tmp_path) == summary["calls"]
    assert slope < MOST_MB_A_MINUTE


def _stored_replies(out: Path) -> int:
    connection = sqlite3.connect(out / STORE_NAME)
    try:
        return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
    finally:
        connection.close()


def _memory_mb() -> float:
    """Return the resident memory, after the C library has given back what is free.

    Replies of many sizes leave holes that it would use again; what is wanted is what the run holds.
    """
    with suppress(AttributeError):  # another C library has no such call
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _figures(summary: dict[str, Any], observer: Sampled, settled: list[Any], slope: float) -> str:
    first, last = settled[: len(settled) // 4 or 1], settled[-(len(settled) // 4 or 1) :]
    return (
        f"\n{MINUTES:g} minutes: {summary['calls']:,} calls "
        f"({summary['calls'] / summary['wall_s']:.0f} a second), "
        f"{summary['ledger']['accepted']:,} rows, in flight {mean(p[2] for p in settled):.0f} on "
        f"average and {max(p[2] for p in observer.points)} at most, their limit "
        f"{mean(p[3] for p in settled):.0f} on average; memory "
        f"{mean(p[1] for p in first):.0f} MB early, {mean(p[1] for p in last):.0f} MB late, "
        f"{slope:+.2f} MB a minute, peak untrimmed "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6:.0f} MB, by minute "
        f"{', '.join(f'{p[1]:.0f}' for p in observer.points[::12])}; ledger {summary['ledger']}"
    )
