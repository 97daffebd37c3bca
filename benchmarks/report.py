"""What drawing a report costs: time and memory at 1,000, 10,000 and 100,000 rows.

    python -m benchmarks.report [--targets 1000,10000,100000] [--task gsm8k] [--rows 2000] [--json]

One run of 1,000 rows is made with the in-process teacher; larger stores are copies of its units and
calls side by side, at other places, so their texts repeat. Each report is drawn in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

BASE = 1_000
MB = 1_000_000


def multiply(base: Path, folder: Path, times: int) -> None:
    """Make a run folder that holds the units and calls of another `times` times."""
    shutil.copytree(base, folder)
    with closing(sqlite3.connect(folder / "store.sqlite", isolation_level=None)) as store:
        store.execute("PRAGMA synchronous=OFF")
        [[wide]] = store.execute("SELECT max(place) + 1 FROM units")
        columns = [row[1] for row in store.execute("PRAGMA table_info(calls)")]
        taken = ", ".join(
            {"key": "key || '-' || :n", "place": "place + :n * :wide"}.get(name, name)
            for name in columns
        )
        store.execute("BEGIN")
        for number in range(1, times):
            at = {"n": number, "wide": wide}
            store.execute(
                "INSERT INTO units SELECT place + :n * :wide, state, reason, record FROM units"
                " WHERE place < :wide",
                at,
            )
            store.execute(
                f"INSERT INTO calls SELECT {taken} FROM calls WHERE place BETWEEN 0 AND :wide - 1",  # noqa: S608
                at,
            )
        store.execute("COMMIT")


def draw(folder: Path, rows: int) -> dict[str, Any]:
    """Return the figures of one report, drawn in this process."""
    from ds2.runtime.reporting import ReportRequest, write_report

    began_s, cpu_s = time.monotonic(), time.process_time()
    path = write_report(ReportRequest((folder,), rows=rows))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "wall_s": round(time.monotonic() - began_s, 1),
        "cpu_s": round(time.process_time() - cpu_s, 1),
        # Kilobytes on Linux, bytes on macOS.
        "peak_mb": round(peak / MB if sys.platform == "darwin" else peak * 1024 / MB),
        "file_mb": round(path.stat().st_size / MB, 2),
        "store_mb": round((folder / "store.sqlite").stat().st_size / MB),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", default="1000,10000,100000")
    parser.add_argument("--task", default="gsm8k")
    parser.add_argument("--rows", type=int, default=2_000, help="units that can be opened")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(draw(args.one, args.rows)))
        return
    lines = []
    with tempfile.TemporaryDirectory(prefix="ds2-report-") as temp:
        base = Path(temp) / "base"
        # In a process of its own: a child's peak memory begins with that of its parent.
        make = f"from ds2 import synthesize; synthesize({args.task!r}, {BASE}, out={str(base)!r})"
        subprocess.run([sys.executable, "-c", make], check=True)
        for target in map(int, args.targets.split(",")):
            folder = Path(temp) / str(target)
            multiply(base, folder, max(1, target // BASE))
            options = ["--one", str(folder), "--rows", str(args.rows)]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.report", *options],
                check=True,
                capture_output=True,
                text=True,
            )
            shutil.rmtree(folder)
            lines.append({"rows": target, **json.loads(done.stdout.splitlines()[-1])})
            if not args.json:
                print(lines[-1], flush=True)
    if args.json:
        print(json.dumps(lines, indent=2))


if __name__ == "__main__":
    main()
