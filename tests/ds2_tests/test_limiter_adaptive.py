"""The limit that follows an endpoint: grown by replies, cut by refusals, paused by Retry-After."""

from __future__ import annotations

import asyncio
from math import inf

import pytest
from dspy import lm15
from scripted import Script

from ds2.engines import limiter as limiter_module
from ds2.engines.congestion import Congestion, CongestionConfig
from ds2.engines.limiter import Limiter
from ds2.engines.lm import engine_of
from ds2.engines.retry import is_overload


def adaptive(start: int, ceiling: int, **constants: float) -> Limiter:
    config = CongestionConfig(start=start, ceiling=ceiling, **constants)  # type: ignore[arg-type]
    return Limiter(ceiling, Congestion(config))


async def call(
    limiter: Limiter, *, replied: bool = True, retry_after_s: float | None = None
) -> None:
    async with limiter.slot() as slot:
        await asyncio.sleep(0)
        slot.replied, slot.overloaded, slot.retry_after_s = replied, not replied, retry_after_s


def test_replies_open_the_limit_up_to_the_ceiling() -> None:
    async def scenario() -> None:
        # On a loop that is done at once latency is the length of its queue and nothing else.
        limiter = adaptive(2, 16, waits=inf)
        assert limiter.limit == 2
        await asyncio.gather(*(call(limiter) for _ in range(100)))
        assert limiter.limit == 16
        assert limiter.peak == 16

    asyncio.run(scenario())


def test_a_burst_of_refusals_is_one_cut() -> None:
    async def scenario() -> None:
        limiter = adaptive(10, 10)
        await asyncio.gather(*(call(limiter, replied=False) for _ in range(10)))
        assert limiter.limit == 7
        assert limiter.control is not None
        assert limiter.control.cuts == 1

    asyncio.run(scenario())


def test_retry_after_pauses_everyone_and_no_longer() -> None:
    async def scenario() -> None:
        limiter = adaptive(4, 4)
        await call(limiter, replied=False, retry_after_s=0.05)
        waiting = [asyncio.create_task(call(limiter)) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert (limiter.in_flight, limiter.waiting) == (0, 3)
        async with asyncio.timeout(5):
            await asyncio.gather(*waiting)
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(scenario())


def test_a_server_cannot_ask_for_a_pause_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter_module, "PAUSE_CAP_S", 0.02)

    async def scenario() -> None:
        limiter = adaptive(4, 4)
        await call(limiter, replied=False, retry_after_s=10_000)
        async with asyncio.timeout(5):
            await call(limiter)

    asyncio.run(scenario())


def test_a_limit_that_was_cut_lets_nobody_in_until_enough_have_left() -> None:
    async def scenario() -> None:
        # Where no refusal is tolerated one is a burst.
        limiter, leave = adaptive(4, 4, tolerance=0, cut=0.5), asyncio.Event()

        async def stay() -> None:
            async with limiter.slot():
                await leave.wait()

        staying = [asyncio.create_task(stay()) for _ in range(3)]
        await call(limiter, replied=False)
        assert limiter.limit == 2
        late = asyncio.create_task(call(limiter))
        await asyncio.sleep(0.01)
        assert (limiter.in_flight, limiter.waiting) == (3, 1)
        leave.set()
        await asyncio.gather(*staying, late)
        assert limiter.in_flight == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "overload"),
    [
        (lm15.RateLimitError("slow down"), True),
        (lm15.ServerError("loading", status=503), True),
        (lm15.ServerError("broken", status=500), False),
        (lm15.TransportError("reset"), False),
        (lm15.TimeoutError("late"), False),
    ],
)
def test_only_a_full_endpoint_cuts_the_limit(error: Exception, overload: bool) -> None:
    assert is_overload(error) is overload


def test_an_engine_tells_its_limiter_how_calls_went() -> None:
    script = Script("reply", failures={0: lm15.RateLimitError("full")})
    lm = script.lm()
    engine = engine_of(lm)
    engine.limiter = adaptive(10, 10, tolerance=0)
    lm("hello")
    assert engine.limiter.control is not None
    assert engine.limiter.control.cuts == 1
