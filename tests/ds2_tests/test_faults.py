"""The fault model by itself: what is drawn, what passes on another attempt, what each fault sends."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import random
import socket
import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from dspy import lm15
from faulty_runs import faulty_server
from loopback_server import ask, asked, odd_server, replying, saying

from ds2.cli.simulate import simulate
from ds2.engines.resolve import resolve_backend
from ds2.engines.retry import RetryPolicy
from ds2.engines.teacher import Teacher
from ds2.server.app import SimulatedServer
from ds2.server.content import FaultyTeacher
from ds2.server.faults import CONTENT, WEATHER, Draw, Faults, chance
from ds2.server.latency import constant, lognormal, uniform
from ds2.server.protocol import ChatCall
from ds2.server.serve import served
from ds2.server.weather import Weather
from signatures.errors import ConfigError


def body_of(text: str = "Name a fruit.", **options: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "simulated", "messages": messages, "seed": 1} | options


def post(
    faults: Faults, *bodies: dict[str, Any], seed: int = 0
) -> tuple[list[tuple[int, bytes, dict[str, str]]], dict[str, int]]:
    """Return status, raw body and headers of each request in turn, and the weather that was met."""

    async def go(url: str) -> list[tuple[int, bytes, dict[str, str]]]:
        replies = []
        async with aiohttp.ClientSession() as session:
            for body in bodies:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    raw = await response.read()
                    replies.append((response.status, raw, dict(response.headers)))
        return replies

    server = faulty_server(faults, seed=seed)
    assert server.weather is not None
    with served(server) as running:
        return asyncio.run(go(running.url)), dict(server.weather.met)


# The rates.


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"http_429": 1.1}, "http_429"),
        ({"length": -0.1}, "length"),
        ({"http_500": math.nan}, "http_500"),
        ({"http_429": 0.6, "http_500": 0.6}, "the rates of weather"),
        ({"length": 0.6, "duplicate": 0.6}, "the rates of content"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_rpm": 0}, "max_rpm"),
        ({"minute_s": 0}, "minute_s"),
        ({"slow_s": -1}, "slow_s"),
        ({"most_in_a_row": -1}, "most_in_a_row"),
    ],
)
def test_a_rate_out_of_its_range_is_told(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Faults(**changes)


def test_rates_that_sum_to_one_are_taken() -> None:
    assert Faults(**dict.fromkeys(Faults.names(WEATHER)[:10], 0.1)).any_weather


def test_a_storm_has_every_fault_and_single_values_can_be_changed() -> None:
    storm = Faults.storm(hang=0.0, max_rpm=9)
    rates = storm.rates(WEATHER) | storm.rates(CONTENT)
    assert [name for name, rate in rates.items() if rate == 0] == ["hang"]
    assert storm.max_rpm == 9


def test_without_weather_only_content_is_left() -> None:
    calm = Faults.storm(max_in_flight=3).without(WEATHER)
    assert (calm.any_weather, calm.any_content) == (False, True)
    assert not calm.without(CONTENT).any_content


def test_every_fault_limit_and_size_is_an_option_of_the_command() -> None:
    options = set(inspect.signature(simulate).parameters)
    # A minute of another length is for tests.
    assert set(Faults.__dataclass_fields__) - options == {"minute_s"}


def test_the_options_of_the_command_reach_the_server(
    ds2: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[SimulatedServer] = []

    def serve(server: SimulatedServer, sock: socket.socket, ready: Callable[[str], None]) -> None:
        sock.close()
        started.append(server)

    monkeypatch.setattr("ds2.server.serve.serve", serve)
    assert ds2("simulate", "--port", 0).code == 0
    assert ds2("simulate", "--port", 0, "--http-429", 0.25, "--max-rpm", 5).code == 0
    assert ds2("simulate", "--port", 0, "--storm", "--hang", 0, "--slow-s", 0.5).code == 0
    calm, limited, storm = (server.weather for server in started)
    assert calm is None
    assert limited is not None
    assert limited.faults == Faults(http_429=0.25, max_rpm=5)
    assert storm is not None
    assert storm.faults == Faults.storm(hang=0.0, slow_s=0.5)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--reset", 0.6, "--hang", 0.6), "the rates of weather"),
        (("--jitter", 0.1, "--sigma", 1), "--jitter"),
        (("--jitter", 0.6), "--jitter"),
    ],
)
def test_options_that_contradict_each_other_are_told(
    ds2: Callable[..., Any], options: tuple[Any, ...], name: str
) -> None:
    ended = ds2("simulate", "--port", 0, *options)
    assert ended.code == 2
    assert f"{name} must" in ended.err


def test_faults_are_drawn_at_their_rates_and_always_the_same() -> None:
    faults = Faults(**dict.fromkeys(Faults.names(WEATHER), 0.05))
    draw = Draw(faults, WEATHER, 7)
    drawn = [draw.fault("request", number) for number in range(20_000)]
    assert drawn == [Draw(faults, WEATHER, 7).fault("request", number) for number in range(20_000)]
    assert drawn != [Draw(faults, WEATHER, 8).fault("request", number) for number in range(20_000)]
    counts = Counter(drawn)
    for name in Faults.names(WEATHER):
        assert 0.04 < counts[name] / len(drawn) < 0.06


def test_a_rate_of_one_always_comes_and_a_rate_of_zero_never() -> None:
    always, never = Draw(Faults(reset=1.0), WEATHER, 0), Draw(Faults(), WEATHER, 0)
    for number in range(1000):
        assert always.fault(number) == "reset"
        assert never.fault(number) is None
        assert 0 <= chance(number) < 1


# Weather.


def test_the_same_attempt_meets_the_same_whatever_else_is_asked() -> None:
    faults = Faults(http_429=0.3, http_500=0.3)
    others = [body_of("Name a tree.", seed=j) for j in range(5)]
    alone = [status for status, *_ in post(faults, *[body_of()] * 12)[0]]
    mixed = [body for _ in range(12) for body in (body_of(), *others)]
    among = [status for status, *_ in post(faults, *mixed)[0]][:: 1 + len(others)]
    assert alone == among
    assert set(alone) == {200, 429, 500}


def test_no_request_meets_more_weather_in_a_row_than_it_may() -> None:
    replies, met = post(Faults(http_503=1.0, most_in_a_row=2), *[body_of()] * 6)
    assert [status for status, *_ in replies] == [503, 503, 200, 503, 503, 200]
    assert met == {"http_503": 4}


def test_a_reply_that_is_lost_uses_up_no_sample_and_is_not_counted() -> None:
    server = faulty_server(Faults(truncated_json=1.0, most_in_a_row=1))
    unseeded = body_of() | {"seed": None}

    async def go(url: str) -> list[bytes]:
        async with aiohttp.ClientSession() as session:
            return [
                await (await session.post(f"{url}/chat/completions", json=unseeded)).read()
                for _ in range(2)
            ]

    with served(server) as running:
        _, whole = asyncio.run(go(running.url))
        assert (server.counts.requests, server.counts.completions) == (2, 1)
    calm, _ = post(Faults(), body_of(seed=0))
    assert json.loads(whole)["choices"] == json.loads(calm[0][1])["choices"]


@pytest.mark.parametrize(
    ("faults", "after"),
    [
        (Faults(http_429=1.0), None),
        (Faults(http_429_after=1.0, retry_after_s=20), "20"),
        (Faults(http_429_after=1.0, retry_after_s=1.2), "2"),
        (Faults(http_429_after=1.0, retry_after_s=0.25), "0.250"),
    ],
)
def test_a_429_says_when_to_come_back_only_where_asked_to(
    faults: Faults, after: str | None
) -> None:
    status, raw, headers = post(faults, body_of())[0][0]
    assert status == 429
    assert headers.get("Retry-After") == after
    assert json.loads(raw)["error"]["code"] == "rate_limit_exceeded"


def test_fewer_choices_are_half_of_them_and_the_first_ones() -> None:
    some, _ = post(Faults(fewer_choices=1.0), body_of(n=5))
    every, _ = post(Faults(), body_of(n=5))
    few, many = json.loads(some[0][1]), json.loads(every[0][1])
    assert few["choices"] == many["choices"][:2]
    assert few["usage"]["completion_tokens"] < many["usage"]["completion_tokens"]


def test_a_huge_body_is_a_good_reply_with_another_field() -> None:
    replies, _ = post(Faults(huge_body=1.0, huge_bytes=100_000), body_of())
    calm, _ = post(Faults(), body_of())
    assert len(replies[0][1]) > 100_000
    assert json.loads(replies[0][1])["choices"] == json.loads(calm[0][1])["choices"]


def through_weather(weather: Weather, *, number: int = 0) -> web.StreamResponse:
    """Return what a call gets, without a server around the weather."""
    call = ChatCall(request=None, n=1, seed=number, content="c")  # type: ignore[arg-type]
    return asyncio.run(
        weather.through(None, call, lambda _, lost=False: {"choices": []})  # type: ignore[arg-type]
    )


def test_calls_a_minute_are_counted_over_a_minute_that_slides() -> None:
    now = [0.0]
    weather = Weather(Faults(max_rpm=2), clock=lambda: now[0])
    statuses = []
    for time_s in (0, 10, 20, 59, 60, 61, 70):
        now[0] = float(time_s)
        response = through_weather(weather, number=time_s)
        statuses.append((response.status, response.headers.get("Retry-After")))
    assert statuses == [
        (200, None),
        (200, None),
        (429, "40"),
        (429, "1"),
        (200, None),
        (429, "9"),
        (200, None),
    ]


def test_calls_above_the_limit_at_once_are_turned_away_and_those_below_are_not() -> None:
    weather = Weather(Faults(max_in_flight=3))

    async def go() -> Counter[int]:
        gate = asyncio.Event()

        async def wait(_: ChatCall) -> None:
            await gate.wait()

        calls = [
            weather.through(
                None,  # type: ignore[arg-type]
                ChatCall(request=None, n=1, seed=j, content="c"),  # type: ignore[arg-type]
                lambda _, lost=False: {"choices": []},
                wait,
            )
            for j in range(8)
        ]
        work = asyncio.gather(*calls)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gate.set()
        return Counter(response.status for response in await work)

    assert asyncio.run(go()) == {200: 3, 429: 5}
    assert asyncio.run(go()) == {200: 3, 429: 5}


def test_a_hang_ends_when_the_client_has_gone() -> None:
    server = faulty_server(Faults(hang=1.0))

    async def go(url: str) -> None:
        backend = resolve_backend("simulated", api_base=url, environ={}, timeout_s=0.1)
        with pytest.raises(lm15.TimeoutError):
            await ask(backend)
        while server.counts.in_flight:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.01)

    with served(server) as running:
        asyncio.run(asyncio.wait_for(go(running.url), 60))


# Content.


def request(sample: int, text: str = "Name a fruit.") -> lm15.Request:
    return asked(text, seed=sample)


def said(reply: lm15.Response) -> str:
    return reply.message.text or ""


@pytest.mark.parametrize("fault", Faults.names(CONTENT))
def test_a_fault_of_content_belongs_to_its_sample(fault: str) -> None:
    faults = Faults(**{fault: 0.4}, huge_bytes=1000)
    teacher, faulty = Teacher(0), FaultyTeacher(Teacher(0), faults, seed=5)
    again = FaultyTeacher(Teacher(0), faults, seed=5)
    words = [said(faulty.reply(request(j))) for j in range(40)]
    assert words == [said(again.reply(request(j))) for j in reversed(range(40))][::-1]
    touched = sum(said(teacher.reply(request(j))) != words[j] for j in range(40))
    assert 4 < touched < 30


@pytest.mark.parametrize(
    ("fault", "finish", "holds"),
    [
        ("empty_content", "stop", lambda text, _: text == ""),
        ("content_filter", "content_filter", lambda text, _: text == ""),
        ("length", "length", lambda text, whole: 0 < len(text) < len(whole) and text in whole),
        ("huge_text", "stop", lambda text, whole: len(text) == len(whole) + 5000),
    ],
)
def test_each_fault_of_content_says_what_it_should(
    fault: str, finish: str, holds: Callable[[str, str], bool]
) -> None:
    faulty = FaultyTeacher(Teacher(0), Faults(**{fault: 1.0}, huge_bytes=5000))
    reply, whole = faulty.reply(request(3)), Teacher(0).reply(request(3))
    assert reply.finish_reason == finish
    assert holds(said(reply), said(whole))
    assert reply.usage.input_tokens == whole.usage.input_tokens


def test_a_duplicate_says_what_the_sample_before_it_says() -> None:
    faulty = FaultyTeacher(Teacher(0), Faults(duplicate=1.0))
    for sample in (0, 1, 7):
        before = Teacher(0).reply(request(max(0, sample - 1)))
        assert faulty.reply(request(sample)) == before


def test_choices_of_one_request_have_the_faults_of_their_samples() -> None:
    faults = Faults(**dict.fromkeys(Faults.names(CONTENT), 0.2), huge_bytes=50)
    together, _ = post(faults, body_of(n=8, seed=3))
    alone, _ = post(faults, *[body_of(seed=3 + j) for j in range(8)])
    choices = [json.loads(raw)["choices"][0] for _, raw, _ in alone]
    assert [c | {"index": 0} for c in json.loads(together[0][1])["choices"]] == choices


# Latency.


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_lognormal_latency_has_the_same_mean_at_any_sigma(sigma: float) -> None:
    rng = random.Random(1)
    drawn = [lognormal(0.5, sigma)(rng) for _ in range(40_000)]
    assert statistics.mean(drawn) == pytest.approx(0.5, rel=0.05)
    assert statistics.median(drawn) == pytest.approx(0.5 * math.exp(-(sigma**2) / 2), rel=0.05)


def test_other_latencies_are_what_they_say() -> None:
    rng = random.Random(1)
    assert {constant(0.2)(rng) for _ in range(3)} == {0.2}
    drawn = [uniform(0.5, 0.25)(rng) for _ in range(2000)]
    assert 0.25 <= min(drawn) < 0.26
    assert 0.74 < max(drawn) <= 0.75
    assert lognormal(0.0, 1.0)(rng) == 0.0


# What the client makes of it.

GOOD = {"role": "assistant", "content": "hello"}


def reply_with(**choice: Any) -> dict[str, Any]:
    whole = {"index": 0, "message": GOOD, "finish_reason": "stop"} | choice
    body = {"id": "c", "model": "m", "choices": [whole], "usage": None}
    return {"text": json.dumps(body), "content_type": "application/json"}


@pytest.mark.parametrize("content", [{"text": "hello"}, 17, True, [7], ["hello"]])
def test_content_of_another_type_is_the_weather_and_not_an_empty_reply(content: Any) -> None:
    given = reply_with(message={"role": "assistant", "content": content})
    with odd_server(replying(**given)) as (url, _), pytest.raises(lm15.ServerError):
        asyncio.run(ask(resolve_backend("m", api_base=url, environ={})))


@pytest.mark.parametrize(
    ("content", "text"), [("", ""), (None, ""), ([{"type": "text", "text": "hi"}], "hi")]
)
def test_content_that_is_empty_or_in_parts_is_a_reply(content: Any, text: str) -> None:
    with odd_server(saying(content)) as (url, _):
        reply = asyncio.run(ask(resolve_backend("m", api_base=url, environ={})))
    assert said(reply) == text


@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource"])
def test_a_reply_that_its_server_broke_off_is_the_weather(reason: str) -> None:
    given = reply_with(finish_reason=reason)
    with odd_server(replying(**given)) as (url, _), pytest.raises(lm15.ServerError, match=reason):
        asyncio.run(ask(resolve_backend("m", api_base=url, environ={})))


def test_more_choices_than_asked_for_are_the_weather_and_do_not_stop_a_run() -> None:
    with (
        served(faulty_server(Faults(more_choices=1.0))) as running,
        pytest.raises(lm15.ServerError, match="more choices"),
    ):
        asyncio.run(ask(resolve_backend("simulated", api_base=running.url, environ={})))


# Who retries, when the endpoint is full.


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note what is waited for instead of waiting."""
    noted: list[float] = []
    real = asyncio.sleep

    async def sleep(delay: float) -> None:
        noted.append(delay)
        await real(0)

    monkeypatch.setattr("ds2.engines.retry.asyncio.sleep", sleep)
    return noted


