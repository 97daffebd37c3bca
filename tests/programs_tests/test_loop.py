from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from programs.loop import run_sync

word: ContextVar[str] = ContextVar("word", default="none")


async def said() -> str:
    await asyncio.sleep(0)
    return word.get()


def test_a_thread_gets_the_result() -> None:
    assert run_sync(said()) == "none"


def test_context_variables_cross_over() -> None:
    token = word.set("mine")
    try:
        assert run_sync(said()) == "mine"
    finally:
        word.reset(token)


def test_a_caller_inside_a_running_loop_gets_the_result() -> None:
    async def outer() -> str:
        return run_sync(said())

    assert asyncio.run(outer()) == "none"


def test_many_threads_share_one_loop() -> None:
    async def loop_id() -> int:
        await asyncio.sleep(0.001)
        return id(asyncio.get_running_loop())

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(lambda _: run_sync(loop_id()), range(64)))
    assert len(ids) == 1


def test_calling_from_the_loop_itself_is_refused_instead_of_waiting_for_ever() -> None:
    async def nested() -> str:
        return run_sync(said())

    with pytest.raises(RuntimeError, match="acall"):
        run_sync(nested())


@pytest.mark.parametrize("error", [ValueError("no"), type("Breaker", (BaseException,), {})("stop")])
def test_what_the_work_raises_goes_up(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        run_sync(fail())
    assert run_sync(said()) == "none"


def test_an_interrupt_while_waiting_cancels_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    real = asyncio.run_coroutine_threadsafe

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    class Interrupted:
        def __init__(self, future: Any) -> None:
            self._future = future

        def result(self) -> None:
            raise KeyboardInterrupt

        def cancel(self) -> None:
            self._future.cancel()

    def interrupted(work: object, loop: object) -> Interrupted:
        future: Any = real(work, loop)  # type: ignore[arg-type]
        real(asyncio.sleep(0), loop).result()  # type: ignore[arg-type]
        return Interrupted(future)

    monkeypatch.setattr("asyncio.run_coroutine_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sync(endless())
    assert cancelled.wait(5)
