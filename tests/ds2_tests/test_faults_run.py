"""The pipeline through each fault alone: the weather changes nothing, content rejects with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulty_runs import Weathered, faulty_server, hurried, hurried_breaker, one_run, through

from ds2.engines.retry import RetryPolicy
from ds2.server.faults import CONTENT, WEATHER, Faults
from ds2.server.serve import served
from signatures.errors import EndpointError

#: A reply of full size takes a while in one process with its server.
PATIENT_S = 30.0


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    monkeypatch.setattr("ds2.engines.lm.BreakerConfig", hurried_breaker)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Weathered:
    """Return the run in calm weather that all others are held against."""
    return through(tmp_path_factory.mktemp("calm"), Faults())


def same_as(calm: Weathered, stormy: Weathered) -> bool:
    """Return whether the weather left the rows and every decision as they are."""
    rejected = stormy.summary.ledger["rejected"] == calm.summary.ledger["rejected"]
    return rejected and stormy.data == calm.data


@pytest.mark.parametrize("fault", Faults.names(WEATHER))
def test_weather_of_every_kind_changes_no_byte_and_rejects_nothing(
    fault: str, calm: Weathered, tmp_path: Path
) -> None:
    rare = {"hang": 0.04, "huge_body": 0.04}
    faults = Faults(
        **{fault: rare.get(fault, 0.25)}, most_in_a_row=3, retry_after_s=0.01, slow_s=0.05
    )
    timeout_s = 0.6 if fault == "hang" else PATIENT_S
    stormy = through(tmp_path, faults, timeout_s=timeout_s)
    assert stormy.met[fault] > 0
    assert same_as(calm, stormy)
    told = [n for n in stormy.summary.notices if "name another model: 'another-model-0613'" in n]
    assert len(told) == (fault == "wrong_model")


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(max_in_flight=4), id="a-quarter-of-our-concurrency"),
        pytest.param(Faults(max_in_flight=1), id="one-at-a-time"),
        pytest.param(Faults(max_rpm=60, minute_s=0.6), id="calls-a-minute"),
    ],
)
def test_a_server_that_is_full_is_waited_for_while_it_answers_others(
    faults: Faults, calm: Weathered, tmp_path: Path
) -> None:
    stormy = through(tmp_path, faults, latency_s=0.005)
    assert sum(stormy.met.values()) > 0
    assert stormy.starts == 1
    assert same_as(calm, stormy)


def test_a_first_call_that_is_turned_away_is_no_dead_endpoint(
    calm: Weathered, tmp_path: Path
) -> None:
    faults = Faults(http_429=0.5, http_503=0.5, most_in_a_row=4)
    stormy = through(tmp_path, faults, concurrency=4)
    assert same_as(calm, stormy)


@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_an_endpoint_that_never_answers_ends_the_run_with_what_it_said(
    fault: str, tmp_path: Path
) -> None:
    with pytest.raises(EndpointError, match="the endpoint must answer"):
        through(tmp_path, Faults(**{fault: 1.0}), timeout_s=0.2)


def test_an_endpoint_that_only_turns_us_away_leaves_a_run_to_be_continued(tmp_path: Path) -> None:
    with served(faulty_server(Faults(http_429=1.0))) as running:
        stopped = one_run(tmp_path, running)
    assert (stopped.status, stopped.exit_code) == ("endpoint", 3)
    assert "Too many requests" in stopped.notices[-1]


def test_weather_that_outlasts_the_retries_stops_the_run_and_the_next_start_goes_on(
    calm: Weathered, tmp_path: Path
) -> None:
    # A call has six tries, so about one in twenty meets a failure with each of them.
    faults = Faults(http_500=0.6, most_in_a_row=7)
    stormy = through(tmp_path, faults, most_starts=40)
    assert stormy.starts > 1
    assert same_as(calm, stormy)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("empty_content", "unparsable"),
        ("length", "truncated"),
        ("content_filter", "moderated"),
        ("duplicate", None),
        ("huge_text", None),
    ],
)
def test_content_of_every_kind_is_the_same_at_any_concurrency_and_has_its_reason(
    fault: str, reason: str | None, tmp_path: Path
) -> None:
    # The full size is of the storm.
    # One more chance heals what is rare.
    rate = 0.4 if fault in {"empty_content", "length"} else 0.15
    faults = Faults(**{fault: rate}, huge_bytes=50_000)
    wide = through(tmp_path / "wide", faults, target=12)
    narrow = through(tmp_path / "narrow", faults, target=12, concurrency=3)
    assert wide.data == narrow.data
    rejected = wide.summary.ledger["rejected"]
    assert not {"endpoint", "timeout", "error"} & set(rejected)
    if reason is not None:
        assert rejected[reason] > 0
    if fault == "huge_text":
        # What comes after the end of an answer is read over.
        assert wide.data == through(tmp_path / "calm", Faults(), target=12).data


def test_every_fault_there_is_is_tried() -> None:
    assert len(Faults.names(WEATHER)) == 14
    assert len(Faults.names(CONTENT)) == 5