def full(status: int = 429) -> lm15.LM15Error:
    if status == 429:
        return lm15.RateLimitError("full", status=status)
    return lm15.ServerError("full", status=status)


def trying(policy: RetryPolicy, errors: list[lm15.LM15Error], *, others: bool = False) -> str:
    async def attempt() -> str:
        if others:
            policy.answers += 1
        if errors:
            raise errors.pop(0)
        return "reply"

    return asyncio.run(policy.run(attempt))


@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_endpoint_that_says_it_is_full_is_there(waits: list[float], status: int) -> None:
    policy = RetryPolicy()
    assert trying(policy, [full(status)] * (policy.attempts - 1)) == "reply"
    assert policy.answered


@pytest.mark.parametrize("status", [500, 502, 504, None])
def test_an_endpoint_that_fails_from_the_start_is_given_up_soon(
    waits: list[float], status: int | None
) -> None:
    policy = RetryPolicy()
    with pytest.raises(lm15.ServerError):
        trying(policy, [lm15.ServerError("broken", status=status) for _ in range(9)])
    assert len(waits) == policy.first_attempts - 1


def test_a_call_that_is_turned_away_waits_for_as_long_as_others_are_answered(
    waits: list[float],
) -> None:
    assert trying(RetryPolicy(), [full() for _ in range(200)], others=True) == "reply"
    assert max(waits) <= RetryPolicy().cap_s


def test_a_call_that_is_turned_away_while_nobody_is_answered_is_given_up_after_a_minute(
    waits: list[float],
) -> None:
    with pytest.raises(lm15.RateLimitError):
        trying(RetryPolicy(), [full() for _ in range(99)])
    assert len(waits) == RetryPolicy().limited_attempts - 1
    assert sum(waits) > 60


def test_failures_are_counted_whoever_else_is_answered(waits: list[float]) -> None:
    errors: list[lm15.LM15Error] = []
    for _ in range(9):
        errors += [full(), lm15.ServerError("broken", status=500)]
    with pytest.raises(lm15.ServerError):
        trying(RetryPolicy(answered=True), errors, others=True)
    assert len(waits) == 11
