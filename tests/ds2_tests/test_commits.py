"""Group commit: what waits becomes one transaction, in order, and no reply waits for nothing."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from ds2 import commits
from ds2.store import RunStore
from signatures.receipts import Receipt


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(tmp_path) as opened:
        yield opened


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let replies wait for company until somebody is in a hurry."""
    monkeypatch.setattr(commits, "PATIENCE_S", 60.0)


def put(
    store: RunStore, key: str, *, text: str = "said", latency_s: float = 0.0
) -> Future[Receipt]:
    return store.put(
        Receipt(key, text, "stop"),
        stage="answers",
        place=0,
        prompt=f"the prompt of {key[:2]}",
        options="{}",
        latency_s=latency_s,
    )


def traced(store: RunStore) -> list[str]:
    statements: list[str] = []
    store._writer_connection.set_trace_callback(statements.append)
    return statements


@pytest.mark.usefixtures("patient")
def test_a_reply_that_took_long_waits_for_company_and_one_that_took_no_time_does_not(
    store: RunStore,
) -> None:
    waits = put(store, "slow", latency_s=3600)
    with pytest.raises(TimeoutError):
        waits.result(timeout=0.1)
    assert put(store, "fast").result(timeout=10).text == "said"
    assert waits.done(), "what waited goes with the next commit"


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("ends", ["flush", "set_meta", "close"])
def test_who_waits_for_the_store_waits_for_no_company(tmp_path: Path, ends: str) -> None:
    with RunStore(tmp_path) as store:
        waits = put(store, "slow", latency_s=3600)
        time.sleep(0.05)  # the thread waits by now
        began_s = time.monotonic()
        store.set_meta({"a": 1}) if ends == "set_meta" else getattr(store, ends)()
        assert time.monotonic() - began_s < 30
        assert waits.result(timeout=0).text == "said"


def test_no_reply_waits_longer_than_a_fiftieth_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    committer = commits.Committer(
        sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False),
        added=lambda _: None,
        failed=lambda error: error,
    )
    given: list[float] = []
    monkeypatch.setattr(committer, "_put", lambda _, patience_s: given.append(patience_s))
    reply = commits.Reply("answers", Receipt("k", "said", "stop"), ("p", "prompt"), ())
    for latency_s in (0.0, 0.1, 0.5, 60.0):
        committer.keep(reply, latency_s=latency_s)
    committer.close()
    assert given == [0.0, 0.002, 0.01, 0.01]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("number", [1, 3, 64, 100])
def test_replies_that_come_together_take_few_statements(store: RunStore, number: int) -> None:
    statements = traced(store)
    futures = [put(store, f"k{i}", latency_s=3600) for i in range(number)]
    store.flush()
    assert [future.result(timeout=0).call for future in futures] == [f"k{i}" for i in range(number)]
    assert sum(s.startswith("INSERT INTO calls") for s in statements) <= number.bit_length()
    assert statements.count("COMMIT") <= 2
    assert store.usage()["answers"].calls == store.added == number


@pytest.mark.usefixtures("patient")
def test_a_key_that_is_there_keeps_its_reply_and_costs_its_neighbours_nothing(
    store: RunStore,
) -> None:
    put(store, "k3", text="first").result(timeout=10)
    futures = [
        put(store, f"k{i}", text="second", latency_s=3600) for i in (0, 1, 2, 3, 4, 5, 4, 6, 7)
    ]
    store.flush()
    stands = [future.result(timeout=0) for future in futures]
    assert [r.call for r in stands] == [f"k{i}" for i in (0, 1, 2, 3, 4, 5, 4, 6, 7)]
    assert [r.text for r in stands if r.call == "k3"] == ["first"]
    assert store.usage()["answers"].calls == store.added == 8


def test_work_among_replies_comes_after_them_and_gets_its_own_result(
    store: RunStore,
) -> None:
    held, go = threading.Event(), threading.Event()
    store._submit(lambda _: (held.set(), go.wait()))
    held.wait()
    first = put(store, "a")
    count = store._submit(lambda c: c.execute("SELECT count(*) FROM calls").fetchone()[0])
    last = put(store, "b")
    go.set()
    assert (first.result(10).call, count.result(10), last.result(10).call) == ("a", 2, "b")
