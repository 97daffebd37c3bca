"""Ctrl-C and kill -9 in the middle: nothing that was paid for is lost, and no byte changes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_server import Counting, counting_server, logged_keys
from forked_runs import Forks
from small_runs import adds_up, dataset_bytes, summary_of

from ds2.runtime.status import read_status

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

TARGET = 18
KILLS = 20
COMMAND = [sys.executable, "-c", "from ds2.cli.app import main; main()"]


def start(server: Counting, out: Path) -> subprocess.Popen[str]:
    """Start `ds2 run` in a process of its own."""
    options = ["--model", "simulated", "--api-base", server.url, "--concurrency", "8"]
    return subprocess.Popen(
        [*COMMAND, "run", "gsm8k", "-n", str(TARGET), *options, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(server: Counting, more: int, process: subprocess.Popen[str]) -> None:
    """Wait until the server was asked so many calls more."""
    until = len(server.keys) + more
    while len(server.keys) < until and process.poll() is None:
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    with counting_server(TARGET, 0.015, 0.012) as counting:
        yield counting


@pytest.fixture(scope="module")
def expected(server: Counting, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    assert server.finish(out).exit_code == 0
    return dataset_bytes(out)


def test_kills_at_random_moments_lose_no_logged_call_and_change_no_byte(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    rng = random.Random(20)
    asked_from: list[tuple[int, set[str]]] = []
    with Forks(**server.request) as forks:
        begun = len(server.keys)
        for _ in range(KILLS):
            # From before the first call on, and between a reply and its commit.
            until, wait_s = len(server.keys) + rng.randint(0, 14), rng.random() * 0.03
            pid = forks.start(tmp_path, **server.request)
            forks.kill(pid, lambda until=until: len(server.keys) >= until, wait_s)
            asked_from.append((len(server.keys), logged_keys(tmp_path)))
    assert server.finish(tmp_path).exit_code == 0
    assert dataset_bytes(tmp_path) == expected
    asked = server.keys[begun:]
    assert logged_keys(tmp_path) <= set(asked)  # the keys are those of the server's own counting
    assert [len(logged) for _, logged in asked_from] == sorted(len(k) for _, k in asked_from)
    assert asked_from[-1][1]
    for at, logged in asked_from:
        assert not logged & set(server.keys[at:])


def test_kills_under_a_budget_of_calls_never_have_the_server_asked_for_more(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    rng, limit, kills = random.Random(4), 130, 4
    request = {**server.request, "budget_calls": limit}
    begun, most_in_flight = len(server.keys), server.request["concurrency"]
    with Forks(**server.request) as forks:
        for _ in range(kills):
            until, wait_s = len(server.keys) + rng.randint(1, 10), rng.random() * 0.01
            pid = forks.start(tmp_path, **request)
            forks.kill(pid, lambda until=until: len(server.keys) >= until, wait_s)
    killed = read_status(tmp_path).killed_calls
    assert 0 < killed <= kills * (most_in_flight + most_in_flight // 4)
    stopped = server.finish(tmp_path, budget_calls=limit)
    assert (stopped.status, stopped.stopped_by) == ("budget", "calls")
    lost = stopped.cancelled_calls + stopped.failed_calls + stopped.killed_calls
    assert (stopped.killed_calls, stopped.calls + lost) == (killed, limit)
    assert limit - lost <= len(server.keys) - begun <= limit
    assert server.finish(tmp_path).killed_calls == killed
    assert dataset_bytes(tmp_path) == expected


def test_ctrl_c_ends_with_130_says_how_to_go_on_and_changes_no_byte(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    process = start(server, tmp_path)
    wait_for(server, 60, process)
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
    begun = len(server.keys)
    assert server.finish(tmp_path, concurrency=3).exit_code == 0
    assert dataset_bytes(tmp_path) == expected
    assert not logged & set(server.keys[begun:])


def test_a_second_process_is_refused_while_the_first_one_goes_on(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    first = start(server, tmp_path)
    wait_for(server, 3, first)
    server.answering = False  # so that the first one cannot be done before the second begins
    try:
        second = start(server, tmp_path)
        _, err = second.communicate(timeout=60)
    finally:
        server.answering = True
    assert second.returncode == 2
    assert "be used by one process at a time" in err
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert dataset_bytes(tmp_path) == expected
