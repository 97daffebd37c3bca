"""Small compiles for tests: a teacher, a dev set it can answer, the language models of a job."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import dspy

from ds2.config import BudgetConfig
from ds2.engines.adapters import ChatAdapter
from ds2.engines.base import Backend
from ds2.engines.budget import Budget
from ds2.engines.candidates import optimizer_lm
from ds2.engines.limiter import Limiter
from ds2.engines.logged import CallLog, MemoryLog
from ds2.engines.teacher import TeacherRates, simulated_backend, truth
from optimizers.compile import Compiled, Job, compile_stage
from optimizers.devsets import DevRow, DevSet, split_devset
from optimizers.search import Models
from programs.equivalence import read_answer
from programs.instructions import InstructionWriter
from programs.stopping import fixed
from programs.synthesis import JUDGES, ChainConfig, DS2Instruct
from signatures.bloom import LEVELS
from signatures.task import load_task

GSM8K = load_task("gsm8k")
MATH = load_task("math")
SURE = TeacherRates.perfect()
WORDS = ("unit rate", "percentage", "ratio", "elapsed time", "fractions of a whole", "averages")


def adapter() -> dspy.Adapter:
    return ChatAdapter(use_json_adapter_fallback=False)


def program(draws: int = 3) -> DS2Instruct:
    judges: dict[str, Any] = dict.fromkeys(JUDGES, True)
    return DS2Instruct(GSM8K, ChainConfig(policy=fixed(draws, 0.6), **judges))


def judging_program() -> DS2Instruct:
    """Return a program whose answers are compared by a judge."""
    return DS2Instruct(MATH, ChainConfig(policy=fixed(1, 0.6), merger="judge"))


@cache
def pairs(rows: int = 60) -> DevSet:
    """Return questions of the teacher with two answers each, every other pair saying the same."""
    rng, writer, made = random.Random(1), InstructionWriter(MATH), []
    words = ("quadratic equations", "probability", "arithmetic sequences", "exponents")
    with dspy.context(lm=lm(teacher()), adapter=adapter()):
        while len(made) < rows:
            number = len(made)
            level = LEVELS[number % 6].value
            asked = writer(keywords=[rng.choice(words)], level=level, visit=number).instruction
            answer = truth(asked.question)
            assert answer is not None
            same = number % 2 == 0
            pair = (answer, f"{answer}.") if same else (answer, f"{answer} + 1")
            made.append(DevRow(asked.question, pair=pair, same=same, where=f"row {number}"))
    return DevSet("made", tuple(made), labelled=False)


@cache
def few_pairs() -> DevSet:
    """Return just as many pairs as every optimizer needs."""
    split = split_devset(pairs().rows)
    rows = (*split.train[:5], *split.val[:4], *split.test[:6])
    assert [len(side) for side in split_devset(rows)] == [5, 4, 6]
    return DevSet("few pairs", rows, labelled=False)


def teacher(sensitivity: float = 0.0, rates: TeacherRates | None = SURE, seed: int = 0) -> Backend:
    return simulated_backend(seed, rates=rates, sensitivity=sensitivity)


def lm(
    backend: Backend,
    *,
    log: CallLog | None = None,
    budget: Budget | None = None,
    stage: str = "program",
) -> dspy.LM:
    return optimizer_lm(
        backend,
        log=log or MemoryLog(),
        limiter=Limiter(16),
        budget=budget or Budget(),
        stage=stage,
    )


def calls_budget(calls: int) -> Budget:
    return Budget(BudgetConfig(budget_calls=calls))


def models(sensitivity: float = 1.0, **changes: dspy.LM) -> Models:
    """Return a sensitive teacher, and a steady one that judges and proposes."""
    steady = lm(teacher())
    found = {"program": lm(teacher(sensitivity)), "judge": steady, "proposer": steady}
    return Models(**{**found, **changes})


@cache
def devset(rows: int = 24, seed: int = 0) -> DevSet:
    """Return questions that the teacher wrote, with their truth, keywords and levels."""
    rng = random.Random(seed)
    writer, made, number = InstructionWriter(GSM8K), [], 0
    with dspy.context(lm=lm(teacher()), adapter=adapter()):
        while len(made) < rows:
            words = rng.sample(WORDS, 1 + number % 2)
            level = LEVELS[number % 6]
            written = writer(keywords=words, level=level.value, visit=number).instruction
            answer = truth(written.question)
            assert answer is not None
            key = read_answer(GSM8K.answer, typed=answer).key
            made.append(
                DevRow(
                    written.question, answer, key, keywords=tuple(words), level=level,
                    where=f"row {number}",
                )
            )  # fmt: skip
            number += 1
    return DevSet("made", tuple(made), labelled=True)


@cache
def smallest() -> DevSet:
    """Return just as many rows as every optimizer needs."""
    split = split_devset(devset(60).rows)
    rows = (*split.train[:5], *split.val[:4], *split.test[:6])
    assert [len(side) for side in split_devset(rows)] == [5, 4, 6]
    return DevSet("smallest", rows, labelled=True)


def compiled(stage: str, optimizer: str, given: Models | None = None, **changes: Any) -> Compiled:
    """Return a small compile."""
    options: dict[str, Any] = {
        "devset": devset(), "repeats": 1, "threads": 4, "cells": 24,
    } | changes  # fmt: skip
    job = Job(
        program=options.pop("program", None) or program(),
        stage=stage,
        optimizer=optimizer,
        **options,
    )
    with dspy.context(adapter=adapter()):
        return compile_stage(job, given or models())


Judge = Callable[[dspy.Example, dspy.Prediction], Any]


class Judging:
    """A metric out of a function."""

    calls = 0

    def __init__(self, judge: Judge, name: str = "made for a test") -> None:
        self.judge, self.name = judge, name

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Any:
        return self.judge(example, outcome)
