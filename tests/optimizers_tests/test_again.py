"""A compile is the same in every process: what was asked and paid for once is asked nothing again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
from compiling import devset, lm, program, teacher

from optimizers.search import OPTIMIZERS
from optimizers.stages import stage_of

HERE = Path(__file__).parent


def _outcomes(hash_seed: int) -> dict[str, Any]:
    paths = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, HERE / "again.py"], env=env, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_optimizer_asks_and_finds_the_same_in_another_process() -> None:
    first, second = _outcomes(1), _outcomes(2)
    assert tuple(first) == OPTIMIZERS
    for optimizer in OPTIMIZERS:
        assert first[optimizer] == second[optimizer], optimizer


def test_what_a_proposer_is_shown_of_an_outcome_is_what_the_stage_made() -> None:
    stage = stage_of(program(), "judge")
    with dspy.context(lm=lm(teacher())):
        outcome = stage(question=devset().rows[0].question)
    assert set(outcome.keys()) == {"read", "reason"}
    assert outcome.failed is None
    assert outcome.tokens > 0
    assert outcome.candidate == stage.candidate != ""
