"""`ds2 check` against endpoints that do well and endpoints that do not."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import typer
from aiohttp import web
from loopback_server import Handler, odd_server, replying
from typer.testing import CliRunner

from ds2.cli.check import check as check_command
from ds2.engines.check import acheck, check
from ds2.engines.native import NativeEngine
from ds2.engines.resolve import resolve_backend
from ds2.engines.retry import RetryPolicy
from ds2.engines.teacher import Teacher, TeacherRates
from ds2.server.app import SimulatedServer
from ds2.server.protocol import read_call, reply_body
from ds2.server.serve import served
from signatures.errors import EndpointError
from signatures.task import BUILT_IN, load_task

TASK = load_task("gsm8k")
STAGES = {"core", "prerequisite", "advanced", "write-single", "write-pair", "answer"}


def app() -> typer.Typer:
    cli = typer.Typer(pretty_exceptions_enable=False)
    cli.command()(check_command)
    return cli


def backend(url: str, model: str = "simulated") -> Any:
    return resolve_backend(model, api_base=url, timeout_s=5, environ={})


Change = Callable[[dict[str, Any], dict[str, Any]], web.Response | None]


def bent(change: Change) -> Handler:
    """Return a handler that answers as the teacher would, after `change(asked, reply)`."""
    teacher = Teacher(0, TeacherRates.perfect())
    numbers = itertools.count()

    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        asked = json.loads(raw)
        call = read_call(raw)
        first = next(numbers) if call.seed is None else call.seed
        replies = [teacher.reply(call.sample(first + j)) for j in range(call.n)]
        body = reply_body(call, replies, number=1, created=1)
        return change(asked, body) or web.json_response(body)

    return handle


def refuse(message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "bad"}}, status=400)


def test_a_server_that_does_well_can_be_used() -> None:
    with served(SimulatedServer(Teacher(0, TeacherRates.perfect()))) as running:
        report = check(backend(running.url), TASK)
    assert report.ok
    assert report.adapter == "chat"
    assert report.served == ("simulated",)
    assert report.answered_as == "simulated"
    assert {name: finding.verdict for name, finding in report.takes.items()} == {
        "temperature": "yes",
        "seed": "yes",
        "n": "yes",
        "response_schema": "ignored",
        "max_tokens": "yes",
    }
    assert {adapter: set(stages) for adapter, stages in report.parses.items()} == {
        "chat": STAGES,
        "json-schema": STAGES,
        "json": STAGES,
    }
    assert report.latency_s is not None
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


@pytest.mark.parametrize("task", BUILT_IN)
def test_every_task_can_be_checked_with_the_teacher_in_process(task: str) -> None:
    report = check(resolve_backend(None, environ={}), load_task(task))
    assert report.ok
    assert report.adapter == "chat"
    assert report.served is None


def test_a_check_runs_within_an_event_loop() -> None:
    report = asyncio.run(acheck(resolve_backend(None, environ={}), TASK))
    assert report.ok


def test_an_unknown_model_is_an_error_that_names_the_nearest() -> None:
    models = ("Qwen/Qwen3-8B", "openai/gpt-4o", "llama3:latest")
    with odd_server(bent(lambda *_: None), models) as (url, odd):
        with pytest.raises(EndpointError) as caught:
            check(backend(url, "qwen3-9b"), TASK)
        assert "--model Qwen/Qwen3-8B" in str(caught.value)
        with pytest.raises(EndpointError) as caught:
            check(backend(url, "mistral"), TASK)
        assert "openai/openai/gpt-4o" in str(caught.value)
    assert odd.sent == []


def test_a_provider_that_refuses_a_model_is_quoted_with_the_nearest_it_lists() -> None:
    unknown = {"error": {"message": "no model", "code": "model_not_found"}}
    refusing = replying(status=404, text=json.dumps(unknown), content_type="application/json")
    with odd_server(refusing, ("gpt-4o-mini", "o3")) as (url, _):
        ours = backend(url, "gpt-4-mini")
        engine = ours.open()
        public = dataclasses.replace(engine._route, own_server=False)
        ours = dataclasses.replace(ours, open=lambda: NativeEngine(public, engine._shape))
        with pytest.raises(EndpointError, match="Nearest: gpt-4o-mini"):
            check(ours, TASK)


def test_another_model_that_answers_is_a_problem() -> None:
    def other(_: Any, body: dict[str, Any]) -> None:
        body["model"] = "tiny-model"

    with odd_server(bent(other), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert not report.ok
    assert "tiny-model" in report.problems[0]


@pytest.mark.parametrize(
    "answered",
    ["simulated", "simulated:latest", "Simulated", "simulated-2026-01-01", "a/simulated"],
)
def test_a_tag_a_date_or_a_folder_is_the_same_model(answered: str) -> None:
    def rename(_: Any, body: dict[str, Any]) -> None:
        body["model"] = answered

    with odd_server(bent(rename), ("simulated",)) as (url, _):
        assert check(backend(url), TASK).ok


def test_a_limit_that_is_ignored_is_a_problem() -> None:
    def unlimited(asked: dict[str, Any], body: dict[str, Any]) -> None:
        if asked.get("max_tokens") == 16:
            body["usage"]["completion_tokens"] = 400
            body["choices"][0]["finish_reason"] = "stop"

    with odd_server(bent(unlimited), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.takes["max_tokens"].verdict == "no"
    assert "400 tokens" in report.problems[0]


def test_a_limit_is_seen_without_usage_too() -> None:
    def unlimited(asked: dict[str, Any], body: dict[str, Any]) -> None:
        body.pop("usage")
        if asked.get("max_tokens") == 16:
            body["choices"][0]["message"]["content"] = "word " * 200
            body["choices"][0]["finish_reason"] = "stop"

    with odd_server(bent(unlimited), ("simulated",)) as (url, _):
        assert check(backend(url), TASK).takes["max_tokens"].verdict == "no"


def test_options_that_are_refused_are_named() -> None:
    def strict(asked: dict[str, Any], _: dict[str, Any]) -> web.Response | None:
        for option in ("seed", "n", "response_format"):
            if option in asked:
                return refuse(f"unknown option {option}")
        return None

    with odd_server(bent(strict), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    verdicts = {name: finding.verdict for name, finding in report.takes.items()}
    assert verdicts["n"] == "no"
    assert verdicts["seed"] == "no"
    assert verdicts["response_schema"] == "no"
    assert "unknown option response_format" in report.takes["response_schema"].words
    assert "json-schema" not in report.parses
    assert report.ok


@pytest.mark.parametrize("status", [403, 405, 500, 501])
def test_an_endpoint_that_fails_for_an_option_only_can_be_used(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", lambda *_: 0.0)

    def strict(asked: dict[str, Any], _: dict[str, Any]) -> web.Response | None:
        failing = [option for option in ("n", "response_format") if option in asked]
        error = {"error": {"message": f"no {failing}"}}
        return web.json_response(error, status=status) if failing else None

    with odd_server(bent(strict), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.takes["n"].verdict == report.takes["response_schema"].verdict == "no"
    assert "no ['n']" in report.takes["n"].words
    assert report.ok


@pytest.mark.parametrize("allowed", [{1}, set()], ids=["1-only", "none"])
def test_a_refused_temperature_is_a_problem_in_plain_words(allowed: set[float]) -> None:
    def fixed(asked: dict[str, Any], _: dict[str, Any]) -> web.Response | None:
        refused = asked.get("temperature") not in {None, *allowed}
        return refuse("temperature must be 1") if refused else None

    with odd_server(bent(fixed), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.takes["temperature"].verdict == "no"
    assert "temperature must be 1" in report.problems[0]


def test_a_seed_that_is_ignored_is_seen_and_no_problem() -> None:
    count = itertools.count()

    def varied(_: Any, body: dict[str, Any]) -> None:
        body["choices"][0]["message"]["content"] += f"\n[[ ## completed ## ]] {next(count)}"

    with odd_server(bent(varied), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.takes["seed"].verdict == "ignored"
    assert report.takes["n"].verdict == "yes"


def test_draws_that_are_all_equal_are_a_problem() -> None:
    teacher = Teacher(0, TeacherRates.perfect())

    async def greedy(request: web.Request) -> web.StreamResponse:
        call = read_call(await request.read())
        body = reply_body(call, [teacher.reply(call.sample(0))], number=1, created=1)
        return web.json_response(body)

    with odd_server(greedy, ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.takes["seed"].verdict == "equal"
    assert report.takes["n"].verdict == "no"
    assert any("equal" in problem for problem in report.problems)


def test_a_schema_that_is_held_is_seen() -> None:
    def held(asked: dict[str, Any], body: dict[str, Any]) -> None:
        schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        if "legs" in schema.get("properties", {}):
            body["choices"][0]["message"]["content"] = '{"animal": "cat", "legs": 4}'

    with odd_server(bent(held), ("simulated",)) as (url, _):
        assert check(backend(url), TASK).takes["response_schema"].verdict == "yes"


def test_the_first_adapter_that_parses_everything_is_chosen() -> None:
    def no_headers(_: Any, body: dict[str, Any]) -> None:
        message = body["choices"][0]["message"]
        if "[[ ##" in message["content"]:
            message["content"] = re.sub(r"\[\[ ## .*? ## \]\]", "", message["content"])

    with odd_server(bent(no_headers), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.ok
    assert report.adapter == "json-schema"
    assert all(report.parses["chat"].values())


def test_a_model_that_nothing_parses_is_a_problem() -> None:
    def mute(_: Any, body: dict[str, Any]) -> None:
        body["choices"][0]["message"]["content"] = ""

    with odd_server(bent(mute), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.adapter is None
    assert "no adapter" in report.problems[-1]


def test_one_malformed_reply_in_three_does_not_decide() -> None:
    seen: dict[str, int] = {}

    def first_is_bad(asked: dict[str, Any], body: dict[str, Any]) -> None:
        prompt = asked["messages"][-1]["content"]
        seen[prompt] = seen.get(prompt, 0) + 1
        if "keywords" in asked["messages"][0]["content"]:
            return
        if asked.get("seed") == 0:
            body["choices"][0]["message"]["content"] = "no"

    with odd_server(bent(first_is_bad), ("simulated",)) as (url, _):
        report = check(backend(url), TASK)
    assert report.adapter == "chat"


def test_a_server_that_lists_no_models_is_asked_all_the_same() -> None:
    with odd_server(bent(lambda *_: None), replying(status=404)) as (url, _):
        report = check(backend(url), TASK)
    assert report.served is None
    assert report.ok


@pytest.mark.parametrize(
    ("status", "told"), [(401, "DS2_API_KEY"), (403, "DS2_API_KEY"), (500, "must answer")]
)
def test_an_endpoint_that_turns_us_away_is_an_error_with_words(status: int, told: str) -> None:
    gone = replying(status=status, text="{}")
    with odd_server(gone, gone) as (url, _), pytest.raises(EndpointError, match=told):
        check(backend(url), TASK)


def run(*options: str) -> Any:
    return CliRunner().invoke(app(), list(options))


def test_the_command_prints_lines_and_leaves_with_0() -> None:
    with served(SimulatedServer(Teacher(0, TeacherRates.perfect()))) as running:
        result = run("--model", "simulated", "--api-base", running.url)
    assert result.exit_code == 0
    assert "6 of 6 signatures parse" in result.stdout
    assert "--adapter chat" in result.stdout


def test_the_command_prints_json_and_leaves_with_2_where_something_is_wrong() -> None:
    def other(_: Any, body: dict[str, Any]) -> None:
        body["model"] = "tiny-model"

    with odd_server(bent(other), ("simulated",)) as (url, _):
        result = run("--model", "simulated", "--api-base", url, "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert "tiny-model" in report["problems"][0]


def test_the_command_says_in_json_what_could_not_be_reached() -> None:
    with odd_server(replying()) as (url, _):
        gone = url
    result = run("--model", "m", "--api-base", gone, "--json")
    assert result.exit_code == 2
    assert "must answer" in json.loads(result.stdout)["problems"][0]


def test_the_command_passes_an_error_of_ours_on() -> None:
    result = run("--model", "m", "--api-base", "nonsense")
    assert isinstance(result.exception, EndpointError)
