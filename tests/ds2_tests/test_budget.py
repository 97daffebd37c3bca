from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount, Lost
from ds2.engines.base import Backend
from ds2.engines.budget import TEMPLATE_TOKENS, Budget, BudgetSpent, Held
from ds2.engines.limiter import place
from ds2.engines.prices import given_price
from ds2.engines.teacher import simulated_backend
from signatures.receipts import Receipt

PRICE = given_price(1.0, 10.0)


def budget(spent: Amount | None = None, **limits: float) -> Budget:
    return Budget(BudgetConfig(**limits), spent=spent)


def backend(**changes: object) -> Backend:
    return replace(simulated_backend(0), **{"price": PRICE, "max_tokens": 100, **changes})


def reply(tokens_in: int | None, tokens_out: int | None, text: str = "text") -> Receipt:
    return Receipt("k", text, "stop", input_tokens=tokens_in, output_tokens=tokens_out)


def take(one: Budget, amount: Amount = Amount(1)) -> Held:  # noqa: B008 - a constant
    return asyncio.run(one.hold(amount))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_budget_allows_its_calls_and_no_more() -> None:
    one = budget(budget_calls=2)
    take(one)
    take(one)
    with pytest.raises(BudgetSpent):
        take(one)
    assert one.stopped_by == "calls"


@pytest.mark.parametrize(
    ("limits", "spent"),
    [
        ({"budget_calls": 3}, Amount(calls=3)),
        ({"budget_calls": 3}, Amount(calls=7)),
        ({"budget_tokens": 100}, Amount(1, tokens=91)),
        ({"budget_usd": 1.0}, Amount(1, usd=0.95)),
    ],
)
def test_what_earlier_processes_used_counts(limits: dict[str, float], spent: Amount) -> None:
    with pytest.raises(BudgetSpent):
        take(budget(spent, **limits), Amount(1, 10, 0.1))


def test_the_line_itself_may_be_reached() -> None:
    take(budget(Amount(1, 90, 0.5), budget_tokens=100, budget_usd=1.0), Amount(1, 10, 0.5))


def test_a_reservation_that_brought_no_reply_can_be_taken_again() -> None:
    one = budget(budget_calls=1)
    one.give_back(take(one))
    take(one)
    with pytest.raises(BudgetSpent):
        take(one)


def test_a_call_cancelled_on_the_wire_stays_spent_in_full() -> None:
    one = budget(budget_tokens=100)
    one.lose(take(one, Amount(1, 60)), "cancelled")
    assert (one.lost, one.spent) == (Lost(cancelled=1, tokens=60), Amount(1, 60))
    with pytest.raises(BudgetSpent):
        take(one, Amount(1, 60))


def test_no_limit_is_no_limit() -> None:
    one = Budget()
    for _ in range(1000):
        take(one, Amount(1, 10**9, 10.0**9))
    assert one.calls_left is None
    assert one.seconds_left is None


def test_no_handler_of_ordinary_errors_catches_a_spent_budget() -> None:
    assert not issubclass(BudgetSpent, Exception)


def test_many_threads_never_take_more_than_there_is() -> None:
    one = budget(budget_calls=100)

    def try_one(_: int) -> bool:
        try:
            take(one)
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(try_one, range(1000))) == 100


def test_a_call_that_does_not_fit_yet_waits_for_what_comes_back() -> None:
    one = budget(budget_tokens=100)

    async def scenario() -> None:
        first = await one.hold(Amount(1, 80))
        second = asyncio.create_task(one.hold(Amount(1, 80)))
        await settled()
        assert not second.done()
        one.settle(first, Amount(1, 15))
        assert (await second).amount == Amount(1, 80)

    asyncio.run(scenario())


def test_a_call_that_cannot_fit_any_more_is_turned_away_at_once() -> None:
    one = budget(Amount(1, 30), budget_tokens=100)

    async def scenario() -> None:
        await one.hold(Amount(1, 10))
        with pytest.raises(BudgetSpent):
            await one.hold(Amount(1, 71))

    asyncio.run(scenario())
    assert one.stopped_by == "tokens"


