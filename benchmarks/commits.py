"""What it costs to keep a reply: calls a second and CPU a call, by batch and by SQLite's `synchronous`.

    python -m benchmarks.commits [--calls 2000] [--folder .]

Each batch is one transaction of the run store's own writes (a reply of 1,500 characters, a prompt of
3,000 for every five replies), on the disk of `--folder`. FULL is what a run uses: it alone keeps
every promised reply through a loss of power.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from ds2.commits import SCHEMA, Reply, reply_of, transact
from signatures.receipts import Receipt

BATCHES = (1, 10, 100)
LEVELS = ("FULL", "NORMAL", "OFF")
REPLY, PROMPT, DRAWS = "step " * 300, "words " * 500, 5


class Cost(NamedTuple):
    """What a call cost.

    Args:
        calls_a_s: calls a second, by the clock.
        commit_ms: the clock's milliseconds of a commit.
        cpu_ms: milliseconds of CPU a call.
    """

    calls_a_s: float
    commit_ms: float
    cpu_ms: float


def measure(folder: Path, level: str, batch: int, calls: int) -> Cost:
    """Return the cost of writing `calls` replies in batches of one size."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        connection = sqlite3.connect(Path(name) / "store.sqlite", isolation_level=None)
        connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous={level}; {SCHEMA}")
        commits = max(1, calls // batch)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for number in range(commits):
            transact(connection, [_reply(number * batch + i) for i in range(batch)])
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
        connection.close()
    made = commits * batch
    return Cost(made / wall_s, 1000 * wall_s / commits, 1000 * cpu_s / made)


def _reply(number: int) -> Reply:
    return reply_of(
        Receipt(f"{number:016x}", REPLY, "stop", "", "model", 700, 300, 0),
        stage="answers",
        place=number,
        prompt=f"{PROMPT}{number // DRAWS}",
        options='{"max_tokens":2048,"temperature":0.7}',
        latency_s=0.5,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2000, help="replies for each line")
    parser.add_argument("--folder", type=Path, default=Path(), help="on whose disk to write")
    options = parser.parse_args()
    print("| synchronous | batch | calls a second | ms a commit | ms CPU a call |")
    print("| --- | --- | --- | --- | --- |")
    for level in LEVELS:
        for batch in BATCHES:
            cost = measure(options.folder, level, batch, options.calls)
            print(
                f"| {level} | {batch} | {cost.calls_a_s:,.0f} | {cost.commit_ms:.2f} "
                f"| {cost.cpu_ms:.3f} |"
            )


if __name__ == "__main__":
    main()
