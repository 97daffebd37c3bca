"""What each of DSPy's optimizers makes of each stage, on a teacher whose prompts matter.

    python benchmarks/compiling.py                       # gains: every stage, every optimizer
    python benchmarks/compiling.py --stages answers --optimizers mipro,gepa --width 3
    python benchmarks/compiling.py --null --seeds 20     # claims where nothing helps

The teacher has a sensitivity of 1 (`ds2/engines/teacher/sensitivity.py`), a judge and a proposer
have none. Printed for each stage: the held-out score of the plain prompts, and the best that the
teacher allows, which is the better of two prompts written by hand: an instruction that holds all that
helps, without demos and with three. Then for each optimizer: held-out score before and after,
difference with its 95 % interval, the share of the gap that it closes, calls, seconds of CPU.

With `--null` the sensitivity is 0, where no prompt helps. Counted is how often a gain is claimed in
`--seeds` compiles; by the level of the interval 2.5 % are to be expected.

Run it with `-m`: as a script this file would hide the package of its name.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import dspy

from ds2.engines.budget import Budget
from ds2.engines.candidates import optimizer_lm
from ds2.engines.limiter import Limiter
from ds2.engines.logged import MemoryLog
from ds2.engines.teacher import simulated_backend, truth
from ds2.engines.teacher.proposals import HELPFUL
from optimizers.compile import Compiled, Job, check_job, compile_stage
from optimizers.devsets import DevRow, DevSet
from optimizers.evaluating import evaluate
from optimizers.examples import make_examples
from optimizers.metrics import ChainMetric, Metric, metric_for
from optimizers.quiet import quiet
from optimizers.search import MAX_DEMOS, OPTIMIZERS, Models
from optimizers.stages import STAGES, stage_of
from programs.equivalence import read_answer
from programs.stopping import lead
from programs.synthesis import ChainConfig, DS2Instruct
from signatures.bloom import LEVELS
from signatures.task import load_task

TASK = load_task("gsm8k")
ANSWER_JUDGE, COMPARED = "answer-judge", load_task("math")  # numbers have exact keys: no judge
FLOOR = 0.8  # of the chain's precision: the sensitive teacher's plain prompts have 0.78
ALL_THAT_HELPS = " ".join((HELPFUL[0], HELPFUL[2], HELPFUL[4]))


class Gap(NamedTuple):
    """Plain prompts, and the best that the teacher allows."""

    plain: float
    best: float


def adapter() -> dspy.Adapter:
    return dspy.ChatAdapter(use_json_adapter_fallback=False)


def lm(sensitivity: float = 0.0, seed: int = 0) -> dspy.LM:
    backend = simulated_backend(seed, sensitivity=sensitivity)
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
    return DS2Instruct(TASK, ChainConfig(policy=lead(3, 9), level_judge=True))


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


def examples_of(stage: str, rows: int, seed: int = 0) -> DevSet:
    return pairs(rows, seed) if stage == ANSWER_JUDGE else devset(rows, seed)


def gap(stage: str, dev: DevSet) -> Gap:
    """Return the held-out score of the plain prompts, and of the best of those written by hand."""
    with dspy.context(lm=lm(1.0), adapter=adapter()):
        judge, plain = lm(), program(stage)
        examples = make_examples(stage, plain, dev, judge=judge, cells=len(dev.rows))
        metric = metric_for(stage, plain, judge, dev, min_precision=FLOOR)
        if isinstance(metric, ChainMetric):
            on_val = evaluate(stage_of(plain, stage), examples.val, metric, threads=8)
            metric.compare_with(on_val.part("right"), on_val.part("tokens"))
        before = evaluate(stage_of(plain, stage), examples.test, metric, threads=8, repeats=3)
        scores = []
        for demos in (0, MAX_DEMOS):
            written = stage_of(by_hand(stage, demos, metric, examples.train), stage)
            found = evaluate(written, examples.test, metric, threads=8, repeats=3)
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
            metric_threshold=0.8,
            max_bootstrapped_demos=2 * demos,
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
    models = Models(lm(sensitivity, seed=seed), steady, steady)
    cells = len(dev.rows)
    job = Job(
        program(stage), stage, optimizer, dev, seed=seed, min_precision=FLOOR, cells=cells
    )  # fmt: skip
    if width != 1:
        job = replace(job, budget_calls=round(width * check_job(job).most))
    with dspy.context(adapter=adapter()):
        return compile_stage(job, models), calls(models)


def gains(stages: Sequence[str], optimizers: Sequence[str], rows: int, width: float) -> None:
    for stage in stages:
        dev = examples_of(stage, rows)
        found = gap(stage, dev)
        print(f"{stage}: plain {found.plain:.3f}, best {found.best:.3f}", flush=True)
        for optimizer in optimizers:
            began_s = time.process_time()
            made, asked = compiled(stage, optimizer, dev, sensitivity=1.0, width=width, seed=0)
            closed = ((made.after.score or 0.0) - found.plain) / (found.best - found.plain)
            gain = made.gain
            interval = (
                "-" if gain is None else f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            )
            print(
                f"  {optimizer:<17} {made.before.score:.3f} -> {made.after.score:.3f}  {interval}"
                f"  {'gain' if made.gained else 'no gain':<8} closes {closed:>4.0%}"
                f"  {asked:>6,} calls  {time.process_time() - began_s:5.1f} s",
                flush=True,
            )


def null(stages: Sequence[str], optimizers: Sequence[str], rows: int, seeds: int) -> None:
    for stage in stages:
        for optimizer in optimizers:
            claims = 0
            for seed in range(seeds):
                dev = examples_of(stage, rows, seed)
                made, _ = compiled(stage, optimizer, dev, sensitivity=0.0, width=1, seed=seed)
                claims += made.gained
            print(f"{stage:<13} {optimizer:<17} {claims} of {seeds} claim a gain", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument(
        "--width", type=float, default=1.0, help="times the ordinary number of calls"
    )
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    stages, optimizers = given.stages.split(","), given.optimizers.split(",")
    if given.null:
        null(stages, optimizers, given.rows, given.seeds)
    else:
        gains(stages, optimizers, given.rows, given.width)


if __name__ == "__main__":
    main()
