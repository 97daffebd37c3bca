from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import dspy
import pytest
from dspy import lm15
from dspy.utils import DummyLM
from dspy.utils.exceptions import LMError
from scripted import Call, Script, chat, said

from ds2.engines.budget import BudgetSpent
from ds2.engines.retry import RetryPolicy
from programs.answers import AnswerDraw
from programs.redraw import REDRAW
from programs.sampling import MODEL_FIXED, Temperatures
from programs.stopping import Counts, Decision, fixed
from programs.voting import SelfConsistency
from signatures.errors import ConfigError
from signatures.records import Vote
from signatures.task import AnswerFormat, AnswerKind, load_task

pytestmark = pytest.mark.usefixtures("one_adapter")

QUESTION = "How many?"
NO_RETRY = RetryPolicy(attempts=1, first_attempts=1)


def replies(*answers: str | tuple[str, str]) -> Callable[[Call], str]:
    """Return replies by sample number: an answer, or its steps and the answer; a lone text as is."""

    def reply(call: Call) -> str:
        answer = answers[call.sample % REDRAW]
        if isinstance(answer, tuple):
            return chat(reasoning=answer[0], answer=answer[1])
        return answer if " " in answer else chat(reasoning=f"steps to {answer}", answer=answer)

    return reply


def voter(k: int = 5, threshold: float = 0.6, answer: Any = "number", **more: Any) -> Any:
    draw = dspy.ChainOfThought("question -> answer")
    return SelfConsistency(draw, fixed(k, threshold), answer, **more)


def vote_on(script: Script, program: Any = None, **inputs: Any) -> Vote:
    with dspy.context(lm=script.lm(retry=NO_RETRY)):
        return (program or voter())(**({"question": QUESTION} | inputs)).vote


def test_it_works_around_a_chain_of_thought_with_a_plain_model() -> None:
    answers = [
        {"reasoning": "r" * n, "answer": a} for n, a in enumerate(["4", "4.0", "5", "4", "x"])
    ]
    with dspy.context(lm=DummyLM(answers)):
        outcome = voter()(question=QUESTION)
    assert (outcome.answer, outcome.accepted, outcome.agreement) == ("4", True, 0.6)
    assert sorted(s.answer for s in outcome.losing) == ["5"]


def test_it_works_on_a_plain_lm_with_the_cache_of_dspy(tmp_path: Any) -> None:
    script = Script(chat(reasoning="r", answer="4"))
    lm = script.plain_lm(cache=True, temperature=0.7)
    question = f"How many in {tmp_path}?"  # of this test alone: the cache is of the process
    with dspy.context(lm=lm):
        first, second = (voter()(question=question).vote for _ in range(2))
    assert len(script.calls) == 5
    assert first == second


def test_the_winner_is_what_most_draws_mean() -> None:
    vote = vote_on(Script(replies("1,200", "$1200", "1200.00", "12", "13")))
    assert (vote.accepted, vote.winner, vote.agreement) == (True, "1200", 0.6)
    assert vote.counts[0][1] == 3
    assert (vote.draws, vote.reason) == (5, "majority")


def test_an_unreadable_draw_counts_as_a_draw() -> None:
    vote = vote_on(Script(replies("4", "4", "no idea", "none at all", "who knows")))
    assert (vote.accepted, vote.reason, vote.agreement) == (False, "below_threshold", 0.4)
    assert [s.number for s in vote.samples if s.unreadable] == [2, 3, 4]


def test_a_tie_has_no_winner() -> None:
    vote = vote_on(Script(replies("4", "5", "4", "5", "6")), voter(threshold=0.2))
    assert (vote.accepted, vote.winner, vote.response, vote.reason) == (False, None, None, "tie")
    assert vote.agreement == 0.4


def test_nothing_readable_is_rejected_and_kept() -> None:
    vote = vote_on(Script("I would rather not say"))
    assert (vote.winner, vote.agreement, vote.reason) == (None, 0.0, "unreadable")
    assert len(vote.samples) == 5
    assert {s.reasoning for s in vote.samples} == {"I would rather not say"}


def test_the_response_is_the_agreeing_one_nearest_to_the_median_length() -> None:
    script = Script(replies(("x" * 90, "4"), ("x" * 9, "4"), ("y" * 30, "5"), ("x" * 31, "4"), "4"))
    vote = vote_on(script, voter(threshold=0.5))
    assert vote.response is not None
    lengths = sorted(len(s.reasoning) for s in vote.samples if s.answer == "4")
    assert lengths == [9, 10, 31, 90]
    assert vote.response == 4 or vote.response == 3
    middle = (10 + 31) / 2
    assert abs(len(vote.samples[vote.response].reasoning) - middle) == 10.5


