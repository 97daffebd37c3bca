"""DSPy's own optimizers on a stage and on the chain, through our engine, on the simulated teacher."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from scripted import Call, Script, chat

from ds2.engines.lm import logged_lm
from ds2.engines.teacher import TeacherRates, simulated_backend
from programs.answers import AnswerDraw
from programs.instructions import InstructionWriter
from programs.keywords import KeywordExpansion
from programs.sampling import STRIDE
from programs.stopping import fixed
from programs.synthesis import ChainConfig, DS2Instruct
from programs.voting import SelfConsistency
from signatures.task import load_task

pytestmark = [
    pytest.mark.usefixtures("one_adapter"),
    # Bootstrapping draws a progress bar and prints a line.
    pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning"),
]

GSM8K = load_task("gsm8k")
QUESTIONS = ["A pen costs $3. How much do 4 pens cost?", "A box holds 6 eggs. How many in 5 boxes?"]


def teacher() -> dspy.LM:
    return logged_lm(simulated_backend(rates=TeacherRates.perfect()))


def bootstrap(
    program: dspy.Module, trainset: list[dspy.Example], accepted: Callable[..., bool], lm: dspy.LM
) -> dspy.Module:
    optimizer = dspy.BootstrapFewShot(
        metric=lambda example, prediction, trace=None: accepted(prediction),
        max_bootstrapped_demos=2,
        max_labeled_demos=0,
        max_errors=1,
    )
    with dspy.context(lm=lm):
        return optimizer.compile(program, trainset=trainset)


def demos(program: dspy.Module) -> dict[str, int]:
    return {name: len(p.demos) for name, p in program.named_predictors()}


UNITS = [
    dspy.Example(keywords=words, level=level).with_inputs("keywords", "level")
    for words, level in [
        (["unit rate"], "Apply"),
        (["percentage discount", "unit rate"], "Analyze"),
    ]
]
ASKED = [dspy.Example(question=q).with_inputs("question") for q in QUESTIONS]


def written() -> list[dspy.Example]:
    """Return questions that the teacher wrote itself, and so can answer."""
    with dspy.context(lm=teacher()):
        units = [InstructionWriter(GSM8K)(**unit.inputs()) for unit in UNITS]
    return [dspy.Example(question=u.question).with_inputs("question") for u in units]


def test_the_keyword_stage_can_be_bootstrapped() -> None:
    trainset = [dspy.Example(size=24, seed=s).with_inputs("size", "seed") for s in (0, 1)]
    program = bootstrap(KeywordExpansion(GSM8K), trainset, lambda p: len(p.bank) == 24, teacher())
    assert demos(program) == {"core": 2, "prerequisites": 2, "advanced": 2, "extract": 0}


def test_the_writer_can_be_bootstrapped() -> None:
    program = bootstrap(
        InstructionWriter(GSM8K), UNITS, lambda p: p.instruction is not None, teacher()
    )
    assert demos(program) == {"single": 1, "pair": 1}
    assert program.single.demos[0].question


@pytest.mark.parametrize("thinking", [False, True])
def test_one_answer_can_be_bootstrapped(thinking: bool) -> None:
    program = bootstrap(
        AnswerDraw(GSM8K, thinking=thinking), ASKED, lambda p: bool(p.answer), teacher()
    )
    assert demos(program) == {"predict": 2}


def test_the_vote_can_be_bootstrapped_and_keeps_one_demo_an_example() -> None:
    vote = SelfConsistency(AnswerDraw(GSM8K), fixed(3, 0.6), GSM8K.answer)
    program = bootstrap(vote, written(), lambda p: p.accepted, teacher())
    assert demos(program) == {"draw.predict": 2}


def test_the_whole_chain_can_be_bootstrapped_saved_loaded_and_run(tmp_path: Path) -> None:
    program = bootstrap(DS2Instruct(GSM8K), UNITS, lambda p: p.row is not None, teacher())
    assert demos(program) == {
        "keywords.core": 0, "keywords.prerequisites": 0, "keywords.advanced": 0,
        "keywords.extract": 0,
        "writer.single": 1, "writer.pair": 1, "vote.draw.predict": 2,
    }  # fmt: skip
    program.save(tmp_path / "p.json")
    fresh = DS2Instruct(GSM8K)
    fresh.load(tmp_path / "p.json")
    assert fresh.fingerprint() == program.fingerprint()
    demo = program.vote.draw.predict.demos[0]
    script = Script(
        lambda call: (
            chat(question="2 + 2?")
            if "[[ ## level ## ]]" in call.prompt
            else chat(reasoning="r", answer="4")
        )
    )
    with dspy.context(lm=script.lm()):
        assert fresh(keywords=["unit rate"], level="Apply").row is not None
    assert demo.question in script.calls[-1].prompt
    assert program.writer.single.demos[0].question in script.calls[0].prompt


def test_a_later_round_of_bootstrapping_makes_new_calls() -> None:
    samples: list[int] = []

    def reply(call: Call) -> str:
        samples.append(call.sample)
        return chat(reasoning="r", answer="4" if call.sample >= STRIDE else str(call.sample))

    script = Script(reply)
    vote = SelfConsistency(AnswerDraw(GSM8K), fixed(3, 0.6), GSM8K.answer)
    optimizer = dspy.BootstrapFewShot(
        metric=lambda example, prediction, trace=None: prediction.accepted,
        max_bootstrapped_demos=1, max_labeled_demos=0, max_rounds=3, max_errors=1,
    )  # fmt: skip
    with dspy.context(lm=script.lm()):
        program = optimizer.compile(vote, trainset=ASKED[:1])
    assert sorted(samples) == [0, 1, 2, STRIDE, STRIDE + 1, STRIDE + 2]
    assert demos(program) == {"draw.predict": 1}


def test_random_search_bootstraps_the_chain_in_threads() -> None:
    seen: set[int] = set()

    def metric(example: Any, prediction: Any, trace: Any = None) -> bool:
        seen.add(threading.get_ident())
        return prediction.row is not None

    optimizer = dspy.BootstrapFewShotWithRandomSearch(
        metric=metric, max_bootstrapped_demos=1, max_labeled_demos=0,
        num_candidate_programs=1, num_threads=4, max_errors=1,
    )  # fmt: skip
    program = DS2Instruct(GSM8K, ChainConfig(policy=fixed(3, 0.6)))
    with dspy.context(lm=teacher()):
        best = optimizer.compile(program, trainset=UNITS, valset=UNITS * 4)
    assert best.candidate_programs[0]["score"] == 100
    assert len(seen) > 1


def test_trials_of_an_optimizer_share_one_engine_and_its_log() -> None:
    script = Script(chat(reasoning="r", answer="4"))
    program = SelfConsistency(AnswerDraw(GSM8K), fixed(3, 0.6), GSM8K.answer)
    program.set_lm(script.lm())
    for copied in (program, program.deepcopy(), program.deepcopy()):
        copied(question=QUESTIONS[0])
    assert (len(script.calls), script.opened) == (3, 1)
