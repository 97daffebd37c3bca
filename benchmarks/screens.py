"""The screens: what they find of planted defects, what they turn down wrongly, and how fast they are.

    python -m benchmarks.screens [--part throughput] [--rows 100000] [--json]

Throughput is rows of one core's CPU time, on questions that the simulated teacher writes to seven tasks
(a third of them with a context or options), each screen alone; memory is what the process grew by.
Planted copies and faults are those of `planted.py`; the questions of GSM8K's test set are the benchmark
to be avoided, and 200 of its training questions, 100 of PubMedQA and the teacher's own are what may
not be turned down. They lie in `DS2_SHARED_DATA`, by default `../shared/data`.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.planted import (
    COPIES,
    FAULTY,
    GIVEN_AWAY,
    KEPT,
    REPEATS,
    SOUND,
    asked,
    shared,
    written,
)
from benchmarks.planted_choices import (
    CHOICES,
    COPIES_OF_CHOICES,
    COPIES_OF_TOLD,
    OTHERS,
    TOLD,
)
from ds2.screen.benchmark import BenchmarkItem, BenchmarkScreen
from ds2.screen.checks import fault_of, told_fault
from ds2.screen.collapse import CollapseAlarm
from ds2.screen.exact import ExactScreen, Screen
from ds2.screen.family import Families
from ds2.screen.near import NearScreen
from ds2.screen.options import shuffle_options
from signatures.records import Instruction
from signatures.task import BUILT_IN

_PAGE = resource.getpagesize()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--part", help="one of the parts, by its first word")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    test = [row["question"] for row in shared("gsm8k/test.jsonl")]
    index = BenchmarkScreen(BenchmarkItem("gsm8k", i, "", q) for i, q in enumerate(test, 1))
    choices = BenchmarkScreen(
        BenchmarkItem("choices", i, "", *choice) for i, choice in enumerate(CHOICES, 1)
    )
    parts: dict[str, Callable[[], dict[str, str]]] = {
        "copies of a benchmark": lambda: copies(index, test) | choice_copies(choices),
        "repeats within a run": repeats,
        "faults": faults,
        "turned down wrongly": lambda: wrongly(index, choices),
        "throughput": lambda: throughput(index, options.rows),
    }
    found = {}
    for title, part in parts.items():
        if options.part is not None and not title.startswith(options.part):
            continue
        found[title] = part()
        if not options.json:
            print(f"\n{title}", flush=True)
            for name, said in found[title].items():
                print(f"  {name:40} {said}", flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


def copies(index: BenchmarkScreen, questions: Sequence[str]) -> dict[str, str]:
    """Plant every question in each disguise, alone or within a question on another matter."""
    hosts = [host.question for host in written("cfa", 200, seed=1)]
    told = {}
    for name, copy in COPIES.items():
        rng = random.Random(name)
        rules: Counter[str] = Counter()
        for question in questions:
            hit = index.match(asked(copy(question, rng, rng.choice(hosts))))
            rules["missed" if hit is None else hit.rule.partition(",")[0]] += 1
        missed = rules.pop("missed", 0)
        by = ", ".join(f"{rule} {count}" for rule, count in rules.most_common())
        told[name] = f"{len(questions) - missed} of {len(questions)} ({by})"
    return told


def choice_copies(index: BenchmarkScreen) -> dict[str, str]:
    """Plant every multiple-choice question in each disguise, and what only looks like one."""
    told = {}
    ways = {name: (copy, CHOICES) for name, copy in COPIES_OF_CHOICES.items()}
    ways |= {name: (copy, TOLD) for name, copy in COPIES_OF_TOLD.items()}
    for name, (copy, planted) in ways.items():
        rng = random.Random(name)
        copied = [copy(choice, rng) for choice in planted]
        hits = sum(index.match(asked(c.question, "", c.options)) is not None for c in copied)
        told[f"multiple choice, {name}"] = f"{hits} of {len(planted)}"
    wrong = sum(index.match(asked(c.question, "", c.options)) is not None for c in OTHERS)
    told["multiple choice, others turned down"] = f"{wrong} of {len(OTHERS)}"
    return told


def repeats() -> dict[str, str]:
    """Repeat questions of three tasks in each disguise."""
    originals = [q for task in ("gsm8k", "cfa", "gpqa") for q in written(task, 500)]
    screen = NearScreen()
    for place, original in enumerate(originals):
        screen.add(place, original)
    told = {}
    for name, repeat in REPEATS.items():
        rng = random.Random(name)
        hits = 0
        for place, original in enumerate(originals):
            match = screen.match(asked(repeat(original.question, rng, "")), len(originals))
            hits += match is not None and match.place == place
        told[name] = f"{hits} of {len(originals)}"
    rng = random.Random("numbers")
    families, whole = Families(cap=1), 0
    for place, original in enumerate(originals):
        families.join(place, original)
    for original in originals:
        variant = asked(COPIES["numbers changed"](original.question, rng, ""))
        whole += families.full(variant) is not None or variant.question == original.question
    told["numbers changed: the same family"] = f"{whole} of {len(originals)}"
    return told


def faults() -> dict[str, str]:
    """Check the planted faults by their reason, and what only looks like one."""
    total, hits = Counter(p.reason for p in FAULTY), Counter[str]()
    for planted in FAULTY:
        fault = fault_of(
            asked(planted.question, planted.context, planted.options), planted.language
        )
        hits[planted.reason] += fault is not None and fault.reason == planted.reason
    told = {reason: f"{hits[reason]} of {count}" for reason, count in total.items()}
    wrong = sum(
        fault_of(asked(p.question, p.context, p.options), p.language) is not None for p in SOUND
    )
    told["look like faults, turned down"] = f"{wrong} of {len(SOUND)}"
    for name, planted in (("answers given away", GIVEN_AWAY), ("answers kept", KEPT)):
        found = sum(
            told_fault(asked(t.question, "", t.options), t.answer) is not None for t in planted
        )
        told[f"{name}, turned down"] = f"{found} of {len(planted)}"
    return told


def wrongly(index: BenchmarkScreen, choices: BenchmarkScreen) -> dict[str, str]:
    """Count what is turned down of questions that are not known to deserve it."""
    sets = {
        "GSM8K, 200 training questions": [asked(r["question"]) for r in shared("gsm8k/dev.jsonl")],
        "PubMedQA, 100 questions": [
            asked(r["question"], r["context"]) for r in shared("pubmedqa/dev.jsonl")
        ],
        "simulated teacher, 7 tasks x 1,000": [q for t in BUILT_IN for q in written(t, 1000)],
    }
    told = {}
    for name, questions in sets.items():
        near, families = NearScreen(), Families()
        count: Counter[str] = Counter()
        for place, question in enumerate(questions):
            fault = fault_of(question, "English")
            count["checks"] += fault is not None
            count["near-duplicates"] += near.match(question, place) is not None
            count["families"] += families.full(question) is not None
            count["benchmark"] += index.match(question) is not None
            count["multiple choice"] += choices.match(question) is not None
            near.add(place, question)
            families.join(place, question)
        told[name] = ", ".join(f"{screen} {n}" for screen, n in count.items())
    return told


def throughput(index: BenchmarkScreen, rows: int) -> dict[str, str]:
    """Run each screen alone over `rows` questions."""
    each = -(-rows // len(BUILT_IN))
    questions = [q for i, t in enumerate(BUILT_IN) for q in written(t, each, seed=2 + i)][:rows]
    lettered = [
        asked(q.question, q.context, ("the first", "another", "a third", "one more"))
        for q in questions
    ]
    told = {
        "instruction checks": timed(questions, lambda _, q: fault_of(q, "English")),
        "option shuffle": timed(lettered, lambda place, q: shuffle_options(q, 0, place)),
        "exact duplicates": timed(questions, screening(ExactScreen())),
        "exact and near-duplicates": timed(questions, screening(NearScreen())),
    }
    families = Families(cap=0)
    told["families"] = timed(questions, families.join)
    alarm = CollapseAlarm()
    told["collapse alarm"] = timed(
        questions, lambda at, q: alarm.note((f"keyword {at % 500}",), q.question, repeat=False)
    )
    told["benchmarks (GSM8K, 1,319)"] = timed(questions, lambda _, q: index.match(q))
    short = BenchmarkScreen(BenchmarkItem("choices", i, "", *c) for i, c in enumerate(CHOICES, 1))
    told["benchmarks (multiple choice)"] = timed(questions, lambda _, q: short.match(q))
    many = BenchmarkScreen(
        BenchmarkItem("teacher", i, "", q.question) for i, q in enumerate(questions[-20_000:], 1)
    )
    other = [q for task in BUILT_IN for q in written(task, 20, seed=99)]
    told[f"benchmarks ({len(many):,}, same templates)"] = timed(other, lambda _, q: many.match(q))
    return told


def screening(screen: Screen) -> Callable[[int, Instruction], None]:
    """Return what a run does with each unit: ask, then remember."""

    def one(place: int, instruction: Instruction) -> None:
        screen.match(instruction, place)
        screen.add(place, instruction)

    return one


def timed(questions: Iterable[Instruction], screen: Callable[[int, Instruction], Any]) -> str:
    """Return rows a CPU second and what the process grew by."""
    before, began = resident(), time.process_time()
    rows = 0
    for place, question in enumerate(questions):
        screen(place, question)
        rows += 1
    spent = time.process_time() - began
    grown = (resident() - before) / 1e6
    return f"{rows / spent:10,.0f} rows a CPU second, {grown:6.0f} MB for {rows:,}"


def resident() -> int:
    """Return the resident memory of this process, bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


if __name__ == "__main__":
    main()
