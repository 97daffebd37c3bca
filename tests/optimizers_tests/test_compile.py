"""Compiling: every optimizer on every stage, the pitfalls of DSPy, and what is refused."""

from __future__ import annotations

import inspect
import sys
import threading
from dataclasses import replace
from typing import Any

import dspy
import pytest
from compiling import (
    Judging,
    adapter,
    calls_budget,
    compiled,
    devset,
    few_pairs,
    judging_program,
    lm,
    models,
    pairs,
    program,
    smallest,
    teacher,
)
from dspy import lm15
from dspy.utils.parallelizer import ParallelExecutor
from scripted import Call, Script, chat

from ds2.engines.budget import BudgetSpent
from ds2.engines.candidates import EndpointGone, candidate_sample
from ds2.engines.logged import MemoryLog
from optimizers.compile import Job, check_job, check_names, compile_stage
from optimizers.devsets import DevSet
from optimizers.evaluating import Progress, Scorer, evaluate
from optimizers.scores import Score, Unscored
from optimizers.search import KINDS, OPTIMIZERS, refuse_small, rows_for
from optimizers.stages import STAGES, Gate, SearchStopped, stage_of
from signatures.errors import ConfigError, StageError

LEAST = {name: kind.widths[0] for name, kind in KINDS.items()}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the narrowest search of every optimizer."""

    for name, kind in list(KINDS.items()):
        monkeypatch.setitem(KINDS, name, replace(kind, widths=(LEAST[name],) * 3))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_optimizer_works_on_every_stage(
    stage: str, optimizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = models()
    small = {"devset": smallest(), "program": program(draws=1), "cells": 15, "min_precision": 0.0}
    if stage in {"instructions", "chain"}:
        small["devset"] = None
    if stage == "answer-judge":
        small |= {"devset": few_pairs(), "program": judging_program()}
    plain = small["program"].prompts()
    found = compiled(stage, optimizer, given, **small)
    assert found.before.score is not None
    assert found.after.score is not None
    assert 0 <= found.after.score <= 1
    assert found.unscored <= 0.2
    assert capsys.readouterr() == ("", "")  # DSPy prints, draws and logs
    # Only the prompts of this stage may change, and what changed can be saved and loaded.
    ours = {"answers": "vote.draw", "instructions": "writer", "judge": "level_judge"}
    ours |= {"answer-judge": "vote.judge", "question-judge": "question_judge"}
    ours |= {"keyword-judge": "keyword_judge"}
    before, after = plain, found.program.prompts()
    changed = [name for name in before if before[name] != after[name]]
    wanted = ("writer", "vote.draw") if stage == "chain" else (ours.get(stage, stage),)
    assert all(name.startswith(wanted) for name in changed)
    assert bool(found.diff) == bool(changed)
    if optimizer in {"mipro", "gepa", "simba", "copro"}:
        assert found.candidates > 1


def test_a_search_finds_what_helps_and_only_the_interval_makes_it_a_gain() -> None:
    found = compiled("judge", "random-search", devset=devset(80), repeats=3)
    assert found.after.score is not None
    assert found.before.score is not None
    assert found.after.score > found.before.score + 0.15
    assert found.gain is not None
    assert found.gained == (found.gain.low > 0) is True
    assert "demo 1" in found.diff


def test_the_judge_of_answers_is_made_better_by_what_helps() -> None:
    more = {"devset": pairs(100), "program": judging_program(), "repeats": 3}
    found = compiled("answer-judge", "random-search", **more)
    assert found.metric == "verdict as labelled"
    assert found.before.score is not None
    assert found.after.score is not None
    assert found.after.score > found.before.score + 0.15
    assert found.gained
    assert found.program.vote.judge.predict.demos  # type: ignore[union-attr]


def test_a_judge_of_answers_without_labels_is_measured_by_itself_and_says_so() -> None:
    rows = tuple(row.__class__(row.question) for row in pairs().rows[:40])
    more = {"devset": DevSet("d", rows, labelled=False), "program": judging_program()}
    wrong = lm(teacher(rates=None))
    found = compiled("answer-judge", "bootstrap", models(judge=wrong), **more)
    assert "15 verdicts of the judge model (self-consistency, not accuracy)" in found.metric
    assert "pairs of answers say the same" in found.notices[0]
    assert found.after.score is not None


def test_a_program_without_a_judge_of_answers_has_none_to_compile() -> None:
    with pytest.raises(ConfigError, match="hold the judge of answers"):
        compiled("answer-judge", "bootstrap", devset=few_pairs())


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_job_comes_to_the_same_prompts_in_any_number_of_threads(optimizer: str) -> None:
    one, other = (
        compiled("answers", optimizer, devset=smallest(), threads=threads).program.fingerprint()
        for threads in (1, 6)
    )
    assert one == other


# GEPA calls its metric with five arguments, and scores with two.


@pytest.mark.parametrize("seed", [2**32 - 2, 2**32 - 1, 2**63 - 1])
@pytest.mark.parametrize("optimizer", ["bootstrap-optuna", "mipro"])
def test_any_seed_that_a_run_takes_seeds_a_search(optimizer: str, seed: int) -> None:
    found = compiled("answers", optimizer, devset=smallest(), seed=seed)
    assert found.candidates > 1


def test_the_metric_takes_five_arguments_with_defaults_and_scores_alike() -> None:
    metric = Judging(lambda example, outcome: Score(0.25, "mend it"))
    for feedback in (True, False):
        scorer = Scorer(metric, 0.5, feedback, Progress(), enough=4)
        inspect.signature(scorer).bind(None, None, None, None, None)
        example, outcome = dspy.Example(question="?").with_inputs("question"), dspy.Prediction()
        two, five = scorer(example, outcome), scorer(example, outcome, [], "p", [])
        values = [two.score, five.score] if feedback else [two, five]
        assert values == [0.25, 0.25]
        assert not feedback or two.feedback == "mend it"


def test_an_unscored_outcome_stands_at_the_plain_score_and_becomes_no_demo() -> None:
    metric = Judging(lambda example, outcome: Unscored("down"))
    example, outcome = dspy.Example(question="?").with_inputs("question"), dspy.Prediction()
    scorer = Scorer(metric, 0.625, feedback=False, progress=Progress(), enough=4)
    assert scorer(example, outcome) == 0.625
    assert scorer(example, outcome, []) == 0.0
    for _ in range(17):
        scorer(example, outcome)
    with pytest.raises(SearchStopped) as stopped:  # at the twentieth there are enough to tell
        scorer(example, outcome)
    assert isinstance(stopped.value.error, StageError)


# An outage looks like a bad prompt to DSPy.


def failing(after: int, error: lm15.LM15Error) -> dspy.LM:
    """Return the sensitive teacher, which fails for good after so many calls."""
    inner, calls, lock = teacher(1.0), [0], threading.Lock()

    class Failing:
        async def complete(self, request: Any) -> Any:
            with lock:
                calls[0] += 1
            if calls[0] > after:
                raise error
            return await inner.open().complete(request)

    made = lm(replace(inner, open=Failing))
    made.engine.logged.retry.attempts = made.engine.logged.retry.first_attempts = 1
    return made


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_dead_endpoint_stops_every_optimizer_at_once(optimizer: str) -> None:
    dead = failing(25, lm15.TransportError("connection refused"))
    with pytest.raises(EndpointGone):
        compiled("answers", optimizer, models(program=dead))
    assert len(dead.engine.logged.log._receipts) == 25  # nothing that was answered is lost


@pytest.mark.parametrize("optimizer", ["gepa", "mipro", "simba"])
def test_a_spent_budget_stops_at_once(optimizer: str) -> None:
    log = MemoryLog()
    limited = lm(teacher(1.0), log=log, budget=calls_budget(28))
    with pytest.raises(BudgetSpent):
        compiled("answers", optimizer, models(program=limited))
    assert len(log._receipts) == 28


def test_a_prompt_that_is_too_long_is_unscored_and_no_outage() -> None:
    long = failing(0, lm15.ContextLengthError("too long"))
    with pytest.raises(StageError, match="does not fit the model's context window"):
        compiled("answers", "bootstrap", models(program=long))


@pytest.mark.parametrize("optimizer", ["gepa", "mipro", "bootstrap"])
def test_a_metric_that_raises_stops_the_search_and_is_named(optimizer: str) -> None:
    calls = [0]

    def judge(example: Any, outcome: Any) -> Score:
        calls[0] += 1
        if calls[0] > 21:
            raise ZeroDivisionError("by zero")
        return Score(1.0, "")

    with pytest.raises(ConfigError, match=r"made for a test.*ZeroDivisionError: by zero"):
        compiled("answers", optimizer, metric=Judging(judge))


# A state that DSPy finds in a folder is checked against nothing.


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("name", ["GEPA", "MIPROv2"])
def test_no_optimizer_is_given_a_folder_for_its_state(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    real = getattr(dspy, name)

    def spy(**options: Any) -> Any:
        given.append(options)
        return real(**options)

    monkeypatch.setattr(dspy, name, spy)
    compiled("answers", "gepa" if name == "GEPA" else "mipro")
    assert [options["log_dir"] for options in given] == [None]


def test_a_compile_that_stopped_goes_on_from_the_call_log_to_the_same_prompts() -> None:
    whole, log = MemoryLog(), MemoryLog()
    undisturbed = compiled("answers", "gepa", models(program=lm(teacher(1.0), log=whole)))
    with pytest.raises(BudgetSpent):
        compiled(
            "answers", "gepa", models(program=lm(teacher(1.0), log=log, budget=calls_budget(50)))
        )
    asked_again = calls_budget(len(whole._receipts) - 50)
    again = compiled(
        "answers", "gepa", models(program=lm(teacher(1.0), log=log, budget=asked_again))
    )
    assert again.program.fingerprint() == undisturbed.program.fingerprint()
    assert asked_again.calls_left == 0
    assert log._receipts.keys() == whole._receipts.keys()


# A straggler is run a second time beside itself.


def test_a_straggler_that_is_resubmitted_is_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    first = threading.Event()

    def reply(call: Call) -> str:
        asked.append(call.prompt)
        return chat(reasoning="r", answer="4")

    script = Script(reply, latency=lambda call: 0.0 if first.is_set() else 1.2)
    options = dict(zip(("num_threads", "max_errors"), (4, 10), strict=True))
    runs: list[str] = []

    def run(example: dspy.Example) -> Any:
        runs.append(example.question)
        return stage(**example.inputs())

    stage = stage_of(program(), "answers")
    examples = [dspy.Example(question=f"{i} + {i}?").with_inputs("question") for i in range(2)]
    with dspy.context(lm=lm(script.backend()), adapter=adapter()):
        executor = ParallelExecutor(**options, timeout=0.2, disable_progress_bar=True)
        executor.execute(run, examples)
    assert len(runs) > 2
    assert len(asked) == len(set(asked)) == 2


# Candidates that DSPy asks for by n requests that are alike.


def test_candidates_of_one_call_are_samples_of_their_own() -> None:
    samples: list[int] = []

    def reply(call: Call) -> str:
        samples.append(call.sample)
        return chat(proposed=f"number {call.number}")

    log = MemoryLog()
    asked = lm(Script(reply).backend(), log=log)
    with dspy.context(lm=asked, adapter=adapter()):
        for _ in range(2):
            found = dspy.Predict("basic -> proposed", n=3)(basic="x").completions.proposed
    assert found == ["number 0", "number 1", "number 2"]
    assert samples == [0, candidate_sample(0, 1), candidate_sample(0, 2)]


def test_a_proposal_that_does_not_parse_is_asked_again() -> None:
    def reply(call: Call) -> str:
        return (
            chat(proposed_instruction="Say why.", proposed_prefix_for_output_field="A:")
            if call.number
            else "no field at all"
        )

    found = compiled("answers", "copro", models(proposer=lm(Script(reply).backend())))
    assert found.candidates > 1


def test_a_proposer_that_never_says_anything_usable_is_told() -> None:
    garbage = lm(Script("no field at all").backend())
    with pytest.raises(StageError, match="the proposer must write instructions"):
        compiled("answers", "copro", models(proposer=garbage))
    found = compiled("answers", "gepa", models(proposer=garbage))
    assert "the proposer gave nothing usable" in " ".join(found.notices)
    assert not found.gained


@pytest.mark.parametrize("optimizer", ["random-search", "bootstrap-optuna"])
def test_a_search_without_a_demo_blames_no_proposer(optimizer: str) -> None:
    silent = lm(Script("no field at all").backend())
    found = compiled("answers", optimizer, models(program=silent))
    assert "no outcome was good enough for a demo" in " ".join(found.notices)
    assert "proposer" not in " ".join(found.notices)


# What is refused before the first call.


@pytest.fixture
def no_call() -> Any:
    never = lm(Script(AssertionError("a call was made")).backend())
    return models(program=never, judge=never, proposer=never)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"devset": None}, "--devset must be given"),
        (
            {"devset": devset(10)},
            (
                r"mipro needs \(some 25 rows\) \(got 'train \d+, val \d+, test \d+: too few for .*Use "
                r"--optimizer bootstrap, for which they suffice; or make 25 rows with `ds2 devset "
            ),
        ),
        (
            {"devset": devset(4)},
            (
                r"No optimizer does with so few \(bootstrap needs the fewest, some 20 rows\): make 25 "
                r"rows with `ds2 devset gsm8k --n 25`, or add your own"
            ),
        ),
        ({"budget_calls": 20}, r"--budget-calls must be at least \d+.*No call was made"),
    ],
    ids=["no devset", "too small", "too small for any", "budget"],
)
def test_what_cannot_work_is_said_before_the_first_call(
    changes: dict[str, Any], said: str, no_call: Any
) -> None:
    with pytest.raises(ConfigError, match=said):
        compiled("answers", "mipro", no_call, **changes)


def test_examples_that_are_too_few_for_the_least_of_them_say_so() -> None:
    with pytest.raises(
        ConfigError, match=r"test 2: too few for test.*No optimizer does with fewer"
    ):
        refuse_small(KINDS["bootstrap"], (9, 9, 2), "12 cells of the task", more="give --cells {n}")
    with pytest.raises(ConfigError, match=r"too few for val and test'\).*give --cells 25"):
        refuse_small(KINDS["mipro"], (9, 1, 2), "12 cells of the task", more="give --cells {n}")


def test_every_optimizer_that_suffices_is_named() -> None:
    said = (
        r"Use --optimizer bootstrap or simba or copro, for which they suffice; or give --cells 25"
    )
    with pytest.raises(ConfigError, match=said):
        refuse_small(KINDS["gepa"], (9, 3, 6), "18 cells of the task", more="give --cells {n}")


@pytest.mark.parametrize(
    ("stage", "optimizer", "said"),
    [("writer", "gepa", "be one of keywords, instructions, answers, judge, answer-judge, question"),
     ("answers", "adam", "be one of bootstrap, random-search, bootstrap-optuna, mipro, gepa")],
)  # fmt: skip
def test_unknown_names_are_answered_with_the_list(stage: str, optimizer: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_names(stage, optimizer)


def test_a_judge_needs_levels(no_call: Any) -> None:
    rows = tuple(row.__class__(row.question, row.answer, row.key) for row in devset().rows)
    with pytest.raises(ConfigError, match="have a level each"):
        compiled("judge", "bootstrap", no_call, devset=DevSet("d", rows, labelled=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_budget_is_never_overrun_and_wider_ones_search_wider(optimizer: str) -> None:
    job = Job(program(), "answers", optimizer, devset(60), repeats=1)
    with pytest.raises(ConfigError) as refused:
        check_job(Job(program(), "answers", optimizer, devset(60), repeats=1, budget_calls=1))
    least = int(str(refused.value).partition("at least ")[2].partition(":")[0].replace(",", ""))
    assert check_job(job).most >= least
    widths = []
    for calls in (least, 3 * least, 20 * least):
        price = check_job(
            Job(program(), "answers", optimizer, devset(60), repeats=1, budget_calls=calls)
        )
        assert price.most <= calls
        widths.append(price.width)
    assert widths == sorted(widths)
    if optimizer not in {"gepa", "random-search"}:
        return
    log, budget = MemoryLog(), calls_budget(least)
    shared = {"log": log, "budget": budget}
    given = models(program=lm(teacher(1.0), **shared), proposer=lm(teacher(), **shared))
    compiled("answers", optimizer, given, devset=devset(60), budget_calls=least)
    assert budget.spent.calls <= least


def test_the_rows_that_are_asked_for_suffice() -> None:
    for kind in KINDS.values():
        rows = devset(rows_for(kind)).rows
        check_job(Job(program(), "answers", kind.name, DevSet("d", rows, labelled=True)))


def test_an_unlabelled_set_is_judged_by_a_larger_vote_and_says_so() -> None:
    rows = tuple(row.__class__(row.question) for row in devset().rows)
    found = compiled("answers", "bootstrap", devset=DevSet("d", rows, labelled=False))
    assert "self-consistency, not accuracy" in found.metric


def test_a_self_labelled_set_is_not_called_accuracy() -> None:
    self_labelled = DevSet("d", devset().rows, labelled=True, labelled_by="a vote")
    found = compiled("answers", "bootstrap", devset=self_labelled)
    assert found.metric == "agreement with self-labels (not accuracy)"
    assert "self-labelled (a vote)" in found.notices[0]
    assert compiled("answers", "bootstrap").metric == "accuracy"


def test_cells_are_made_of_the_tasks_own_keywords_without_a_dev_set() -> None:
    found = compiled("instructions", "bootstrap", devset=None, cells=20)
    assert found.sizes == (7, 5, 8)


def test_a_dev_set_that_the_chain_cannot_use_is_told() -> None:
    bare = tuple(replace(row, keywords=(), level=None) for row in devset().rows)
    for rows, unused in ((bare, True), (devset().rows, False)):
        found = compiled("chain", "bootstrap", devset=DevSet("d", rows, labelled=True))
        assert ("The dev set was not used" in " ".join(found.notices)) is unused


def test_a_compile_can_begin_with_compiled_prompts() -> None:
    first = compiled("judge", "bootstrap").program
    both = compiled("answers", "bootstrap", program=first).program
    assert both.level_judge.predict.demos == first.level_judge.predict.demos
    assert both.vote.draw.predict.demos


def test_progress_tells_phases_and_the_best_so_far() -> None:
    progress, phases = Progress(), []

    def told() -> None:
        if phases[-1:] != [progress.phase]:
            phases.append(progress.phase)

    job = Job(program(), "judge", "random-search", devset(), repeats=1, threads=2)
    with dspy.context(adapter=adapter()):
        compile_stage(job, models(), progress=progress, told=told)
    assert phases == ["examples", "plain prompts", "random-search", "held-out score"]
    assert progress.best is not None
    assert progress.plain is not None
    assert progress.best >= progress.plain
    assert progress.judged > 20


def test_a_closed_gate_lets_nobody_in_and_waits_for_who_is_inside() -> None:
    gate, inside, out = Gate(), threading.Event(), threading.Event()

    def work() -> None:
        with gate:
            inside.set()
            out.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(10)
    gate.close(RuntimeError("over"), wait_s=0.01)
    with pytest.raises(SearchStopped, match="over"), gate:
        pass
    out.set()
    gate.close(RuntimeError("over"), wait_s=10)
    thread.join(10)
    assert not thread.is_alive()


def test_an_evaluation_draws_repeats_anew() -> None:
    samples: list[int] = []

    def reply(call: Call) -> str:
        samples.append(call.sample)
        return chat(reasoning="r", answer="4")

    example = dspy.Example(question="2 + 2?", key="4", gold="4").with_inputs("question")
    metric = Judging(lambda example, outcome: Score(float(outcome.key == example.key), ""))
    with dspy.context(lm=lm(Script(reply).backend()), adapter=adapter()):
        found = evaluate(stage_of(program(), "answers"), [example], metric, threads=1, repeats=3)
    assert found.values == (1.0,)
    assert len(set(samples)) == 3


def test_the_streams_are_as_they_were_after_a_compile() -> None:
    out, err = sys.stdout, sys.stderr
    compiled("answers", "bootstrap")
    assert (sys.stdout, sys.stderr) == (out, err)
