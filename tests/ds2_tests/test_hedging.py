"""A straggler is asked a second time, and whichever reply is stored first stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from scripted import Call, Script
from small_runs import dataset_bytes, go, summary_of, teacher_server

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount
from ds2.engines.budget import Budget, BudgetSpent
from ds2.engines.hedging import FACTOR, LEAST, Hedge
from ds2.engines.limiter import Limiter
from ds2.engines.logged import LoggedEngine, MemoryLog, sample_number
from ds2.engines.retry import RetryPolicy

FOR_EVER = 60.0


def calls(number: int) -> Budget:
    """Return a budget of so many more calls."""
    return Budget(BudgetConfig(budget_calls=number + 1), spent=Amount(calls=1))


def known(latency_s: float = 0.0005) -> Hedge:
    """Return a hedge that has seen enough replies, each of this latency."""
    hedge = Hedge()
    for _ in range(LEAST):
        hedge.note(latency_s)
    return hedge


def engine(script: Script, hedge: Hedge, budget: Budget | None = None) -> LoggedEngine:
    return LoggedEngine(
        script.backend(),
        MemoryLog(),
        Limiter(8),
        stage="answers",
        retry=RetryPolicy(base_s=0),
        budget=budget,
        hedge=hedge,
    )


async def ask(logged: LoggedEngine, sample: int = 0) -> str | None:
    sample_number.set(sample)
    async with asyncio.timeout(20):
        return (await logged.answer(lm15.Request("m", (lm15.Message.user("hi"),)))).text


def stuck(*numbers: int) -> Callable[[Call], float]:
    return lambda call: FOR_EVER if call.number in numbers else 0.0


def test_a_straggler_is_asked_again_and_the_first_reply_wins() -> None:
    script = Script(lambda call: f"reply {call.number}", latency=stuck(0))
    hedge, budget = known(), calls(10)
    logged = engine(script, hedge, budget)
    assert asyncio.run(ask(logged)) == "reply 1"
    assert (hedge.asked_twice, len(script.calls), script.in_flight) == (1, 2, 0)
    # Both are paid: one brought the reply, the other was cancelled on the wire.
    assert (budget.calls_left, budget.lost.cancelled) == (8, 1)


def test_the_first_call_may_still_win() -> None:
    def latency(call: Call) -> float:
        return 0.05 if call.number == 0 else FOR_EVER

    script = Script(lambda call: f"reply {call.number}", latency=latency)
    budget = calls(10)
    assert asyncio.run(ask(engine(script, known(), budget))) == "reply 0"
    assert (budget.calls_left, budget.lost.cancelled, len(script.calls)) == (8, 1, 2)


def test_a_call_in_time_is_asked_once() -> None:
    script, budget = Script("reply"), calls(10)
    logged = engine(script, known(latency_s=10), budget)
    assert asyncio.run(ask(logged)) == "reply"
    assert (len(script.calls), budget.calls_left, budget.lost.cancelled) == (1, 9, 0)


def test_nothing_is_a_straggler_while_little_is_known() -> None:
    hedge = Hedge()
    for number in range(LEAST):
        assert hedge.limit_s is None
        hedge.note(float(number))
    assert hedge.limit_s == FACTOR * sum(range(LEAST)) / LEAST


def test_time_in_our_own_queue_makes_no_straggler() -> None:
    script, hedge = Script("reply", latency=lambda _: 0.01), known(latency_s=0.005)
    logged = engine(script, hedge)
    logged.limiter.concurrency = 1

    async def work() -> None:
        await asyncio.gather(*(ask(logged, sample) for sample in range(12)))

    asyncio.run(work())
    assert (hedge.asked_twice, len(script.calls)) == (0, 12)


def test_a_budget_that_has_no_room_asks_once() -> None:
    script = Script("reply", latency=lambda _: 0.05)
    assert asyncio.run(ask(engine(script, known(), calls(1)))) == "reply"
    assert len(script.calls) == 1


def test_the_weather_of_one_leaves_it_to_the_other() -> None:
    script = Script("reply", latency=lambda c: 0.05 if c.number == 0 else 0.0)
    script._failures = {1: lm15.ServerError("down")}
    assert asyncio.run(ask(engine(script, known()))) == "reply"
    both = Script("reply", failures={0: lm15.ServerError("a"), 1: lm15.ServerError("b")})
    assert asyncio.run(ask(engine(both, known()))) == "reply"
    assert len(both.calls) == 3


def test_what_cannot_heal_is_raised_at_once() -> None:
    script = Script("x", failures={1: lm15.AuthError("bad key")}, latency=stuck(0))
    with pytest.raises(lm15.AuthError):
        asyncio.run(ask(engine(script, known())))
    assert script.in_flight == 0


def test_who_is_cancelled_leaves_nothing_behind() -> None:
    script, budget = Script("reply", latency=lambda _: FOR_EVER), calls(10)
    logged = engine(script, known(), budget)

    async def work() -> None:
        task = asyncio.create_task(ask(logged))
        async with asyncio.timeout(20):
            while len(script.calls) < 2:  # noqa: ASYNC110 - the second call is on the wire
                await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(work())
    assert (script.in_flight, logged.limiter.in_flight, len(logged._flights)) == (0, 0, 0)
    assert (budget.calls_left, budget.lost.cancelled) == (8, 2)


def test_a_spent_budget_stays_one() -> None:
    script = Script("reply")
    with pytest.raises(BudgetSpent):
        asyncio.run(ask(engine(script, known(), calls(0))))


@pytest.mark.parametrize("coalesce", ["off", "on"])
def test_hedging_changes_no_byte(coalesce: Any, tmp_path: Path) -> None:
    with teacher_server(latency_s=0.004, jitter_s=0.004) as server:
        settings: dict[str, Any] = {"model": "simulated", "api_base": server.url}
        go(tmp_path / "plain", 6, **settings)
        go(tmp_path / "hedged", 6, hedge=True, coalesce=coalesce, **settings)
    assert dataset_bytes(tmp_path / "hedged") == dataset_bytes(tmp_path / "plain")
    hedged = summary_of(tmp_path / "hedged")
    assert hedged["calls"] >= hedged["ledger"]["accepted"]


def raced(*ends: object) -> tuple[object, list[str]]:
    """Return what a race of two gives, each of which ends so in the same turn, and how each ended."""
    fates: list[str] = []
    go_on = asyncio.Event()
    left = list(ends)

    async def attempt(on_wire: Callable[[], None]) -> object:
        end = left.pop(0)
        on_wire()
        await go_on.wait()
        if isinstance(end, Exception):
            raise end
        return end

    def twice() -> bool:
        asyncio.get_running_loop().call_later(0.002, go_on.set)
        return True

    async def work() -> object:
        racing = known().race(attempt, may_ask_twice=twice, ended=fates.extend)
        return (await asyncio.gather(racing, return_exceptions=True))[0]

    return asyncio.run(work()), fates


def test_a_loser_that_ends_in_the_same_turn_is_paid() -> None:
    reply, fates = raced("one", "two")
    assert reply in {"one", "two"}
    assert sorted(fates) == ["cancelled", "won"]


@pytest.mark.parametrize(
    ("weather", "fate"),
    [
        (lm15.TimeoutError("late"), "failed"),
        (lm15.ServerError("cut", status=200), "failed"),
        (lm15.RateLimitError("slow down"), "unpaid"),
        (lm15.ServerError("down", status=500), "unpaid"),
    ],
    ids=["timeout", "unreadable", "429", "500"],
)
def test_a_loser_in_the_weather_is_paid_where_it_may_be_billed(
    weather: Exception, fate: str
) -> None:
    assert raced(weather, "reply") == ("reply", [fate, "won"])
    assert raced("reply", weather) == ("reply", ["won", fate])


def test_two_that_both_fail_are_both_paid_where_they_may_be_billed() -> None:
    late = lm15.TimeoutError("late")
    script = Script("reply", failures={0: late, 1: late}, latency=lambda c: 0.01 * (c.number < 2))
    budget = calls(10)
    assert asyncio.run(ask(engine(script, known(), budget))) == "reply"
    assert len(script.calls) == budget.spent.calls - 1
    assert budget.lost.failed == len(script.calls) - 1
