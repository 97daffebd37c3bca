"""All faults at once: the ledger adds up, nothing hangs or leaks, and the rows are those of a calm."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulty_runs import hurried, hurried_breaker, through

from ds2.engines.retry import RetryPolicy
from ds2.server.faults import HUGE_BYTES, WEATHER, Faults


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    monkeypatch.setattr("ds2.engines.lm.BreakerConfig", hurried_breaker)


STORMS = [
    pytest.param("gsm8k", 0, 16, {}, id="gsm8k"),
    pytest.param("cfa", 1, 32, {"max_in_flight": 6}, id="cfa-in-a-small-server"),
    pytest.param("pubmedqa", 2, 5, {"max_rpm": 150, "minute_s": 2.0}, id="pubmedqa-by-the-minute"),
]


@pytest.mark.parametrize(("task", "seed", "concurrency", "limits"), STORMS)
def test_a_storm_changes_no_byte(
    task: str, seed: int, concurrency: int, limits: dict[str, float], tmp_path: Path
) -> None:
    weather = dict.fromkeys(Faults.names(WEATHER), 0.04) | {"hang": 0.02, "huge_body": 0.01}
    sizes = {"slow_s": 0.05, "retry_after_s": 0.2, "huge_bytes": 200_000}
    storm = Faults.storm(**(weather | sizes | limits), huge_text=0.01)
    options = {"task": task, "fault_seed": seed, "target": 9}
    calm = through(tmp_path / "calm", storm.without(WEATHER), **options)
    stormy = through(
        tmp_path / "storm",
        storm,
        most_starts=8,
        timeout_s=2.0,
        concurrency=concurrency,
        **options,
    )
    assert len(stormy.met) > 10
    assert stormy.data == calm.data
    assert stormy.summary.ledger["rejected"] == calm.summary.ledger["rejected"]


def test_replies_of_10_megabytes_pass_through_the_whole_pipeline(tmp_path: Path) -> None:
    storm = Faults(huge_body=0.04, huge_bytes=HUGE_BYTES)
    calm = through(tmp_path / "calm", Faults())
    stormy = through(tmp_path / "storm", storm, timeout_s=60.0)
    assert stormy.met["huge_body"] > 0
    assert stormy.data == calm.data


def test_a_text_of_10_megabytes_becomes_no_row(tmp_path: Path) -> None:
    endless = Faults(huge_text=0.05, huge_bytes=HUGE_BYTES)
    narrow = through(tmp_path / "narrow", endless, timeout_s=60.0, concurrency=2)
    wide = through(tmp_path / "wide", endless, timeout_s=60.0)
    assert narrow.data == wide.data
    assert narrow.summary.status == "complete"
    assert len(narrow.data["data/train-00000-of-00001.parquet"]) < 1_000_000
