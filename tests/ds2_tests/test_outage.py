"""An endpoint that goes away and comes back, and limits by hand: through the limiter and whole runs."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from dspy import lm15
from faulty_runs import hurried, hurried_breaker
from small_runs import Witness, dataset_bytes, go, summary_of

from ds2.config import EngineConfig
from ds2.engines.breaker import Breaker, BreakerConfig
from ds2.engines.limiter import Limiter, _Waiter
from ds2.engines.pace import Pace
from ds2.engines.retry import RetryPolicy
from ds2.engines.slot import Slot
from ds2.engines.teacher import Teacher
from ds2.server.app import SimulatedServer
from ds2.server.protocol import ChatCall, error_body
from ds2.server.serve import served
from signatures.errors import ConfigError, EndpointError

ROOT = Path(__file__).resolve().parents[2]

SOON = BreakerConfig(burst=4, first_s=0.01, longest_s=0.02, patience_s=60)


def down() -> lm15.ServerError:
    return lm15.ServerError("no \x1b[31mworker\n\nadvice", status=503)


async def call(limiter: Limiter, error: Exception | None = None) -> None:
    async with limiter.slot() as slot:
        await asyncio.sleep(0)
        if error is None:
            slot.answered()
        else:
            slot.failed(error)


def outage(config: BreakerConfig = SOON) -> tuple[Limiter, list[str]]:
    """Return a limiter whose endpoint has answered, and what it gives notice of."""
    told: list[str] = []
    limiter = Limiter(8, breaker=Breaker(config), on_notice=told.append)
    return limiter, told


def test_while_an_endpoint_is_down_one_call_alone_looks_and_then_all_go_on() -> None:
    async def scenario() -> None:
        limiter, told = outage()
        await call(limiter)
        await asyncio.gather(*(call(limiter, down()) for _ in range(4)))
        assert limiter.holding.startswith(
            "paused: the endpoint answers 503 (no \N{REPLACEMENT CHARACTER}"
        )
        limiter.peak = 0
        back = asyncio.Event()
        looks = 0

        async def unit() -> None:
            nonlocal looks
            while True:
                async with limiter.slot() as slot:
                    await asyncio.sleep(0)
                    if back.is_set():
                        slot.answered()
                        return
                    looks += 1
                    assert (slot.probe, limiter.in_flight) == (True, 1)
                    slot.failed(down())
                    if looks == 3:
                        back.set()

        async with asyncio.timeout(20):
            await asyncio.gather(*(unit() for _ in range(20)))
        assert (looks, limiter.in_flight, limiter.waiting) == (3, 0, 0)
        assert limiter.peak == 8
        assert limiter.holding == "no more calls are ready"
        assert [line.split(":")[0].split(",")[0] for line in told] == [
            *["Run paused"] * 4,
            "The endpoint answers again",
        ]

    asyncio.run(scenario())


def test_an_outage_without_end_fails_everyone_who_waits_with_what_the_endpoint_said() -> None:
    async def scenario() -> None:
        limiter, _ = outage(BreakerConfig(burst=4, first_s=0.01, patience_s=0))
        await call(limiter)
        await asyncio.gather(*(call(limiter, down()) for _ in range(4)))
        async with asyncio.timeout(20):
            ends = await asyncio.gather(
                *(call(limiter, down()) for _ in range(9)), return_exceptions=True
            )
        assert ends.count(None) == 1
        refused = [end for end in ends if end is not None]
        assert all(isinstance(end, lm15.ServerError) for end in refused)
        assert "503 (no" in str(refused[0])
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["429", "cancelled"])
def test_a_probe_that_was_turned_away_or_cancelled_leaves_nobody_waiting(how: str) -> None:
    async def scenario() -> None:
        limiter, _ = outage()
        await call(limiter)
        await asyncio.gather(*(call(limiter, down()) for _ in range(4)))
        if how == "429":
            await call(limiter, lm15.RateLimitError("full"))
        else:
            out = asyncio.Event()

            async def stay() -> None:
                async with limiter.slot():
                    out.set()
                    await asyncio.Event().wait()

            probe = asyncio.create_task(stay())
            await out.wait()
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
            assert limiter.breaker is not None
            assert limiter.breaker.state == "open"
        async with asyncio.timeout(20):
            await asyncio.gather(*(call(limiter) for _ in range(5)))
        assert limiter.in_flight == 0

    asyncio.run(scenario())


def test_a_retry_counts_no_failure_of_an_outage_that_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", lambda *_: 0.0)

    async def scenario() -> None:
        limiter, _ = outage()
        retry = RetryPolicy(attempts=6, breaker=limiter.breaker)
        tries = 0

        async def attempt() -> str:
            nonlocal tries
            async with limiter.slot() as slot:
                tries += 1
                if 1 < tries < 30:
                    slot.failed(down())
                    raise down()
                slot.answered()
                return "reply"

        async with asyncio.timeout(20):
            assert [await retry.run(attempt) for _ in range(2)] == ["reply", "reply"]
        assert tries == 30

    asyncio.run(scenario())


def test_an_outage_that_is_given_up_in_the_moment_of_a_grant_loses_no_slot() -> None:
    async def scenario() -> Limiter:
        limiter, _ = outage(BreakerConfig(burst=1, first_s=0.01, patience_s=0))
        await call(limiter)
        limiter.concurrency, go = 1, asyncio.Event()

        async def hold() -> None:
            async with limiter.slot() as slot:
                await go.wait()
                slot.answered()

        holder = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(call(limiter)) for _ in range(3)]
        await asyncio.sleep(0)
        assert limiter.breaker is not None
        breaker = limiter.breaker
        # Runs after the first waiter was granted its slot and before it knows.
        holder.add_done_callback(lambda _: setattr(breaker, "state", "given up"))
        go.set()
        ends = await asyncio.gather(holder, *waiting, return_exceptions=True)
        assert [type(end) for end in ends[2:]] in ([lm15.ServerError] * 2, [type(None)] * 2)
        return limiter

    limiter = asyncio.run(scenario())
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


class ClosedInTheMoment:
    """An event loop that is closed between the look at it and the call."""

    def is_closed(self) -> bool:
        return False

    def call_soon_threadsafe(self, *_: object) -> None:
        raise RuntimeError("Event loop is closed")


def test_a_probe_whose_loop_is_closed_is_left_to_the_next_call() -> None:
    async def scenario() -> Limiter:
        limiter = Limiter(8, breaker=Breaker(SOON), pace=Pace(rpm=60))
        breaker = limiter.breaker
        assert breaker is not None
        breaker.state = "open"
        slot = Slot(10)
        granted = asyncio.get_running_loop().create_future()
        limiter._waiters.append(_Waiter(0, 0, ClosedInTheMoment(), granted, slot))  # type: ignore[arg-type]
        limiter._grant_waiters()
        assert (breaker.state, limiter.in_flight, slot.sent_s) == ("open", 0, None)
        async with asyncio.timeout(5):
            await call(limiter)
        assert breaker.state == "closed"
        return limiter

    limiter = asyncio.run(scenario())
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


# Limits by hand.


def test_calls_wait_their_turn_at_a_limit_by_hand_and_no_alarm_is_lost() -> None:
    async def scenario() -> Limiter:
        limiter = Limiter(8, pace=Pace(rpm=60_000, tpm=6_000_000))
        async with asyncio.timeout(20):
            await asyncio.gather(*(call(limiter) for _ in range(200)))
        return limiter

    limiter = asyncio.run(scenario())
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_a_limit_by_hand_holds_back_what_is_over_it_and_says_so() -> None:
    async def scenario() -> None:
        limiter = Limiter(8, pace=Pace(rpm=1))
        await call(limiter)
        waiting = asyncio.create_task(call(limiter))
        await asyncio.sleep(0.01)
        assert (limiter.in_flight, limiter.waiting) == (0, 1)
        assert limiter.holding == "--rpm or --tpm"
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert limiter.waiting == 0

    asyncio.run(scenario())


def test_tokens_are_reserved_by_estimate_and_settled_by_the_usage() -> None:
    async def scenario() -> None:
        pace = Pace(tpm=60_000)
        limiter = Limiter(8, pace=pace)
        async with limiter.slot(1000) as slot:
            assert slot.tokens == pytest.approx(0.3 * 1000 + 512)
            slot.answered(lm15.Usage(input_tokens=20, output_tokens=30))
        assert pace.wait_s(0, 100) < 0.1  # the 50 that were used, of 100 in the bucket
        assert pace.estimate.of(1000) < 0.3 * 1000 + 512

    asyncio.run(scenario())


@pytest.mark.parametrize("setting", [{"rpm": 0}, {"tpm": 0}, {"patience_s": -1}])
def test_limits_out_of_their_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        EngineConfig.build(**setting)


# Whole runs.


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    monkeypatch.setattr("ds2.engines.lm.BreakerConfig", hurried_breaker)


class Leaving:
    """A server that answers, is gone for so many calls, and answers again."""

    def __init__(self, after: int, calls: float) -> None:
        self.gone = range(after, after + int(calls))
        self.seen = 0

    async def hook(self, _: ChatCall) -> web.Response | None:
        number, self.seen = self.seen, self.seen + 1
        if number not in self.gone:
            return None
        return web.json_response(error_body("No worker is there."), status=503)


def over(leaving: Leaving, out: Path, **settings: Any) -> Witness:
    witness = Witness()
    with served(SimulatedServer(Teacher(0), hook=leaving.hook)) as running:
        go(out, 6, model="simulated", api_base=running.url, observer=witness, **settings)
    return witness


def test_an_endpoint_that_comes_back_is_waited_for_and_no_byte_changes(
    tmp_path: Path, short_waits: None
) -> None:
    over(Leaving(0, 0), tmp_path / "calm", rpm=1_000_000, tpm=100_000_000)
    witness = over(Leaving(25, 14), tmp_path / "outage")
    assert summary_of(tmp_path / "outage")["status"] == "complete"
    assert dataset_bytes(tmp_path / "outage") == dataset_bytes(tmp_path / "calm")
    assert "Run paused: the endpoint answers 503 (No worker is there.)" in witness.notices[0]
    assert "next try in" in witness.notices[0]
    assert witness.notices[-1].startswith("The endpoint answers again, after")
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    shown = re.findall(r"^(?:Run paused|The endpoint answers).*$", page, re.MULTILINE)
    said = {re.sub(r"[\d.]+ s\b", "N s", notice) for notice in witness.notices}
    assert len(shown) == 2
    assert {re.sub(r"[\d.]+ s\b", "N s", line) for line in shown} <= said


def test_an_endpoint_that_stays_away_ends_the_run_with_every_unit_pending(
    tmp_path: Path, short_waits: None
) -> None:
    witness = over(Leaving(25, 1e6), tmp_path, patience_s=0.05)
    summary = summary_of(tmp_path)
    assert summary["status"] == "endpoint"
    assert summary["ledger"]["pending"]["endpoint"] > 0
    assert any("the endpoint must answer" in n for n in summary["notices"])
    assert any("No worker is there." in n for n in summary["notices"])
    assert witness.notices


# What cannot heal.


@pytest.mark.parametrize(
    ("status", "code", "todo"),
    [
        (400, None, "Run `ds2 check` with the same options"),
        (401, "invalid_api_key", "Put a valid key in DS2_API_KEY"),
        (402, "insufficient_quota", "Add credit or choose another model"),
        (403, None, "Put a valid key in DS2_API_KEY"),
        (404, None, "Check --api-base"),
        (404, "model_not_found", "`ds2 check` lists what is served"),
        (422, None, "Run `ds2 check` with the same options"),
    ],
)
@pytest.mark.parametrize("after", [0, 30], ids=["at-once", "in-the-middle"])
def test_a_refusal_that_cannot_heal_stops_the_run_at_once_with_what_to_do(
    after: int, status: int, code: str | None, todo: str, tmp_path: Path
) -> None:
    seen = 0

    async def hook(_: ChatCall) -> web.Response | None:
        nonlocal seen
        seen += 1
        if seen <= after:
            return None
        return web.json_response(error_body("That cannot be.", code=code), status=status)

    with served(SimulatedServer(Teacher(0), hook=hook)) as running:
        asked = partial(go, tmp_path, 6, model="simulated", api_base=running.url, concurrency=4)
        with pytest.raises(EndpointError) as raised:
            asked()
        # Those that were in flight together, and those that took their slots in that moment.
        assert seen <= after + 12
    assert todo in str(raised.value)
    assert f"HTTP {status}: That cannot be." in str(raised.value)
    assert raised.value.exit_code == 2
