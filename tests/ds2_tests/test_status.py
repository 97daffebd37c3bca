"""`ds2 status`: a run is read from its folder, under way or not, and nothing of it is touched."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended
from dspy import lm15
from loopback_server import odd_server, replying
from small_runs import Meddler, Witness, adds_up, dataset_bytes, failing_after, go, gone, tree

from ds2.engines.retry import RetryPolicy
from ds2.lock import LOCK_NAME, is_running
from ds2.runtime import heartbeat
from ds2.runtime.heartbeat import META
from ds2.runtime.status import RunStatus, read_status
from ds2.store import STORE_NAME, RunStore
from signatures.errors import EndpointError, StageError, StoreError


def change_beat(folder: Path, **values: Any) -> None:
    """Write other values into the last heartbeat; None for the whole of it leaves none."""
    with RunStore(folder) as store:
        store.set_meta({META: {**store.meta()[META], **values}})


def killed(folder: Path) -> Path:
    """Return a folder as a SIGKILL leaves it: decisions are missing, and nobody said why."""
    go(folder, 12, budget_calls=60)
    change_beat(folder, status=None, phase="rows")
    with sqlite3.connect(folder / STORE_NAME) as connection:
        connection.execute("DELETE FROM units WHERE place >= 3")
    connection.close()
    return folder


# A run that is under way.


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[RunStatus]]:
    """Run, and read the status at some calls, beside the run."""
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)

    def read(out: Path, *calls: int, target: int = 12, **settings: Any) -> list[RunStatus]:
        seen: list[RunStatus] = []

        async def look(_: lm15.Request, call: int) -> None:
            if call in calls:
                seen.append(read_status(out))
                # This call is in flight: the next beat tells so.
                while call > 1 and not any(at["in_flight"] for at in seen[-1].limits):
                    await asyncio.sleep(0)
                    seen[-1] = read_status(out)

        go(out, target, resolve=Meddler(look).resolve, **settings)
        return seen

    return read


def test_a_run_is_seen_while_it_goes(
    tmp_path: Path, beside: Callable[..., list[RunStatus]]
) -> None:
    early, late = beside(tmp_path, 2, 100, target=24)
    assert (early.state, late.state) == ("running", "running")
    assert late.phase == "rows"
    assert late.target == 24
    assert late.problem is None
    assert adds_up(late.ledger.as_dict())
    assert 0 < late.ledger.accepted < 24
    assert sum(rows for rows, _ in late.levels.values()) == late.ledger.accepted
    assert [wanted for _, wanted in late.levels.values()] == [4] * 6
    assert late.ledger.pending["in flight"] > 0
    assert late.calls > 60
    assert late.rate is not None
    assert late.time_left_s is not None
    assert late.limits[0]["most"] == 16
    assert 0 < late.limits[0]["in_flight"] <= 16
    assert late.limits[0]["holding"]


def test_looking_does_not_make_a_run_that_starts_think_it_is_taken(tmp_path: Path) -> None:
    go(tmp_path, 1)
    stop, seen = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            seen.append(is_running(tmp_path))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(20):
            RunStore(tmp_path).close()
    finally:
        stop.set()
        thread.join()
    assert seen


def test_reading_does_not_wait_for_a_write_under_way(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.set_meta({"identity": {}})
        writing, done = threading.Event(), threading.Event()

        def hold(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO meta VALUES ('half', '1')")
            writing.set()
            done.wait()

        held = store._submit(hold)
        writing.wait()
        with RunStore(tmp_path, lock=False) as reader:
            assert "half" not in reader.meta()
        done.set()
        held.result()


def test_after_a_resume_the_time_left_waits_for_new_calls(
    tmp_path: Path, beside: Callable[..., list[RunStatus]]
) -> None:
    # 12 of 24 rows are read from the log in no time, and say nothing of those that are to come.
    go(tmp_path, 24, budget_calls=120, concurrency=4)
    [status] = beside(tmp_path, 1, target=24, concurrency=4)
    assert status.state == "running"
    assert status.new_calls == 0
    assert status.rate is None
    assert status.time_left_s is None


# A run that has ended.


def test_a_complete_run_says_so(tmp_path: Path) -> None:
    summary = go(tmp_path, 12)
    status = read_status(tmp_path)
    assert (status.state, status.phase, status.time_left_s) == ("complete", None, 0.0)
    assert status.ledger.as_dict() == summary.ledger
    assert (status.calls, status.new_calls) == (summary.calls, summary.new_calls)
    assert (status.task, status.model) == ("gsm8k", "simulated")
    assert (status.cost.usd, status.row_usd) == (0.0, 0.0)
    assert status.limits == []


def test_a_run_over_a_finished_one_says_the_same_rows(tmp_path: Path) -> None:
    go(tmp_path, 12)
    first = read_status(tmp_path)
    go(tmp_path, 12)
    again = read_status(tmp_path)
    assert (again.state, again.levels, again.ledger) == ("complete", first.levels, first.ledger)
    assert again.new_calls == 0


def test_a_run_without_quotas_wants_no_number_of_a_level(tmp_path: Path) -> None:
    go(tmp_path, 12, preset_name="paper")
    assert {wanted for _, wanted in read_status(tmp_path).levels.values()} == {None}


def test_a_spent_budget_is_told(tmp_path: Path) -> None:
    summary = go(tmp_path, 12, budget_calls=40)
    status = read_status(tmp_path)
    assert (status.state, status.problem) == ("budget", None)
    assert status.ledger.as_dict() == summary.ledger


def test_an_endpoint_that_went_away_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", lambda *_: 0.0)
    go(tmp_path, 12, resolve=failing_after(40, gone).resolve)
    status = read_status(tmp_path)
    assert status.state == "endpoint"
    assert "connection refused" in status.why


def test_an_error_is_told_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise StageError("The stage was stopped.")

    monkeypatch.setattr("ds2.runtime.work.StageCheck.note", stop)
    with pytest.raises(StageError):
        go(tmp_path, 12)
    status = read_status(tmp_path)
    assert (status.state, status.why) == ("error", "The stage was stopped.")
    assert status.problem is None


def test_a_run_stopped_while_it_read_its_log_keeps_what_was_decided(tmp_path: Path) -> None:
    class Stopped(Witness):
        def started(self, *_: object) -> None:
            raise asyncio.CancelledError

    before = go(tmp_path, 24, budget_calls=120)
    with pytest.raises(asyncio.CancelledError):
        go(tmp_path, 24, observer=Stopped())
    status = read_status(tmp_path)
    assert (status.state, status.problem) == ("interrupted", None)
    assert status.ledger.accepted == before.ledger["accepted"]


@pytest.mark.parametrize(
    ("http_status", "state"), [(401, "error"), (503, "endpoint")], ids=["refused", "down"]
)
def test_a_run_that_another_model_could_not_go_on_with_keeps_what_was_decided(
    tmp_path: Path, http_status: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", lambda *_: 0.0)
    before = go(tmp_path, 24, budget_calls=120)
    dataset = dataset_bytes(tmp_path)
    # It fails at the keywords, before the first unit.
    with odd_server(replying(status=http_status, text="no")) as (url, _):
        other: dict[str, Any] = {"model": "m", "api_base": url, "accept_new_prompts": True}
        if state == "error":
            with pytest.raises(EndpointError):
                go(tmp_path, 24, **other)
        else:
            assert go(tmp_path, 24, **other).status == "endpoint"
    status = read_status(tmp_path)
    assert (status.state, status.problem) == (state, None)
    assert status.ledger.accepted == before.ledger["accepted"] > 0
    assert dataset_bytes(tmp_path) == dataset


def test_a_killed_run_is_told_from_one_that_ended(tmp_path: Path) -> None:
    status = read_status(killed(tmp_path))
    assert (status.state, status.time_left_s) == ("killed", None)
    assert status.ledger.planned == status.ledger.decided + status.ledger.pending["killed"]
    assert status.ledger.decided == 3
    assert sum(rows for rows, _ in status.levels.values()) == status.ledger.accepted
    assert status.problem is None


def test_a_run_of_a_version_without_a_heartbeat_is_read(tmp_path: Path) -> None:
    summary = go(tmp_path, 6)
    with sqlite3.connect(tmp_path / STORE_NAME) as connection:
        connection.execute("DELETE FROM meta WHERE name = ?", (META,))
    connection.close()
    status = read_status(tmp_path)
    assert (status.state, status.rate, status.pid) == ("unknown", None, None)
    assert status.ledger.as_dict() == summary.ledger


def test_a_ledger_that_the_store_does_not_bear_out_is_told(tmp_path: Path) -> None:
    go(tmp_path, 6)
    with sqlite3.connect(tmp_path / STORE_NAME) as connection:
        connection.execute("DELETE FROM units WHERE place = 0")
    connection.close()
    assert "accepted 6, but 5 in the store" in str(read_status(tmp_path).problem)


def test_a_silent_process_is_told(tmp_path: Path) -> None:
    go(tmp_path, 6)
    beat_s = read_status(tmp_path).beat_s
    assert beat_s is not None
    with RunStore(tmp_path):  # it holds the lock and does not beat
        assert read_status(tmp_path, calendar_s=lambda: beat_s + 29).silent_s is None
        assert read_status(tmp_path, calendar_s=lambda: beat_s + 40).silent_s == 40


# Folders.


def test_reading_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    go(tmp_path, 6)
    before, stamp = tree(tmp_path), (tmp_path / STORE_NAME).stat().st_mtime_ns
    read_status(tmp_path)
    assert tree(tmp_path) == before
    assert (tmp_path / STORE_NAME).stat().st_mtime_ns == stamp


def test_a_store_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    go(tmp_path, 6)
    (tmp_path / STORE_NAME).chmod(0o444)
    (tmp_path / LOCK_NAME).unlink()
    assert read_status(tmp_path).state == "complete"


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    go(tmp_path, 1)
    with RunStore(tmp_path, lock=False) as store:
        with pytest.raises(RuntimeError, match="read only"):
            store.set_meta({"a": 1})
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.rows("DELETE FROM units")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no store.sqlite"), (b"", "an empty store.sqlite"), (b"no database " * 200, "SQLite")],
    ids=["nothing", "empty", "foreign"],
)
def test_a_folder_that_holds_no_run_is_refused_and_left_alone(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / STORE_NAME).write_bytes(content)
    before = tree(tmp_path)
    with pytest.raises(StoreError, match=said):
        read_status(tmp_path)
    assert tree(tmp_path) == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store\.sqlite"):
        read_status(tmp_path / "no?#% such")
    assert not (tmp_path / "no?#% such").exists()


def test_a_folder_with_a_name_that_an_address_would_not_take_is_read(tmp_path: Path) -> None:
    out = tmp_path / "100% ready? #1 für alle"
    go(out, 1)
    assert read_status(out).state == "complete"


def test_another_schema_is_refused(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.set_meta({"schema": 99})
    with pytest.raises(StoreError, match="schema must be version") as refused:
        read_status(tmp_path)
    assert "--out" not in str(refused.value)


def test_a_run_that_has_not_said_anything_yet_is_read(tmp_path: Path) -> None:
    RunStore(tmp_path).close()
    status = read_status(tmp_path)
    assert (status.state, status.target, status.levels) == ("unknown", None, {})


# The command.


def test_the_command_shows_it_and_leaves_with_0(ds2: Callable[..., Ended], tmp_path: Path) -> None:
    go(tmp_path / "r", 12, budget_calls=60)
    ended = ds2("status", "r")
    assert ended.code == 0
    names = [line.split("  ")[0] for line in ended.out.splitlines()]
    assert names[:-1] == (
        "run rows planned accepted rejected surplus pending calls tokens cost rate".split()
    ) or names[:-1] == (
        "run rows planned accepted rejected surplus pending calls tokens cost".split()
    )
    assert "the budget of calls is spent" in ended.out.splitlines()[-1]


def test_the_command_of_a_running_run_says_what_holds_it(
    ds2: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)
    seen: list[Ended] = []

    async def look(_: lm15.Request, call: int) -> None:
        while call == 60 and not (seen and "held by: --concurrency" in seen[-1].out):
            await asyncio.sleep(0)
            seen[:] = [ds2("status", "r")]

    go(tmp_path / "r", 12, resolve=Meddler(look).resolve, concurrency=1)
    [ended] = seen
    assert ended.code == 0
    assert "time left" in ended.out
    assert "at rows" in ended.out


def test_the_command_gives_json(ds2: Callable[..., Ended], tmp_path: Path) -> None:
    go(tmp_path / "r", 6)
    ended = ds2("status", "r", "--json")
    data = json.loads(ended.out)
    assert ended.code == 0
    assert (data["state"], data["ledger"]["accepted"], data["target"]) == ("complete", 6, 6)
    assert data["levels"]["Apply"] == {"accepted": 1, "wanted": 1}
    assert {"rate", "time_left_s", "limits", "cost", "row_usd", "stages", "calls"} <= set(data)


def test_the_command_leaves_with_1_where_the_ledger_does_not_add_up(
    ds2: Callable[..., Ended], tmp_path: Path
) -> None:
    go(tmp_path / "r", 6)
    beat = read_status(tmp_path / "r").ledger.as_dict()
    change_beat(tmp_path / "r", ledger={**beat, "planned": 99})
    ended = ds2("status", "r")
    assert ended.code == 1
    assert "Checking the ledger failed" in ended.out


def test_what_a_model_said_cannot_move_the_cursor(
    ds2: Callable[..., Ended], tmp_path: Path
) -> None:
    go(tmp_path / "r", 6)
    change_beat(tmp_path / "r", status="error", why="a reply: \x1b[2J\u202e[bold]x[/bold]")
    ended = ds2("status", "r")
    assert "a reply: \\u001b[2J\\u202e[bold]x[/bold]" in ended.out


def test_the_command_refuses_a_folder_without_a_run(ds2: Callable[..., Ended]) -> None:
    ended = ds2("status", ".")
    assert ended.code == 2
    assert "Name the folder of a run" in ended.err
