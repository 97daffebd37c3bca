from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import dspy
import pytest
from aiohttp import web
from loopback_server import odd_server, saying

from ds2.engines import make_lm
from ds2.engines.hedging import Hedge
from ds2.engines.lm import engine_of
from ds2.engines.teacher import Teacher, TeacherRates
from ds2.server.app import SimulatedServer
from ds2.server.serve import served
from signatures.errors import ConfigError, EndpointError


def test_any_program_gets_its_answers_from_a_server() -> None:
    with served(SimulatedServer(Teacher(0, TeacherRates.perfect()))) as server:
        lm = make_lm("simulated", api_base=server.url, temperature=0.7)
        solve = dspy.ChainOfThought("question -> answer")
        with dspy.context(lm=lm):
            answers = [solve(question=f"What is {i} + 2?").answer for i in range(3)]
    assert all(answers)
    assert server.counts.requests == 3


def test_options_and_extras_go_out_as_they_are() -> None:
    with odd_server(saying("hello")) as (url, odd):
        lm = make_lm("m", api_base=url, temperature=0.3, top_p=0.9, min_p=0.05, max_tokens=77)
        assert lm("hi") == ["hello"]
    body = odd.sent[0].body
    assert (body["temperature"], body["top_p"], body["min_p"]) == (0.3, 0.9, 0.05)
    assert (body["model"], body["max_tokens"]) == ("m", 77)


@pytest.mark.parametrize(("key", "header"), [("sk-given", "Bearer sk-given"), (None, None)])
def test_a_key_goes_to_the_server_it_was_given_for(
    key: str | None, header: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DS2_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    with odd_server(saying("hello")) as (url, odd):
        make_lm("m", api_base=url, api_key=key)("hi")
    assert odd.sent[0].headers.get("authorization") == header
    assert "api_key" not in os.environ


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"model": ""}, "model must be a model's name"),
        ({"model": None}, "model must be a model's name"),
        ({"model": 5}, "model must be a model's name"),
        ({"concurrency": "8"}, "concurrency must be a whole number"),
        ({"concurrency": True}, "concurrency must be a whole number"),
        ({"concurrency": 0}, "concurrency must be a whole number"),
        ({"coalesce": "yes"}, r"auto, on, off \(got 'yes'\)"),
        ({"hedge": "no"}, "hedge must be True or False"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number"),
        ({"timeout_s": "5"}, "timeout_s must be seconds above 0"),
        ({"temperature": "hot"}, "temperature must be a number from 0 to 2"),
        ({"top_p": 5}, "top_p must be a number above 0, to 1"),
        ({"model_type": "chat"}, "model_type must be left out"),
    ],
    ids=str,
)
def test_what_would_fail_at_the_first_call_is_refused_at_once(
    options: dict[str, Any], rule: str
) -> None:
    given = {"model": "simulated", **options}
    with pytest.raises(ConfigError, match=rule):
        make_lm(given.pop("model"), **given)


def test_a_call_is_paid_once_and_a_rollout_is_another() -> None:
    with odd_server(saying("hello")) as (url, odd):
        lm = make_lm("m", api_base=url, temperature=1.0)
        for rollout in (None, None, 1, 1, 2):
            lm("hi", rollout_id=rollout)
    assert len(odd.sent) == 3


def test_as_many_calls_are_in_flight_as_was_said() -> None:
    full = asyncio.Event()

    async def wait_for_all(request: web.Request) -> web.StreamResponse:
        if counts.in_flight == 150:
            full.set()
        await full.wait()
        return await saying("hello")(request)

    async def many(lm: Any) -> None:
        engine_of(lm).limiter.control = None  # no slow start
        async with asyncio.timeout(20):
            await asyncio.gather(*(lm.acall(f"question {i}") for i in range(150)))

    with odd_server(wait_for_all) as (url, odd):
        counts = odd.counts
        asyncio.run(many(make_lm("m", api_base=url, concurrency=150)))
    assert odd.counts.in_flight_max == 150


@pytest.mark.parametrize(("coalesce", "requests"), [("off", 5), ("on", 1)])
def test_draws_of_one_prompt_go_out_together_where_that_is_said(
    coalesce: Any, requests: int
) -> None:
    async def draw(lm: Any) -> list[Any]:
        return await asyncio.gather(*(lm.acall("hi", rollout_id=i) for i in range(5)))

    with served(SimulatedServer(Teacher(0, TeacherRates.perfect()))) as server:
        lm = make_lm("simulated", api_base=server.url, temperature=1.0, coalesce=coalesce)
        assert len(asyncio.run(draw(lm))) == 5
    assert server.counts.requests == requests


def test_a_straggler_is_asked_again_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hedge, "limit_s", 0.05)  # as twenty replies would have taught it
    calls = 0

    async def first_hangs(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(20)
        return await saying("hello")(request)

    with odd_server(first_hangs) as (url, odd):
        assert asyncio.run(make_lm("m", api_base=url, hedge=True).acall("hi")) == ["hello"]
    assert len(odd.sent) == 2


@pytest.mark.parametrize("owned", [{"n": 3}, {"seed": 1}, {"cache": True}, {"num_retries": 1}])
def test_what_is_decided_here_is_refused(owned: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"got '{next(iter(owned))}'"):
        make_lm("simulated", **owned)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "m", "api_base": "not a url"}, "Reading the address"),
        ({"model": "m", "api_base": "http://localhost:1/v1", "api_key": "two words"}, "api_key"),
    ],
)
def test_a_wrong_address_or_key_is_told_without_repeating_the_key(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(EndpointError, match=said) as raised:
        make_lm(**arguments)
    assert "two words" not in str(raised.value)


def test_importing_the_engines_is_light() -> None:
    code = (
        "import sys, ds2.engines; assert 'dspy' not in sys.modules and 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
