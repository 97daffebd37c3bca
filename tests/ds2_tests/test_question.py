"""What a key says: the short ways of writing it give the bytes of the long one."""

from __future__ import annotations

from typing import Any

import pytest
from dspy.clients.execution import _canonical, prepare
from dspy.lm15 import Config, Message, Request, TextPart, ThinkingPart
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Script

from ds2.engines.lm import engine_of
from ds2.engines.memo import Memo
from ds2.engines.question import Question, call_key, rendered
from signatures.records import canonical_json, content_id

# Quotes, controls, half surrogates and letters beyond the plane are what an escape can get wrong.
TEXT = st.text(
    st.sampled_from('a"\\\n\t\x00\x1f\x7fé水🌊\u2028') | st.characters(exclude_categories=("Cs",)),
    max_size=20,
)
BACKEND = Script("x").backend(extensions={"min_p": 0.05})


@given(prompt=TEXT, options=TEXT, sample=st.integers(0, 1 << 50))
def test_a_key_is_the_content_id_of_all_that_decides_a_reply(
    prompt: str, options: str, sample: int
) -> None:
    parts = [BACKEND.model, BACKEND.dialect, '{"min_p":0.05}', prompt, options, sample]
    assert call_key(BACKEND, prompt, options, sample) == content_id(parts)


@given(
    system=st.none() | TEXT.filter(bool),
    turns=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXT), min_size=1),
    temperature=st.none() | st.floats(0, 2),
    stop=st.lists(st.text("ab", min_size=1), max_size=2),
)
def test_a_prompt_of_text_is_written_as_canonical_json(
    system: str | None, turns: list[tuple[str, str]], temperature: float | None, stop: list[str]
) -> None:
    messages = tuple(Message(role, (TextPart(text),)) for role, text in turns)
    config = Config(temperature=temperature, stop=tuple(stop), seed=7)
    prompt, options = rendered(Request("m", messages, system=system, config=config))
    assert prompt == canonical_json([system or "", [[role, text] for role, text in turns]])
    told = {} if temperature is None else {"temperature": temperature}
    assert options == canonical_json(told | ({"stop": stop} if stop else {}))


def test_what_is_more_than_text_is_written_out() -> None:
    turns = (Message.assistant([ThinkingPart("hm"), TextPart("so")]), Message.user("go on"))
    prompt, _ = rendered(Request("m", turns))
    assert '"hm"' in prompt


def test_all_samples_of_a_question_have_keys_of_their_own() -> None:
    request = Request("m", (Message.user("hi"),))
    question = Question(BACKEND, request)
    keys = [question.key(sample) for sample in (0, 1, 1 << 40)]
    assert keys == [call_key(BACKEND, *rendered(request), s) for s in (0, 1, 1 << 40)]
    assert question.key(0) == keys[0]


CALLS: list[dict[str, Any]] = [
    {},
    {"temperature": 1},
    {"temperature": 1.0},
    {"temperature": 0.3, "rollout_id": 5},
    {"max_tokens": 9, "stop": ["x"]},
    {"response_format": {"type": "json_object"}},
    {"top_p": None},
    {"seed": 3},
]


@settings(max_examples=40)
@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), min_size=1, max_size=4
    ),
    order=st.permutations(range(len(CALLS))),
)
def test_the_language_model_asks_what_dspy_would_ask(
    turns: list[tuple[str, str]], order: list[int]
) -> None:
    lm = Script("x").lm(temperature=0.7, top_p=0.9)
    messages = [{"role": role, "content": text} for role, text in turns]
    others = [{"role": "user", "content": "of another prompt"}]
    for number in order:
        kwargs = CALLS[number]
        try:
            wanted = _canonical(prepare(lm, None, messages, kwargs))
        except (TypeError, ValueError):  # no request can say this; then neither may ours
            with pytest.raises((TypeError, ValueError)):
                lm._ask(None, messages, kwargs)
            continue
        lm._ask(None, others, kwargs)  # so that the options have been read before
        for _ in range(2):
            question = lm._ask(None, messages, kwargs).question
            assert question.request == wanted
            assert question.options == rendered(wanted)[1]
            assert question.key(4) == call_key(engine_of(lm).backend, *rendered(wanted), 4)


def test_half_of_a_surrogate_pair_is_refused_in_the_words_of_dspy() -> None:
    lm = Script("x").lm()
    lm("read the options first")
    messages = [{"role": "user", "content": "a\ud83cb"}]
    for _ in range(2):
        with pytest.raises(ValueError, match="lone surrogate"):
            lm._ask(None, messages, {})


def test_draws_of_one_prompt_share_one_question() -> None:
    lm = Script("x").lm()
    first, second, other = (
        lm._ask("how many?", None, kwargs).question
        for kwargs in (
            {"rollout_id": 1, "temperature": 0.5},
            {"rollout_id": 2, "temperature": 0.5},
            {"temperature": 0.6},
        )
    )
    assert second is first
    assert other is not first


def test_a_memory_forgets_what_was_not_asked_for_longest() -> None:
    memo: Memo[str] = Memo(2)
    memo.put("a", "A")
    memo.put("b", "B")
    assert memo.get("a") == "A"
    memo.put("c", "C")
    assert [memo.get(key) for key in "abc"] == ["A", None, "C"]