def test_two_responses_as_near_are_decided_by_draw_order() -> None:
    script = Script(replies(("a" * 10, "4"), ("b" * 20, "4"), ("c" * 10, "4"), ("d" * 20, "4")))
    assert vote_on(script, voter(k=4)).response == 0


def test_a_response_that_kept_to_the_form_goes_before_one_that_did_not() -> None:
    salvaged = "I counted them one by one. The answer is 4"
    script = Script(replies(salvaged, salvaged, salvaged, salvaged, ("s", "4")))
    vote = vote_on(script)
    assert (vote.agreement, vote.response) == (1.0, 4)
    assert [s.parsed for s in vote.samples] == [False] * 4 + [True]


def test_an_answer_is_read_out_of_a_reply_that_does_not_parse() -> None:
    vote = vote_on(Script("Two and two make four, so the answer is 4."))
    assert (vote.accepted, vote.winner) == (True, "4")
    assert not any(s.parsed for s in vote.samples)


def test_a_response_never_shows_the_marks_of_the_adapter() -> None:
    broken = "[[ ## reasoning ## ]]\nTwo and two make four.\n\nThe answer is 4"
    outcome = run(Script(broken))
    assert outcome.accepted
    assert outcome.response == "Two and two make four.\n\nThe answer is 4"


def run(script: Script, program: Any = None) -> dspy.Prediction:
    with dspy.context(lm=script.lm(retry=NO_RETRY)):
        return (program or voter())(question=QUESTION)


@pytest.mark.parametrize(
    ("finish", "problem"), [("length", "truncated"), ("content_filter", "moderated")]
)
def test_a_reply_that_was_cut_or_withheld_is_unreadable(finish: str, problem: str) -> None:
    vote = vote_on(Script(lambda _: said(chat(reasoning="so far 4", answer="4"), finish)))
    assert {s.unreadable for s in vote.samples} == {problem}
    assert vote.reason == "unreadable"


def test_all_draws_of_a_wave_are_in_flight_at_once() -> None:
    script = Script(chat(reasoning="r", answer="4"), together=lambda _: 8)
    vote_on(script, voter(k=8))
    assert (script.peak, len(script.calls)) == (8, 8)


class Waves:
    """A policy of two waves, to see what a second one changes."""

    max_draws = 4
    spec = "waves"

    def decide(self, counts: Counts) -> Decision:
        if counts.draws < 4:
            return Decision(2, accepted=False, reason="more")
        return Decision(0, accepted=True, reason="majority")


@pytest.mark.parametrize(
    ("by", "drawn"), [("wave", [0.7, 0.7, 0.8, 0.8]), ("draw", [0.7, 0.8, 0.9, 0.7])]
)
def test_the_temperature_changes_by_wave_or_by_draw(by: Any, drawn: list[float]) -> None:
    script = Script(chat(reasoning="r", answer="4"))
    program = SelfConsistency(
        dspy.ChainOfThought("question -> answer"),
        Waves(),
        "number",
        temperatures=Temperatures(answers_by=by),
    )
    vote = vote_on(script, program)
    assert [s.temperature for s in vote.samples] == drawn
    assert [c.temperature for c in sorted(script.calls, key=lambda c: c.sample)] == drawn


def test_draws_of_a_model_that_fixes_its_temperature_are_plain_repeats() -> None:
    script = Script(chat(reasoning="r", answer="4"))
    vote = vote_on(script, voter(temperatures=MODEL_FIXED))
    assert {c.temperature for c in script.calls} == {None}
    assert sorted(c.sample for c in script.calls) == [0, 1, 2, 3, 4]
    assert {s.temperature for s in vote.samples} == {None}


def test_an_error_of_the_model_goes_up_and_is_never_a_vote() -> None:
    failing = Script(chat(reasoning="r", answer="4"), failures={2: lm15.ServerError("down")})
    with pytest.raises(LMError):
        vote_on(failing)
    assert len(failing.calls) == 5


def test_a_circuit_breaker_goes_before_an_ordinary_error() -> None:
    failing = Script("x", failures={0: lm15.ServerError("down"), 3: BudgetSpent()})
    with pytest.raises(BudgetSpent):
        vote_on(failing)


def test_forward_and_aforward_give_the_same_record() -> None:
    script = Script(replies("4", "4", "5", "4.0", "6"))
    sync = vote_on(script)

    async def again() -> Vote:
        with dspy.context(lm=script.lm()):
            return (await voter().acall(question=QUESTION)).vote

    assert asyncio.run(again()) == sync


