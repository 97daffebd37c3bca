"""What each of DSPy's optimizers makes of each stage, on a teacher whose prompts matter.

    python -m benchmarks.optimizers --seeds 5               # gains: every stage, every optimizer
    python -m benchmarks.optimizers --stages answers --optimizers mipro,gepa --width 3
    python -m benchmarks.optimizers --null --seeds 20       # claims where nothing helps

The teacher has a sensitivity of 1 (`ds2/engines/teacher/sensitivity.py`), a judge and a proposer
have none. Printed for each stage: the held-out score of the plain prompts, and the best that the
teacher allows, which is the better of two prompts written by hand: an instruction that holds all that
helps, without demos and with three. Then for each optimizer: held-out score before and after,
difference with its 95 % interval (with several seeds the means, and the least and the greatest
difference), how often a gain was shown, the share of the gap that is closed (mean difference / mean
gap), calls, seconds of CPU. Each seed has a dev set, a teacher and a search of its own.

With `--null` the sensitivity is 0, where no prompt helps. Counted is how often a gain is claimed in
`--seeds` compiles; by the level of the interval 2.5 % are to be expected. The teacher's checks of
questions and of keyword lists are always right there, which leaves nothing to claim: under `--null` the
one that is compiled has them wrong in 15 % of the cases, whatever its prompt (`TeacherRates.checked`).

`--results FILE` keeps what was found, and what stands there is not done again: a benchmark that was
stopped goes on, and several processes may share the stages among them.

Run it and its neighbours with `-m`: this folder, first on a script's path, would hide the package of the
same name.
"""

from __future__ import annotations

if __name__ == "optimizers":
    raise ImportError("benchmarks are run as modules: python -m benchmarks.NAME")

import argparse
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from math import comb
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import dspy

from ds2.engines.budget import Budget
from ds2.engines.candidates import optimizer_lm
from ds2.engines.limiter import Limiter
from ds2.engines.logged import MemoryLog
from ds2.engines.teacher import TeacherRates, simulated_backend, truth
from ds2.engines.teacher.checks import check_keywords, check_question
from ds2.engines.teacher.proposals import HELPFUL
from optimizers.cases import question_cases
from optimizers.compile import Compiled, Job, check_job, compile_stage
from optimizers.devsets import DevRow, DevSet
from optimizers.evaluating import evaluate
from optimizers.examples import make_examples
from optimizers.labels import ListLabel, QuestionLabel
from optimizers.lists import draw_lists
from optimizers.metrics import ChainMetric, Metric, held_out, metric_for
from optimizers.quiet import quiet
from optimizers.scores import LEVEL
from optimizers.search import MAX_DEMOS, OPTIMIZERS, Models
from optimizers.stages import STAGES, stage_of
from programs.equivalence import read_answer
from programs.judging import faults_of
from programs.stopping import lead
from programs.synthesis import ChainConfig, DS2Instruct
from signatures.bloom import LEVELS
from signatures.task import load_task

TASK = load_task("gsm8k")
ANSWER_JUDGE, COMPARED = "answer-judge", load_task("math")  # numbers have exact keys: no judge
QUESTION_JUDGE, KEYWORD_JUDGE = "question-judge", "keyword-judge"
ERRING = replace(TeacherRates(), checked=0.85)  # as often as a judge of levels or of answers
FLOOR = 0.8  # of the chain's precision: the sensitive teacher's plain prompts have 0.78
ALL_THAT_HELPS = " ".join((HELPFUL[0], HELPFUL[2], HELPFUL[4]))


class Gap(NamedTuple):
    """Plain prompts, and the best that the teacher allows."""

    plain: float
    best: float


class Given(NamedTuple):
    """What a benchmark is run with."""

    rows: int
    width: float
    sensitivity: float
    seeds: int


class Made(NamedTuple):
    """What came of one compile."""

    before: float
    after: float
    low: float | None
    high: float | None
    gained: bool
    calls: int
    cpu_s: float


