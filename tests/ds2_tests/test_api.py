"""`synthesize` gives a `datasets.Dataset`, in a script and inside a running loop alike."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import datasets
import pytest
from small_runs import Meddler, rows_of, summary_of

import ds2
from ds2.api import read_dataset
from ds2.output.dataset import features
from ds2.runtime import session
from signatures.errors import ConfigError, OutputError, RunStoppedError, TaskError
from signatures.task import load_task


def test_a_script_gets_its_rows(tmp_path: Path) -> None:
    rows = ds2.synthesize("gsm8k", target=6, out=tmp_path)
    assert isinstance(rows, datasets.Dataset)
    assert (len(rows), rows.features) == (6, features())
    assert list(rows) == rows_of(tmp_path)


def test_a_second_call_is_free(tmp_path: Path) -> None:
    first = ds2.synthesize("gsm8k", 6, out=tmp_path, concurrency=64)
    second = ds2.synthesize("gsm8k", 6, out=tmp_path, concurrency=3)
    assert list(first) == list(second)
    assert summary_of(tmp_path)["new_calls"] == 0


def test_a_notebook_with_its_loop_running_gets_the_same(tmp_path: Path) -> None:
    async def cell() -> tuple[list[object], list[object]]:
        blocking = ds2.synthesize("gsm8k", 6, out=tmp_path / "a")
        awaited = await ds2.asynthesize("gsm8k", 6, out=tmp_path / "b")
        return list(blocking), list(awaited)

    blocking, awaited = asyncio.run(cell())
    assert blocking == awaited == list(ds2.synthesize("gsm8k", 6, out=tmp_path / "c"))


def test_two_runs_share_one_loop(tmp_path: Path) -> None:
    async def both() -> list[int]:
        works = [ds2.asynthesize(name, 3, out=tmp_path / name) for name in ("gsm8k", "logiqa")]
        return [len(rows) for rows in await asyncio.gather(*works)]

    assert asyncio.run(both()) == [3, 3]


def test_the_folder_is_named_as_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ds2.synthesize("gsm8k", 1, seed=2)
    assert summary_of(tmp_path / "runs" / "gsm8k-1-seed2")["target"] == 1


def test_a_task_may_be_given_as_an_object_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndomain: unit prices\ndescription: small questions about prices\n"
        "answer: {kind: number}\n"
    )
    assert len(ds2.synthesize(load_task("math"), 1, out=tmp_path / "a")) == 1
    assert len(ds2.synthesize(path, 1, out=tmp_path / "b")) == 1


def test_a_run_that_stops_says_so_and_can_go_on(tmp_path: Path) -> None:
    with pytest.raises(RunStoppedError, match="accepted rows must reach the target of 6") as stop:
        ds2.synthesize("gsm8k", 6, out=tmp_path, budget_calls=20)
    assert stop.value.exit_code == 3
    assert len(ds2.synthesize("gsm8k", 6, out=tmp_path)) == 6


def test_settings_of_all_three_kinds_are_taken(tmp_path: Path) -> None:
    rows = ds2.synthesize(
        "gsm8k", 2, out=tmp_path, policy="fixed(3, 0.6)", concurrency=2, budget_calls=10_000
    )
    assert set(rows["samples"]) == {3}


def test_mistakes_are_told_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="task must be one of"):
        ds2.synthesize("nope")
    with pytest.raises(ConfigError, match="colour must be one of the known ones"):
        ds2.synthesize("gsm8k", 1, out=tmp_path, colour="red")
    with pytest.raises(ConfigError, match="target must be greater"):
        ds2.synthesize("gsm8k", 0, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_inside_a_running_loop_comes_out_as_itself(tmp_path: Path) -> None:
    async def cell() -> None:
        ds2.synthesize("gsm8k", 0, out=tmp_path)

    with pytest.raises(ConfigError, match="target"):
        asyncio.run(cell())


def test_reading_writes_no_cache_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ds2.synthesize("gsm8k", 3, out=tmp_path)
    capfd.readouterr()
    rows = read_dataset(tmp_path)
    assert rows.cache_files == []
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_a_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="hold data/train"):
        read_dataset(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent to a thread")
def test_a_notebooks_interrupt_stops_the_run_and_its_writes_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.main_thread().ident
    assert main is not None

    async def interrupt(_: object, number: int) -> None:
        await asyncio.sleep(0.002)
        if number == 60:
            signal.pthread_kill(main, signal.SIGINT)

    monkeypatch.setattr(session, "resolve_model", Meddler(interrupt).resolve)

    async def cell() -> None:
        ds2.synthesize("gsm8k", 24, out=tmp_path)

    loop = asyncio.new_event_loop()  # as a notebook's kernel: Ctrl-C is not caught by the loop
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell())
    finally:
        loop.close()
    assert summary_of(tmp_path)["status"] == "interrupted"
    assert len(ds2.synthesize("gsm8k", 24, out=tmp_path)) == 24
