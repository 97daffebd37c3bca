"""Ctrl-C and kill -9 in the middle: nothing that was paid for is lost, and no byte changes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from small_runs import adds_up, dataset_bytes, go, summary_of

from ds2.engines.logged import _rendered, call_key
from ds2.engines.resolve import resolve_backend
from ds2.engines.teacher import Teacher
from ds2.server.app import SimulatedServer, delay
from ds2.server.protocol import ChatCall
from ds2.server.serve import served
from ds2.store import STORE_NAME

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

TARGET = 18
COMMAND = [sys.executable, "-c", "from ds2.cli.app import main; main()"]


@dataclass
class Counting:
    """The teacher's server, with the key of every call it was asked, in the order of asking."""

    url: str = ""
    keys: list[str] = field(default_factory=list)
    answering: bool = True

    def start(self, out: Path) -> subprocess.Popen[str]:
        """Start `ds2 run` in a process of its own."""
        options = ["--model", "simulated", "--api-base", self.url, "--concurrency", "8"]
        return subprocess.Popen(
            [*COMMAND, "run", "gsm8k", "-n", str(TARGET), *options, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, more: int, process: subprocess.Popen[str]) -> None:
        """Wait until the server was asked so many calls more."""
        until = len(self.keys) + more
        while len(self.keys) < until and process.poll() is None:
            time.sleep(0.002)
        assert process.poll() is None, process.communicate()

    def finish(self, out: Path, concurrency: int = 16) -> int:
        """Run to the end in this process."""
        return go(
            out, TARGET, model="simulated", api_base=self.url, concurrency=concurrency
        ).exit_code


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    counting = Counting()
    wait = delay(0.015, 0.012, seed=5)

    async def hook(call: ChatCall) -> None:
        backend = resolve_backend("simulated", api_base=counting.url)
        prompt, options = _rendered(call.request)
        counting.keys.append(call_key(backend, prompt, options, call.seed or 0))
        await wait(call)
        while not counting.answering:  # noqa: ASYNC110 - set from the thread of the test
            await asyncio.sleep(0.005)

    with served(SimulatedServer(Teacher(0), hook=hook)) as running:
        counting.url = running.url
        yield counting


@pytest.fixture(scope="module")
def expected(server: Counting, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    assert server.finish(out) == 0
    return dataset_bytes(out)


def logged_keys(out: Path) -> set[str]:
    connection = sqlite3.connect(out / STORE_NAME)
    try:
        return {key for (key,) in connection.execute("SELECT key FROM calls")}
    finally:
        connection.close()


def test_kills_at_random_moments_lose_no_logged_call_and_change_no_byte(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    rng = random.Random(20)
    begun = len(server.keys)
    asked_from: list[tuple[int, set[str]]] = []
    for _ in range(3):
        process = server.start(tmp_path)
        server.wait_for(rng.randint(5, 45), process)
        time.sleep(rng.random() * 0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        asked_from.append((len(server.keys), logged_keys(tmp_path)))
    assert server.finish(tmp_path) == 0
    assert dataset_bytes(tmp_path) == expected
    asked = server.keys[begun:]
    assert logged_keys(tmp_path) <= set(asked)  # the keys are those of the server's own counting
    assert [len(logged) for _, logged in asked_from] == sorted(len(k) for _, k in asked_from)
    assert asked_from[-1][1]
    for start, logged in asked_from:
        assert not logged & set(server.keys[start:])


def test_ctrl_c_ends_with_130_says_how_to_go_on_and_changes_no_byte(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    process = server.start(tmp_path)
    server.wait_for(60, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "give the same command again to continue" in err
    assert "Traceback" not in out + err
    stopped = summary_of(tmp_path)
    assert (stopped["status"], adds_up(stopped["ledger"])) == ("interrupted", True)
    assert stopped["ledger"]["pending"]["interrupted"] > 0
    logged = logged_keys(tmp_path)
    assert len(logged) == stopped["calls"] > 30
    start = len(server.keys)
    assert server.finish(tmp_path, concurrency=3) == 0
    assert dataset_bytes(tmp_path) == expected
    assert not logged & set(server.keys[start:])


def test_a_second_process_is_refused_while_the_first_one_goes_on(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    first = server.start(tmp_path)
    server.wait_for(3, first)
    server.answering = False  # so that the first one cannot be done before the second begins
    try:
        second = server.start(tmp_path)
        _, err = second.communicate(timeout=60)
    finally:
        server.answering = True
    assert second.returncode == 2
    assert "be used by one process at a time" in err
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert dataset_bytes(tmp_path) == expected
