"""Whole runs against a server whose weather and words are bad on purpose, watched for leaks."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from small_runs import adds_up, asked, dataset_bytes

from ds2.engines.breaker import BreakerConfig
from ds2.engines.retry import RetryPolicy
from ds2.engines.teacher import Teacher
from ds2.runtime.runner import run
from ds2.runtime.summary import RunSummary
from ds2.server.app import SimulatedServer
from ds2.server.content import FaultyTeacher
from ds2.server.faults import Faults
from ds2.server.latency import constant, waiting
from ds2.server.serve import Served, served
from ds2.server.weather import Weather
from signatures.errors import EndpointError

HUNG_S = 180.0  # a guard against a run that never ends, far from any real one
HURRY = 0.01  # waits between attempts, as a share of the real ones

_real_wait_s = RetryPolicy._wait_s

#: Pauses of a breaker, shortened as much; put in the place of `ds2.engines.lm.BreakerConfig`.
hurried_breaker = partial(BreakerConfig, first_s=HURRY, longest_s=60 * HURRY)


def hurried(policy: RetryPolicy, error: Exception, tries: int, turned_away: int = 0) -> float:
    """Return what a retry waits, shortened; put in the place of `RetryPolicy._wait_s`."""
    short = replace(policy, base_s=HURRY * policy.base_s, cap_s=HURRY * policy.cap_s)
    return _real_wait_s(short, error, tries, turned_away)


@dataclass(frozen=True, slots=True)
class Weathered:
    """What a run in bad weather came to.

    Args:
        summary: of the last run.
        starts: how often the command was given until it was complete.
        met: the weather that the server made.
        data: the bytes of the dataset.
    """

    summary: RunSummary
    starts: int
    met: dict[str, int]
    data: dict[str, bytes]


def faulty_server(faults: Faults, *, seed: int = 0, latency_s: float = 0.0) -> SimulatedServer:
    """Return the simulated teacher's server with these faults."""
    return SimulatedServer(
        FaultyTeacher(Teacher(0), faults, seed=seed),
        hook=waiting(constant(latency_s)),
        weather=Weather(faults, seed=seed),
    )


def through(
    out: Path,
    faults: Faults,
    *,
    fault_seed: int = 0,
    latency_s: float = 0.0,
    most_starts: int = 1,
    **settings: Any,
) -> Weathered:
    """Run until complete through these faults; nothing may leak, and every ledger adds up.

    A start that ends with the endpoint down is given again, up to `most_starts` in all.
    `settings` are those of `small_runs.asked`.
    """
    server = faulty_server(faults, seed=fault_seed, latency_s=latency_s)
    with no_leaks():
        with served(server) as running:
            for start in range(1, most_starts + 1):
                try:
                    summary = one_run(out, running, **settings)
                except EndpointError:
                    # Bad luck with the very first call is told as an endpoint that is not there.
                    if server.counts.completions or start == most_starts:
                        raise
                    continue
                if summary.exit_code == 0:
                    break
                assert (summary.status, start < most_starts) == ("endpoint", True), summary
                assert summary.ledger["pending"]["endpoint"] > 0
        assert server.counts.in_flight == 0
    assert server.weather is not None
    return Weathered(summary, start, dict(server.weather.met), dataset_bytes(out))


def one_run(out: Path, running: Served, **settings: Any) -> RunSummary:
    """Run once, on a loop of its own, and leave no task behind."""
    options = {"target": 6, "model": "simulated", "api_base": running.url}
    request = asked(out, **(options | settings))

    async def guarded() -> RunSummary:
        async with asyncio.timeout(HUNG_S):
            summary = await run(request)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return summary

    summary = asyncio.run(guarded())
    assert adds_up(summary.ledger)
    return summary


@contextmanager
def no_leaks() -> Iterator[None]:
    """Require that the block leaves no thread and no socket behind."""
    threads, sockets = set(threading.enumerate()), _sockets()

    def left() -> set[Any]:
        return (set(threading.enumerate()) - threads) | (_sockets() - sockets)

    yield
    if left():
        gc.collect()  # what only a cycle holds is no leak; a round of it takes as long as a small run
    assert not left()


def _sockets() -> set[str]:
    """Return the open sockets of this process, where the system tells."""
    folder = "/proc/self/fd"
    found = set()
    for name in os.listdir(folder) if os.path.isdir(folder) else []:  # noqa: PTH112, PTH208
        try:
            target = os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except OSError:  # the listing's own descriptor
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
