from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_runs import go

from ds2.runtime import heartbeat
from ds2.runtime.heartbeat import META
from ds2.runtime.lastword import LAST_WORD_NAME, LastWord
from ds2.runtime.status import read_status
from ds2.store import RunStore

SAID: dict[str, Any] = {"status": "error", "why": "The disk is full.", "pid": 7, "beat_s": 10.0}


def test_what_was_said_last_is_read_and_takes_no_more_room_than_was_reserved(
    tmp_path: Path,
) -> None:
    word = LastWord(tmp_path)
    word.reserve()
    size = (tmp_path / LAST_WORD_NAME).stat().st_size
    assert word.read({}) == {}
    word.say(**SAID)
    assert word.read({"beat_s": 9.0}) == SAID
    assert (tmp_path / LAST_WORD_NAME).stat().st_size == size


def test_a_word_is_written_over_in_place(tmp_path: Path) -> None:
    word = LastWord(tmp_path)
    word.reserve()
    inode = (tmp_path / LAST_WORD_NAME).stat().st_ino
    word.say(**SAID)
    word.reserve()
    assert word.read({}) == {}
    assert (tmp_path / LAST_WORD_NAME).stat().st_ino == inode


@pytest.mark.parametrize("why", ["", "\U0001f4be" * 5_000, '"\0\\' * 2_000], ids=len)
def test_however_long_it_is_it_fits(tmp_path: Path, why: str) -> None:
    word = LastWord(tmp_path)
    word.reserve()
    word.say(**{**SAID, "why": why})
    found = word.read({})
    assert why.startswith(found["why"])
    assert bool(found["why"]) == bool(why)
    assert (tmp_path / LAST_WORD_NAME).stat().st_size == 4096


def test_a_heartbeat_after_it_stands_before_it(tmp_path: Path) -> None:
    word = LastWord(tmp_path)
    word.say(**SAID)
    assert word.read({"beat_s": 11.0}) == {}


@pytest.mark.parametrize("text", [None, "", "{torn", "[]", "{}"], ids=repr)
def test_no_word_is_read_where_none_was_said(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / LAST_WORD_NAME).write_text(text)
    assert LastWord(tmp_path).read({}) == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    word = LastWord(tmp_path / "gone")
    word.reserve()
    word.say(**SAID)
    word.drop()


def test_a_run_that_could_say_how_it_ended_leaves_no_such_file(tmp_path: Path) -> None:
    go(tmp_path, 3)
    assert not (tmp_path / LAST_WORD_NAME).exists()


def test_status_takes_the_last_word_of_a_run_whose_store_could_not_say_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, 12, budget_calls=60)
    with RunStore(tmp_path) as store:
        beat = store.meta()[META]
        store.set_meta({META: {**beat, "status": None, "phase": "rows"}})
    assert read_status(tmp_path).state == "killed"
    LastWord(tmp_path).say(**{**SAID, "beat_s": beat["beat_s"] + 1})
    status = read_status(tmp_path)
    assert (status.state, status.why, status.pid) == ("error", "The disk is full.", 7)
    # The ledger of the last heartbeat is not that of the end.
    assert status.ledger.pending["error"] > 0
    assert (status.problem, status.time_left_s) == (None, None)
    json.dumps(status.as_dict())


def test_a_run_that_goes_on_takes_back_the_word_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, 3, budget_calls=10)
    LastWord(tmp_path).say(**{**SAID, "beat_s": 1e12})
    assert read_status(tmp_path).state == "error"
    seen: list[dict[str, Any]] = []
    beat = heartbeat.Heartbeat.facts

    def look(self: heartbeat.Heartbeat, *args: Any, **kwargs: Any) -> dict[str, Any]:
        seen.append(LastWord(tmp_path).read({}))
        return beat(self, *args, **kwargs)

    monkeypatch.setattr(heartbeat.Heartbeat, "facts", look)
    go(tmp_path, 3)
    assert seen
    assert not any(seen)