def test_a_vote_does_not_depend_on_which_reply_comes_first() -> None:
    answers = replies("4", "5", "4", "6", "4")
    votes = [
        vote_on(Script(answers, latency=lambda c, s=sign: 0.002 * (s * c.sample % 5)))  # type: ignore[misc]
        for sign in (1, -1)
    ]
    assert votes[0] == votes[1]


def test_every_draw_is_traced_to_the_inner_predictor() -> None:
    script = Script(chat(reasoning="r", answer="4"))
    program = voter()
    trace: list[Any] = []
    with dspy.context(lm=script.lm(), trace=trace):
        program(question=QUESTION)
    assert len(trace) == 5
    assert {id(predictor) for predictor, _, _ in trace} == {id(program.draw.predict)}
    assert trace[0][1] == {"question": QUESTION}


def test_its_predictors_are_those_of_the_module_it_draws_from() -> None:
    assert [name for name, _ in voter().named_predictors()] == ["draw.predict"]


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> Vote:
        return vote_on(Script(chat(reasoning="r", answer="4")))

    assert asyncio.run(notebook()).accepted


def test_sixteen_threads_may_vote_at_once() -> None:
    script = Script(
        lambda c: chat(reasoning="r", answer=str(c.sample % 2)), latency=lambda _: 0.001
    )
    program = voter()
    with dspy.context(lm=script.lm()), ThreadPoolExecutor(16) as pool:
        work = [
            pool.submit(copy_context().run, program, question=f"How many in box {i}?")
            for i in range(32)
        ]
        outcomes = [w.result() for w in work]
    assert {o.vote.counts for o in outcomes} == {(("0", 3), ("1", 2))}
    assert len(script.calls) == 160


def test_evaluate_scores_it_in_threads() -> None:
    script = Script(chat(reasoning="r", answer="4"))
    devset = [dspy.Example(question=f"{i}?", answer="4").with_inputs("question") for i in range(12)]
    with dspy.context(lm=script.lm()):
        result = dspy.Evaluate(
            devset=devset,
            metric=lambda example, prediction, trace=None: prediction.answer == example.answer,
            num_threads=6,
            display_progress=False,
        )(voter())
    assert result.score == 100


def test_a_deep_copy_votes_alone_and_shares_its_engine() -> None:
    script = Script(chat(reasoning="r", answer="4"))
    program = voter()
    program.set_lm(script.lm())
    copied = copy.deepcopy(program)
    copied.draw.predict.demos = [dspy.Example(question="q", reasoning="r", answer="1")]
    assert copied(question=QUESTION).vote.accepted
    assert program.draw.predict.demos == []
    assert len(script.calls) == 5


def test_a_module_that_can_only_be_called_is_drawn_from_in_threads() -> None:
    class OnlySync(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict = dspy.Predict("question -> answer")

        def forward(self, question: str, config: dict[str, Any]) -> dspy.Prediction:
            return self.predict(question=question, config=config)

    script = Script(lambda c: chat(answer=str(c.sample // 3)))
    with dspy.context(lm=script.lm()):
        vote = SelfConsistency(OnlySync(), fixed(5, 0.6), "number")(question=QUESTION).vote
    assert vote.counts == (("0", 3), ("1", 2))
    assert all(s.call for s in vote.samples)


def test_a_choice_is_read_by_letter_or_by_its_option() -> None:
    task = load_task("cfa")
    program = SelfConsistency(AnswerDraw(task), fixed(3, 0.6), task.answer)
    script = Script(
        lambda c: [
            chat(reasoning="r", answer="B"),
            chat(reasoning="r", answer="Z"),
            "It falls, so the answer is (B).",
        ][c.sample % REDRAW]
    )
    vote = vote_on(script, program, options=("up", "down", "flat"))
    assert vote.counts == (("B", 2),)
    assert vote.samples[1].unreadable


def test_labels_of_any_script_are_compared() -> None:
    fmt = AnswerFormat(kind=AnswerKind.LABEL, labels=("はい", "いいえ"))
    vote = vote_on(Script(replies("はい", "はい。", "いいえ", "はい", "？")), voter(answer=fmt))
    assert vote.counts[0] == ("はい", 3)


@pytest.mark.parametrize("kind", ["choice", "label", "open", "numbers", ""])
def test_a_kind_that_says_too_little_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="be an AnswerFormat or one of expression, number, text"):
        voter(answer=kind)


def test_a_module_without_an_answer_is_refused() -> None:
    program = SelfConsistency(dspy.Predict("question -> reply"), fixed(1, 1))
    with pytest.raises(ConfigError, match="have an output field `answer`"):
        vote_on(Script(chat(reply="4")), program)


def test_an_empty_reply_is_unreadable() -> None:
    assert vote_on(Script("")).reason == "unreadable"
    assert vote_on(Script(chat(reasoning="", answer=""))).reason == "unreadable"
