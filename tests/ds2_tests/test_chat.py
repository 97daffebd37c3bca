"""The short way to a chat completions endpoint says and reads what the native engine does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from dspy import lm15
from dspy.lm15 import Config, Message, Request, TextPart
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_server import asked, odd_server, replying, saying

from ds2.engines.chat import ChatEngine
from ds2.engines.choices import Choice, Spoiled, Tokens, read_choices, shares
from ds2.engines.native import read_reply
from ds2.engines.resolve import resolve_backend
from ds2.engines.usage import sound_usage

JSON = "application/json"
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)


def engine(model: str = "m", url: str = "http://localhost:1/v1", **options: Any) -> ChatEngine:
    backend = resolve_backend(model, api_base=url, environ={}, timeout_s=5, **options)
    opened = backend.open()
    assert isinstance(opened, ChatEngine)
    return opened


def body(engine: ChatEngine, request: Request) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the body that is written here, None where it is not, and the native engine's."""
    lm = engine._route.provider_lm()
    wire = engine._shape.of(request)
    native = json.loads(lm._inner.build_request(wire, stream=False).body)
    native.pop("seed", None)
    return engine._plain(request), native


@settings(max_examples=50)
@given(
    model=st.sampled_from(["m", "gpt-5-mini", "deepseek-reasoner", "Qwen/Qwen3-8B"]),
    sampling=st.sampled_from([None, {"min_p": 0.05}, {"top_p": 0.4, "stop": ["\n"]}]),
    system=st.none() | TEXT,
    turns=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXT), min_size=1, max_size=3),
    config=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0.1, 1),
            "max_tokens": st.integers(1, 99),
            "stop": st.just(("a", "b")),
            "presence_penalty": st.floats(-1, 1),
            "frequency_penalty": st.floats(-1, 1),
            "extensions": st.just({"min_p": 0.2}),
        },
    ),
)
def test_a_plain_body_is_that_of_the_native_engine(
    model: str, sampling: Any, system: str | None, turns: Any, config: dict[str, Any]
) -> None:
    messages = tuple(Message(role, (TextPart(text),)) for role, text in turns)
    request = Request("ds2/neutral", messages, system=system, config=Config(**config))
    ours, native = body(engine(model, sampling=sampling), request)
    assert ours == native


@pytest.mark.parametrize(
    "more",
    [{"top_k": 3}, {"response_format": {"type": "json_object"}}, {"logprobs": 0}],
    ids=lambda more: next(iter(more)),
)
def test_what_is_more_than_text_is_left_to_the_native_engine(more: dict[str, Any]) -> None:
    assert body(engine(), asked(**more))[0] is None


MESSAGES: list[dict[str, Any]] = [
    {"content": "hello"},
    {"content": ""},
    {"content": None},
    {"content": "水🌊"},
    {"content": "<think>two and two</think>4"},
    {"content": "four", "reasoning_content": "two and two"},
    {"content": "four", "reasoning": "two and two"},
    {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"content": None, "refusal": "I cannot."},
    {"content": "x", "annotations": [], "tool_calls": None},
]
USAGES: list[Any] = [
    None,
    {},
    {"prompt_tokens": 3, "completion_tokens": 10, "total_tokens": 13},
    {"prompt_tokens": 3, "completion_tokens": 10, "completion_tokens_details": None},
    {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 4}},
    {"prompt_tokens": -1},
    {"prompt_tokens": "3"},
    {"prompt_tokens": 3.5},
    {"prompt_tokens": 10**22, "completion_tokens": 4},
    [7],
]


@pytest.mark.parametrize("usage", USAGES, ids=str)
@pytest.mark.parametrize("message", MESSAGES, ids=str)
@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", None, "eos", "abort"])
def test_a_reply_is_read_as_the_native_engine_reads_it(
    message: dict[str, Any], usage: Any, finish: str | None
) -> None:
    message = {"role": "assistant", **message}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    data = {"id": "c-1", "model": "served", "choices": [choice], "usage": usage}
    told = {**data, "usage": sound_usage(usage)}
    try:
        native = Choice.of(read_reply(lm15.response_from_openai_chat(told, model="m")))
    except (lm15.LM15Error, TypeError, ValueError):
        with pytest.raises(lm15.ServerError):
            read_choices(data, 1, model="m")
        return
    assert read_choices(data, 1, model="m") == [native]


