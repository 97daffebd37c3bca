"""A claim: the store knows of a call before it is sent, so that no kill hides what may be billed."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import Request, Response
from small_runs import Meddler, go

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount, Lost
from ds2.engines.budget import Budget, BudgetSpent, Held
from ds2.engines.claim import Claim
from ds2.engines.teacher import Teacher, simulated_backend
from ds2.runtime.budgets import open_budget
from ds2.runtime.status import read_status
from ds2.server.app import SimulatedServer
from ds2.server.protocol import ChatCall
from ds2.server.serve import served
from ds2.store import STORE_NAME, RunStore
from signatures.receipts import Receipt

BACKEND = replace(simulated_backend(0), remote=True, max_tokens=100)


class Disk:
    """Keeps the marks of a claim, each once the test says so."""

    def __init__(self) -> None:
        self.kept = Amount()
        self.queued: list[tuple[Amount, Future[None]]] = []
        self.marks: list[Amount] = []

    def keep(self, mark: Amount) -> Future[None]:
        future: Future[None] = Future()
        self.queued.append((mark, future))
        self.marks.append(mark)
        return future

    def commit(self) -> None:
        while self.queued:
            self.kept, future = self.queued.pop(0)
            future.set_result(None)

    @property
    def least(self) -> Amount:
        """Return the least that a crash could leave."""
        found = self.kept
        for mark, _ in self.queued:
            found = found.least(mark)
        return found


@pytest.fixture
def disk() -> Disk:
    return Disk()


def claiming(disk: Disk, **limits: float) -> Budget:
    return Budget(BudgetConfig(**limits), claim=Claim(disk.keep))


async def sent(one: Budget, amount: Amount = Amount(1, 100)) -> Held:  # noqa: B008 - a constant
    held = await one.hold(amount)
    one.send(held)
    await one.covered()
    return held


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_call_waits_until_the_store_knows_of_it(disk: Disk) -> None:
    async def scenario() -> None:
        call = asyncio.create_task(sent(claiming(disk)))
        await settled()
        assert not call.done()
        disk.commit()
        await call

    asyncio.run(scenario())
    assert disk.marks == [Amount(2, 200)]


def test_calls_within_the_mark_wait_for_nothing(disk: Disk) -> None:
    async def scenario() -> None:
        one = claiming(disk)
        burst = [asyncio.create_task(sent(one)) for _ in range(40)]
        for _ in range(3):
            await settled()
            disk.commit()
        for call in burst:
            one.settle(await call, Amount(1, 10))
        marks = len(disk.marks)
        for _ in range(10):
            one.settle(await sent(one), Amount(1, 10))
        assert len(disk.marks) == marks

    asyncio.run(scenario())
    assert max(mark.calls for mark in disk.marks) == 50  # a quarter ahead


@pytest.mark.parametrize(("width", "marks"), [(1, 51), (40, 12)])
def test_a_commit_of_replies_takes_along_what_the_next_calls_need(
    width: int, marks: int, disk: Disk
) -> None:
    async def scenario() -> None:
        one = claiming(disk)
        one.renew_claim()
        assert disk.marks == [], "nothing was ever sent"
        calls = [asyncio.create_task(sent(one)) for _ in range(width)]
        for _ in range(3):
            await settled()
            disk.commit()
        flying = [await call for call in calls]
        for _ in range(50):
            one.settle(flying.pop(), Amount(1, 90))
            one.renew_claim()
            disk.commit()
            async with asyncio.timeout(5):
                flying.append(await sent(one))

    asyncio.run(scenario())
    assert len(disk.marks) <= marks
    beyond = disk.kept.less(Amount(50 + width, 50 * 90 + width * 100))
    assert 0 <= beyond.calls <= max(1, width // 2)


def test_a_mark_that_falls_holds_from_the_moment_it_is_queued(disk: Disk) -> None:
    async def scenario() -> None:
        one = claiming(disk)
        calls = [asyncio.create_task(sent(one)) for _ in range(40)]
        for _ in range(3):
            await settled()
            disk.commit()
        for call in calls:
            one.settle(await call, Amount(1, 10))
        one.renew_claim()
        disk.commit()
        one.renew_claim()
        assert disk.least == Amount(40, 400), "nothing is on the wire"
        late = asyncio.create_task(sent(one))
        await settled()
        assert not late.done()
        for _ in range(2):
            disk.commit()
            await settled()
        await late

    asyncio.run(scenario())
    assert Amount(41, 500).within(disk.kept)


@pytest.mark.parametrize("limits", [{}, {"budget_calls": 60}, {"budget_tokens": 3000}], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_no_crash_at_any_moment_finds_less_than_was_sent(
    limits: dict[str, float], seed: int, disk: Disk
) -> None:
    rng, out = random.Random(seed), Amount()
    one = claiming(disk, **limits)

    async def call() -> None:
        nonlocal out
        most = Amount(1, rng.randint(50, 150))
        try:
            held = await one.hold(most)
            one.send(held)
            await one.covered()
        except BudgetSpent:
            return
        out = out.plus(most)
        assert out.within(disk.least)
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
        used = Amount(1, rng.randint(0, most.tokens))
        end = rng.randrange(4)
        if end == 0:
            one.lose(held, "failed")
            used = most
        elif end == 1:
            one.unsend(held)
            one.give_back(held)
            used = Amount()
        else:
            one.settle(held, used)
        out = out.less(most).plus(used)

    async def commits() -> None:
        while True:
            for _ in range(rng.randrange(8)):
                await asyncio.sleep(0)
            one.renew_claim()
            assert one.spent.plus(one._wire).least(out).within(disk.least)
            disk.commit()
            await asyncio.sleep(0)

    async def scenario() -> None:
        async with asyncio.timeout(30):
            disk_works = asyncio.create_task(commits())
            room = asyncio.Semaphore(8)

            async def one_of_eight() -> None:
                async with room:
                    await call()

            await asyncio.gather(*(one_of_eight() for _ in range(100)))
            disk_works.cancel()

    asyncio.run(scenario())
    assert one.idle
    limit = Amount(int(limits.get("budget_calls", 10**9)), int(limits.get("budget_tokens", 10**9)))
    assert all(mark.within(limit._replace(usd=1.0)) for mark in disk.marks)


def test_a_store_that_cannot_be_written_lets_nothing_out(disk: Disk) -> None:
    async def scenario() -> None:
        calls = [asyncio.create_task(sent(one)) for _ in range(3)]
        await settled()
        disk.queued.pop()[1].set_exception(OSError("disk full"))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, OSError) for error in found)

    one = claiming(disk)
    asyncio.run(scenario())


def test_who_is_cancelled_while_it_waits_leaves_nobody_waiting(disk: Disk) -> None:
    async def scenario() -> None:
        one = claiming(disk)
        first, second = (asyncio.create_task(sent(one)) for _ in range(2))
        await settled()
        first.cancel()
        for _ in range(2):
            await settled()
            disk.commit()
        await second

    asyncio.run(scenario())


def test_calls_that_stay_in_this_process_claim_nothing(disk: Disk) -> None:
    one = claiming(disk)
    for remote in (False, True):
        meter = one.meter(replace(BACKEND, remote=remote))
        meter.send(asyncio.run(meter.reserve("p", "{}")))
        assert one.idle != remote


# Over a store.


def kept(folder: Path) -> dict[str, Any]:
    """Return what a store says of itself, as a crash now would leave it."""
    with sqlite3.connect(folder / STORE_NAME) as connection:
        rows = dict(connection.execute("SELECT name, value FROM meta"))
    connection.close()
    return {name: json.loads(value) for name, value in rows.items()}


def opened(store: RunStore) -> Budget:
    return open_budget(BudgetConfig(), {"answers": BACKEND}, store)


def write(store: RunStore, key: str) -> Receipt:
    receipt = Receipt(key, "text", "stop", input_tokens=10, output_tokens=5)
    store.put(receipt, stage="answers", place=0, prompt="p", options="{}", latency_s=0.0).result()
    return receipt


def sends(one: Budget, calls: int) -> list[Any]:
    """Send calls of at most 231 tokens, on a loop of their own."""

    async def work() -> list[Any]:
        meter = one.meter(BACKEND)
        reserved = [await meter.reserve("p", "{}") for _ in range(calls)]
        for reservation in reserved:
            meter.send(reservation)
        await one.covered()
        return reserved

    return asyncio.run(work())


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return the folder of a process that sent five calls, kept a reply of two, and is no more."""
    with RunStore(tmp_path) as store:
        one = opened(store)
        reserved = sends(one, 5)
        for key in ("a", "b"):
            one.meter(BACKEND).settle(reserved.pop(), [write(store, key)])
        store._lasts.clear()
    return tmp_path