def test_those_who_wait_in_vain_are_turned_away_when_it_shows() -> None:
    one = budget(budget_usd=1.0)

    async def scenario() -> None:
        first = await one.hold(Amount(1, 0, 0.6))
        waiting = [asyncio.create_task(one.hold(Amount(1, 0, 0.6))) for _ in range(3)]
        await settled()
        one.settle(first, Amount(1, 0, 0.5))
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(error, BudgetSpent) for error in done)

    asyncio.run(scenario())
    assert one.stopped_by == "usd"


def test_who_waits_is_served_by_place() -> None:
    one = budget(budget_tokens=100)
    order: list[int] = []

    async def ask(where: int) -> None:
        place.set(where)
        held = await one.hold(Amount(1, 90))
        order.append(where)
        one.settle(held, Amount(1, 1))

    async def scenario() -> None:
        first = await one.hold(Amount(1, 90))
        tasks = [asyncio.create_task(ask(where)) for where in (5, 1, 3)]
        await settled()
        one.settle(first, Amount(1, 1))
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert order == [1, 3, 5]


def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    one = budget(budget_tokens=100)

    async def scenario() -> None:
        first = await one.hold(Amount(1, 50))
        big = asyncio.create_task(one.hold(Amount(1, 90)))
        await settled()
        small = asyncio.create_task(one.hold(Amount(1, 5)))
        await settled()
        assert not small.done()
        one.settle(first, Amount(1, 1))
        one.settle(await big, Amount(1, 1))
        await small

    asyncio.run(scenario())


@pytest.mark.parametrize("granted_first", [False, True])
def test_a_cancelled_waiter_keeps_nothing(granted_first: bool) -> None:
    one = budget(budget_tokens=100)

    async def scenario() -> None:
        first = await one.hold(Amount(1, 80))
        waiting = asyncio.create_task(one.hold(Amount(1, 80)))
        after = asyncio.create_task(one.hold(Amount(1, 15)))
        await settled()
        if granted_first:
            one.settle(first, Amount(1, 0))
        waiting.cancel()
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], BaseException)
        await after
        if not granted_first:
            one.settle(first, Amount(1, 0))
        assert one._held == Amount(1, 15)
        assert one._in_flight == 1

    asyncio.run(scenario())


def test_a_waiter_on_another_loop_is_woken_there() -> None:
    one = budget(budget_tokens=100)
    first = take(one, Amount(1, 80))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, one, Amount(1, 80))
        while not one._waiters:
            pass
        one.settle(first, Amount(1, 5))
        assert waiting.result(timeout=10).amount == Amount(1, 80)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_no_call_begins_that_could_not_come_home_in_time() -> None:
    clock = Clock()
    one = Budget(BudgetConfig(budget_minutes=1), clock=clock)
    held = take(one)
    clock.now_s = 10.0
    one.settle(held, Amount(1))
    clock.now_s = 49.0
    one.settle(take(one), Amount(1))
    clock.now_s = 50.5
    with pytest.raises(BudgetSpent):
        take(one)
    assert one.stopped_by == "minutes"
    assert one.seconds_left == pytest.approx(9.5)
    clock.now_s = 100.0
    assert one.seconds_left == 0.0


def test_slow_calls_take_a_quarter_of_the_minutes_at_most() -> None:
    clock = Clock()
    one = Budget(BudgetConfig(budget_minutes=1), clock=clock)
    held = take(one)
    clock.now_s = 40.0
    one.settle(held, Amount(1))
    clock.now_s = 44.0
    take(one)


def test_the_calls_left_follow_the_mean_call() -> None:
    one = budget(Amount(10, 1000), budget_tokens=3000, budget_calls=100)
    assert one.calls_left == 20
    assert budget(Amount(95, 1000), budget_tokens=3000, budget_calls=100).calls_left == 5
    assert budget(Amount(10, 9000), budget_tokens=3000).calls_left == 0


# The meter: what a call may come to, and what it came to.


