from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dspy
import pytest
from dspy import lm15
from dspy.utils.exceptions import LMInvalidRequestError
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Call, Script, chat, said

from programs.answers import AnswerDraw
from programs.instructions import InstructionWriter
from programs.keywords import KeywordExpansion
from programs.redraw import MOST_CALLS, REDRAW, longer, refuses
from programs.sampling import Temperatures
from programs.stopping import curtailed, fixed
from programs.voting import SelfConsistency
from signatures.errors import StageError
from signatures.records import Vote
from signatures.task import load_task

pytestmark = pytest.mark.usefixtures("one_adapter")

GSM8K = load_task("gsm8k")
GOOD = chat(question="What does one cost?")
CUT = said("[[ ## question ## ]]\nWhat does", "length")


def write(*replies: Any, cap: int | None = None, visit: int = 0, **backend: Any) -> tuple[Any, ...]:
    """Return the outcome of the writer over these replies, and the calls it made."""
    script = Script(list(replies))
    with dspy.context(lm=script.lm(backend=backend)):
        writer = InstructionWriter(GSM8K, max_tokens_cap=cap)
        outcome = writer(keywords=["unit rate"], level="Apply", visit=visit)
    assert len(script.calls) == len(replies)
    return outcome, script.calls


def limits(calls: Sequence[Call]) -> list[int | None]:
    return [call.request.config.max_tokens for call in calls]


# More room after a cut.


@pytest.mark.parametrize(("cap", "grown"), [(None, 4096), (3000, 3000), (9000, 4096)])
def test_a_reply_that_was_cut_is_asked_for_again_with_more_room(
    cap: int | None, grown: int
) -> None:
    outcome, calls = write(CUT, GOOD, cap=cap, visit=3)
    assert outcome.instruction is not None
    assert limits(calls) == [2048, grown]
    assert [call.sample for call in calls] == [48, 48]
    assert calls[0].prompt == calls[1].prompt


def test_it_grows_once_and_then_counts_as_truncated() -> None:
    outcome, _ = write(CUT, CUT)
    assert outcome.rejection.reason == "truncated"
    assert "What does" in outcome.rejection.detail


@pytest.mark.parametrize(
    ("cap", "limit"), [(2048, 2048), (100, 2048), (None, None)], ids=["cap", "low-cap", "no-limit"]
)
def test_without_room_to_grow_it_is_not_asked_again_at_the_same_length(
    cap: int | None, limit: int | None
) -> None:
    outcome, _ = write(CUT, cap=cap, max_tokens=limit)
    assert outcome.rejection.reason == "truncated"


def test_an_endpoint_that_takes_no_longer_limit_leaves_the_reply_that_was_cut() -> None:
    refusal = lm15.ContextLengthError("at most 4096 tokens", status=400)
    outcome, _ = write(CUT, refusal)
    assert outcome.rejection.reason == "truncated"


def test_a_first_call_that_is_refused_is_no_content() -> None:
    with pytest.raises(LMInvalidRequestError):
        write(lm15.InvalidRequestError("no", status=400))


def test_a_limit_of_a_predictor_goes_before_that_of_its_model() -> None:
    draw = AnswerDraw(GSM8K)
    with dspy.context(lm=Script("x").lm()):
        assert longer(draw) == 4096
        draw.predict.config["max_tokens"] = 10
        assert longer(draw) == 20
    with dspy.context(lm=None):
        del draw.predict.config["max_tokens"]
        assert longer(draw) is None


# A new draw after a reply that does not parse.


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("Sure! SECRET words of the model", "for lack of `question` in the form asked for"),
        ("", "it was empty"),
    ],
)
@pytest.mark.parametrize("adapter", [None, dspy.JSONAdapter()], ids=["chat", "json"])
def test_a_reply_that_does_not_parse_gets_one_new_draw_with_the_reason(
    bad: str, reason: str, adapter: Any
) -> None:
    good = GOOD if adapter is None else '{"question": "What does one cost?"}'
    with dspy.context(**({} if adapter is None else {"adapter": adapter})):
        outcome, calls = write(bad, good, visit=2)
    assert outcome.instruction.question == "What does one cost?"
    assert [call.sample for call in calls] == [32, 33]
    assert calls[1].prompt.startswith(calls[0].prompt)
    added = calls[1].prompt.removeprefix(calls[0].prompt)
    assert reason in added
    assert "SECRET" not in added


def test_the_reason_is_not_in_the_prompts_that_follow() -> None:
    script = Script(["no form", GOOD, GOOD])
    with dspy.context(lm=script.lm()):
        writer = InstructionWriter(GSM8K)
        writer(keywords=["unit rate"], level="Apply")
        writer(keywords=["unit rate"], level="Apply", visit=1)
    assert script.calls[2].prompt == script.calls[0].prompt


def test_a_field_of_another_type_is_said() -> None:
    task = load_task("cfa")
    script = Script(
        [chat(question="q", options="none"), chat(question="q", options='["a","b","c"]')]
    )
    with dspy.context(lm=script.lm()):
        written = InstructionWriter(task)(keywords=["bond"], level="Apply")
    assert written.instruction is not None
    assert "An earlier reply could not be used:" in script.calls[1].prompt


