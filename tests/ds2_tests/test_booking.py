"""What a budget counts of attempts that brought no reply: all that may be billed, nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from aiohttp import web
from dspy import lm15
from loopback_server import odd_server
from scripted import Script

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount, Lost
from ds2.engines.booking import Booking
from ds2.engines.budget import Budget, BudgetSpent
from ds2.engines.choices import Choice, Spoiled
from ds2.engines.coalescing import Coalescer, Draw
from ds2.engines.limiter import Limiter
from ds2.engines.lm import logged_lm
from ds2.engines.logged import LoggedEngine, MemoryLog
from ds2.engines.question import Question
from ds2.engines.resolve import resolve_backend
from ds2.engines.retry import RetryPolicy, UnreachedError, may_be_billed, never_sent
from signatures.receipts import Receipt

BILLED = [
    lm15.TimeoutError("no reply within 1 s"),
    lm15.TransportError("connection reset"),
    lm15.ServerError("not JSON", status=200),
    lm15.ServerError("no choice with a message"),
]
FREE = [
    UnreachedError("connection refused"),
    lm15.RateLimitError("slow down", status=429),
    lm15.ServerError("down", status=500),
    lm15.ServerError("full", status=503),
    lm15.TimeoutError("gateway", status=504),
    lm15.InvalidRequestError("no", status=400),
    lm15.AuthError("no", status=401),
]


def named(error: lm15.LM15Error) -> str:
    return f"{type(error).__name__} {error.message}"


def engine(script: Script, budget: Budget) -> LoggedEngine:
    retry = RetryPolicy(base_s=0, answered=True)
    return LoggedEngine(
        script.backend(), MemoryLog(), Limiter(8), stage="answers", retry=retry, budget=budget
    )


def ask(logged: LoggedEngine, text: str = "hi") -> str | None:
    return asyncio.run(logged.answer(lm15.Request("m", (lm15.Message.user(text),)))).text


def budget(calls: int) -> Budget:
    return Budget(BudgetConfig(budget_calls=calls))


@pytest.mark.parametrize("error", BILLED, ids=named)
def test_an_attempt_that_may_be_billed_counts_and_the_next_reserves_anew(error: Any) -> None:
    one = budget(3)
    logged = engine(Script("reply", failures={0: error, 1: error}), one)
    assert ask(logged) == "reply"
    assert (one.spent.calls, one.lost.failed, one.lost.cancelled) == (3, 2, 0)
    with pytest.raises(BudgetSpent):
        ask(logged, "another")


@pytest.mark.parametrize("error", BILLED, ids=named)
def test_no_retry_goes_beyond_the_budget(error: Any) -> None:
    one = budget(2)
    script = Script("reply", failures={0: error, 1: error})
    with pytest.raises(BudgetSpent):
        ask(engine(script, one))
    assert (len(script.calls), one.spent.calls, one.stopped_by) == (2, 2, "calls")


@pytest.mark.parametrize("error", FREE, ids=named)
def test_what_the_endpoint_turned_away_is_free(error: Any) -> None:
    one = budget(1)
    logged = engine(Script("reply", failures={0: error}), one)
    if isinstance(error, lm15.InvalidRequestError | lm15.AuthError):
        with pytest.raises(type(error)):
            ask(logged)
    assert ask(logged) == "reply"
    assert (one.spent.calls, one.lost) == (1, Lost())
    assert not may_be_billed(error)


def test_the_tokens_and_dollars_of_a_lost_attempt_count_where_only_calls_are_limited() -> None:
    one = budget(9)
    assert ask(engine(Script("reply", failures={0: BILLED[0]}), one)) == "reply"
    assert one.lost.tokens > 0


def test_a_lost_attempt_counts_at_the_most_it_could_come_to() -> None:
    one = Budget(BudgetConfig(budget_tokens=100_000))
    logged = engine(Script("reply", failures={0: BILLED[0]}), one)
    most = asyncio.run(logged.meter.reserve("p", "{}")).held.amount.tokens
    assert ask(logged) == "reply"
    assert one.lost.tokens >= most


def test_who_waits_to_try_again_has_nothing_on_the_wire() -> None:
    one = budget(5)
    script = Script("reply", failures={0: FREE[1]})
    logged = engine(script, one)
    logged.retry.base_s = 60.0

    async def work() -> None:
        task = asyncio.create_task(logged.answer(lm15.Request("m", (lm15.Message.user("hi"),))))
        while not script.calls or script.in_flight:  # noqa: ASYNC110 - until it waits to try again
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())
    assert (one.spent, one.lost) == (Amount(), Lost())


def test_a_connection_that_never_came_about_is_told_from_one_that_broke() -> None:
    assert never_sent(ConnectionRefusedError())
    assert never_sent(socket.gaierror())
    assert not never_sent(ConnectionResetError())
    wrapped = lm15.TransportError("failed")
    wrapped.__cause__ = ConnectionRefusedError()
    assert never_sent(wrapped)


def test_a_refused_connection_over_a_socket_is_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        backend = resolve_backend(
            "m", api_base=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", environ={}
        )
        one = budget(5)
        retry = RetryPolicy(base_s=0)
        logged = LoggedEngine(
            backend, MemoryLog(), Limiter(1), stage="answers", retry=retry, budget=one
        )
        with pytest.raises(UnreachedError):
            ask(logged)
    assert (logged.requests, one.spent, one.lost) == (3, Amount(), Lost())


class Choices:
    """Draws of one question that share a request, against a budget."""

    def __init__(self, one: Budget, brings: Any, *, state: Any = "on") -> None:
        backend = Script("x").backend()
        self.meter = one.meter(backend)
        self.question = Question(backend, lm15.Request("m", (lm15.Message.user("hi"),)))
        self.brings = brings
        self.log = MemoryLog()
        self.coalescer = Coalescer(self.exchange, seeded=False, state=state)

    async def exchange(self, _: Question, take: Any, known: Sequence[Draw]) -> Any:
        asked = list(known)
        for draw in asked:
            await draw.booking.renew()
        asked = list(take())
        for draw in asked:
            draw.booking.sent()
        brought = self.brings(asked)
        for _ in range(3):
            await asyncio.sleep(0)
        return brought, 0.1

    async def draw(self, sample: int) -> Future[Receipt]:
        booking = Booking(self.meter, self.question)
        await booking.renew()

        def keep(choice: Choice, latency_s: float) -> Future[Receipt]:
            receipt = Receipt(str(sample), choice.text, "stop", input_tokens=1, output_tokens=1)
            booking.settle(receipt)
            notes = {"stage": "", "place": 0, "prompt": "", "options": "", "latency_s": latency_s}
            return self.log.put(receipt, **notes)

        try:
            return await self.coalescer.draw(self.question, Draw(sample, keep, booking))
        except BaseException:
            booking.close()
            raise


def test_choices_that_are_not_believed_are_paid() -> None:
    one = budget(20)
    same = Choices(one, lambda asked: [Choice("same") for _ in asked], state="unknown")

    async def work() -> None:
        await asyncio.gather(*(same.draw(sample) for sample in range(3)))

    asyncio.run(work())
    # Of the three equal ones two are asked for again, each alone.
    assert (one.spent.calls, one.lost.failed) == (5, 2)


@pytest.mark.parametrize("spoiled", [Spoiled(counted=True), Spoiled(counted=False), None], ids=str)
def test_a_choice_that_was_written_is_paid_and_one_that_was_not_sent_is_free(spoiled: Any) -> None:
    one = Budget(BudgetConfig(budget_tokens=100_000))

    def brings(asked: Sequence[Draw]) -> list[Any]:
        came = [Choice(f"reply {draw.sample}") for draw in asked]
        return came if len(asked) < 3 else [came[0], spoiled, came[2]]

    async def work() -> None:
        shared = Choices(one, brings)
        await asyncio.gather(*(shared.draw(sample) for sample in range(3)))

    asyncio.run(work())
    billed = spoiled is not None
    assert (one.lost.failed, one.lost.cancelled) == (int(billed), 0)
    # The most that one can come to is the whole of its limit, and its prompt.
    assert (one.lost.tokens > 2048) == (spoiled == Spoiled(counted=False))
    assert one.spent == one.lost.amount.plus(Amount(3, 6))  # a receipt of `Choices` is of 2 tokens
    assert one._held == Amount()


def test_the_tokens_of_a_spoiled_choice_whose_draw_was_cancelled_are_counted_once() -> None:
    one = Budget(BudgetConfig(budget_tokens=100_000))
    draws: list[asyncio.Task[Any]] = []

    async def work() -> None:
        def leave(asked: Sequence[Draw]) -> list[Any]:
            draws[0].cancel()
            return [Spoiled(counted=True), *(Choice(f"reply {d.sample}") for d in asked[1:])]

        shared = Choices(one, leave)
        draws.extend(asyncio.create_task(shared.draw(sample)) for sample in range(3))
        await asyncio.gather(*draws, return_exceptions=True)

    asyncio.run(work())
    assert (one.spent, one.lost) == (Amount(3, 4), Lost(cancelled=1))


def test_a_reply_that_came_after_its_draw_was_cancelled_is_counted_once() -> None:
    one = Budget(BudgetConfig(budget_tokens=100_000))
    draws: list[asyncio.Task[Any]] = []

    async def work() -> None:
        def leave(asked: Sequence[Draw]) -> list[Choice]:
            draws[0].cancel()
            return [Choice(f"reply {draw.sample}") for draw in asked]

        shared = Choices(one, leave)
        draws.extend(asyncio.create_task(shared.draw(sample)) for sample in range(2))
        await asyncio.gather(*draws, return_exceptions=True)

    asyncio.run(work())
    assert (one.spent, one.lost) == (Amount(2, 4), Lost())


def test_draws_of_a_shared_request_that_failed_are_all_lost_and_go_on_as_they_fit() -> None:
    one = budget(3)
    logged = engine(Script("reply", failures={0: BILLED[0]}), one)

    async def work() -> list[Any]:
        question = Question(logged.backend, lm15.Request("m", (lm15.Message.user("hi"),)))
        bookings = [Booking(logged.meter, question) for _ in range(2)]
        for booking in bookings:
            await booking.renew()
        draws = [Draw(at, lambda *_: Future(), booking) for at, booking in enumerate(bookings)]
        found = await asyncio.gather(
            logged._exchange(question, lambda: [d for d in draws if d.booking.reserved], draws),
            return_exceptions=True,
        )
        assert [booking.reserved for booking in bookings] == [True, False]
        for booking in bookings:
            booking.close()
        return found

    ((choices, _),) = asyncio.run(work())
    # Two were lost; of the two to be asked again only one fits, and goes out.
    assert len(choices) == 1
    assert (one.spent.calls, one.lost.failed, one._held) == (3, 2, Amount())


def test_no_draw_of_a_shared_request_waits_for_the_budget_while_another_holds_some() -> None:
    def shared(limit: int) -> Budget:
        one = Budget(BudgetConfig(budget_tokens=limit))
        failures = ["no JSON"]  # of the first request, whose draws are spent and reserved anew

        async def answer(request: web.Request) -> web.StreamResponse:
            n = (await request.json()).get("n", 1)
            if failures:
                return web.Response(text=failures.pop())
            usage = {"prompt_tokens": 5, "completion_tokens": 5}
            message = {"role": "assistant", "content": "reply"}
            choices = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(n)]
            return web.json_response({"model": "m", "choices": choices, "usage": usage})

        async def work() -> None:
            async with asyncio.timeout(10):
                draws = (lm.acall("hi", rollout_id=sample) for sample in range(2))
                assert await asyncio.gather(*draws) == [["reply"]] * 2

        with odd_server(answer) as (url, _):
            backend = resolve_backend("m", api_base=url, environ={})
            lm = logged_lm(backend, coalesce="on", budget=one, retry=RetryPolicy(base_s=0))
            asyncio.run(work())
        return one

    lost = shared(10**9).lost.tokens
    assert shared(lost + lost * 3 // 4).lost.failed == 2
