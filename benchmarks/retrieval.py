"""Time, memory and recall of ranking passages: our index against rank_bm25 and SQLite's FTS5.

The texts are PubMed abstracts (`pubmedqa/corpus.jsonl` below DS2_SHARED_DATA). More than there are
of them are made by putting 9 sentences of different abstracts together, seeded: real words, but no
more of them than 1,000 abstracts hold. Each engine and size runs in a process of its own. rank_bm25
has no index on disk: it tokenises all anew for every round, as the paper's code does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("DS2_SHARED_DATA", "../shared/data")) / "pubmedqa"
ENGINES = ("tantivy", "rank_bm25", "fts5")
QUERIES = {"tantivy": 100, "rank_bm25": 10, "fts5": 20}
SENTENCES = 9
K = 10

Search = Callable[[str], list[int]]


def abstracts() -> list[str]:
    """Return the texts of the corpus."""
    lines = (DATA / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def questions() -> list[dict[str, Any]]:
    """Return the questions, each with the abstract it was asked about."""
    lines = (DATA / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def texts_of(size: int, seed: int = 0) -> list[str]:
    """Return the abstracts and, above their number, recombined ones."""
    real = abstracts()
    sentences = [s for text in real for s in re.split(r"(?<=[.!?])\s+", text)]
    rng = random.Random(seed)
    while len(real) < size:
        real.append(" ".join(rng.sample(sentences, SENTENCES)))
    return real[:size]


def with_tantivy(texts: list[str], folder: Path) -> Search:
    from ds2.corpus.index import PassageIndex, write
    from signatures.records import Passage

    write(folder, (Passage(id=f"{i:07d}", text=text) for i, text in enumerate(texts)))
    index = PassageIndex(folder)
    return lambda query: [int(p.id) for p in index.search(query, K)]


def with_rank_bm25(texts: list[str], folder: Path) -> Search:
    from rank_bm25 import BM25Okapi

    del folder
    index = BM25Okapi([words(text) for text in texts])

    def search(query: str) -> list[int]:
        scores = index.get_scores(words(query))
        return [int(i) for i in scores.argsort()[::-1][:K]]

    return search


def with_fts5(texts: list[str], folder: Path) -> Search:
    base = sqlite3.connect(folder / "fts.sqlite")
    base.execute("CREATE VIRTUAL TABLE t USING fts5(text, tokenize='porter unicode61')")
    base.executemany("INSERT INTO t(rowid, text) VALUES (?, ?)", enumerate(texts))
    base.commit()

    def search(query: str) -> list[int]:
        asked = " OR ".join(f'"{word}"' for word in words(query))
        ranked = "SELECT rowid FROM t WHERE t MATCH ? ORDER BY bm25(t) LIMIT ?"
        return [row[0] for row in base.execute(ranked, (asked, K))]

    return search


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"\w+", text.casefold())


BUILDERS = {"tantivy": with_tantivy, "rank_bm25": with_rank_bm25, "fts5": with_fts5}


def measure(engine: str, size: int) -> dict[str, Any]:
    """Return what one engine takes for `size` passages, and its recall on the real ones."""
    texts = texts_of(size)
    asked = questions()
    before_mb = peak_mb()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.process_time()
        search = BUILDERS[engine](texts, folder)
        index_s = time.process_time() - began
        queries = [q["question"] for q in asked[: QUERIES[engine]]]
        began = time.process_time()
        for query in queries:
            search(query)
        query_ms = 1000 * (time.process_time() - began) / len(queries)
        memory_mb = peak_mb() - before_mb
        disk_mb = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
        recall = {}
        if size <= len(abstracts()):
            places = {text: i for i, text in enumerate(texts)}
            found = [(search(q["question"]), places[q["context"]]) for q in asked]
            recall = {k: sum(own in hits[:k] for hits, own in found) / len(found) for k in (1, 10)}
        del search
    return {
        "engine": engine,
        "passages": size,
        "index_cpu_s": round(index_s, 2),
        "query_cpu_ms": round(query_ms, 2),
        "memory_mb": round(memory_mb),
        "disk_mb": round(disk_mb, 1),
        "recall": recall,
    }


def peak_mb() -> float:
    """Return the most memory this process has had, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("ENGINE", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]))))
        return
    results = []
    for size in args.sizes:
        for engine in args.engines:
            command = [sys.executable, "-m", "benchmarks.retrieval", "--one", engine, str(size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout))
    if args.json:
        print(json.dumps(results, indent=2))
        return
    print(
        "| passages | engine | index, CPU s | query, CPU ms | memory, MB | disk, MB | recall@1 | @10 |"
    )
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for r in results:
        recall = " | ".join(f"{r['recall'][k]:.2f}" if r["recall"] else "-" for k in ("1", "10"))
        print(
            f"| {r['passages']:,} | {r['engine']} | {r['index_cpu_s']} | {r['query_cpu_ms']} "
            f"| {r['memory_mb']} | {r['disk_mb']} | {recall} |"
        )


if __name__ == "__main__":
    main()
