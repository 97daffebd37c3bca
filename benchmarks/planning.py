"""What `ds2 plan` says of a run against what the run then takes, on the simulated teacher.

    python -m benchmarks.planning [--quick] [--sets plain,corpus] [--keep FOLDER] [--json]

Each case is a run of its own: a plan without a pilot, a pilot of 12 units, a plan from it, then the
run. A cell tells how many of the real figures lie in their interval of 90 %, of how many, and the
median of the intervals' (high - low) / middle. Minutes are compared where the endpoint sets the pace:
the teacher with a latency, or a limit by hand. With --keep the runs are taken up again from their
folder, so that another forecast can be held against the same runs. All of it takes about half an hour
of one core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from dspy import lm15

from ds2.cli.plan import document, planned
from ds2.config import STAGES, BudgetConfig, CorpusConfig, EngineConfig, preset
from ds2.corpus.corpus import Corpus, open_corpus
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.teacher import catalog, simulated_backend
from ds2.runtime.pilot import NOTHING, look, pilot
from ds2.runtime.runner import run
from ds2.runtime.session import Pilot, RunRequest, backends_for, grounded
from signatures.task import BUILT_IN, load_task

UNITS = 12
PRICE = (0.4, 1.6)  # USD for a million tokens
LATENCY_S, SIGMA = 1.0, 0.5  # the median of a call, and its spread as that of a logarithm


@dataclass(frozen=True, slots=True)
class OptionSet:
    """Options of `ds2 run` that a plan must take into account.

    Args:
        settings: of the configuration.
        engine: how the model is reached.
        tasks: None for all.
        targets: rows wanted.
        seeds: runs of each.
        corpus: the run reads documents.
        slow: every call takes about `LATENCY_S`.
        preset: the preset.
    """

    settings: tuple[tuple[str, Any], ...] = ()
    engine: tuple[tuple[str, Any], ...] = ()
    tasks: tuple[str, ...] = BUILT_IN
    targets: tuple[int, ...] = (60, 600)
    seeds: int = 1
    corpus: bool = False
    slow: bool = False
    preset: str = "default"


FEW = ("gsm8k", "pubmedqa")
SETS = {
    "plain": OptionSet(seeds=3),
    "verify-level": OptionSet((("verify_level", True),)),
    "merger judge": OptionSet((("merger", "judge"),), tasks=("math",), seeds=3),
    "corpus": OptionSet(corpus=True),
    "narrow lists": OptionSet((("expansion_width", 3), ("expansion_rounds", 9))),
    "wide lists": OptionSet((("expansion_width", 20),), tasks=FEW),
    "few keywords": OptionSet((("bank", 9),), tasks=FEW),
    "paper": OptionSet(preset="paper", tasks=FEW),
    "concurrency 4": OptionSet(engine=(("concurrency", 4),), tasks=FEW, targets=(60,)),
    "concurrency 256": OptionSet(engine=(("concurrency", 256),), tasks=FEW, targets=(60,)),
    "latency": OptionSet(engine=(("concurrency", 32),), tasks=FEW, targets=(60,), slow=True),
    "rpm": OptionSet(engine=(("rpm", 1500),), tasks=FEW, targets=(60,)),
    "tpm": OptionSet(engine=(("tpm", 600_000),), tasks=FEW, targets=(60,)),
}
TIMED = frozenset({"latency", "rpm", "tpm"})
QUICK = ("plain", "corpus", "merger judge")


class Case(NamedTuple):
    """One run."""

    set_name: str
    task: str
    target: int
    seed: int

    @property
    def folder(self) -> str:
        """Return the name of its folder."""
        return f"{self.set_name.replace(' ', '-')}-{self.task}-{self.target}-{self.seed}"


class Held(NamedTuple):
    """One figure of a plan against that of the run."""

    case: Case
    piloted: bool
    what: str
    low: float
    mid: float
    high: float
    real: float

    @property
    def inside(self) -> bool:
        """Return whether the interval holds the real figure; the last digit of a float may differ."""
        slack = 1e-9 * abs(self.real)
        return self.low - slack <= self.real <= self.high + slack

    @property
    def width(self) -> float:
        """Return the width of the interval over its middle."""
        return (self.high - self.low) / self.mid if self.mid else 0.0


class Slow:
    """An engine that waits before it answers."""

    def __init__(self, inner: AsyncEngine, rng: random.Random) -> None:
        self.inner, self.rng = inner, rng

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the reply of the inner engine after a while."""
        await asyncio.sleep(self.rng.lognormvariate(math.log(LATENCY_S), SIGMA))
        return await self.inner.complete(request)