def adapter() -> dspy.Adapter:
    return dspy.ChatAdapter(use_json_adapter_fallback=False)


def lm(sensitivity: float = 0.0, seed: int = 0, rates: TeacherRates | None = None) -> dspy.LM:
    backend = simulated_backend(seed, sensitivity=sensitivity, rates=rates)
    return optimizer_lm(
        backend,
        log=MemoryLog(),
        limiter=Limiter(64),
        budget=Budget(),
        stage="program",
    )


def calls(models: Models) -> int:
    return sum(len(model.engine.logged.log._receipts) for model in set(models))


def program(stage: str = "") -> DS2Instruct:
    if stage == ANSWER_JUDGE:
        return DS2Instruct(COMPARED, ChainConfig(policy=lead(3, 9), merger="judge"))
    return DS2Instruct(
        TASK,
        ChainConfig(
            policy=lead(3, 9),
            level_judge=stage not in {QUESTION_JUDGE, KEYWORD_JUDGE},
            question_judge=stage == QUESTION_JUDGE,
            keyword_judge=stage == KEYWORD_JUDGE,
        ),
    )


@cache
def devset(rows: int, seed: int = 0) -> DevSet:
    """Return questions that the teacher wrote, clear ones, with their computed truth."""
    made: list[DevRow] = []
    with dspy.context(lm=lm(), adapter=adapter()):
        bank = [keyword.text for keyword in program().expand(24).bank]
        rng, number, writer = random.Random(seed), 0, program().writer
        while len(made) < rows:
            number += 1
            words, level = rng.sample(bank, 1 + number % 2), LEVELS[number % 6]
            written = writer(keywords=words, level=level.value, visit=number).instruction
            answer = None if written is None else truth(written.question)
            if written is not None and answer is not None:
                key = read_answer(TASK.answer, typed=answer).key
                row = DevRow(written.question, answer, key, keywords=tuple(words), level=level)
                made.append(row)
    return DevSet("made", tuple(made), labelled=True)


@cache
def pairs(rows: int, seed: int = 0) -> DevSet:
    """Return questions with two answers: both right and worded otherwise, or one of them wrong."""
    made: list[DevRow] = []
    with dspy.context(lm=lm(), adapter=adapter()):
        written = program(ANSWER_JUDGE)
        bank = [keyword.text for keyword in written.expand(24).bank]
        rng, number = random.Random(seed), 0
        while len(made) < rows:
            number += 1
            words, level = rng.sample(bank, 1), LEVELS[number % 6]
            asked = written.writer(keywords=words, level=level.value, visit=number).instruction
            right = None if asked is None else truth(asked.question)
            if asked is not None and right is not None:
                same = number % 2 == 0
                other = f"{right}." if same else f"{right} + {rng.randint(1, 9)}"
                made.append(DevRow(asked.question, pair=(right, other), same=same))
    return DevSet("made", tuple(made), labelled=False)


@cache
def checked(rows: int, seed: int = 0) -> DevSet:
    """Return questions as a judge may meet them, with the verdicts of the steady teacher."""
    given, made = devset(rows, seed).rows, []
    for row, case in zip(given, question_cases(given), strict=True):
        fields = {"question": case.question, "keywords": "\n".join(case.keywords)}
        said = {name: str(value) for name, value in check_question(fields).items()}
        made.append(
            replace(
                row, keywords=case.keywords, check=QuestionLabel(**said), question=case.question
            )
        )
    return DevSet("made", tuple(made), labelled=False)


@cache
def listed(rows: int, seed: int = 0) -> DevSet:
    """Return keyword lists with strangers in them, with the verdicts of the steady teacher."""
    made: list[DevRow] = []
    with dspy.context(lm=lm(seed=seed), adapter=adapter()):
        bank = [keyword.text for keyword in program().expand(24).bank]
        for one in draw_lists(program(), bank, rows, seed):
            fields = {"wanted": one.wanted, "keywords": "\n".join(one.keywords)}
            verdict = dspy.Prediction(**check_keywords(fields, TASK.name))
            label = ListLabel(one.wanted, faults_of(one.keywords, verdict))
            made.append(DevRow("", keywords=one.keywords, faults=label))
    return DevSet("made", tuple(made), labelled=False)