def test_the_new_draw_counts_whatever_it_is() -> None:
    outcome, _ = write("no form", "no form either")
    assert (outcome.rejection.reason, "either" in outcome.rejection.detail) == ("unparsable", True)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I'm sorry, but I can't help with that.", "refused"),
        (said("", "content_filter"), "moderated"),
    ],
)
def test_the_models_own_word_counts_at_once(reply: Any, reason: str) -> None:
    assert write(reply)[0].rejection.reason == reason


@pytest.mark.parametrize(
    "replies",
    [("no form", CUT, GOOD), (CUT, "no form", GOOD), (CUT, "no form", CUT), ("no form", CUT, "no")],
    ids=["parse-cut-good", "cut-parse-good", "cut-parse-cut", "parse-cut-parse"],
)
def test_no_draw_is_more_than_its_most_calls(replies: tuple[Any, ...]) -> None:
    assert len(replies) == MOST_CALLS
    outcome, calls = write(*replies)
    assert (outcome.instruction is not None) == (replies[-1] is GOOD)
    assert limits(calls)[-1] == 4096


def test_every_call_has_a_key_of_its_own_and_is_asked_once() -> None:
    script = Script(["no form", CUT, GOOD])
    with dspy.context(lm=script.lm()):
        outcomes = [InstructionWriter(GSM8K)(keywords=["pi"], level="Apply") for _ in range(2)]
    assert len(script.calls) == 3
    assert outcomes[0].instruction == outcomes[1].instruction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I\N{RIGHT SINGLE QUOTATION MARK}m unable to do that", True),
        ("As an AI language model, I", True),
        ("Sorry, no.", True),
        ("  I won't\n", True),
        ("I cannoli", False),
        ("Assume I cannot", False),
        ("Is sorry a word?", False),
        ("", False),
    ],
)
def test_a_refusal_is_known_by_its_opening(text: str, expected: bool) -> None:
    assert refuses(text) is expected


# Votes.


def vote_on(script: Script, policy: Any) -> Vote:
    with dspy.context(lm=script.lm()):
        by_draw = Temperatures(answers_by="draw")
        program = SelfConsistency(AnswerDraw(GSM8K), policy, GSM8K.answer, temperatures=by_draw)
        vote: Vote = program(question="How many?").vote
    return vote


def test_a_sample_from_which_nothing_can_be_read_is_drawn_once_more() -> None:
    def reply(call: Call) -> str:
        if call.sample == 1:
            return "Let me think about the weather."
        if call.sample == 2:
            return "So the answer is 4."  # not in form, and read all the same
        return chat(reasoning="r", answer="4")

    script = Script(reply)
    vote = vote_on(script, fixed(3, 0.6))
    assert vote.counts == (("4", 3),)
    assert sorted(call.sample for call in script.calls) == [0, 1, 2, 1 + REDRAW]
    assert [sample.number for sample in vote.samples] == [0, 1, 2]
    assert len({sample.call for sample in vote.samples}) == 3


def test_a_sample_that_was_cut_grows_and_one_that_refuses_does_not() -> None:
    def reply(call: Call) -> Any:
        if call.sample == 0:
            grown = call.request.config.max_tokens == 4096
            return chat(reasoning="r", answer="4") if grown else said("Let me", "length")
        return "I cannot answer that."

    script = Script(reply)
    vote = vote_on(script, fixed(2, 0.4))
    assert (vote.accepted, [s.unreadable for s in vote.samples]) == (True, [None, "refused"])
    assert len(script.calls) == 3


KINDS: dict[str, Callable[[bool], Any]] = {
    "four": lambda _: chat(reasoning="r", answer="4"),
    "five": lambda _: chat(reasoning="r", answer="5"),
    "heals": lambda again: chat(reasoning="r", answer="4") if again else "no form",
    "never": lambda _: "no form",
    "cut": lambda _: said("no", "length"),
}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=5, max_size=5))
def test_a_vote_that_stops_early_still_says_what_the_fixed_one_says(story: list[str]) -> None:
    def reply(call: Call) -> Any:
        return KINDS[story[call.sample % REDRAW]](call.sample >= REDRAW)

    long, short = (vote_on(Script(reply), policy(5, 0.6)) for policy in (fixed, curtailed))
    assert (long.accepted, long.winner if long.accepted else None) == (
        short.accepted,
        short.winner if short.accepted else None,
    )
    assert long.samples[: short.draws] == short.samples


# Keywords.


def listed(*keywords: str) -> str:
    return chat(keywords=str(list(keywords)).replace("'", '"'))


def grow(*replies: Any) -> list[Call]:
    script = Script(list(replies))
    with dspy.context(lm=script.lm()):
        KeywordExpansion(GSM8K)(size=2)
    return script.calls


def test_a_list_that_does_not_parse_is_asked_for_again_with_the_reason() -> None:
    calls = grow("", listed(), listed("unit rate", "discount"))
    assert "it was empty" in calls[1].prompt
    assert "it held no keyword" in calls[2].prompt


def test_a_list_that_was_cut_before_its_first_keyword_gets_more_room_once() -> None:
    calls = grow(said("", "length"), listed("unit rate", "discount"))
    assert limits(calls) == [2048, 4096]
    with pytest.raises(StageError, match="not cut at the token limit") as raised:
        grow(said("", "length"), said("", "length"))
    assert "--max-tokens" in str(raised.value)