def test_a_count_that_makes_no_sense_is_not_reported_and_the_text_is_kept() -> None:
    absurd = {
        "prompt_tokens": 10**22,
        "completion_tokens": 4,
        "completion_tokens_details": {"x": 1},
    }
    [read] = read_choices(several("paid", **absurd), 1, model="m")
    assert read is not None
    assert (read.text, read.tokens) == ("paid", Tokens(None, 4, None))


@pytest.mark.parametrize("provider", ["", "openai"])
@pytest.mark.parametrize("details", ["none", 1, [1], True])
def test_details_of_a_wrong_shape_do_not_lose_the_text(details: Any, provider: str) -> None:
    told = {"prompt_tokens": 3, "completion_tokens": 4}
    odd = {"prompt_tokens_details": details, "completion_tokens_details": details}
    [read] = read_choices(several("paid", **told, **odd), 1, model="m", provider=provider)
    assert read is not None
    assert (read.text, read.tokens) == ("paid", Tokens(3, 4, None))


def test_a_prompt_of_no_tokens_is_one_that_is_not_reported() -> None:
    read = read_choices(several("a", "b", prompt_tokens=0, completion_tokens=4), 2, model="m")
    assert [choice and choice.tokens.input for choice in read] == [None, None]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "hello",
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": [None]},
        {"error": "overloaded"},
        {"error": {"message": "upstream", "code": "502"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [1, 3])
def test_what_is_no_completion_is_no_choice(data: Any, n: int) -> None:
    with pytest.raises((lm15.LM15Error, TypeError)):
        read_choices(data, n, model="m")


def several(*texts: str | None, indices: Any = None, **usage: Any) -> dict[str, Any]:
    """Return a body with a choice for each text; None is a choice that the server broke off."""
    places = range(len(texts)) if indices is None else indices
    choices = [
        {
            "index": at,
            "message": {"role": "assistant", "content": text or ""},
            "finish_reason": "stop" if text is not None else "abort",
        }
        for at, text in zip(places, texts, strict=True)
    ]
    return {"model": "m", "choices": choices, "usage": usage}


def nulls(data: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a body with as many choices more that are null."""
    return {**data, "choices": [*data["choices"], *[None] * number]}


SPOILED = Spoiled(counted=False)


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (several("a", "b", "c"), ["a", "b", "c"]),
        (several("c", "a", "b", indices=[2, 0, 1]), ["a", "b", "c"]),
        (several("a", "b"), ["a", "b", None]),
        (several("a", "c", indices=[0, 2]), ["a", None, "c"]),
        (several("a", "b", "c", "d"), ["a", "b", "c"]),
        (several("a", "b", "again", indices=[0, 1, 1]), ["a", "b", SPOILED]),
        (several("a", "b", indices=[0, 7]), ["a", SPOILED, None]),
        (several("a", None, "c"), ["a", SPOILED, "c"]),
        (several(None, "c", indices=[1, 2]), [None, SPOILED, "c"]),
        (several("a", "b", indices=[None, None]), ["a", "b", None]),
        (nulls(several("a"), 1), ["a", SPOILED, None]),
        (nulls(several("a"), 9), ["a", SPOILED, SPOILED]),
        (nulls(several("a", indices=[None]), 1), ["a", SPOILED, None]),
    ],
    ids=[
        "all",
        "shuffled",
        "fewer",
        "a-gap",
        "more",
        "one-twice",
        "beyond",
        "broken-off",
        "broken-off-and-a-gap",
        "no-index",
        "null",
        "nulls",
        "null-and-no-index",
    ],
)
def test_choices_are_told_apart_by_their_index_and_the_written_from_the_missing(
    data: Any, texts: list[str | Spoiled | None]
) -> None:
    read = read_choices(data, 3, model="m")
    assert [c.text if isinstance(c, Choice) else c for c in read] == texts


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 30, "completion_tokens": 8}, True),
        ({"prompt_tokens": 30}, False),
        ({}, False),
    ],
    ids=["reported", "of the prompt alone", "not reported"],
)
def test_the_tokens_of_a_spoiled_choice_are_in_the_shares_where_they_are_reported(
    usage: dict[str, int], counted: bool
) -> None:
    read = read_choices(several("aa", None, "bb", **usage), 4, model="m", provider="openai")
    assert read[1::2] == [Spoiled(counted), None]
    came = [choice for choice in read if isinstance(choice, Choice)]
    assert sum(choice.tokens.input or 0 for choice in came) == usage.get("prompt_tokens", 0)
    assert sum(choice.tokens.output or 0 for choice in came) == usage.get("completion_tokens", 0)


def test_a_reply_without_any_choice_that_can_be_read_is_the_weather() -> None:
    with pytest.raises(lm15.ServerError, match="broke the reply off"):
        read_choices(several(None, None), 2, model="m")


COUNTS = st.none() | st.integers(0, 10_000)


@given(
    tokens=st.builds(Tokens, COUNTS, COUNTS, COUNTS),
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=9),
)
def test_shares_of_the_usage_sum_to_the_whole(
    tokens: Tokens, lengths: list[tuple[int, int]]
) -> None:
    choices = [Choice("x" * said, "y" * thought) for said, thought in lengths]
    each = shares(tokens, choices)
    for name in ("input", "output", "reasoning"):
        whole, parts = getattr(tokens, name), [getattr(share, name) for share in each]
        if whole is not None:
            assert sum(parts) == whole
        elif name != "reasoning":
            assert parts == [None] * len(parts)
    inputs = [share.input for share in each if share.input is not None]
    assert not inputs or max(inputs) - min(inputs) <= 1
    if tokens.output is not None and (tokens.reasoning or 0) <= tokens.output:
        assert all((share.reasoning or 0) <= (share.output or 0) for share in each)


def test_one_request_for_several_says_so_and_no_other() -> None:
    async def work(url: str) -> list[Choice | None]:
        chat = engine(url=url)
        try:
            await chat.draw_one(asked(), seed=4)
            return await chat.draw(asked(), seed=4, n=3)
        finally:
            await chat.aclose()

    with odd_server(replying(text=json.dumps(several("a")), content_type=JSON)) as (url, odd):
        drawn = asyncio.run(work(url))
    assert [choice and choice.text for choice in drawn] == ["a", None, None]
    assert [sent.body.get("n") for sent in odd.sent] == [None, 3]
    assert [sent.body.get("seed") for sent in odd.sent] == [4, 4]
    assert all(sent.body["model"] == "m" for sent in odd.sent)


def test_several_replies_may_be_held_to_a_schema() -> None:
    async def work(url: str) -> None:
        chat = engine(url=url)
        await chat.draw(asked(response_format={"type": "json_object"}), seed=0, n=2)
        await chat.aclose()

    with odd_server(replying(text=json.dumps(several("{}", "{}")), content_type=JSON)) as (
        url,
        odd,
    ):
        asyncio.run(work(url))
    assert odd.sent[0].body["response_format"] == {"type": "json_object"}
    assert odd.sent[0].body["n"] == 2


def test_a_server_that_refuses_a_seed_is_asked_for_several_without_one() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if "seed" in await request.json():
            return web.json_response({"error": {"message": "seed is not supported"}}, status=400)
        return web.json_response(several("a", "b"))

    async def work(url: str) -> list[Choice | None]:
        chat = engine(url=url)
        try:
            return await chat.draw(asked(), seed=0, n=2)
        finally:
            await chat.aclose()

    with odd_server(handle) as (url, odd):
        assert [choice and choice.text for choice in asyncio.run(work(url))] == ["a", "b"]
    assert len(odd.sent) == 2


def test_a_prompt_that_moderation_refuses_is_refused_for_all() -> None:
    error = {"error": {"message": "no", "code": "content_filter"}}

    async def work(url: str) -> list[Choice | None]:
        chat = engine(url=url)
        try:
            return await chat.draw(asked(), seed=0, n=2)
        finally:
            await chat.aclose()

    with odd_server(replying(text=json.dumps(error), status=400, content_type=JSON)) as (url, _):
        drawn = asyncio.run(work(url))
    assert [choice and choice.finish_reason for choice in drawn] == ["content_filter"] * 2


def test_plain_replies_come_from_the_same_wire_as_others() -> None:
    with odd_server(saying("hello")) as (url, _):
        opened = engine(url=url)

        async def work() -> list[str | None]:
            plain = await opened.complete(asked())
            held = await opened.complete(asked(response_format={"type": "json_object"}))
            await opened.aclose()
            return [plain.text, held.text]

        assert asyncio.run(work()) == ["hello", "hello"]