def examples_of(stage: str, rows: int, seed: int = 0) -> DevSet:
    made = {ANSWER_JUDGE: pairs, QUESTION_JUDGE: checked, KEYWORD_JUDGE: listed}
    return made.get(stage, devset)(rows, seed)


def gap(stage: str, dev: DevSet, seed: int = 0) -> Gap:
    """Return the held-out score of the plain prompts, and of the best of those written by hand."""
    with dspy.context(lm=lm(1.0, seed), adapter=adapter()):
        judge, plain = lm(seed=seed), program(stage)
        examples = make_examples(stage, plain, dev, judge=judge, cells=len(dev.rows), seed=seed)
        metric = metric_for(stage, plain, judge, dev, min_precision=FLOOR)
        if isinstance(metric, ChainMetric):
            on_val = evaluate(stage_of(plain, stage), examples.val, metric, threads=8)
            metric.compare_with(on_val.part("right"), on_val.part("tokens"))
        last = held_out(metric, dev)
        before = evaluate(stage_of(plain, stage), examples.test, last, threads=8, repeats=3)
        scores = []
        for demos in (0, MAX_DEMOS):
            written = stage_of(by_hand(stage, demos, metric, examples.train), stage)
            found = evaluate(written, examples.test, last, threads=8, repeats=3)
            scores.append(found.score or 0.0)
    return Gap(before.score or 0.0, max(scores))


def by_hand(stage: str, demos: int, metric: Metric, train: Sequence[dspy.Example]) -> DS2Instruct:
    """Return the program with all that helps in the instructions of a stage, and good demos."""
    written = program(stage)
    for predictor in stage_of(written, stage).predictors():
        instructions = f"{predictor.signature.instructions} {ALL_THAT_HELPS}"
        predictor.signature = predictor.signature.with_instructions(instructions)
    if demos:
        found = dspy.BootstrapFewShot(
            metric=lambda *given: getattr(metric.score(*given[:2]), "value", 0.0),
            metric_threshold=0.6 if stage == "keywords" else 0.8,  # a list is seldom better
            max_bootstrapped_demos=len(train),  # an example may ask one prompt of several
            max_labeled_demos=0,
        )
        with quiet(), dspy.context(lm=lm()):
            shown = found.compile(stage_of(written, stage), trainset=list(train))
        for (_, ours), (_, theirs) in zip(
            stage_of(written, stage).named_predictors(), shown.named_predictors(), strict=True
        ):
            ours.demos = theirs.demos[:demos]
    return written


def compiled(
    stage: str, optimizer: str, dev: DevSet, *, sensitivity: float, width: float, seed: int
) -> tuple[Compiled, int]:
    steady = lm(seed=seed)
    erring = ERRING if stage in {QUESTION_JUDGE, KEYWORD_JUDGE} and not sensitivity else None
    models = Models(lm(sensitivity, seed, erring), steady, steady)
    cells = len(dev.rows)
    job = Job(
        program(stage), stage, optimizer, dev, seed=seed, min_precision=FLOOR, cells=cells
    )  # fmt: skip
    if width != 1:
        job = replace(job, budget_calls=round(width * check_job(job).most))
    with dspy.context(adapter=adapter()):
        return compile_stage(job, models), calls(models)


def made(stage: str, optimizer: str, given: Given, seed: int) -> Made:
    """Compile once, and return what came of it."""
    dev, began_s = examples_of(stage, given.rows, seed), time.process_time()
    found, asked = compiled(
        stage, optimizer, dev, sensitivity=given.sensitivity, width=given.width, seed=seed
    )
    gain = found.gain
    return Made(
        before=found.before.score or 0.0,
        after=found.after.score or 0.0,
        low=None if gain is None else gain.low,
        high=None if gain is None else gain.high,
        gained=found.gained,
        calls=asked,
        cpu_s=round(time.process_time() - began_s, 1),
    )


