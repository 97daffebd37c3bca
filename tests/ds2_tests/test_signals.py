"""Signals to real processes: in order when asked, at once when asked again, and never a hang."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_server import Counting, counting_server, logged_keys
from small_runs import adds_up, dataset_bytes, summary_of

from ds2.lock import is_running
from ds2.runtime.status import read_status
from ds2.runtime.stopping import SAME_S, Stop, Terminated, current, signals

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

TARGET = 60
WIDE = 64
MAIN = "from ds2.cli.app import main; main()"
#: Stages that end in order, but whose files take for ever to write.
SLOW = "import time; from ds2.runtime import runner; runner._Job.conclude = lambda *_: time.sleep(99)\n"
#: A unit that does not let itself be cancelled.
STUBBORN = """
import asyncio
from ds2.runtime import scheduler, stopping
stopping.PATIENCE_S = 0.5
async def stop(self):
    while True:
        try:
            await asyncio.sleep(99)
        except asyncio.CancelledError:
            pass
scheduler.Scheduler._stop = stop
"""


@pytest.fixture
def server() -> Iterator[Counting]:
    """One a test: what a process that has ended has asked last may be counted late."""
    with counting_server(TARGET, 0.1, 0.05) as counting:
        yield counting


def start(server: Counting, out: Path, before: str = "") -> subprocess.Popen[str]:
    """Start `ds2 run` in a process of its own, and wait until many calls are in flight."""
    words = ["run", "gsm8k", "-n", str(TARGET), "--model", "simulated", "--api-base", server.url]
    words += ["--concurrency", str(WIDE), "--out", str(out), "-q"]
    begun = len(server.keys)
    process = subprocess.Popen(
        [sys.executable, "-c", before + MAIN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(server.keys) < begun + 100 and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()
    return process


def ended(process: subprocess.Popen[str], within_s: float = 20) -> tuple[int, str]:
    """Return the exit code and stderr of a process, which must end."""
    try:
        out, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it hangs: {process.communicate()}")
    assert "Traceback" not in out + err
    return process.returncode, err


@pytest.mark.parametrize("apart_s", [0.0003, 1.5])
def test_two_interrupts_end_in_order_however_far_apart(
    apart_s: float, server: Counting, tmp_path: Path
) -> None:
    process = start(server, tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(apart_s)
    process.send_signal(signal.SIGINT)
    code, err = ended(process)
    assert code == 130
    status = read_status(tmp_path)
    assert (status.state, status.problem) == ("interrupted", None)
    assert status.why == "Interrupted by SIGINT."
    assert len(logged_keys(tmp_path)) == status.calls > 20
    if apart_s < SAME_S:
        assert "give the same command again to continue" in err
        stopped = summary_of(tmp_path)
        assert (stopped["status"], adds_up(stopped["ledger"])) == ("interrupted", True)
        assert stopped["calls"] == status.calls


def test_sigterm_ends_in_order_with_143_and_the_run_goes_on(
    server: Counting, tmp_path: Path
) -> None:
    process = start(server, tmp_path)
    process.terminate()
    code, err = ended(process)
    assert code == 143
    assert "give the same command again to continue" in err
    assert summary_of(tmp_path)["status"] == "interrupted"
    assert read_status(tmp_path).why == "Interrupted by SIGTERM."
    logged, begun = logged_keys(tmp_path), len(server.keys)
    assert server.finish(tmp_path, concurrency=WIDE).exit_code == 0
    assert not logged & set(server.keys[begun:])
    assert dataset_bytes(tmp_path)


def test_a_later_interrupt_ends_what_is_slow_at_once(server: Counting, tmp_path: Path) -> None:
    process = start(server, tmp_path, SLOW)
    process.send_signal(signal.SIGINT)
    time.sleep(1.4)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began_s = time.monotonic()
    code, err = ended(process)
    assert time.monotonic() - began_s < 5
    assert code == 130
    assert "ended at once" in err
    status = read_status(tmp_path)
    assert (status.state, status.problem) == ("interrupted", None)
    assert status.ledger.pending["interrupted"] > 0
    assert not is_running(tmp_path)
    logged, begun = logged_keys(tmp_path), len(server.keys)
    assert server.finish(tmp_path, concurrency=WIDE).exit_code == 0
    assert not logged & set(server.keys[begun:])


def test_work_that_does_not_end_is_not_waited_for_for_ever(
    server: Counting, tmp_path: Path
) -> None:
    process = start(server, tmp_path, STUBBORN)
    process.send_signal(signal.SIGINT)
    code, err = ended(process)
    assert code == 130
    assert "not done within 0.5 s" in err
    assert read_status(tmp_path).state == "interrupted"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_with_a_loop_of_its_own_ends_without_a_traceback(
    number: int, code: int, server: Counting
) -> None:
    server.answering, begun = False, len(server.keys)
    words = ["check", "--model", "simulated", "--api-base", server.url]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while len(server.keys) == begun and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(number)
        assert ended(process)[0] == code
    finally:
        server.answering = True


# One at a time.


@pytest.fixture
def left() -> list[int]:
    return []


def test_a_signal_while_no_loop_runs_is_raised_as_ever() -> None:
    stop = Stop()
    with pytest.raises(KeyboardInterrupt):
        stop.handle(signal.SIGINT)
    assert (stop.code, stop.words) == (130, "Interrupted by SIGINT.")
    stop.handle(signal.SIGINT)  # the same signal again
    other = Stop()
    with pytest.raises(Terminated):
        other.handle(signal.SIGTERM)
    assert (other.code, other.words) == (143, "Interrupted by SIGTERM.")


def test_a_signal_cancels_the_work_of_a_loop_and_lets_it_end_in_order() -> None:
    stop, done = Stop(), []

    async def work() -> None:
        stop.handle(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            done.append("in order")

    with pytest.raises(KeyboardInterrupt):
        stop.run(work())
    assert done == ["in order"]


def test_a_signal_before_the_work_begins_lets_none_begin() -> None:
    stop, done = Stop(), []

    async def work() -> None:
        done.append("begun")

    with pytest.raises(KeyboardInterrupt):
        stop.handle(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stop.run(work())
    assert not done


def test_a_loop_that_is_not_ours_has_its_tasks_cancelled() -> None:
    stop = Stop()

    async def foreign() -> None:
        stop.handle(signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(foreign())


def test_at_last_the_words_of_those_who_are_there_are_said_latest_first(
    left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ds2.runtime import stopping

    monkeypatch.setattr(stopping, "SAME_S", 0.0)
    stop, said = Stop(left.append), []
    watch = threading.Thread(target=stop.watch)
    watch.start()
    with stop.at_last(lambda: said.append("gone")):
        pass

    def fails() -> None:
        raise OSError

    with stop.at_last(lambda: said.append(1)), stop.at_last(fails):
        with pytest.raises(KeyboardInterrupt):
            stop.handle(signal.SIGINT)
        time.sleep(0.01)
        stop.handle(signal.SIGINT)
        watch.join(10)
    assert (left, said) == ([130], [1])


def test_the_handlers_of_before_are_back_when_nothing_was_asked() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with signals() as stop:
        assert signal.getsignal(signal.SIGTERM) == stop.handle
        assert current() is stop
        with signals() as again:
            assert again is stop
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert current() is not stop


def test_a_signal_that_is_ignored_from_the_start_stays_so() -> None:
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_off_the_main_thread_no_handler_is_set() -> None:
    seen: list[Any] = []

    def other() -> None:
        with signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
