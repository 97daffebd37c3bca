"""Calls that the run-ahead of a wide run wastes: calls that were
logged for surplus units or cancelled on the wire, as a share of all.

    python -m benchmarks.surplus [--concurrency 256] [--task gsm8k] [--json]

The simulated teacher answers after a lognormal latency (median 50 ms, sigma 0.5), so that many
units are really in flight. Goal: at most 0.05 at target 1,000 and 0.40 at target 60.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path

from dspy import lm15

from ds2.config import BudgetConfig, EngineConfig, preset
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.teacher import simulated_backend
from ds2.runtime.runner import run
from ds2.runtime.session import RunRequest
from ds2.runtime.summary import RunSummary
from signatures.task import load_task

MEDIAN_S, SIGMA = 0.05, 0.5
GOALS = {60: 0.40, 1000: 0.05}


class Slow:
    """An engine that waits before it answers."""

    def __init__(self, inner: AsyncEngine, rng: random.Random) -> None:
        self.inner, self.rng = inner, rng

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the reply of the inner engine after a while."""
        await asyncio.sleep(self.rng.lognormvariate(0, SIGMA) * MEDIAN_S)
        return await self.inner.complete(request)


def slow_backend(_model: str | None, _engine: EngineConfig, seed: int) -> Backend:
    """Return the simulated teacher with latency."""
    backend = simulated_backend(seed)
    rng = random.Random(seed)
    return replace(backend, open=lambda: Slow(backend.open(), rng))


def measure(task: str, target: int, concurrency: int, seed: int) -> RunSummary:
    """Return the summary of one run in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(
            task=load_task(task),
            config=preset("default", target, seed=seed),
            engine=EngineConfig(concurrency=concurrency),
            budget=BudgetConfig(),
            out=Path(folder) / "run",
        )
        return asyncio.run(run(request, resolve=slow_backend))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--task", default="gsm8k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    lines = []
    for target, goal in GOALS.items():
        for seed in range(args.seeds if target < 1000 else 1):
            summary = measure(args.task, target, args.concurrency, seed)
            wasted = summary.surplus_calls + summary.cancelled_calls
            share = wasted / (summary.calls + summary.cancelled_calls)
            lines.append(
                {
                    "target": target,
                    "seed": seed,
                    "calls": summary.calls,
                    "surplus_calls": wasted,
                    "share": round(share, 4),
                    "goal": goal,
                    "calls_per_row": round(summary.calls / summary.ledger["accepted"], 2),
                }
            )
    if args.json:
        print(json.dumps(lines, indent=2))
        return
    print(
        f"{'target':>7} {'seed':>5} {'calls':>7} {'surplus':>8} {'share':>7} {'goal':>6} {'calls/row':>10}"
    )
    for line in lines:
        print(
            f"{line['target']:>7} {line['seed']:>5} {line['calls']:>7} {line['surplus_calls']:>8} "
            f"{line['share']:>7.3f} {line['goal']:>6.2f} {line['calls_per_row']:>10.2f}"
        )


if __name__ == "__main__":
    main()
