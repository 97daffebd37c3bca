"""Runs whose answers are compared by a judge: open tasks, and expressions with a merger."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import dataset_bytes, go, rows_of

from signatures.errors import ConfigError
from signatures.task import AnswerFormat, TaskSpec

OPEN = TaskSpec(
    name="civics",
    domain="civic education",
    description="Open questions about how a town council works, answered in a short paragraph.",
    answer=AnswerFormat(kind="open"),
    example_keywords=("quorum", "public hearing"),
)


def test_an_open_task_is_voted_on_by_meaning(tmp_path: Path) -> None:
    summary = go(tmp_path, 12, OPEN)
    assert summary.status == "complete"
    assert len(rows_of(tmp_path)) == 12
    assert summary.stages["judge"]["calls"] > 0


def test_a_judge_changes_no_byte_with_the_concurrency(tmp_path: Path) -> None:
    for concurrency in (1, 32):
        go(tmp_path / str(concurrency), 12, "math", merger="judge", concurrency=concurrency)
    assert dataset_bytes(tmp_path / "1") == dataset_bytes(tmp_path / "32")


def test_a_judge_is_part_of_what_the_run_is(tmp_path: Path) -> None:
    plain = go(tmp_path / "a", 6, "math")
    judged = go(tmp_path / "b", 6, "math", merger="judge")
    assert plain.fingerprint != judged.fingerprint


def test_exact_keys_need_no_judge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="merger must be given for"):
        go(tmp_path, 6, "gsm8k", merger="judge")


def test_the_judge_may_be_a_model_of_its_own(tmp_path: Path) -> None:
    go(tmp_path, 6, OPEN, model_for={"judge": "simulated"})


def test_every_row_carries_the_interval_of_its_agreement(tmp_path: Path) -> None:
    go(tmp_path, 12)
    for row in rows_of(tmp_path):
        assert 0 <= row["agreement_low"] <= row["agreement"] <= row["agreement_high"] <= 1
        assert row["agreement_low"] < row["agreement_high"]
        assert row["confidence"] is None
