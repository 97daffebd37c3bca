"""The simulated server: OpenAI's shape, the teacher's very words, and counts that can be trusted."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import dspy
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from dspy import lm15
from loopback_server import ask, asked

from ds2.engines.lm import logged_lm
from ds2.engines.resolve import resolve_backend
from ds2.engines.teacher import Teacher
from ds2.engines.thinking import text_of
from ds2.server.app import SimulatedServer, delay
from ds2.server.protocol import ChatCall
from ds2.server.serve import Served, listen, served
from signatures.errors import EndpointError
from signatures.instructions import instruction_signature
from signatures.keywords import CoreKeywords, task_line
from signatures.task import load_task

SEED = 5


@pytest.fixture
def running() -> Iterator[Served]:
    with served(SimulatedServer(Teacher(SEED))) as server:
        yield server


def call(**options: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Name a fruit."}]
    return {"model": "simulated", "messages": messages} | options


def send(url: str, body: Any = None, *, path: str = "/chat/completions") -> tuple[int, Any]:
    """Return status and JSON of a POST, or of a GET where there is no body."""

    async def go() -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body)
        async with aiohttp.ClientSession() as session:
            exchange = (
                session.get(url + path) if body is None else session.post(url + path, data=data)
            )
            async with exchange as response:
                return response.status, await response.json()

    return asyncio.run(go())


def texts(reply: Any) -> list[str]:
    return [choice["message"]["content"] for choice in reply["choices"]]


def test_the_models_are_listed_in_openais_shape(running: Served) -> None:
    status, reply = send(running.url, path="/models")
    assert status == 200
    assert reply["object"] == "list"
    assert [entry["id"] for entry in reply["data"]] == ["simulated"]


def test_a_reply_has_openais_shape(running: Served) -> None:
    status, reply = send(running.url, call(seed=1, max_tokens=50, temperature=0.7))
    assert status == 200
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "simulated"
    choice = reply["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] in {"stop", "length"}
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_choice_j_of_seed_s_is_sample_s_plus_j(running: Served) -> None:
    _, together = send(running.url, call(seed=7, n=4))
    alone = [texts(send(running.url, call(seed=7 + j))[1])[0] for j in range(4)]
    assert texts(together) == alone
    assert [choice["index"] for choice in together["choices"]] == [0, 1, 2, 3]


def test_n_pays_the_prompt_once(running: Served) -> None:
    _, one = send(running.url, call(seed=7))
    _, four = send(running.url, call(seed=7, n=4))
    assert four["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    assert four["usage"]["completion_tokens"] >= one["usage"]["completion_tokens"]


def test_without_a_seed_the_same_question_gets_the_next_samples(running: Served) -> None:
    drawn = texts(send(running.url, call(n=2))[1]) + texts(send(running.url, call())[1])
    assert drawn == texts(send(running.url, call(seed=0, n=3))[1])


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_limit_is_honoured_by_either_name(running: Served, field: str) -> None:
    prompt = [{"role": "user", "content": "Say as much as you can. " * 40}]
    _, reply = send(running.url, call(messages=prompt, seed=1) | {field: 1})
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] <= 1


BAD = [
    pytest.param(b"{", id="not-json"),
    pytest.param(b"\xff", id="not-utf8"),
    pytest.param(b"[]", id="a-list"),
    pytest.param(b"[" * 100_000, id="nested-too-deep"),
    pytest.param({}, id="empty"),
    pytest.param({"model": "simulated"}, id="no-messages"),
    pytest.param(call(messages="hi"), id="messages-a-string"),
    pytest.param(call(messages=[{"role": "king", "content": "a"}]), id="unknown-role"),
    pytest.param(call(n=0), id="n-0"),
    pytest.param(call(n=129), id="n-129"),
    pytest.param(call(n="2"), id="n-a-string"),
    pytest.param(call(n=True), id="n-a-boolean"),
    pytest.param(call(seed=1.5), id="seed-a-float"),
    pytest.param(call(temperature=9), id="temperature-9"),
    pytest.param(call(temperature="hot"), id="temperature-a-string"),
    pytest.param(call(max_tokens=0), id="max-tokens-0"),
    pytest.param(call(stream=True), id="stream"),
]


@pytest.mark.parametrize("body", BAD)
def test_a_bad_request_is_a_400_in_openais_shape(running: Served, body: Any) -> None:
    status, reply = send(running.url, body)
    assert status == 400
    assert reply["error"]["type"] == "invalid_request_error"
    assert reply["error"]["message"]
    assert running.counts.completions == 0


def test_an_unknown_model_is_a_404_and_never_another_ones_answer(running: Served) -> None:
    status, reply = send(running.url, call(model="gpt-4o"))
    assert status == 404
    assert reply["error"]["code"] == "model_not_found"
    assert "gpt-4o" in reply["error"]["message"]


def test_unknown_options_are_read_over(running: Served) -> None:
    status, reply = send(running.url, call(seed=1, min_p=0.05, repetition_penalty=1.1, user="me"))
    assert status == 200
    assert texts(reply) == texts(send(running.url, call(seed=1))[1])


TASK = load_task("gsm8k")
KEYWORDS = {
    "task": task_line(TASK),
    "examples": "ratio",
    "language": "English",
    "count": 12,
}
WRITE = {
    "task": task_line(TASK),
    "keyword": "unit price",
    "level": "Apply",
    "demand": "carry out a known procedure on a new, concrete case",
    "notes": "none",
    "language": "English",
}


@pytest.mark.parametrize(
    ("signature", "inputs"),
    [(CoreKeywords, KEYWORDS), (instruction_signature(TASK, 1), WRITE)],
    ids=["keywords", "writer"],
)
@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
@pytest.mark.parametrize("options", [{}, {"max_tokens": 20, "stop": ("e",)}], ids=["plain", "cut"])
def test_the_words_are_those_of_the_teacher_in_process(
    running: Served, signature: Any, inputs: Any, adapter: Any, options: Any
) -> None:
    turns = adapter.format(signature, [], inputs)
    request = lm15.Request(
        model="simulated",
        system=turns[0]["content"],
        messages=tuple(lm15.Message.user(turn["content"]) for turn in turns[1:]),
        config=lm15.Config(temperature=0.8, seed=3, **options),
    )
    here = Teacher(SEED).reply(request)
    there = asyncio.run(ask(resolve_backend("simulated", api_base=running.url), request))
    assert text_of(there) == text_of(here)
    assert there.finish_reason == here.finish_reason
    assert there.usage == here.usage


def test_a_program_gets_the_same_keywords_over_http_as_in_process(running: Served) -> None:
    here = resolve_backend("simulated", seed=SEED)
    there = resolve_backend("simulated", api_base=running.url)
    drawn = []
    for backend in (here, there):
        with dspy.context(lm=logged_lm(backend), adapter=dspy.ChatAdapter()):
            predict = dspy.Predict(CoreKeywords)
            drawn.append([predict(**KEYWORDS, config={"rollout_id": j}).keywords for j in range(4)])
    assert drawn[0] == drawn[1]
    assert there.teacher == "simulated"


def test_stats_tell_repeated_calls_from_new_ones(running: Served) -> None:
    for seed in (1, 2, 2):
        send(running.url, call(seed=seed))
    send(running.url, call(seed=2, n=2))
    send(running.url, call(seed=1, temperature=0.5))
    send(running.url, b"{")
    root = running.url.removesuffix("/v1")
    _, stats = send(root, path="/stats")
    assert stats == {
        "requests": 6,
        "completions": 6,
        "refused": 1,
        "in_flight": 0,
        "in_flight_max": 1,
        "distinct": 4,
        "repeated": 2,
    }
    _, by_call = send(root, path="/stats?by=call")
    assert sorted(by_call["calls"].values()) == [1, 1, 1, 3]


def test_latency_holds_replies_back_together_not_one_by_one() -> None:
    async def burst(url: str) -> None:
        engine = resolve_backend("simulated", api_base=url, environ={}).open()
        await asyncio.gather(*(engine.complete(asked(seed=j)) for j in range(40)))
        await engine.aclose()  # type: ignore[attr-defined]

    with served(SimulatedServer(Teacher(0), hook=delay(0.3, 0.1))) as running:
        asyncio.run(burst(running.url))
        assert running.counts.in_flight_max == 40
        assert running.counts.in_flight == 0


def test_jitter_is_drawn_evenly_around_the_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    hook = delay(0.5, 0.25, seed=1)

    async def wait() -> None:
        for _ in range(500):
            await hook(None)  # type: ignore[arg-type]

    asyncio.run(wait())
    assert 0.25 <= min(slept) < 0.27
    assert 0.73 < max(slept) <= 0.75


def test_a_hook_may_answer_in_place_of_the_teacher() -> None:
    rng = random.Random(0)

    async def flaky(_: ChatCall) -> web.StreamResponse | None:
        return web.Response(status=503) if rng.random() < 0.5 else None

    with served(SimulatedServer(Teacher(0), hook=flaky)) as running:
        statuses = set()
        for seed in range(12):
            try:
                asyncio.run(
                    ask(resolve_backend("simulated", api_base=running.url), asked(seed=seed))
                )
                statuses.add(200)
            except lm15.ServerError as error:
                statuses.add(error.status)
        assert statuses == {200, 503}
        assert running.counts.completions < 12


def test_it_runs_on_the_loop_of_a_test_too() -> None:
    async def go() -> int:
        async with TestClient(TestServer(SimulatedServer(Teacher(0)).app)) as client:
            response = await client.post("/v1/chat/completions", json=call())
            return response.status

    assert asyncio.run(go()) == 200


def test_a_taken_port_is_an_error_that_says_so(running: Served) -> None:
    port = int(running.url.rsplit(":", 1)[1].split("/")[0])
    with pytest.raises(EndpointError, match="--port 0"):
        listen("127.0.0.1", port)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_url_serves_and_ends_cleanly(number: signal.Signals) -> None:
    program = "import typer; from ds2.cli.simulate import simulate; typer.run(simulate)"
    options = ["--port", "0", "--latency", "0", "--seed", str(SEED)]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    assert process.stdout is not None
    try:
        said = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/v1", said)
        assert found is not None, said + process.stderr.read()
        _, reply = send(found[0], call(seed=3))
        with served(SimulatedServer(Teacher(SEED))) as here:
            assert texts(reply) == texts(send(here.url, call(seed=3))[1])
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        rest = process.stderr.read()
        assert "1 requests, 1 completions" in rest
        assert "Traceback" not in rest
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