class Clock:
    """An observer that notes when the keyword bank was there."""

    grew_s = 0.0

    def began(self, *_: object) -> None:
        """Nothing is to be noted."""

    def grew(self, *_: object) -> None:
        """Note the time."""
        self.grew_s = time.monotonic()

    started = noticed = ended = began


def resolver(slow: bool) -> Any:
    """Return what resolves the model: the teacher as it is, or with latency, as if it were remote."""

    def resolve(_model: str | None, _engine: EngineConfig, seed: int) -> Backend:
        backend = simulated_backend(seed)
        if not slow:
            return backend
        rng = random.Random(seed)
        return replace(backend, open=lambda: Slow(backend.open(), rng), remote=True)

    return resolve


def corpus_of(task: str, folder: Path) -> Corpus:
    """Return documents about the field of a task, made of the teacher's own keywords."""
    nodes = [node.text for node in catalog.domain(task).keywords]
    domain = load_task(task).domain
    rng = random.Random(f"planning/{task}")
    path = folder / f"{task}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(120):
            one, two, three = rng.sample(nodes, 3)
            text = (
                f"In {domain}, {one} comes before {two}. A note of {100 + number} pages explains "
                f"{one} with {number + 3} cases and {two} with {number + 7} more. Readers who know "
                f"{three} were {number + 12} percent faster. The method of {two} was used again."
            )
            file.write(json.dumps({"text": text}) + "\n")
    return open_corpus(CorpusConfig(path=str(path), index=str(folder / "index")))


def request_of(case: Case, folder: Path, corpora: Path) -> RunRequest:
    """Return what a case asks for."""
    options = SETS[case.set_name]
    task = load_task(case.task)
    config = preset(options.preset, case.target, seed=case.seed, **dict(options.settings))
    asked = RunRequest(
        task=task,
        config=config,
        engine=EngineConfig.build(**{"concurrency": 64, "price": PRICE, **dict(options.engine)}),
        budget=BudgetConfig(),
        out=folder,
        corpus=corpus_of(case.task, corpora) if options.corpus else None,
    )
    return grounded(asked)


def really(case: Case, folder: Path, corpora: Path) -> dict[str, Any]:
    """Return what a case took; its pilot stays in `folder/pilot`, its run in `folder/run`."""
    kept = folder / "real.json"
    if kept.exists():
        return json.loads(kept.read_text())
    shutil.rmtree(folder, ignore_errors=True)
    request = request_of(case, folder / "pilot", corpora)
    resolve = resolver(SETS[case.set_name].slow)
    clock = Clock()
    began_s = time.monotonic()
    asyncio.run(pilot(request, Pilot(units=UNITS), clock, resolve=resolve))
    piloted_s = time.monotonic()
    shutil.copytree(folder / "pilot", folder / "run")
    again_s = time.monotonic()
    summary = asyncio.run(run(replace(request, out=folder / "run"), resolve=resolve))
    done_s = time.monotonic()
    real = {
        "status": summary.status,
        "stages": summary.stages,
        "calls": summary.calls,
        "usd": summary.cost_usd,
        "keywords_s": clock.grew_s - began_s,
        "pilot_s": piloted_s - began_s,
        "rest_s": done_s - again_s,
    }
    kept.write_text(json.dumps(real))
    return real


def compared(case: Case, folder: Path, corpora: Path) -> Iterator[Held]:
    """Yield every figure of both plans of a case against that of its run."""
    real = really(case, folder, corpora)
    request = request_of(case, folder / "pilot", corpora)
    resolve = resolver(SETS[case.set_name].slow)
    backends = backends_for(request, resolve)
    for piloted in (False, True):
        seen = look(request, resolve=resolve) if piloted else NOTHING
        plan = document(request, seen, planned(request, seen, backends), backends)
        minutes = (real["rest_s"] + (0 if piloted else real["pilot_s"])) / 60
        found = list(figures(plan, real))
        if case.set_name in TIMED:
            found.append(("minutes", plan["minutes_to_go"], minutes))
            if not piloted:
                found += stage_minutes(case, plan, real, minutes)
        for what, figure, value in found:
            yield Held(case, piloted, what, *figure, value)


Figure = tuple[str, Sequence[float], float]


