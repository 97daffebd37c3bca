"""A run folder that is used again: what may change, and what stands."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from small_runs import Meddler, asked, dataset_bytes, go

from ds2.config import EngineConfig, preset
from ds2.runtime.defaults import default_out
from ds2.runtime.runner import run
from signatures.errors import StoreError
from signatures.task import load_task


def test_a_larger_candidate_cap_goes_on_to_the_rows_of_a_run_that_had_it_from_the_start(
    tmp_path: Path,
) -> None:
    assert go(tmp_path / "a", 12, candidates=9).status == "candidates"
    with pytest.raises(StoreError, match="candidates"):
        go(tmp_path / "a", 12, candidates=8)
    grown = go(tmp_path / "a", 12, candidates=48)
    assert grown.status == "complete"
    whole = go(tmp_path / "b", 12, candidates=48)
    assert grown.calls >= whole.calls - whole.surplus_calls
    assert dataset_bytes(tmp_path / "a") == dataset_bytes(tmp_path / "b")


def test_a_finished_dataset_stands_when_a_run_over_it_is_broken_off(tmp_path: Path) -> None:
    go(tmp_path, 12)
    finished = dataset_bytes(tmp_path)

    async def broken_off() -> None:
        task = asyncio.create_task(run(asked(tmp_path, 12)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(broken_off())
    assert dataset_bytes(tmp_path) == finished


def test_calls_cancelled_under_way_are_counted(tmp_path: Path) -> None:
    async def slow(_: object, number: int) -> None:
        await asyncio.sleep(0.002 * (number % 7))

    meddler = Meddler(slow)
    summary = go(tmp_path, 24, resolve=meddler.resolve, concurrency=64)
    assert meddler.calls == summary.calls + summary.cancelled_calls


@pytest.mark.parametrize(
    ("model", "seed", "name", "folder"),
    [
        (None, 0, "default", "gsm8k-60"),
        ("openai/gpt-4.1-mini", 0, "default", "gsm8k-60-gpt-4.1-mini"),
        ("Qwen/Qwen3-8B", 7, "default", "gsm8k-60-Qwen3-8B-seed7"),
        ("x/..", 0, "default", "gsm8k-60-model"),
        ("ollama/llama3:8b", 0, "paper", "gsm8k-60-paper-llama3-8b"),
    ],
)
def test_a_real_model_has_a_folder_of_its_own(
    model: str | None, seed: int, name: str, folder: str
) -> None:
    out = default_out(load_task("gsm8k"), preset(name, 60, seed=seed), EngineConfig(model=model))
    assert out == Path("runs") / folder


def test_another_model_for_a_stage_has_a_folder_of_its_own() -> None:
    engine = EngineConfig(
        model="openai/gpt-4.1-mini", model_for={"judge": "x/..", "answers": "openai/gpt-4.1"}
    )
    out = default_out(load_task("gsm8k"), preset("default", 60), engine)
    assert out == Path("runs/gsm8k-60-gpt-4.1-mini-answers-gpt-4.1-judge-model")


@pytest.mark.parametrize(
    ("program", "folder"),
    [
        ("runs/gsm8k-answers-mipro/program.json", "gsm8k-60-by-gsm8k-answers-mipro"),
        ("mine.json", "gsm8k-60-by-mine"),
        ("/program.json", "gsm8k-60-by-program"),
    ],
)
def test_other_prompts_have_a_folder_of_their_own(program: str, folder: str) -> None:
    config = preset("default", 60)
    out = default_out(load_task("gsm8k"), config, EngineConfig(), program=Path(program))
    assert out == Path("runs") / folder


def test_a_small_budget_finishes_rows_instead_of_beginning_many(tmp_path: Path) -> None:
    stopped = go(tmp_path, 30, budget_calls=60, concurrency=64)
    assert stopped.status == "budget"
    assert stopped.calls == 60
    assert stopped.ledger["accepted"] >= 3
