"""The run store keeps what was paid for: one reply a key, in order, through every kind of end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from ds2.lock import LOCK_NAME, is_running
from ds2.store import STORE_NAME, RunStore, UnitRecord, Usage
from signatures.errors import StoreError
from signatures.receipts import Receipt


def receipt(key: str, text: str = "a reply", **more: object) -> Receipt:
    return Receipt(key, text, "stop", **more)  # type: ignore[arg-type]


def put(
    store: RunStore, reply: Receipt, *, stage: str = "answers", place: int = 0
) -> Future[Receipt]:
    return store.put(
        reply, stage=stage, place=place, prompt="a prompt", options="{}", latency_s=0.1
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(tmp_path) as opened:
        yield opened


def pragma(store: RunStore, name: str) -> object:
    return store._writer_connection.execute(f"PRAGMA {name}").fetchone()[0]


class Stalled:
    """Holds the writer thread, so that what is queued meanwhile makes one batch."""

    def __init__(self, store: RunStore) -> None:
        self._go, held = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> None:
            held.set()
            self._go.wait()

        store._submit(hold)
        held.wait()

    def release(self) -> None:
        self._go.set()


def test_a_reply_comes_back_as_it_was_put(store: RunStore) -> None:
    reply = Receipt("k", "Über 42 🙂", "length", "hm", "m-1", 3, 5, 2)
    assert store.get("k") is None
    assert put(store, reply).result() == reply
    assert store.get("k") == reply


def test_the_loser_of_a_race_gets_the_winners_reply(store: RunStore) -> None:
    first, second = put(store, receipt("k", "first")), put(store, receipt("k", "second"))
    assert first.result().text == second.result().text == "first"
    assert store.get("k") == first.result()
    assert store.usage()["answers"].calls == 1


def test_halves_of_surrogate_pairs_are_replaced_and_whole_ones_joined(store: RunStore) -> None:
    put(store, receipt("k", "half \ud83d, whole \ud83d\ude42", thinking="\udc80")).result()
    found = store.get("k")
    assert found is not None
    assert (found.text, found.thinking) == ("half \ufffd, whole 🙂", "\ufffd")


def test_what_waits_is_committed_at_once_and_in_order(store: RunStore) -> None:
    statements: list[str] = []
    store._writer_connection.set_trace_callback(statements.append)
    stalled = Stalled(store)
    futures = [put(store, receipt(f"k{i}")) for i in range(500)]
    stalled.release()
    for future in futures:
        future.result()
    assert sum(statement == "COMMIT" for statement in statements) <= 2


def test_eight_threads_lose_nothing(tmp_path: Path) -> None:
    standing: dict[str, set[str]] = {}
    lock = threading.Lock()

    def work(opened: RunStore, number: int) -> None:
        for i in range(100):
            stands = put(opened, receipt(f"k{i}", f"from {number}")).result()
            assert opened.get(f"k{i}") == stands
            with lock:
                standing.setdefault(f"k{i}", set()).add(stands.text)

    with RunStore(tmp_path) as opened:
        threads = [threading.Thread(target=work, args=(opened, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(texts) for texts in standing.values()] == [1] * 100
    with RunStore(tmp_path) as again:
        assert again.usage()["answers"].calls == 100
        kept = {key: found.text for key in standing if (found := again.get(key)) is not None}
    assert kept == {key: texts.pop() for key, texts in standing.items()}


def test_commits_reach_the_disk_before_they_count(store: RunStore) -> None:
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == 2  # FULL


def test_close_writes_out_what_waits(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    stalled = Stalled(store)
    for i in range(50):
        put(store, receipt(f"k{i}"))
    threading.Timer(0.05, stalled.release).start()
    store.close()
    with RunStore(tmp_path) as again:
        assert again.usage()["answers"].calls == 50


def test_a_closed_store_takes_nothing_more(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.close()
    with pytest.raises(RuntimeError, match="closed"):
        put(store, receipt("k"))


def test_flush_waits_for_what_was_queued_before(store: RunStore) -> None:
    future = put(store, receipt("k"))
    store.flush()
    assert future.done()


HOLDER = """
import sys, time
from pathlib import Path
from ds2.store import RunStore
store = RunStore(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_the_lock_holds_against_another_process_and_dies_with_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="used by one process at a time"):
            RunStore(tmp_path)
        with RunStore(tmp_path, lock=False) as beside:
            assert beside.usage() == {}
    finally:
        holder.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        holder.wait()
        holder.stdout.close()
    with RunStore(tmp_path) as store:
        put(store, receipt("k")).result()


def test_the_lock_holds_within_one_process_too(store: RunStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="another --out"):
        RunStore(tmp_path)
    put(store, receipt("k")).result()


def test_a_reader_beside_a_writer_sees_what_is_committed(store: RunStore, tmp_path: Path) -> None:
    with RunStore(tmp_path, lock=False) as reader:
        put(store, receipt("k")).result()
        assert reader.get("k") == store.get("k")
        stalled = Stalled(store)  # a transaction is open
        try:
            put(store, receipt("k2"))
            assert reader.get("k2") is None
            assert reader.usage()["answers"].calls == 1
        finally:
            stalled.release()


def test_another_schema_is_refused_and_the_lock_given_back(tmp_path: Path) -> None:
    RunStore(tmp_path).close()
    connection = sqlite3.connect(tmp_path / STORE_NAME)
    with connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    for _ in range(2):
        with pytest.raises(StoreError, match="schema must be version 1"):
            RunStore(tmp_path)
    with connection:
        connection.execute("UPDATE meta SET value = '1' WHERE name = 'schema'")
    connection.close()
    RunStore(tmp_path).close()


