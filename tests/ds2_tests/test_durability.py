"""Power loss, torn writes, a full disk: what was promised is there, and what is torn is left out.

A crash image is what a disk may hold at some moment. SQLite appends what it commits to a log of
frames and syncs it (`synchronous=FULL`) before a reply's future resolves; only what was synced is
certain. So every image here is the database file with a part of the log: cut at any frame, in the
middle of one, or with bytes of its end spoiled.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from counting_server import Counting, counting_server, logged_keys
from forked_runs import Forks
from small_runs import dataset_bytes

from ds2.runtime.lastword import LAST_WORD_NAME
from ds2.runtime.status import read_status
from ds2.store import STORE_NAME, RunStore
from signatures.receipts import Receipt

WAL = f"{STORE_NAME}-wal"
_HEADER, _FRAME_HEADER = 32, 24


def put(store: RunStore, number: int, text: str = "reply") -> Any:
    receipt = Receipt(call=f"{number:016x}", text=text, finish_reason="stop")
    return store.put(
        receipt, stage="answers", place=number, prompt="p", options="{}", latency_s=0.1
    )


def keys(image: Path) -> list[int]:
    """Return what a run finds in a store, in the order of its commits."""
    with RunStore(image) as store:
        rows = store._all("SELECT key FROM calls ORDER BY rowid")
        for (key,) in rows:
            assert store.get(key) is not None
    return [int(key, 16) for (key,) in rows]


class Written(NamedTuple):
    """A store after a crash: its folder, and by number the size of the log when it was promised."""

    folder: Path
    promised: list[int]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return a store that nobody closed, written one by one and then several at once."""
    live, folder = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("crashed")
    promised = []
    with RunStore(live) as store:
        for number in range(6):
            put(store, number, "long " * 900 * (number == 3)).result(10)
            promised.append((live / WAL).stat().st_size)
        batch = [put(store, number) for number in range(6, 16)]
        for future in batch:
            future.result(10)
            promised.append((live / WAL).stat().st_size)
        for name in (STORE_NAME, WAL):
            shutil.copy(live / name, folder)
    return Written(folder, promised)


def image_of(written: Written, folder: Path, log: bytes) -> Path:
    image = folder / f"image-{len(log)}-{random.random()}"
    image.mkdir()
    shutil.copy(written.folder / STORE_NAME, image)
    (image / WAL).write_bytes(log)
    return image


def frame_ends(folder: Path) -> list[int]:
    log = (folder / WAL).read_bytes()
    page = int.from_bytes(log[8:12], "big")
    return list(range(_HEADER, len(log) + 1, _FRAME_HEADER + page))


def holds_what_was_promised(image: Path, written: Written, size: int) -> None:
    """Require a prefix of the commits, with all that was promised before the log was that long."""
    found = keys(image)
    assert found == list(range(len(found)))
    assert set(found) >= {n for n, end in enumerate(written.promised) if end <= size}


def test_a_log_that_ends_anywhere_holds_every_reply_that_was_promised_by_then(
    written: Written, tmp_path: Path
) -> None:
    log = (written.folder / WAL).read_bytes()
    ends = frame_ends(written.folder)
    assert len(ends) > 30
    middles = [end + cut for end in ends[:-1:4] for cut in (7, 1000)]
    for size in sorted({0, 12, *ends, *middles}):
        holds_what_was_promised(image_of(written, tmp_path, log[:size]), written, size)


@pytest.mark.parametrize("torn", [b"\x00", b"\xff", None], ids=["zeros", "ones", "noise"])
def test_a_torn_end_of_the_log_is_left_out(
    torn: bytes | None, written: Written, tmp_path: Path
) -> None:
    log = (written.folder / WAL).read_bytes()
    rng = random.Random(4)
    for _ in range(12):
        start = rng.randrange(_HEADER, len(log))
        length = min(rng.choice([1, 512, 4096]), len(log) - start)
        spoiled = rng.randbytes(length) if torn is None else torn * length
        if spoiled == log[start : start + length]:
            continue
        image = image_of(written, tmp_path, log[:start] + spoiled + log[start + length :])
        holds_what_was_promised(image, written, start)


def test_an_image_between_any_two_commits_holds_all_of_them_across_checkpoints(
    tmp_path: Path,
) -> None:
    live = tmp_path / "live"
    live.mkdir()
    checkpoints, size = 0, 0
    with RunStore(live) as store:
        for number in range(24):
            put(store, number, "x" * 400_000).result(10)  # some 100 pages, of 1,000 to a checkpoint
            image = tmp_path / f"image-{number}"
            image.mkdir()
            for name in (STORE_NAME, WAL):
                shutil.copy(live / name, image)
            checkpoints += (live / STORE_NAME).stat().st_size != size
            size = (live / STORE_NAME).stat().st_size
            if number % 4 == 3 or checkpoints > 1:
                assert keys(image) == list(range(number + 1))
            shutil.rmtree(image)
    assert checkpoints > 1


def test_a_commit_is_on_the_disk_before_it_is_told(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        connection = store._writer_connection
        told = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "fullfsync", "checkpoint_fullfsync")
        }
    # 2 is FULL. The last two matter where fsync does not reach the platter by itself (macOS).
    assert told == {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "checkpoint_fullfsync": 1,
    }


# Whole runs.


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    with counting_server(6) as counting:
        yield counting


@pytest.fixture(scope="module")
def expected(server: Counting, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("roomy")
    assert server.finish(out).exit_code == 0
    return dataset_bytes(out)


def goes_on(server: Counting, out: Path, expected: dict[str, bytes]) -> None:
    """Require that a run ends with the same bytes and asks for nothing that its log holds."""
    logged, begun = logged_keys(out), len(server.keys)
    assert logged
    assert server.finish(out).exit_code == 0
    assert dataset_bytes(out) == expected
    assert not logged & set(server.keys[begun:])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and limits as POSIX has them")
def test_a_disk_that_fills_up_ends_the_run_with_2_and_with_room_it_goes_on(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with Forks(**server.request) as forks:
        for most_bytes in (100_000, 200_000):
            forks.start(tmp_path, most_bytes=most_bytes, **server.request)
            assert forks.wait() == 2
            status = read_status(tmp_path)
            assert (status.state, status.problem) == ("error", None)
            assert "on a disk with room" in status.why
        assert forks.errors.count("on a disk with room") == 2
        assert "what was committed is kept" in forks.errors
        forks.start(tmp_path, budget_calls=10, **server.request)
        assert forks.wait() == 3
    assert not (tmp_path / LAST_WORD_NAME).exists()
    assert read_status(tmp_path).state == "budget"
    goes_on(server, tmp_path, expected)


def test_a_run_goes_on_from_a_crash_image_whose_last_commit_is_torn(
    server: Counting, expected: dict[str, bytes], tmp_path: Path
) -> None:
    live, image = tmp_path / "live", tmp_path / "image"
    image.mkdir()
    server.finish(live, budget_calls=40)
    # The store of a closed run has no log left: what follows is written into one.
    with RunStore(live) as store:
        put(store, 1).result(10)
        put(store, 2).result(10)
        for name in (STORE_NAME, WAL):
            shutil.copy(live / name, image)
    os.truncate(image / WAL, (image / WAL).stat().st_size - 100)
    before = logged_keys(image)
    assert (f"{1:016x}" in before, f"{2:016x}" in before, len(before)) == (True, False, 41)
    goes_on(server, image, expected)
