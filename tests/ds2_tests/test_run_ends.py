"""Every way in which a run ends: the ledger adds up, or the run says that it does not and exits 1."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended
from dspy import lm15
from small_runs import Meddler, adds_up, asked, failing_after, go, gone, rows_of, summary_of

from ds2 import commits
from ds2.engines.retry import RetryPolicy
from ds2.runtime import folder, runner
from ds2.runtime.scheduler import Scheduler
from ds2.store import RunStore, UnitRecord
from signatures.errors import DS2Error, LedgerError, StoreError

TARGET = 12


class BrokenPartError(Exception):
    """A bug, made for a test."""


class Case:
    """One way to end: how the run is asked for, and what is raised in the middle of it."""

    def __init__(self, patch: pytest.MonkeyPatch, out: Path) -> None:
        self.patch, self.out = patch, out
        self.settings: dict[str, Any] = {"concurrency": 4}
        self.task: asyncio.Task[Any] | None = None

    def run(self) -> BaseException | None:
        """Return what the run raised, or None."""

        async def main() -> None:
            self.task = asyncio.current_task()
            resolve = self.settings.pop("resolve", None)
            await runner.run(asked(self.out, TARGET, **self.settings), resolve=resolve)

        try:
            asyncio.run(main())
        except (DS2Error, BrokenPartError, asyncio.CancelledError) as error:
            return error
        return None


def complete(case: Case) -> None:
    """Change nothing."""


def budget(case: Case) -> None:
    case.settings["budget_calls"] = 40


def candidates(case: Case) -> None:
    case.settings["candidates"] = 6


def interrupted(case: Case) -> None:
    async def cancel(_: object, call: int) -> None:
        if call == 40 and case.task is not None:
            case.task.cancel()

    case.settings["resolve"] = Meddler(cancel).resolve


def dead_endpoint(case: Case) -> None:
    case.patch.setattr(RetryPolicy, "_wait_s", lambda *_: 0.0)
    case.settings["resolve"] = failing_after(40, gone).resolve


def bad_key(case: Case) -> None:
    case.settings["resolve"] = failing_after(40, lambda: lm15.AuthError("no")).resolve


def disk_full(case: Case) -> None:
    real, done = commits.transact, [0]

    def transact(connection: sqlite3.Connection, work: list[Any]) -> list[Any]:
        done[0] += len(work)
        if done[0] > 60:
            raise sqlite3.OperationalError("database or disk is full")
        return real(connection, work)

    case.patch.setattr(commits, "transact", transact)


def bug(case: Case) -> None:
    def decided(*_: object) -> None:
        raise BrokenPartError

    case.patch.setattr(runner._Job, "_decided", decided)


ENDS: dict[str, tuple[Callable[[Case], None], type[BaseException] | None]] = {
    "complete": (complete, None),
    "budget": (budget, None),
    "candidates": (candidates, None),
    "interrupted": (interrupted, asyncio.CancelledError),
    "endpoint": (dead_endpoint, None),
    "key": (bad_key, DS2Error),
    "disk": (disk_full, StoreError),
    "bug": (bug, BrokenPartError),
}
WITH_SUMMARY = ("complete", "budget", "candidates", "interrupted", "endpoint")


@pytest.mark.parametrize("end", ENDS)
def test_the_ledger_adds_up_at_every_exit(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledgers: list[dict[str, Any]] = []
    real = Scheduler.pend

    def pend(self: Scheduler, cause: str) -> None:
        real(self, cause)
        ledgers.append(self.ledger.as_dict())

    monkeypatch.setattr(Scheduler, "pend", pend)
    arrange, raised = ENDS[end]
    case = Case(monkeypatch, tmp_path)
    arrange(case)
    error = case.run()
    assert isinstance(error, raised) if raised else error is None
    assert not isinstance(error, LedgerError)
    assert len(ledgers) == 1
    assert ledgers[0]["planned"] > 0
    assert adds_up(ledgers[0])
    if end in WITH_SUMMARY:
        assert summary_of(tmp_path)["status"] == end
        assert summary_of(tmp_path)["ledger"] == ledgers[0]


@pytest.mark.parametrize("end", ENDS)
def test_a_unit_that_is_lost_is_told_at_every_exit(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Scheduler._start

    def start(self: Scheduler, unit: Any, known: Any) -> None:
        real(self, unit, known)
        self.ledger.planned += unit.place == 0  # one unit that nobody will ever decide

    monkeypatch.setattr(Scheduler, "_start", start)
    case = Case(monkeypatch, tmp_path)
    ENDS[end][0](case)
    error = case.run()
    if end == "disk":  # the store cannot be asked, and says so first
        assert isinstance(error, LedgerError | StoreError)
        return
    assert isinstance(error, LedgerError)
    assert error.exit_code == 1
    assert "planned units must be accepted + rejected + surplus + pending" in str(error)
    if end in WITH_SUMMARY:
        assert summary_of(tmp_path)["status"] == "unbalanced"
        assert not (tmp_path / "dataset" / "data").exists()


def test_a_decision_that_is_not_in_the_store_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunStore.record_unit

    def record(self: RunStore, unit: UnitRecord) -> Any:
        kept = unit._replace(state="surplus") if unit.place == 0 else unit
        return real(self, kept)

    monkeypatch.setattr(RunStore, "record_unit", record)
    with pytest.raises(LedgerError, match=r"in the store"):
        go(tmp_path, 6)


def test_a_row_that_is_not_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = folder.accepted_rows
    monkeypatch.setattr(folder, "accepted_rows", lambda store: list(real(store))[1:])
    with pytest.raises(LedgerError, match="accepted 6, but 5 rows written"):
        go(tmp_path, 6)
    assert summary_of(tmp_path)["status"] == "unbalanced"


def test_a_finished_run_is_read_again_without_deciding_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = go(tmp_path, 6)

    def never(*_: object) -> None:
        raise AssertionError("a unit was started")

    monkeypatch.setattr(Scheduler, "_start", never)
    again = go(tmp_path, 6)
    assert (again.ledger, again.mean_agreement, again.new_calls) == (
        first.ledger,
        first.mean_agreement,
        0,
    )


def test_decisions_that_are_gone_are_made_again_from_the_log(tmp_path: Path) -> None:
    first = go(tmp_path, 6)
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("DELETE FROM units WHERE place = 0")
    connection.close()
    again = go(tmp_path, 6)
    assert (again.status, again.new_calls) == ("complete", 0)
    assert again.ledger["accepted"] == first.ledger["accepted"] == len(rows_of(tmp_path))


def test_the_command_says_so_and_leaves_with_1(
    ds2: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = folder.accepted_rows
    monkeypatch.setattr(folder, "accepted_rows", lambda store: list(real(store))[1:])
    ended = ds2("run", "gsm8k", "-n", 6, "--out", "r")
    assert ended.code == 1
    assert "Checking the ledger failed for 'r'" in ended.err
    assert "accepted 6, but 5 rows written" in ended.err
    status = ds2("status", "r")
    assert "Stopped: an error ended it." in status.out
    assert "accepted 6, but 5 rows written" in status.out