@pytest.mark.parametrize("name", [STORE_NAME, LOCK_NAME])
def test_a_file_that_is_no_database_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"this is not a database, whatever its name says" * 40)
    with pytest.raises(StoreError, match=f"{name} must be a readable and writable SQLite file"):
        RunStore(tmp_path)


def test_a_lock_that_is_no_database_is_told_to_who_only_looks(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_bytes(b"this is not a database, whatever its name says")
    with pytest.raises(StoreError, match=f"{LOCK_NAME} must be a readable and writable"):
        is_running(tmp_path)


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(StoreError, match="readable and writable"):
            RunStore(folder)


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError):
            RunStore(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_usage_counted_along_is_that_of_the_log(store: RunStore) -> None:
    for number in range(7):
        reply = receipt(f"k{number % 5}", input_tokens=number, output_tokens=2 * number or None)
        put(store, reply, stage=("writer", "answers")[number % 2]).result()
    with RunStore(store.folder, lock=False) as reader:
        assert store.usage() == reader.usage()
    assert store.added == sum(used.calls for used in store.usage().values()) == 5


def test_a_held_lock_is_seen_and_a_free_one_too(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    with RunStore(tmp_path):
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_a_full_disk_is_told_to_all_who_wait_and_loses_nothing_committed(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        put(store, receipt("kept", "x" * 100)).result()
        pages = pragma(store, "page_count")
        pragma(store, f"max_page_count = {pages}")
        stalled = Stalled(store)
        lost = [put(store, receipt(f"lost{i}", "x" * 100_000)) for i in range(3)]
        stalled.release()
        for future in lost:
            with pytest.raises(StoreError, match="disk with room"):
                future.result()
        pragma(store, "max_page_count = 1000000")
        with pytest.raises(StoreError, match="what was committed is kept"):
            put(store, receipt("after", "even if there were room again")).result()
        with pytest.raises(StoreError):
            store.flush()
        assert store.get("kept") is not None
        assert (store.usage()["answers"].calls, store.added) == (1, 1)
    with RunStore(tmp_path) as again:
        assert (again.usage()["answers"].calls, again.added) == (1, 0)
        assert put(again, receipt("after")).result().text == "a reply"


def test_a_bug_in_a_write_reaches_who_waits_and_nobody_hangs(store: RunStore) -> None:
    class OddError(Exception):
        pass

    def broken(_: sqlite3.Connection) -> None:
        raise OddError

    with pytest.raises(OddError):
        store._submit(broken).result(timeout=10)
    with pytest.raises(OddError):
        put(store, receipt("k")).result(timeout=10)


def test_usage_adds_up_by_stage_and_says_what_was_not_reported(store: RunStore) -> None:
    put(store, receipt("a", input_tokens=10, output_tokens=4, reasoning_tokens=1))
    put(store, receipt("b", input_tokens=20, output_tokens=6))
    put(store, receipt("c"))
    put(store, receipt("d", input_tokens=1, output_tokens=1), stage="writer")
    put(store, receipt("d", input_tokens=9, output_tokens=9), stage="writer")
    store.flush()
    assert store.usage() == {"answers": Usage(3, 30, 10, 1, 1), "writer": Usage(1, 1, 1, 0, 0)}


def test_calls_are_counted_by_the_fate_of_their_unit(store: RunStore) -> None:
    for number, place in enumerate((-1, -1, 0, 0, 0, 1, 2, 3)):
        put(store, receipt(f"k{number}"), place=place)
    store.record_unit(UnitRecord(0, "accepted", "", "{}"))
    store.record_unit(UnitRecord(1, "rejected", "tie", "{}"))
    store.record_unit(UnitRecord(2, "surplus", "", "[]"))
    store.flush()
    assert store.calls_by_state() == {
        "keywords": 2,
        "accepted": 3,
        "rejected": 1,
        "surplus": 1,
        "undecided": 1,
    }


def test_units_come_back_in_the_global_order_and_the_last_decision_stands(store: RunStore) -> None:
    for place in (4, 0, 2):
        store.record_unit(UnitRecord(place, "surplus", "", "[]"))
    store.record_unit(UnitRecord(2, "rejected", "tie", "{}"))
    store.flush()
    assert [(unit.place, unit.state) for unit in store.units()] == [
        (0, "surplus"),
        (2, "rejected"),
        (4, "surplus"),
    ]
    assert [unit.place for unit in store.units("rejected")] == [2]
    assert store.counts() == {("rejected", "tie"): 1, ("surplus", ""): 2}
    store.forget_units()
    assert list(store.units()) == []


def test_the_reply_of_a_unit_can_be_shown(store: RunStore) -> None:
    put(store, receipt("a", "what was written"), stage="writer", place=7).result()
    put(store, receipt("b", "what was answered"), place=7).result()
    assert store.reply_at(7, "writer") == "what was written"
    assert store.reply_at(8, "writer") is None


def test_a_run_remembers_what_it_says_of_itself(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.set_meta({"identity": {"task": "größer"}, "ended": None})
        store.set_meta({"ended": [1, 2]})
    with RunStore(tmp_path) as again:
        meta = again.meta()
    assert (meta["identity"], meta["ended"]) == ({"task": "größer"}, [1, 2])