def test_what_a_killed_process_had_in_flight_is_lost_once(killed: Path) -> None:
    for _ in range(2):
        with RunStore(killed) as store:
            one = opened(store)
            assert one.lost.killed in {4, 5}  # three in flight, and what the mark is ahead
            assert one.lost.tokens >= 3 * 231
            assert one.lost.tokens <= 5 * (231 + 231 // 4) - 2 * 15 + 1
            assert one.spent == one.lost.amount.plus(Amount(2, 30))


def test_the_status_of_a_killed_run_tells_them_before_it_is_taken_up(killed: Path) -> None:
    before = read_status(killed).killed_calls
    with RunStore(killed) as store:
        assert opened(store).lost.killed == before
        assert read_status(killed).killed_calls == before
    assert read_status(killed).killed_calls == before > 0


def test_a_process_that_ends_in_order_has_lost_nothing(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        one = opened(store)
        for number, reservation in enumerate(sends(one, 5)):
            one.meter(BACKEND).settle(reservation, [write(store, str(number))])
        assert kept(tmp_path)["claim"]["calls"] >= 5
    assert kept(tmp_path)["claim"] is None
    with RunStore(tmp_path) as store:
        assert opened(store).lost == Lost()


def test_a_process_that_ends_with_calls_in_flight_leaves_its_claim(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        sends(opened(store), 2)
    with RunStore(tmp_path) as store:
        assert opened(store).lost.killed >= 2


def test_a_store_of_before_claims_is_read_as_ever(tmp_path: Path) -> None:
    old = {"cancelled": 1, "failed": 2, "tokens": 30, "usd": 0.5}
    with RunStore(tmp_path) as store:
        store.set_meta({"lost": old})
    with RunStore(tmp_path) as store:
        assert opened(store).lost == Lost(**old)
    assert read_status(tmp_path).killed_calls == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 1},
        {"concurrency": 16},
        {"concurrency": 16, "budget_calls": 40},
        {"concurrency": 16, "hedge": True},
    ],
    ids=str,
)
def test_every_call_of_a_run_is_claimed_before_it_is_sent(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    behind: list[int] = []
    stragglers = range(30, 46) if "hedge" in settings else ()

    async def look(_: Request, calls: int) -> Response | None:
        behind.append(calls - kept(tmp_path)["claim"]["calls"])
        await asyncio.sleep(0.3 if calls in stragglers else 0.001 * (calls % 3))
        return None

    meddler = Meddler(look)
    backend = meddler.backend(remote=True)
    summary = go(tmp_path, 6, resolve=lambda *_: backend, **settings)
    assert max(behind) <= 0
    assert meddler.calls == summary.new_calls + summary.cancelled_calls
    assert summary.killed_calls == 0
    assert kept(tmp_path)["claim"] is None


def test_every_choice_of_a_shared_request_is_claimed_before_it_is_asked_for(tmp_path: Path) -> None:
    asked: list[int] = []
    behind: list[int] = []

    async def look(call: ChatCall) -> None:
        asked.append(call.n)
        behind.append(sum(asked) - kept(tmp_path)["claim"]["calls"])

    with served(SimulatedServer(Teacher(0), hook=look)) as server:
        summary = go(tmp_path, 6, model="simulated", api_base=server.url, coalesce="on")
    assert max(asked) > 1
    assert max(behind) <= 0
    assert sum(asked) <= summary.new_calls + summary.cancelled_calls