class Results:
    """What was found for each unit of work, in a file of lines where one is given.

    What stands in the file is not done again, so that a benchmark that was stopped goes on.
    """

    def __init__(self, path: Path | None, given: Given) -> None:
        self._path, self._given = path, given._replace(seeds=0)._asdict()
        self._found: dict[str, list[Any]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                of, key, values = json.loads(line)
                if of == self._given:
                    self._found[key] = values

    def of(self, work: Callable[[], tuple[Any, ...]], *names: object) -> list[Any]:
        """Return what the work of these names comes to."""
        key = "/".join(map(str, names))
        if key not in self._found:
            self._found[key] = list(work())
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as out:
                    out.write(json.dumps([self._given, key, self._found[key]]) + "\n")
        return self._found[key]


def gains(stages: Sequence[str], optimizers: Sequence[str], results: Results, given: Given) -> None:
    seeds = range(given.seeds)
    for stage in stages:
        gaps = [
            Gap(
                *results.of(
                    partial(gap, stage, examples_of(stage, given.rows, seed), seed),
                    "gap",
                    stage,
                    seed,
                )
            )
            for seed in seeds
        ]
        plain, best = fmean(g.plain for g in gaps), fmean(g.best for g in gaps)
        print(f"{stage}: plain {plain:.3f}, best {best:.3f}", flush=True)
        for optimizer in optimizers:
            found = [
                Made(*results.of(partial(made, stage, optimizer, given, s), stage, optimizer, s))
                for s in seeds
            ]
            steps = [one.after - one.before for one in found]
            shown = f"{min(steps):+.3f} to {max(steps):+.3f}"
            if given.seeds == 1 and found[0].low is not None:
                shown = f"[{found[0].low:+.3f}, {found[0].high:+.3f}]"
            print(
                f"  {optimizer:<17} {fmean(one.before for one in found):.3f} -> "
                f"{fmean(one.after for one in found):.3f}  {fmean(steps):+.3f} {shown}"
                f"  gain {sum(one.gained for one in found)} of {given.seeds}"
                f"  closes {fmean(steps) / (best - plain):.2f}"
                f"  {fmean(one.calls for one in found):>6,.0f} calls"
                f"  {fmean(one.cpu_s for one in found):5.1f} s",
                flush=True,
            )


def null(stages: Sequence[str], optimizers: Sequence[str], results: Results, given: Given) -> None:
    every = 0
    for stage in stages:
        for optimizer in optimizers:
            claims = sum(
                Made(
                    *results.of(partial(made, stage, optimizer, given, s), stage, optimizer, s)
                ).gained
                for s in range(given.seeds)
            )
            every += claims
            print(f"{stage:<14} {optimizer:<17} {claims} of {given.seeds} claim a gain", flush=True)
    compiles = given.seeds * len(stages) * len(optimizers)
    print(
        f"{every} of {compiles}; so many or more have a chance of {at_least(every, compiles):.3f}"
    )


def at_least(claims: int, compiles: int) -> float:
    """Return the chance of so many claims or more, if each has that of the interval's level."""
    chance = (1 - LEVEL) / 2
    fewer = (comb(compiles, k) * chance**k * (1 - chance) ** (compiles - k) for k in range(claims))
    return 1 - sum(fewer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument(
        "--width", type=float, default=1.0, help="times the ordinary number of calls"
    )
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, help="file to keep results in, and go on from")
    asked = parser.parse_args()
    logging.getLogger("dspy").setLevel(logging.ERROR)  # it tells of every reply that is cut
    given = Given(asked.rows, asked.width, 0.0 if asked.null else 1.0, asked.seeds)
    stages, optimizers = asked.stages.split(","), asked.optimizers.split(",")
    results = Results(asked.results, given)
    (null if asked.null else gains)(stages, optimizers, results, given)


if __name__ == "__main__":
    main()