def stage_minutes(
    case: Case, plan: dict[str, Any], real: dict[str, Any], minutes: float
) -> Iterator[Figure]:
    """Yield the minutes by stage: those until the bank was there, the rest by what set the pace."""
    keywords = real["keywords_s"] / 60
    yield "minutes, keywords", plan["stages"]["keywords"]["minutes_to_go"], keywords
    fields = ("input_tokens", "output_tokens") if case.set_name == "tpm" else ("calls",)
    units = {
        stage: sum(use[field] for field in fields)
        for stage, use in real["stages"].items()
        if stage != "keywords"
    }
    for stage, taken in units.items():
        part = (minutes - keywords) * taken / sum(units.values())
        yield f"minutes, {stage}", plan["stages"][stage]["minutes_to_go"], part


def figures(plan: dict[str, Any], real: dict[str, Any]) -> Iterator[Figure]:
    """Yield the name, the interval and the real value of each figure of a plan."""
    stages = real["stages"]
    for stage in STAGES:
        if stage in plan["stages"]:
            yield f"calls, {stage}", plan["stages"][stage]["calls"], stages[stage]["calls"]
            yield f"USD, {stage}", plan["stages"][stage]["usd"], stages[stage]["cost_usd"]
    yield "calls", plan["calls"], real["calls"]
    spent = sum(use["input_tokens"] + use["output_tokens"] for use in stages.values())
    yield "tokens", plan["tokens"], spent
    yield "USD", plan["usd"], real["usd"]


def cases(
    names: Sequence[str], *, quick: bool, first_seed: int = 0, longest: int | None = None
) -> Iterator[Case]:
    """Yield the cases of some sets of options, of no more than `longest` rows."""
    for name in names:
        options = SETS[name]
        for target in options.targets[: 1 if quick else None]:
            long = target > 300
            if longest is not None and target > longest:
                continue
            # Long runs are fewer: once each, and but for the plain ones of few tasks.
            tasks = [t for t in options.tasks if not long or name == "plain" or t in (*FEW, "math")]
            for task in tasks[: 2 if quick else None]:
                for seed in range(1 if quick or long else options.seeds):
                    yield Case(name, task, target, first_seed + seed)


COLUMNS = {
    "calls": ("calls",),
    "keywords": ("calls, keywords",),
    "writer": ("calls, writer",),
    "answers": ("calls, answers",),
    "judge": ("calls, judge",),
    "tokens": ("tokens",),
    "USD": ("USD",),
    "minutes": ("minutes",),
    "by stage": tuple(f"minutes, {stage}" for stage in STAGES),
}


def table(held: Sequence[Held]) -> Iterator[str]:
    """Yield the lines of a table: for each set of options how many figures lie inside, and the width."""
    yield "| options, rows | pilot | " + " | ".join(COLUMNS) + " |"
    yield "| --- | --- |" + " ---: |" * len(COLUMNS)
    groups: dict[tuple[str, bool], list[Held]] = {}
    for one in held:
        for name in (f"{one.case.set_name}, {one.case.target}", "all"):
            groups.setdefault((name, one.piloted), []).append(one)
    for (name, piloted), each in sorted(groups.items()):
        cells = [_cell([h for h in each if h.what in whats]) for whats in COLUMNS.values()]
        yield f"| {name} | {UNITS if piloted else 'none'} | " + " | ".join(cells) + " |"


def _cell(held: Sequence[Held]) -> str:
    if not held:
        return ""
    width = statistics.median(one.width for one in held)
    return f"{sum(one.inside for one in held)}/{len(held)}, {width:.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="A small set, about a minute.")
    parser.add_argument("--sets", help=f"Of {', '.join(SETS)}; all if not given.")
    parser.add_argument(
        "--keep", type=Path, help="Keep the runs here and take those that are there."
    )
    parser.add_argument("--first-seed", type=int, default=0, help="Other runs of the same kinds.")
    parser.add_argument("--longest", type=int, metavar="ROWS", help="Leave out longer runs.")
    parser.add_argument("--misses", action="store_true", help="List what lies outside.")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    names = args.sets.split(",") if args.sets else (QUICK if args.quick else tuple(SETS))
    held: list[Held] = []
    with tempfile.TemporaryDirectory() as temp:
        root = args.keep or Path(temp)
        (root / "corpora").mkdir(parents=True, exist_ok=True)
        chosen = cases(names, quick=args.quick, first_seed=args.first_seed, longest=args.longest)
        for case in chosen:
            held += compared(case, root / case.folder, root / "corpora")
    if args.json:
        print(json.dumps([one._asdict() | {"inside": one.inside} for one in held], indent=1))
        return
    for line in table(held):
        print(line)
    for one in held:
        if args.misses and not one.inside:
            figures_ = " ".join(f"{x:.4g}" for x in (one.low, one.mid, one.high))
            print(one.case.folder, one.piloted, one.what, figures_, "real", f"{one.real:.4g}")


if __name__ == "__main__":
    main()
