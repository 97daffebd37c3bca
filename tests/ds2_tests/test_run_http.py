"""The real path: a whole run through a socket, against the simulated teacher's server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_server import odd_server, saying
from small_runs import dataset_bytes, go, rows_of, summary_of, teacher_server, tree

from ds2.engines.retry import RetryPolicy
from ds2.engines.teacher import Teacher
from ds2.server.app import SimulatedServer
from ds2.server.protocol import ChatCall, error_body
from ds2.server.serve import Served, served

Command = Callable[..., Any]
SECRETS = {
    "OPENAI_API_KEY": "sk-openai-0123456789abcdef",
    "DS2_API_KEY": "ds2-secret-0123456789",
    "MY_TOKEN": "my-own-token-42424242",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with teacher_server() as running:
        yield running


@pytest.fixture(scope="module")
def over_http(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run over HTTP."""
    out = tmp_path_factory.mktemp("http")
    assert go(out, 12, model="simulated", api_base=server.url, concurrency=64).exit_code == 0
    return out


@dataclass
class Failing:
    """The teacher's server, which answers so many calls and then sends this until it is mended."""

    after: float
    response: Callable[[], web.Response]
    seen: int = 0

    async def hook(self, _: ChatCall) -> web.Response | None:
        self.seen += 1
        return self.response() if self.seen > self.after else None

    def server(self) -> SimulatedServer:
        return SimulatedServer(Teacher(0), hook=self.hook)


def test_concurrency_changes_no_byte_over_http(
    server: Served, over_http: Path, tmp_path: Path
) -> None:
    summary = go(tmp_path, 12, model="simulated", api_base=server.url, concurrency=5)
    assert summary.exit_code == 0
    assert dataset_bytes(tmp_path) == dataset_bytes(over_http)


def test_a_socket_changes_no_question_and_no_answer(over_http: Path, tmp_path: Path) -> None:
    go(tmp_path, 12)
    here, there = rows_of(tmp_path), rows_of(over_http)
    assert [row["messages"] for row in here] == [row["messages"] for row in there]
    assert here == there  # the server's model has the same name, and says that it is simulated


def test_tokens_are_those_that_the_server_reported(over_http: Path) -> None:
    stages = summary_of(over_http)["stages"]
    assert all(stage["unreported"] == 0 for stage in stages.values())
    assert all(stage["input_tokens"] > stage["calls"] for stage in stages.values())


def test_a_finished_run_asks_the_server_nothing(server: Served, over_http: Path) -> None:
    before = server.counts.requests
    again = go(over_http, 12, model="simulated", api_base=server.url)
    assert (again.new_calls, server.counts.requests) == (0, before)


def test_the_command_tells_the_worst_case_and_keeps_it(
    ds2: Command, server: Served, tmp_path: Path
) -> None:
    ended = ds2(
        "run", "gsm8k", "-n", 2, "--model", "simulated", "--api-base", server.url, "--out", "here"
    )
    assert ended.code == 0
    told = next(line for line in ended.err.splitlines() if line.startswith("Asking simulated: "))
    worst = int(
        told.removeprefix("Asking simulated: at worst ").removesuffix(" calls.").replace(",", "")
    )
    assert summary_of(tmp_path / "here")["calls"] <= worst


def test_no_key_shows_anywhere(
    ds2: Command, server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    ended = ds2(
        *("run", "gsm8k", "-n", 1, "--model", "simulated", "--api-base", server.url),
        *("--api-key-env", "MY_TOKEN", "--out", "here"),
    )
    assert ended.code == 0
    everything = b"".join(tree(tmp_path).values()) + (ended.out + ended.err).encode()
    for value in SECRETS.values():
        assert value.encode() not in everything
    assert b"MY_TOKEN" in everything  # the variable's name is part of the configuration


def test_a_key_that_the_server_quotes_is_not_printed(
    ds2: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    async def quoting(request: web.Request) -> web.Response:
        said = f"Incorrect API key provided: {request.headers.get('Authorization')}"
        return web.json_response(error_body(said, code="invalid_api_key"), status=401)

    with odd_server(quoting) as (url, odd):
        ended = ds2("run", "gsm8k", "--model", "m", "--api-base", url, "--out", "here")
    assert ended.code == 2
    assert "the key must be accepted by the endpoint" in ended.err
    assert odd.sent[0].headers["authorization"] == f"Bearer {SECRETS['DS2_API_KEY']}"
    everything = b"".join(tree(tmp_path).values()) + (ended.out + ended.err).encode()
    assert not any(value.encode() in everything for value in SECRETS.values())


def test_a_model_that_is_not_served_is_told(ds2: Command, server: Served) -> None:
    ended = ds2("run", "gsm8k", "--model", "gpt-9", "--api-base", server.url, "--out", "here")
    assert ended.code == 2
    assert "gpt-9" in ended.err
    assert "ds2 check" in ended.err


def test_a_key_refused_in_the_middle_ends_with_2_and_the_run_goes_on_once_it_is_mended(
    ds2: Command, tmp_path: Path, over_http: Path
) -> None:
    body = error_body("key expired", code="invalid_api_key")
    failing = Failing(50, lambda: web.json_response(body, status=401))
    with served(failing.server()) as running:
        words = ("run", "gsm8k", "-n", 12, "--model", "simulated", "--api-base", running.url)
        ended = ds2(*words, "--out", "here")
        assert ended.code == 2
        assert "HTTP 401: key expired" in ended.err
        assert not (tmp_path / "here" / "summary.json").exists()
        failing.after = math.inf
        assert ds2(*words, "--out", "here").code == 0
    assert dataset_bytes(tmp_path / "here") == dataset_bytes(over_http)


def test_a_server_that_dies_in_the_middle_ends_with_3_and_the_run_goes_on_once_it_is_back(
    ds2: Command, tmp_path: Path, over_http: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", lambda *_: 0.0)
    failing = Failing(50, lambda: web.Response(status=503, text="overloaded"))
    with served(failing.server()) as running:
        words = ("run", "gsm8k", "-n", 12, "--model", "simulated", "--api-base", running.url)
        ended = ds2(*words, "--patience", 0, "--out", "here")
        assert ended.code == 3
        assert "endpoint" in ended.out.split("pending")[1].splitlines()[0]
        assert "Give the same command again once it does" in ended.out
        stopped = summary_of(tmp_path / "here")
        assert stopped["status"] == "endpoint"
        assert 0 < stopped["calls"] <= 50
        failing.after = math.inf
        again = ds2(*words, "--out", "here")
        assert again.code == 0
    assert dataset_bytes(tmp_path / "here") == dataset_bytes(over_http)


def test_replies_that_never_parse_stop_the_command_and_one_is_shown(ds2: Command) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        system = (await request.json())["messages"][0]["content"]
        wants_list = "`keywords`" in system.partition("All interactions")[0]
        text = (
            '[[ ## keywords ## ]]\n["rates", "ratios", "sums"]' if wants_list else "As an AI, no."
        )
        return await saying(text)(request)

    with odd_server(answer) as (url, _):
        ended = ds2("run", "gsm8k", "-n", 60, "--model", "m", "--api-base", url, "--out", "here")
    assert ended.code == 2
    assert ended.err.splitlines()[-2:] == ["One of them reads:", "As an AI, no."]
