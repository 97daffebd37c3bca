"""Draws that share a request: the same rows, records and sums, for fewer requests and tokens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
import pytest
from aiohttp import web
from dspy import lm15
from faulty_runs import faulty_server, hurried, through
from loopback_server import odd_server, saying
from scripted import Script
from small_runs import dataset_bytes, go, summary_of, teacher_server

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount
from ds2.engines.booking import Booking
from ds2.engines.budget import Budget, BudgetSpent
from ds2.engines.choices import Choice
from ds2.engines.coalescing import MOST, Coalescer, Draw, State
from ds2.engines.limiter import Limiter
from ds2.engines.lm import engine_of, logged_lm
from ds2.engines.logged import MemoryLog
from ds2.engines.question import Question
from ds2.engines.resolve import resolve_backend
from ds2.engines.retry import RetryPolicy
from ds2.server.faults import Faults
from ds2.server.serve import served
from ds2.store import STORE_NAME
from signatures.receipts import Receipt

BACKEND = Script("x").backend()


class Endpoint:
    """Answers sample s with `reply s`, as a test says; keeps what was asked together."""

    def __init__(self, *, brings: Any = None, seeded: bool = True, state: State = "on") -> None:
        self.asked: list[list[int]] = []
        self.brings = brings
        self.ready = asyncio.Event()
        self.ready.set()
        self.kept: list[int] = []
        self.log = MemoryLog()
        self.coalescer = Coalescer(self.exchange, seeded=seeded, state=state)

    async def exchange(
        self, question: Question, take: Any, known: Sequence[Draw]
    ) -> tuple[Sequence[Choice | None], float]:
        await self.ready.wait()
        told = [draw.sample for draw in take()]
        self.asked.append(told)
        await asyncio.sleep(0)
        choices: list[Choice | None] = [Choice(f"reply {sample}") for sample in told]
        return (choices if self.brings is None else self.brings(told, choices)), 0.5

    async def draw(self, sample: int, text: str = "hi") -> str:
        def keep(choice: Choice, latency_s: float) -> Any:
            self.kept.append(sample)
            receipt = Receipt(f"{text} {sample}", choice.text, choice.finish_reason)
            notes = {"stage": "", "place": 0, "prompt": "", "options": "", "latency_s": latency_s}
            return self.log.put(receipt, **notes)

        question = Question(BACKEND, lm15.Request("m", (lm15.Message.user(text),)))
        booking = Booking(Budget().meter(BACKEND), question)
        await booking.renew()
        written = await self.coalescer.draw(question, Draw(sample, keep, booking))
        return written.result().text

    def drawn(self, *samples: int) -> list[str]:
        async def work() -> list[str]:
            async with asyncio.timeout(10):
                return list(await asyncio.gather(*(self.draw(sample) for sample in samples)))

        return asyncio.run(work())


def texts(*samples: int) -> list[str]:
    return [f"reply {sample}" for sample in samples]


def test_draws_that_start_together_share_a_request() -> None:
    endpoint = Endpoint()
    assert endpoint.drawn(2, 0, 1) == texts(2, 0, 1)
    assert endpoint.asked == [[0, 1, 2]]


def test_draws_of_other_questions_do_not() -> None:
    endpoint = Endpoint()

    async def work() -> list[str]:
        return list(await asyncio.gather(endpoint.draw(0, "a"), endpoint.draw(1, "b")))

    assert asyncio.run(work()) == texts(0, 1)
    assert sorted(endpoint.asked) == [[0], [1]]


def test_draws_may_join_until_the_request_goes_out() -> None:
    async def work() -> None:
        endpoint = Endpoint()
        endpoint.ready.clear()
        first = asyncio.create_task(endpoint.draw(0))
        for _ in range(10):
            await asyncio.sleep(0)
        second = asyncio.create_task(endpoint.draw(1))
        await asyncio.sleep(0)
        endpoint.ready.set()
        assert await asyncio.gather(first, second) == texts(0, 1)
        assert endpoint.asked == [[0, 1]]
        assert await endpoint.draw(2) == "reply 2"
        assert endpoint.asked == [[0, 1], [2]]

    asyncio.run(work())


@pytest.mark.parametrize(
    ("seeded", "together"), [(True, [[0, 1], [3], [7, 8]]), (False, [[0, 1, 3, 7, 8]])]
)
def test_only_consecutive_samples_share_a_seed(seeded: bool, together: list[list[int]]) -> None:
    endpoint = Endpoint(seeded=seeded)
    assert endpoint.drawn(0, 1, 3, 7, 8) == texts(0, 1, 3, 7, 8)
    assert sorted(endpoint.asked) == together


def test_a_request_asks_for_no_more_than_hosts_take() -> None:
    endpoint = Endpoint()
    samples = range(2 * MOST + 1)
    assert endpoint.drawn(*samples) == texts(*samples)
    assert sorted(len(asked) for asked in endpoint.asked) == [1, MOST, MOST]


def test_what_did_not_come_is_asked_for_again() -> None:
    def half(told: list[int], choices: list[Any]) -> list[Any]:
        return [c if i < max(1, len(told) // 2) else None for i, c in enumerate(choices)]

    endpoint = Endpoint(brings=half)
    assert endpoint.drawn(*range(7)) == texts(*range(7))
    assert endpoint.asked == [[0, 1, 2, 3, 4, 5, 6], [3, 4, 5, 6], [5, 6], [6]]
    assert sorted(endpoint.kept) == list(range(7))


def test_a_server_that_ignores_n_is_found_out() -> None:
    endpoint = Endpoint(brings=lambda told, choices: [choices[0], *[None] * (len(told) - 1)])
    assert endpoint.drawn(*range(6)) == texts(*range(6))
    assert endpoint.coalescer.state == "off"
    assert endpoint.asked[:3] == [[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [2, 3, 4, 5]]
    assert sorted(endpoint.asked[3:]) == [[3], [4], [5]]


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("on", lm15.InvalidRequestError("unknown option n")),
        ("unknown", lm15.InvalidRequestError("unknown option n")),
        ("unknown", lm15.ProviderError("method", status=405)),
        ("unknown", lm15.AuthError("your plan has no n", status=403)),
    ],
)
def test_a_server_that_refuses_n_is_asked_for_one_at_a_time(state: State, error: Exception) -> None:
    def refuse(told: list[int], choices: list[Any]) -> list[Any]:
        if len(told) > 1:
            raise error
        return choices

    endpoint = Endpoint(brings=refuse, state=state)
    assert endpoint.drawn(0, 1, 2) == texts(0, 1, 2)
    assert sorted(endpoint.asked) == [[0], [0, 1, 2], [1], [2]]
    assert endpoint.drawn(3, 4) == texts(3, 4)
    assert endpoint.coalescer.state == "off"
    assert sorted(endpoint.asked[4:]) == [[3], [4]]


@pytest.mark.parametrize(
    ("error", "state"),
    [(lm15.ServerError("n boom", status=500), "off"), (lm15.RateLimitError("full"), "unknown")],
)
def test_the_weather_of_an_unknown_endpoint_counts_against_n_but_for_a_429(
    error: Exception, state: State
) -> None:
    def fail(told: list[int], choices: list[Any]) -> list[Any]:
        if len(told) > 1:
            raise error
        return choices

    endpoint = Endpoint(brings=fail, state="unknown")
    for first in (0, 10, 20):
        assert endpoint.coalescer.state == "unknown"
        assert endpoint.drawn(first, first + 1) == texts(first, first + 1)
    assert endpoint.coalescer.state == state


@pytest.mark.parametrize("state", ["on", "unknown"])
@pytest.mark.parametrize(
    "error", [lm15.ContextLengthError("too long"), lm15.AuthError("bad key"), OSError("disk full")]
)
def test_an_error_is_of_everyone_who_shares_the_request(error: Exception, state: State) -> None:
    def fail(told: list[int], choices: list[Any]) -> list[Any]:
        raise error

    endpoint = Endpoint(brings=fail, state=state)

    async def work() -> list[Any]:
        draws = (endpoint.draw(sample) for sample in range(3))
        return list(await asyncio.gather(*draws, return_exceptions=True))

    assert asyncio.run(work()) == [error] * 3
    if state == "on":
        assert endpoint.coalescer.state == "on"


def test_an_unknown_endpoint_is_found_out_by_one_group_at_a_time() -> None:
    async def work() -> None:
        endpoint = Endpoint(state="unknown")
        draws = [endpoint.draw(sample, text) for text in "abc" for sample in (0, 1)]
        assert await asyncio.gather(*draws) == texts(0, 1) * 3
        assert sorted(endpoint.asked) == [[0], [0], [0, 1], [1], [1]]
        assert endpoint.coalescer.state == "on"
        draws = [endpoint.draw(sample, text) for text in "abc" for sample in (2, 3)]
        await asyncio.gather(*draws)
        assert endpoint.asked[5:] == [[2, 3]] * 3

    asyncio.run(work())


def test_an_unknown_server_that_copies_a_draw_is_not_believed() -> None:
    def copies(told: list[int], choices: list[Any]) -> list[Any]:
        return [choices[0]] * len(told)

    endpoint = Endpoint(brings=copies, state="unknown")
    for first in (0, 10, 20):
        assert endpoint.drawn(first, first + 1) == texts(first, first + 1)
    assert endpoint.coalescer.state == "off"


def test_everyone_gone_ends_the_request_and_one_gone_does_not() -> None:
    async def work() -> None:
        endpoint = Endpoint()
        endpoint.ready.clear()
        draws = [asyncio.create_task(endpoint.draw(sample)) for sample in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        draws[1].cancel()
        await asyncio.sleep(0)
        endpoint.ready.set()
        found = await asyncio.gather(*draws, return_exceptions=True)
        assert [found[0], found[2]] == texts(0, 2)
        assert sorted(endpoint.asked) == [[0], [2]]
        endpoint.ready.clear()
        draws = [asyncio.create_task(endpoint.draw(sample, "again")) for sample in range(2)]
        for _ in range(5):
            await asyncio.sleep(0)
        for draw in draws:
            draw.cancel()
        await asyncio.gather(*draws, return_exceptions=True)
        async with asyncio.timeout(5):
            while endpoint.coalescer._tasks:  # noqa: ASYNC110 - the end of what was cancelled
                await asyncio.sleep(0)
        assert len(endpoint.asked) == 2
        assert endpoint.coalescer._open == {}

    asyncio.run(work())


def test_a_reply_that_nobody_waits_for_any_more_is_kept() -> None:
    async def work() -> None:
        gone: list[asyncio.Task[str]] = []

        def leave(told: list[int], choices: list[Any]) -> list[Any]:
            gone[0].cancel()
            return choices

        endpoint = Endpoint(brings=leave)
        draws = [asyncio.create_task(endpoint.draw(sample)) for sample in range(2)]
        gone.append(draws[0])
        await asyncio.gather(*draws, return_exceptions=True)
        assert sorted(endpoint.kept) == [0, 1]

    asyncio.run(work())


# Over a socket: whole runs, and any DSPy program.


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose draws go out one by one."""
    out = tmp_path_factory.mktemp("plain")
    with teacher_server() as server:
        assert go(out, 12, model="simulated", api_base=server.url).exit_code == 0
        summary = summary_of(out)
        # The calls that were cancelled when their unit became surplus were sent, too.
        assert summary["requests"] == summary["new_calls"] + summary["cancelled_calls"]
    return out


