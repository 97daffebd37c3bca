"""How a run grows with its target: rows a second, memory, disk, and time to read it again.

    python -m benchmarks.scale [--targets 1000,10000,100000] [--task gsm8k] [--json]

Each target is a whole run on the in-process teacher, in a process of its own, and then the same
command again on the finished folder, in another one; then on what a kill at nine tenths of its units
would have left, up to the first new call (a budget stops it there). Goal: the peak memory at 100,000
rows is at most 150 MB above that at 1,000. 100,000 rows take a quarter of an hour of one core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

GOAL_MB = 150
MB = 1_000_000


class Holding:
    """An observer that notes what the process holds when its last unit is decided."""

    held_mb: float | None = None

    def began(self, *_: Any) -> None: ...

    def grew(self, *_: Any) -> None: ...

    def started(self, *_: Any) -> None: ...

    def noticed(self, words: str) -> None: ...

    def ended(self) -> None:
        """Take the resident memory, where the system tells it."""
        with suppress(OSError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            self.held_mb = round(pages * resource.getpagesize() / MB, 1)


def one_run(
    folder: Path, task: str, target: int, concurrency: int, calls: int | None
) -> dict[str, Any]:
    """Return the figures of one run in this process."""
    from ds2.config import BudgetConfig, EngineConfig, preset
    from ds2.runtime.runner import run
    from ds2.runtime.session import RunRequest
    from signatures.task import load_task

    request = RunRequest(
        task=load_task(task),
        config=preset("default", target),
        engine=EngineConfig(concurrency=concurrency),
        budget=BudgetConfig(budget_calls=calls),
        out=folder,
    )
    began_s, cpu_s = time.monotonic(), time.process_time()
    holding = Holding()
    summary = asyncio.run(run(request, holding))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "target": target,
        "accepted": summary.ledger["accepted"],
        "rejected": summary.ledger["rejected"],
        "calls": summary.calls,
        "new_calls": summary.new_calls,
        "wall_s": round(time.monotonic() - began_s, 1),
        "cpu_s": round(time.process_time() - cpu_s, 1),
        "held_mb": holding.held_mb,
        # Kilobytes on Linux, bytes on macOS.
        "peak_mb": round(peak / MB if sys.platform == "darwin" else peak * 1024 / MB, 1),
        "store_kb_a_row": round((folder / "store.sqlite").stat().st_size / 1000 / target, 2),
    }


def cut(folder: Path) -> int:
    """Take the last tenth of a finished run out of its store; return the calls that are left."""
    with closing(sqlite3.connect(folder / "store.sqlite")) as store, store:
        (last,) = store.execute("SELECT max(place) * 9 / 10 FROM units").fetchone()
        for table in ("units", "calls"):
            store.execute(f"DELETE FROM {table} WHERE place > ?", (last,))  # noqa: S608
        store.execute("DELETE FROM meta WHERE name = 'ended'")
        (calls,) = store.execute("SELECT count(*) FROM calls").fetchone()
    return int(calls)


def in_process_of_its_own(*arguments: str) -> dict[str, Any]:
    """Return what this script prints when it is given these arguments."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", default="1000,10000,100000")
    parser.add_argument("--task", default="gsm8k")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    targets = [int(part) for part in args.targets.split(",")]
    if args.one:
        print(json.dumps(one_run(args.one, args.task, targets[0], args.concurrency, args.calls)))
        return
    lines = []
    for target in targets:
        with tempfile.TemporaryDirectory(prefix="ds2-scale-") as folder:
            options = ("--one", f"{folder}/run", "--targets", str(target), "--task", args.task)
            options += ("--concurrency", str(args.concurrency))
            made, again = (in_process_of_its_own(*options) for _ in range(2))
            left = cut(Path(folder) / "run")
            taken_up = in_process_of_its_own(*options, "--calls", str(left + 1))
        made["again_s"], made["again_peak_mb"] = again["wall_s"], again["peak_mb"]
        made["taken_up_s"] = taken_up["wall_s"]
        assert (again["new_calls"], taken_up["new_calls"]) == (0, 1)
        lines.append(made)
        if not args.json:
            _print(made, lines[0])
    if args.json:
        print(json.dumps(lines, indent=2))


def _print(line: dict[str, Any], first: dict[str, Any]) -> None:
    above = line["peak_mb"] - first["peak_mb"]
    print(
        f"target {line['target']:>7,}: accepted {line['accepted']:,}, {line['calls']:,} calls, "
        f"{line['wall_s']:,} s ({line['accepted'] / line['wall_s']:.0f} rows a second, "
        f"{1000 * line['cpu_s'] / line['accepted']:.1f} ms of processor a row), "
        f"held {line['held_mb']} MB when the last unit was decided, "
        f"peak {line['peak_mb']:.0f} MB (+{above:.0f}, goal +{GOAL_MB}), "
        f"store {line['store_kb_a_row']} kB a row, read again in {line['again_s']} s "
        f"(peak {line['again_peak_mb']:.0f} MB), nine tenths taken up in {line['taken_up_s']} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
