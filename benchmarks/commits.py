"""What it costs to keep a reply: calls a second and CPU a call, by batch and by SQLite's `synchronous`.

    python benchmarks/commits.py [--calls 2000] [--folder .]

Each batch is one transaction of the run store's own writes (a reply of 1,500 characters, a prompt of
3,000 for every five replies), on the disk of `--folder`. FULL is what a run uses: it alone keeps
every promised reply through a loss of power.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from ds2.store import RunStore
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


class _Collecting(RunStore):
    """A store whose writes are kept for the benchmark to commit, in place of its writer."""

    writes: list[Any] | None = None

    def _submit(self, work: Any) -> Future[Any]:
        if self.writes is None:
            return super()._submit(work)
        self.writes.append(work)
        return Future()


def measure(folder: Path, level: str, batch: int, calls: int) -> Cost:
    """Return the cost of writing `calls` replies in batches of one size."""
    with tempfile.TemporaryDirectory(dir=folder) as name, _Collecting(Path(name)) as store:
        store._writer_connection.execute(f"PRAGMA synchronous={level}")
        commits = max(1, calls // batch)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for numbers in _batches(commits, batch):
            _commit(store, numbers)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    made = commits * batch
    return Cost(made / wall_s, 1000 * wall_s / commits, 1000 * cpu_s / made)


def _batches(commits: int, batch: int) -> Iterator[range]:
    return (range(i * batch, (i + 1) * batch) for i in range(commits))


def _commit(store: _Collecting, numbers: range) -> None:
    store.writes = []
    for number in numbers:
        store.put(
            Receipt(f"{number:016x}", REPLY, "stop", "", "model", 700, 300, 0),
            stage="answers",
            place=number,
            prompt=f"{PROMPT}{number // DRAWS}",
            options='{"max_tokens":2048,"temperature":0.7}',
            latency_s=0.5,
        )
    writes, store.writes = store.writes, None
    connection = store._writer_connection
    connection.execute("BEGIN IMMEDIATE")
    for write in writes:
        write(connection)
    connection.execute("COMMIT")


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
