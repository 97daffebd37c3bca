from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from dspy import lm15

from ds2.engines.breaker import Breaker
from ds2.engines.limiter import Limiter, place
from ds2.engines.slot import Slot


async def hold(limiter: Limiter, until: asyncio.Event) -> None:
    async with limiter.slot():
        await until.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_no_more_than_the_limit_are_in_flight() -> None:
    async def scenario() -> None:
        limiter, go = Limiter(3), asyncio.Event()
        tasks = [asyncio.create_task(hold(limiter, go)) for _ in range(10)]
        await settled()
        assert (limiter.in_flight, limiter.waiting) == (3, 7)
        go.set()
        await asyncio.gather(*tasks)
        assert (limiter.in_flight, limiter.waiting, limiter.peak) == (0, 0, 3)

    asyncio.run(scenario())


def test_once_it_is_given_up_nobody_waits_and_nobody_comes_in() -> None:
    async def scenario() -> None:
        breaker = Breaker()
        limiter, go = Limiter(1, breaker=breaker), asyncio.Event()
        holder = asyncio.create_task(hold(limiter, go))
        await settled()
        waiting = [asyncio.create_task(hold(limiter, go)) for _ in range(3)]
        await settled()
        limiter.give_up("it was interrupted")
        for late in (*waiting, asyncio.create_task(hold(limiter, go))):
            with pytest.raises(lm15.ServerError, match="it was interrupted"):
                await late
        assert breaker.state == "given up", "no policy tries again"
        go.set()
        await holder
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(scenario())


def test_a_lower_place_goes_first_then_whoever_came_first() -> None:
    order: list[tuple[int, int]] = []

    async def unit(limiter: Limiter, at: int, number: int) -> None:
        place.set(at)
        async with limiter.slot():
            order.append((at, number))
            await asyncio.sleep(0)

    async def scenario() -> None:
        limiter, go = Limiter(1), asyncio.Event()
        holder = asyncio.create_task(hold(limiter, go))
        await settled()
        places = [5, 2, 9, 2, -1]
        units = [asyncio.create_task(unit(limiter, p, i)) for i, p in enumerate(places)]
        await settled()
        go.set()
        await asyncio.gather(holder, *units)

    asyncio.run(scenario())
    assert order == [(-1, 4), (2, 1), (2, 3), (5, 0), (9, 2)]


def test_whoever_comes_now_does_not_overtake_those_who_wait() -> None:
    async def scenario() -> list[int]:
        limiter, go, order = Limiter(1), asyncio.Event(), list[int]()

        async def unit(number: int) -> None:
            async with limiter.slot():
                order.append(number)

        holder = asyncio.create_task(hold(limiter, go))
        await settled()
        first = asyncio.create_task(unit(1))
        await settled()
        go.set()
        await holder
        await unit(2)
        await first
        return order

    assert asyncio.run(scenario()) == [1, 2]


def test_a_cancelled_waiter_leaves_its_turn_to_the_next() -> None:
    async def scenario() -> Limiter:
        limiter, go = Limiter(1), asyncio.Event()
        holder = asyncio.create_task(hold(limiter, go))
        await settled()
        waiting = [asyncio.create_task(hold(limiter, go)) for _ in range(3)]
        await settled()
        waiting[0].cancel()
        await settled()
        assert limiter.waiting == 2
        go.set()
        await asyncio.gather(holder, *waiting, return_exceptions=True)
        return limiter

    limiter = asyncio.run(scenario())
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_a_waiter_cancelled_in_the_moment_of_its_turn_hands_the_slot_on() -> None:
    async def scenario() -> Limiter:
        limiter, go = Limiter(1), asyncio.Event()
        holder = asyncio.create_task(hold(limiter, go))
        await settled()
        second, third = (asyncio.create_task(hold(limiter, go)) for _ in range(2))
        await settled()
        # Runs after the grant and before the waiter: its turn has come, and it does not know yet.
        holder.add_done_callback(lambda _: second.cancel())
        go.set()
        await asyncio.gather(second, third, return_exceptions=True)
        return limiter

    limiter = asyncio.run(scenario())
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_a_failure_inside_gives_the_slot_back() -> None:
    async def scenario() -> Limiter:
        limiter = Limiter(1)
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                async with limiter.slot():
                    raise ValueError("no")
        return limiter

    assert asyncio.run(scenario()).in_flight == 0


@pytest.mark.parametrize("seed", range(8))
def test_random_tasks_and_cancellations_never_exceed_it_or_lose_a_slot(seed: int) -> None:
    rng = random.Random(seed)
    limit = rng.randint(1, 6)

    async def scenario() -> None:
        limiter, inside, most = Limiter(limit), 0, 0

        async def unit(at: int) -> None:
            nonlocal inside, most
            place.set(at)
            async with limiter.slot():
                inside += 1
                most = max(most, inside)
                try:
                    for _ in range(rng.randint(0, 4)):
                        await asyncio.sleep(0)
                finally:
                    inside -= 1

        tasks: list[asyncio.Task[None]] = []
        for _ in range(200):
            tasks.append(asyncio.create_task(unit(rng.randint(0, 20))))
            if rng.random() < 0.3:
                rng.choice(tasks).cancel()
            if rng.random() < 0.5:
                await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert most <= limit
        assert limiter.peak <= limit
        assert (limiter.in_flight, limiter.waiting, inside) == (0, 0, 0)

    asyncio.run(scenario())


def in_threads(number: int, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    threads = [threading.Thread(target=lambda i=i: asyncio.run(work(i))) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_loops_of_several_threads_share_one_limit() -> None:
    limiter, lock = Limiter(4), threading.Lock()
    inside = most = done = 0

    async def unit() -> None:
        nonlocal inside, most, done
        async with limiter.slot():
            with lock:
                inside += 1
                most = max(most, inside)
            await asyncio.sleep(0.0005)
            with lock:
                inside -= 1
                done += 1

    async def many(_: int) -> None:
        await asyncio.gather(*(unit() for _ in range(40)))

    in_threads(4, many)
    assert (done, inside, limiter.in_flight, limiter.waiting) == (160, 0, 0, 0)
    assert most <= 4


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    limiter = Limiter(1)
    gone = asyncio.new_event_loop()

    async def scenario() -> None:
        async with limiter.slot():
            lost = limiter._acquire(Slot())
            task = gone.create_task(lost)
            gone.call_soon(gone.stop)
            await asyncio.to_thread(gone.run_forever)
            assert limiter.waiting == 1
            gone.close()
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        async with asyncio.timeout(5), limiter.slot():
            pass
        del task, lost

    asyncio.run(scenario())
    assert limiter.in_flight == 0
