"""The collapse alarm's spread: how often it ends a sound keyword, and how soon one that grows alike.

    python -m benchmarks.collapse [--orders 20] [--rows 2000] [--json]

Sound are the simulated teacher's questions to the seven tasks, under their own keywords in the order of a
run, and 1,519 questions of GSM8K (test and dev; `DS2_SHARED_DATA`), dealt at random to 50 keywords in
many orders. In the latter one keyword is planted: after its first ten questions it draws from few,
as they are or changed. No question counts as a repeat, so that spread alone ends a keyword.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from benchmarks.planted import COPIES, REPEATS, shared, written
from ds2.screen.collapse import WINDOW, CollapseAlarm
from signatures.task import BUILT_IN

KEYWORDS, PLANTED = 50, "planted"
Asked = tuple[tuple[str, ...], str]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {task: sound([teacher(task, options.rows)]) for task in BUILT_IN}
    texts = [row["question"] for name in ("test", "dev") for row in shared(f"gsm8k/{name}.jsonl")]
    orders = [dealt(texts, Random(seed)) for seed in range(options.orders)]
    found["GSM8K"] = sound(orders)
    found |= {name: planted(orders, plant) for name, plant in PLANTS.items()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(f"{name:32} " + ", ".join(f"{key} {value}" for key, value in figures.items()))


def teacher(task: str, rows: int) -> list[Asked]:
    """Return what the simulated teacher asks of a task."""
    return [(asked.keywords, asked.question) for asked in written(task, rows)]


def dealt(texts: Sequence[str], rng: Random) -> list[Asked]:
    """Return texts in random order, each under a random keyword."""
    return [
        ((f"keyword {rng.randrange(KEYWORDS)}",), text) for text in rng.sample(texts, len(texts))
    ]


def sound(orders: Iterable[Sequence[Asked]]) -> dict[str, Any]:
    """Return how many keywords could have been ended, and how many were."""
    judged = ended = questions = 0
    for order in orders:
        alarm = CollapseAlarm()
        for keywords, text in order:
            alarm.note(keywords, text, repeat=False)
        counts = Counter(keyword for keywords, _ in order for keyword in set(keywords))
        judged += sum(count >= WINDOW for count in counts.values())
        ended += len(alarm.retired)
        questions += len(order)
    return {"questions": questions, "keywords judged": judged, "ended": ended}


Plant = Callable[[Sequence[str], Random], str]


def planted(orders: Sequence[Sequence[Asked]], plant: Plant) -> dict[str, Any]:
    """Return how often a keyword that grows alike is ended, after how many of its alike questions."""
    after: list[int] = []
    others = 0
    for seed, order in enumerate(orders):
        alarm, rng = CollapseAlarm(), Random(seed)
        alike: list[str] = []
        for number, (keywords, text) in enumerate(order):
            alarm.note(keywords, text, repeat=False)
            if number % 30 == 0 and PLANTED not in alarm.retired:
                fresh = number // 30 < WINDOW
                said = order[-1 - number][1] if fresh else plant([t for _, t in order[:5]], rng)
                alike += [] if fresh else [said]
                alarm.note((PLANTED,), said, repeat=False)
        others += len(set(alarm.retired) - {PLANTED})
        after += [len(alike)] if PLANTED in alarm.retired else []
    middle = sorted(after)[len(after) // 2] if after else None
    return {"ended": f"{len(after)} of {len(orders)}", "after": middle, "others ended": others}


def _one_of(count: int, change: Callable[[str, Random, str], str]) -> Plant:
    return lambda texts, rng: change(rng.choice(texts[:count]), rng, "")


PLANTS: dict[str, Plant] = {
    "one question": _one_of(1, REPEATS["verbatim"]),
    "one question, a word changed": _one_of(1, REPEATS["one word changed"]),
    "one question, other numbers": _one_of(1, COPIES["numbers changed"]),
    "one of two questions": _one_of(2, REPEATS["verbatim"]),
    "one of three questions": _one_of(3, REPEATS["verbatim"]),
    "one of five questions": _one_of(5, REPEATS["verbatim"]),
}

if __name__ == "__main__":
    main()