def calls(out: Path) -> dict[str, Any]:
    """Return the text of every call in a store, by its key."""
    connection = sqlite3.connect(out / STORE_NAME)
    try:
        return dict(connection.execute("SELECT key, text FROM calls"))
    finally:
        connection.close()


@pytest.mark.parametrize(("coalesce", "share"), [("on", 0.7), ("auto", 0.9)])
def test_the_dataset_is_the_same_with_and_without(
    coalesce: str, share: float, plain: Path, tmp_path: Path
) -> None:
    with teacher_server() as server:
        go(tmp_path, 12, model="simulated", api_base=server.url, coalesce=coalesce)
    assert dataset_bytes(tmp_path) == dataset_bytes(plain)
    ours, theirs = calls(tmp_path), calls(plain)
    assert all(ours[key] == theirs[key] for key in ours.keys() & theirs.keys())
    together, alone = summary_of(tmp_path), summary_of(plain)
    assert together["requests"] < share * together["new_calls"]
    assert server.counts.as_dict()["repeated"] == 0
    tokens, before = together["stages"]["answers"], alone["stages"]["answers"]
    assert (
        tokens["input_tokens"] / tokens["calls"] < share * before["input_tokens"] / before["calls"]
    )
    assert tokens["unreported"] == 0


def test_what_is_logged_is_not_asked_again(plain: Path, tmp_path: Path) -> None:
    with teacher_server() as server:
        settings: dict[str, Any] = {"model": "simulated", "api_base": server.url, "coalesce": "on"}
        go(tmp_path, 12, budget_calls=30, **settings)
        go(tmp_path, 12, **settings)
        assert server.counts.as_dict()["repeated"] == 0
    assert dataset_bytes(tmp_path) == dataset_bytes(plain)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(fewer_choices=0.5, most_in_a_row=2), id="fewer"),
        pytest.param(Faults(more_choices=0.3), id="more"),
        pytest.param(Faults(wrong_shape=0.2, http_500=0.2), id="wrong-shape-and-500"),
    ],
)
def test_faults_of_shared_requests_change_no_byte(
    faults: Faults, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    weathered = through(tmp_path, faults, target=12, coalesce="on")
    assert weathered.data == dataset_bytes(plain)


def test_usage_of_shared_requests_sums_to_what_the_server_reported() -> None:
    reported: list[dict[str, int]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        n, first = body.get("n", 1), body["seed"]
        usage = {"prompt_tokens": 101, "completion_tokens": 7 * n + 1}
        reported.append(usage)
        choices = [
            {
                "index": j,
                "message": {"role": "assistant", "content": "word " * (first + j)},
                "finish_reason": "stop",
            }
            for j in range(n)
        ]
        return web.json_response({"model": "m", "choices": choices, "usage": usage})

    log = MemoryLog()
    with odd_server(handle) as (url, odd):
        backend = resolve_backend("m", api_base=url, environ={})
        lm = logged_lm(backend, log=log, coalesce="on")

        async def work() -> list[Any]:
            return await asyncio.gather(*(lm.acall("hi", rollout_id=i) for i in range(5)))

        drawn = asyncio.run(work())
    assert drawn == [["word " * sample] for sample in range(5)]
    assert [sent.body["n"] for sent in odd.sent] == [5]
    receipts = list(log._receipts.values())
    assert sum(r.input_tokens or 0 for r in receipts) == reported[0]["prompt_tokens"]
    assert sum(r.output_tokens or 0 for r in receipts) == reported[0]["completion_tokens"]


@pytest.mark.parametrize("reported", [True, False], ids=["usage reported", "usage not reported"])
def test_a_budget_counts_every_choice_that_a_server_wrote_and_its_tokens_once(
    reported: bool,
) -> None:
    """Of three choices one can be read, one is null and one is not sent; then two can be read."""
    told: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        n = (await request.json()).get("n", 1)
        readable = n if told else 1
        choices = [
            {"index": at, "message": {"role": "assistant", "content": f"reply {len(told)} {at}"}}
            for at in range(readable)
        ]
        written = readable if told else 2
        usage = {"prompt_tokens": 50, "completion_tokens": 7 * written}
        told.append(50 + 7 * written)
        body = {"model": "m", "choices": [*choices, *[None] * (written - readable)]}
        return web.json_response(body | ({"usage": usage} if reported else {}))

    budget = Budget(BudgetConfig(budget_tokens=100_000))
    with odd_server(handle) as (url, odd):
        backend = resolve_backend("m", api_base=url, environ={}, max_tokens=500)
        lm = logged_lm(backend, coalesce="on", budget=budget)

        async def work() -> list[Any]:
            return await asyncio.gather(*(lm.acall("hi", rollout_id=i) for i in range(3)))

        asyncio.run(work())
    assert [sent.body.get("n", 1) for sent in odd.sent] == [3, 2]
    assert (budget.spent.calls, budget.lost.failed, budget.lost.cancelled) == (4, 1, 0)
    if reported:
        assert budget.spent.tokens == sum(told)
        assert budget.lost.tokens == 0
    else:
        assert budget.spent.tokens > budget.lost.tokens > 500


def test_each_sample_of_a_shared_request_counts_against_the_budget() -> None:
    with served(faulty_server(Faults())) as server:
        backend = resolve_backend("simulated", api_base=server.url, environ={})
        budget = Budget(BudgetConfig(budget_calls=4), spent=Amount(calls=1))
        lm = logged_lm(backend, coalesce="on", budget=budget, limiter=Limiter(4))

        async def work() -> list[Any]:
            draws = (lm.acall("hi", rollout_id=i, temperature=1.0) for i in range(5))
            return await asyncio.gather(*draws, return_exceptions=True)

        found = asyncio.run(work())
    assert sum(isinstance(reply, BudgetSpent) for reply in found) == 2
    assert (server.counts.requests, server.counts.completions) == (1, 3)
    assert engine_of(lm).requests == 1


def test_a_request_that_finds_out_is_not_tried_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if asked.get("n", 1) > 1:
            return web.json_response({"error": {"message": "n is not implemented"}}, status=501)
        return await saying(f"draw {asked['seed']}")(request)

    with odd_server(answer) as (url, odd):
        backend = resolve_backend("m", api_base=url, environ={})
        lm = logged_lm(backend, coalesce="auto")

        async def work() -> list[Any]:
            drawn = [lm.acall("hi", rollout_id=number) for number in (1, 2, 3)]
            return list(await asyncio.gather(*drawn))

        assert sorted(text for (text,) in asyncio.run(work())) == ["draw 1", "draw 2", "draw 3"]
    assert [sent.body.get("n", 1) for sent in odd.sent] == [3, 1, 1, 1]


def test_draws_of_any_program_share_requests() -> None:
    with served(faulty_server(Faults())) as server:
        backend = resolve_backend("simulated", api_base=server.url, environ={})
        lm = logged_lm(backend, coalesce="on", retry=RetryPolicy(base_s=0))
        predict = dspy.Predict("question -> answer")

        async def work() -> list[Any]:
            with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
                draws = [
                    predict.acall(question="2 + 2?", config={"rollout_id": i, "temperature": 1.0})
                    for i in range(8)
                ]
                return await asyncio.gather(*draws, return_exceptions=True)

        asyncio.run(work())
        assert lm("hi", temperature=1.0)
    assert (server.counts.requests, server.counts.completions) == (2, 9)