def test_a_reservation_is_the_most_that_a_call_can_use() -> None:
    one = budget(budget_tokens=10_000)
    held = asyncio.run(one.meter(backend()).reserve("naïve", "{}"))
    read = 6 + 2 + TEMPLATE_TOKENS
    assert held.held.amount == Amount(1, read + 100, pytest.approx((read * 1.0 + 100 * 10.0) / 1e6))


def test_a_request_for_several_replies_pays_its_prompt_once() -> None:
    one = budget(budget_tokens=10_000)
    held = asyncio.run(one.meter(backend()).reserve("p" * 50, "{}", replies=3))
    assert held.held.amount[:2] == (3, 50 + 2 + TEMPLATE_TOKENS + 300)


def test_a_request_with_a_limit_of_its_own_reserves_that() -> None:
    one = budget(budget_tokens=10_000)
    held = asyncio.run(one.meter(backend()).reserve("p" * 50, "{}", limit=200))
    assert held.held.amount.tokens == 50 + 2 + TEMPLATE_TOKENS + 200


def test_tokens_are_counted_and_hold_nothing_back_where_only_calls_are_limited() -> None:
    one = budget(budget_calls=2)
    meter = one.meter(backend(max_tokens=10**9))
    for _ in range(2):
        meter.settle(asyncio.run(meter.reserve("prompt", "{}")), [reply(10, 20)])
    assert one.spent == Amount(2, 60, pytest.approx(2 * (10 + 200) / 1e6))
    with pytest.raises(BudgetSpent):
        asyncio.run(meter.reserve("prompt", "{}"))


def test_a_reply_settles_at_what_it_used() -> None:
    one = budget(budget_usd=1.0)
    meter = one.meter(backend())
    held = asyncio.run(meter.reserve("prompt", "{}", replies=2))
    meter.settle(held, [reply(10, 20), reply(0, 30)])
    assert one.spent == Amount(2, 60, pytest.approx((10 * 1 + 50 * 10) / 1e6))


@pytest.mark.parametrize(
    ("changes", "text", "written"),
    [({}, "short", 5), ({}, "x" * 500, 100), ({"thinking": True}, "short", 100)],
    ids=["text", "cut at the limit", "thinks unseen"],
)
def test_a_reply_without_usage_counts_at_its_bound(
    changes: dict[str, object], text: str, written: int
) -> None:
    one = budget(budget_tokens=10_000)
    meter = one.meter(backend(**changes))
    held = asyncio.run(meter.reserve("prompt", "{}"))
    meter.settle(held, [reply(None, None, text)])
    assert one.spent.tokens == 6 + 2 + TEMPLATE_TOKENS + written


def test_a_server_that_keeps_no_limit_is_learnt_from() -> None:
    one = budget(budget_tokens=100_000)
    meter = one.meter(backend())
    held = asyncio.run(meter.reserve("p", "{}"))
    meter.settle(held, [reply(1001, 900)])
    assert asyncio.run(meter.reserve("p", "{}")).held.amount.tokens == 1001 + 900


@given(
    limit=st.integers(300, 3000),
    sizes=st.lists(st.integers(0, 100), min_size=1, max_size=60),
    width=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_no_order_of_replies_crosses_the_line_or_stops_far_before_it(
    limit: int, sizes: list[int], width: int, seed: int
) -> None:
    """Calls of at most 100 tokens, `width` at once, that end in any order."""
    one = budget(budget_tokens=limit)
    rng = random.Random(seed)
    refused = asyncio.run(_spend(one, sizes, width, rng))
    assert one.spent.tokens <= limit
    assert one._held == Amount()
    assert one._in_flight == 0
    assert (limit - one.spent.tokens < 100) or not refused


async def _spend(one: Budget, sizes: list[int], width: int, rng: random.Random) -> int:
    room = asyncio.Semaphore(width)
    refused = 0

    async def call(size: int) -> None:
        nonlocal refused
        async with room:
            try:
                held = await one.hold(Amount(1, 100))
            except BudgetSpent:
                refused += 1
                return
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            one.settle(held, Amount(1, size))

    await asyncio.gather(*(call(size) for size in sizes))
    return refused
