"""The native engine on a socket: what is sent, what is read, which errors are the weather."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
from typing import Any

import dspy
import pytest
from aiohttp import web
from dspy import lm15
from loopback_server import ask, asked, odd_server, replying, saying

from ds2.engines.explain import explain, unreachable
from ds2.engines.lm import logged_lm
from ds2.engines.resolve import resolve_backend
from ds2.engines.retry import WEATHER
from ds2.engines.thinking import text_of

SECRET = "s3cr3t-key-of-mine"


def backend(url: str, model: str = "m", **options: Any) -> Any:
    options = {"environ": {}, "timeout_s": 5} | options
    return resolve_backend(model, api_base=url, **options)


def error_of(url: str, **options: Any) -> BaseException:
    with pytest.raises(lm15.LM15Error) as caught:
        asyncio.run(ask(backend(url, **options)))
    return caught.value


JSON = "application/json"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param({"text": "<html>busy</html>"}, id="html"),
        pytest.param({"text": '{"choices": [{"mess', "content_type": JSON}, id="truncated-json"),
        pytest.param({"text": "", "content_type": JSON}, id="empty-body"),
        pytest.param({"body": b'{"choices": ["\xff\xfe', "content_type": JSON}, id="invalid-utf8"),
        pytest.param({"text": "[1, 2]", "content_type": JSON}, id="a-list"),
        pytest.param({"text": "null", "content_type": JSON}, id="null"),
        pytest.param({"text": '"hello"', "content_type": JSON}, id="a-string"),
        pytest.param({"text": "{}", "content_type": JSON}, id="no-choices"),
        pytest.param({"text": '{"choices": []}', "content_type": JSON}, id="empty-choices"),
        pytest.param({"text": '{"choices": "no"}', "content_type": JSON}, id="choices-a-string"),
        pytest.param({"text": '{"choices": [null]}', "content_type": JSON}, id="choice-null"),
        pytest.param({"text": '{"choices": [{}]}', "content_type": JSON}, id="no-message"),
        pytest.param({"text": "[" * 100_000, "content_type": JSON}, id="nested-too-deep"),
        pytest.param({"text": "oops", "status": 500}, id="500"),
        pytest.param({"text": "busy", "status": 503}, id="503"),
        pytest.param({"text": "slow", "status": 504}, id="504"),
        pytest.param({"text": "{}", "status": 429}, id="429"),
        pytest.param({"text": "another one is at it", "status": 409}, id="409"),
        pytest.param({"text": "too early", "status": 425}, id="425"),
    ],
)
def test_a_reply_that_cannot_be_read_is_the_weather(reply: dict[str, Any]) -> None:
    with odd_server(replying(**reply)) as (url, _):
        error = error_of(url)
        assert isinstance(error, WEATHER)
        assert explain(error, backend(url)) is None
        assert backend(url).model in str(unreachable(error, backend(url)))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, lm15.RateLimitError), (409, lm15.ServerError), (425, lm15.ServerError)],
)
def test_a_server_that_asks_to_wait_is_heard(status: int, kind: type[lm15.LM15Error]) -> None:
    with odd_server(replying(status=status, headers={"Retry-After": "7"})) as (url, _):
        error = error_of(url)
    assert isinstance(error, kind)
    assert (error.status, error.retry_after) == (status, 7.0)


def test_a_connection_cut_in_the_body_is_the_weather() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"choices"')
        assert request.transport is not None
        request.transport.abort()
        return response

    with odd_server(cut) as (url, _):
        assert isinstance(error_of(url), lm15.TransportError)


def test_a_server_that_is_down_is_the_weather() -> None:
    with odd_server(saying()) as (url, _):
        gone = url
    assert isinstance(error_of(gone), lm15.TransportError)


@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "trickling"])
def test_a_server_that_hangs_times_out(trickle: bool) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if trickle:
            await response.prepare(request)
        for _ in range(300):
            await asyncio.sleep(0.02)
            if trickle:
                await response.write(b" ")
        return response

    with odd_server(hang) as (url, _):
        error = error_of(url, timeout_s=0.2)
    assert isinstance(error, (lm15.TimeoutError, lm15.TransportError))


REFUSED = [
    pytest.param(401, {"message": "Incorrect API key"}, "a valid key in DS2_API_KEY", id="401"),
    pytest.param(403, {"message": "not for you"}, "a valid key in DS2_API_KEY", id="403"),
    pytest.param(402, {"message": "no credit"}, "credit", id="402"),
    pytest.param(404, {"message": "no such page"}, "/v1", id="404"),
    pytest.param(
        404, {"message": "no model", "code": "model_not_found"}, "be served", id="unknown-model"
    ),
    pytest.param(
        400, {"message": "too long", "code": "context_length_exceeded"}, "context", id="context"
    ),
    pytest.param(400, {"message": "temperature is bad"}, "temperature is bad", id="400"),
    pytest.param(405, {"message": "use GET"}, "/v1", id="405"),
    pytest.param(415, {"message": "no JSON here"}, "which it refuses (got 'HTTP 415: no", id="415"),
    pytest.param(451, {"message": "not in your country"}, "choose another model", id="451"),
    pytest.param(418, {"message": "a teapot"}, "take the request", id="418"),
]
SHAPES = [
    pytest.param('{"error": {"message": "no such option"}}', id="openai"),
    pytest.param('{"object": "error", "message": "no such option", "code": 400}', id="flat"),
    pytest.param('{"detail": [{"loc": ["x"], "msg": "no such option"}]}', id="detail"),
    pytest.param('{"error": "no such option", "error_type": "validation"}', id="error-a-string"),
    pytest.param("no such option", id="text"),
]


@pytest.mark.parametrize("body", SHAPES)
def test_the_servers_own_words_are_shown_in_whatever_shape_they_come(body: str) -> None:
    with odd_server(replying(status=422, text=body)) as (url, _):
        assert "no such option" in str(explain(error_of(url), backend(url)))


@pytest.mark.parametrize(("status", "error", "told"), REFUSED)
def test_a_refusal_is_not_tried_again_and_is_explained(
    status: int, error: dict[str, Any], told: str
) -> None:
    body = json.dumps({"error": error})
    with odd_server(replying(status=status, text=body, content_type=JSON)) as (url, _):
        raised = error_of(url)
        explained = explain(raised, backend(url))
    assert not isinstance(raised, WEATHER)
    assert explained is not None
    assert told in str(explained)
    assert f"HTTP {status}" in str(explained)
    assert "be one that can be read" not in str(explained)
    assert url in str(explained)


def test_an_error_of_dspy_is_seen_through_to_its_cause() -> None:
    body = json.dumps({"error": {"message": "Incorrect API key"}})
    with odd_server(replying(status=401, text=body, content_type=JSON)) as (url, _):
        ours = backend(url)
        lm = logged_lm(ours)
        with pytest.raises(dspy.utils.exceptions.LMError) as caught:
            asyncio.run(lm.acall("hi"))
        assert "DS2_API_KEY" in str(explain(caught.value, ours))


def test_a_bug_is_not_explained_away() -> None:
    with odd_server(saying()) as (url, _):
        assert explain(ValueError("ours"), backend(url)) is None


def test_a_redirect_is_not_followed() -> None:
    with odd_server(saying("elsewhere")) as (other, elsewhere):
        target = {"Location": f"{other}/chat/completions"}
        with odd_server(replying(status=307, headers=target)) as (url, _):
            error = error_of(url)
            assert "answer by itself" in str(explain(error, backend(url)))
    assert elsewhere.sent == []
    assert not isinstance(error, WEATHER)


def test_a_prompt_refused_by_moderation_is_content_not_weather() -> None:
    body = json.dumps({"error": {"message": "filtered", "code": "content_filter"}})
    with odd_server(replying(status=400, text=body, content_type=JSON)) as (url, _):
        reply = asyncio.run(ask(backend(url)))
    assert reply.finish_reason == "content_filter"
    assert not reply.message.text


def test_a_server_that_refuses_a_seed_is_asked_without_one() -> None:
    say = saying("hello")

    async def strict(request: web.Request) -> web.StreamResponse:
        if "seed" in await request.json():
            said = json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]})
            return web.Response(status=422, text=said, content_type=JSON)
        return await say(request)

    async def twice(url: str) -> list[str]:
        engine = backend(url).open()
        replies = [await engine.complete(asked(seed=number)) for number in (1, 2)]
        await engine.aclose()
        return [text_of(reply) for reply in replies]

    with odd_server(strict) as (url, odd):
        assert asyncio.run(twice(url)) == ["hello", "hello"]
    assert ["seed" in sent.body for sent in odd.sent] == [True, False, False]


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_no_secret_is_in_an_error_however_the_server_echoes_it(status: int) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        said = f"bad {request.headers.get('Authorization')} and sk-abcdefghijklmnop"
        body = said if status == 200 else json.dumps({"error": {"message": said}})
        return web.Response(status=status, text=body, content_type=JSON)

    with odd_server(echo) as (url, odd):
        ours = backend(url, environ={"DS2_API_KEY": SECRET})
        with pytest.raises(lm15.LM15Error) as caught:
            asyncio.run(ask(ours))
        assert SECRET in odd.sent[0].headers["authorization"]
    error = caught.value
    shown = [str(error), repr(error), str(error.args), str(unreachable(error, ours))]
    shown += [str(explain(error, ours)), repr(ours), ours.dialect, repr(ours.open())]
    cause: BaseException | None = error
    while cause is not None:
        shown.append(str(cause))
        cause = cause.__cause__
    assert not [text for text in shown if SECRET in text or "sk-abcdef" in text]


@pytest.mark.parametrize(
    ("status", "before"), [(500, 0), (500, 590), (500, 599), (200, 190), (200, 184), (200, 183)]
)
def test_no_part_of_a_secret_is_left_where_an_error_is_cut_short(status: int, before: int) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        headers = {"X-Request-Id": key}
        return web.Response(status=status, text=before * "." + key, headers=headers)

    with odd_server(echo) as (url, _):
        ours = backend(url, environ={"DS2_API_KEY": SECRET})
        with pytest.raises(lm15.ServerError) as caught:
            asyncio.run(ask(ours))
    said = str(caught.value) + str(unreachable(caught.value, ours))
    assert SECRET[:4] not in said
    assert len(caught.value.message) <= 600


THINKING = [
    pytest.param("<think>2 + 2</think>\n\n4", {}, "2 + 2", "4", id="tags"),
    pytest.param("<think>2 + 2 is hard", {}, "2 + 2 is hard", "", id="unclosed"),
    pytest.param("2 + 2\n</think>\n4", {}, "2 + 2", "4", id="unopened"),
    pytest.param("<think></think>4", {}, "", "4", id="empty"),
    pytest.param("<thinking>a</thinking><think>b</think>4", {}, "a\n\nb", "4", id="two-blocks"),
    pytest.param("4", {"reasoning_content": "2 + 2"}, "2 + 2", "4", id="field"),
    pytest.param("4", {"reasoning": "2 + 2"}, "2 + 2", "4", id="other-field"),
    pytest.param("a <think>b</think> c", {}, "", "a <think>b</think> c", id="in-the-middle"),
    pytest.param("I think so", {}, "", "I think so", id="the-word"),
]


@pytest.mark.parametrize(("content", "extra", "thinking", "text"), THINKING)
def test_thinking_is_kept_apart(
    content: str, extra: dict[str, Any], thinking: str, text: str
) -> None:
    with odd_server(saying(content, **extra)) as (url, _):
        reply = asyncio.run(ask(backend(url)))
    assert text_of(reply) == text
    thoughts = [p.text for p in reply.message.parts if isinstance(p, lm15.ThinkingPart)]
    assert "".join(thoughts) == thinking


def test_thinking_is_counted_as_reported_or_by_its_share() -> None:
    reported = {
        "prompt_tokens": 3,
        "completion_tokens": 10,
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    with odd_server(saying("<think>abc</think>d", usage=reported)) as (url, _):
        assert asyncio.run(ask(backend(url))).usage.reasoning_tokens == 7
    with odd_server(saying("<think>abc</think>d")) as (url, _):
        reply = asyncio.run(ask(backend(url)))
    assert reply.usage.reasoning_tokens == 8
    assert reply.usage.output_tokens == 10


def test_finish_reason_model_and_usage_are_recorded() -> None:
    with odd_server(saying("cut", model="served-name", finish_reason="length")) as (url, _):
        reply = asyncio.run(ask(backend(url)))
    assert (reply.finish_reason, reply.model) == ("length", "served-name")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 10)
    assert reply.provider_data is None


def test_the_wire_carries_what_a_server_of_this_kind_reads() -> None:
    with odd_server(saying()) as (url, odd):
        ours = backend(url, "Qwen/Qwen2.5-7B", sampling={"min_p": 0.05, "top_k": 20, "top_p": 0.9})
        asyncio.run(ask(ours))
    sent = odd.sent[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.body == {
        "model": "Qwen/Qwen2.5-7B",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
        "temperature": 0.7,
        "max_tokens": 50,
        "seed": 4,
        "min_p": 0.05,
        "top_k": 20,
        "top_p": 0.9,
    }
    assert "authorization" not in sent.headers


def test_a_reasoning_model_gets_no_temperature_and_the_limit_it_reads() -> None:
    with odd_server(saying()) as (url, odd):
        ours = backend(url, "openai/gpt-5-mini")
        lm = logged_lm(ours)
        asyncio.run(lm.acall("hi", temperature=0.7))
    body = odd.sent[0].body
    assert body["model"] == "gpt-5-mini"
    assert "temperature" not in body
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] >= 16_000


def test_a_json_schema_reaches_the_server() -> None:
    class Pick(dspy.Signature):
        question: str = dspy.InputField()
        answer: str = dspy.OutputField()

    with odd_server(saying('{"answer": "4"}')) as (url, odd):
        ours = dataclasses.replace(backend(url), response_schema=True)
        with dspy.context(lm=logged_lm(ours), adapter=dspy.JSONAdapter()):
            prediction = asyncio.run(dspy.Predict(Pick).acall(question="2 + 2"))
    assert prediction.answer == "4"
    assert odd.sent[0].body["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("options", "environ", "key"),
    [
        pytest.param({}, {}, None, id="no-key"),
        pytest.param({}, {"OPENAI_API_KEY": SECRET}, None, id="a-providers-key-stays-home"),
        pytest.param({}, {"DS2_API_KEY": SECRET}, SECRET, id="DS2_API_KEY"),
        pytest.param(
            {"api_key_env": "MINE"}, {"MINE": SECRET, "DS2_API_KEY": "other1"}, SECRET, id="named"
        ),
    ],
)
@pytest.mark.parametrize("model", ["m", "openai/m", "groq/m", "hosted_vllm/m", "anthropic/m"])
def test_only_the_key_meant_for_this_server_is_sent(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    options: dict[str, Any],
    environ: dict[str, str],
    key: str | None,
) -> None:
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "sk-of-the-process")
    with odd_server(saying()) as (url, odd):
        asyncio.run(ask(backend(url, model, environ=environ, **options)))
    credentials = {
        name: value
        for name, value in odd.sent[0].headers.items()
        if "key" in name or name in {"authorization", "cookie"}
    }
    assert credentials == ({} if key is None else {"authorization": f"Bearer {key}"})


def test_the_pool_is_as_wide_as_the_concurrency() -> None:
    say = saying()

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return await say(request)

    async def burst(url: str) -> None:
        engine = backend(url, concurrency=150, timeout_s=30).open()
        await asyncio.gather(*(engine.complete(asked()) for _ in range(150)))
        await engine.aclose()

    with odd_server(slow) as (url, odd):
        asyncio.run(burst(url))
    assert odd.counts.in_flight_max == 150


def test_every_event_loop_has_an_engine_of_its_own() -> None:
    with odd_server(saying("hello")) as (url, _):
        ours = backend(url)
        for _ in range(2):
            assert asyncio.run(ask(ours)).message.text == "hello"


def test_one_language_model_works_sync_and_async_and_across_loops() -> None:
    predict = dspy.Predict("a -> b")
    with odd_server(saying("[[ ## b ## ]]\nhello")) as (url, _):
        predict.set_lm(logged_lm(backend(url)))
        assert predict(a="1").b == "hello"
        assert asyncio.run(predict.acall(a="2")).b == "hello"
        assert asyncio.run(predict.acall(a="3")).b == "hello"
        assert predict(a="4").b == "hello"


def test_a_large_reply_comes_whole() -> None:
    text = "x" * 5_000_000
    with odd_server(saying(text)) as (url, _):
        assert asyncio.run(ask(backend(url))).message.text == text


@pytest.mark.parametrize("status", [200, 500])
def test_a_reply_without_end_is_read_up_to_a_bound_and_is_the_weather(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ds2.engines.wire.MOST_BYTES", 100_000)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=status, headers={"Content-Type": JSON})
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b" " * 10_000)
            sent += 10_000
        return response

    with odd_server(endless) as (url, _):
        error = error_of(url)
    assert isinstance(error, lm15.ServerError)
    assert "longer than 100,000 bytes" in str(error)
    assert sent < 50_000_000  # it was hung up on, with what the sockets hold on their way


def test_a_compressed_reply_that_was_not_asked_for_is_the_weather() -> None:
    body = gzip.compress(b'{"choices": []}')
    with odd_server(replying(body=body, content_type=JSON)) as (url, _):
        assert isinstance(error_of(url), WEATHER)
