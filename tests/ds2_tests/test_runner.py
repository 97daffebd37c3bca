"""A run as a whole: exact, the same bytes whatever the timing, resumable, and clear when it stops."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from small_runs import (
    Meddler,
    Witness,
    adds_up,
    asked,
    asks_for,
    dataset_bytes,
    failing_after,
    go,
    gone,
    rows_of,
    saying,
    summary_of,
    tree,
)

from ds2.config import preset
from ds2.engines.base import Backend
from ds2.engines.logged import sample_number
from ds2.engines.retry import RetryPolicy
from ds2.engines.teacher import simulated_backend
from ds2.lock import LOCK_NAME
from ds2.runtime.runner import run
from ds2.runtime.session import build_program
from ds2.runtime.worst_case import worst_case_calls
from ds2.store import STORE_NAME, RunStore
from programs.keywords import TRIES
from programs.synthesis import DS2Instruct
from signatures.errors import DS2Error, EndpointError, ProgramError, StageError, StoreError
from signatures.task import load_task, parse_task

ROWS = 18


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries follow at once."""
    monkeypatch.setattr(RetryPolicy, "_wait_s", lambda *_: 0.0)


# What a run gives.


@pytest.mark.parametrize("target", [1, 2, 4, 6, 7])
def test_any_target_from_one_on_is_met_exactly(target: int, tmp_path: Path) -> None:
    summary = go(tmp_path, target)
    assert summary.exit_code == 0
    assert len(rows_of(tmp_path)) == summary.ledger["accepted"] == target
    quotas = {str(k): n for k, n in preset("default", target).level_quotas.items()}
    found = [row["level"] for row in rows_of(tmp_path)]
    assert {level: found.count(level) for level in quotas} == quotas


def test_a_run_folder_holds_all_that_was_promised(tmp_path: Path) -> None:
    summary = go(tmp_path, 6, budget_calls=5000)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        STORE_NAME,
        LOCK_NAME,
        "config.json",
        "keywords.json",
        "summary.json",
        "dataset",
    }
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (config["task"]["name"], config["run"]["target"]) == ("gsm8k", 6)
    assert config["budget"]["budget_calls"] == 5000
    assert summary_of(tmp_path) == json.loads(summary.as_json())
    assert summary.stages["answers"]["calls"] + summary.stages["writer"]["calls"] < summary.calls
    assert summary.new_calls == summary.calls
    assert any("not for training" in notice for notice in summary.notices)


def test_rejected_units_keep_their_votes_and_their_reasons(tmp_path: Path) -> None:
    summary = go(tmp_path, 24)
    with RunStore(tmp_path) as store:
        rejected = [(unit.reason, json.loads(unit.record)) for unit in store.units("rejected")]
        counts = store.counts()
    assert len(rejected) == sum(summary.ledger["rejected"].values()) > 0
    assert {r: n for (state, r), n in counts.items() if state == "rejected"} == summary.ledger[
        "rejected"
    ]
    for reason, record in rejected:
        assert reason == record["reason"]
        if record["stage"] == "vote":
            assert 3 <= len(record["vote"]["samples"]) == record["vote"]["draws"] <= 9
            assert all(sample["call"] for sample in record["vote"]["samples"])


def test_a_task_of_ones_own_in_a_language_without_spaces_runs(tmp_path: Path) -> None:
    task = parse_task(
        "name: sanshu\n"
        "domain: 小学校の算数\n"
        "description: 日常生活の文章題。答えは一つの数。\n"
        "language: Japanese\n"
        "answer: {kind: number}\n"
        "example_keywords: [割合, 速さ, 面積]\n"
    )
    summary = go(tmp_path, 3, task)
    assert summary.exit_code == 0
    assert {row["task"] for row in rows_of(tmp_path)} == {"sanshu"}


# The same bytes.


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the bytes of the run of all rows that was never stopped."""
    out = tmp_path_factory.mktemp("undisturbed")
    go(out, ROWS, concurrency=16)
    return dataset_bytes(out)


@pytest.mark.parametrize("concurrency", [1, 7, 64])
def test_concurrency_changes_no_byte(
    concurrency: int, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    go(tmp_path, ROWS, concurrency=concurrency)
    assert dataset_bytes(tmp_path) == expected


def test_latency_changes_no_byte(tmp_path: Path, expected: dict[str, bytes]) -> None:
    async def dawdle(request: lm15.Request, number: int) -> None:
        await asyncio.sleep(0.02 if number % 7 == 0 else 0.001 * (number % 3))

    go(tmp_path, ROWS, concurrency=32, resolve=Meddler(dawdle).resolve)
    assert dataset_bytes(tmp_path) == expected


def test_larger_waves_are_fewer_and_their_rows_depend_on_no_timing(tmp_path: Path) -> None:
    async def dawdle(request: lm15.Request, number: int) -> None:
        await asyncio.sleep(0.01 if number % 5 == 0 else 0.001 * (number % 3))

    for name, concurrency, meddler in (("a", 1, None), ("b", 64, None), ("c", 32, Meddler(dawdle))):
        resolve = meddler and meddler.resolve
        go(tmp_path / name, 12, policy="waves(lead(2, 8), 4)", concurrency=concurrency,
           resolve=resolve)  # fmt: skip
    found = [dataset_bytes(tmp_path / name) for name in "abc"]
    assert found[0] == found[1] == found[2]
    draws = {row["samples"] for row in rows_of(tmp_path / "a")}
    assert draws <= {4, 5, 6, 7, 8}
    assert 4 in draws


def test_another_seed_gives_other_rows(tmp_path: Path, expected: dict[str, bytes]) -> None:
    go(tmp_path, ROWS, seed=1)
    assert dataset_bytes(tmp_path) != expected


def test_a_budget_stop_is_exact_and_the_run_goes_on_to_the_same_bytes(
    tmp_path: Path, expected: dict[str, bytes]
) -> None:
    for limit in (1, 2, 40, 41, 110):
        summary = go(tmp_path, ROWS, budget_calls=limit, concurrency=limit % 13 + 1)
        assert (summary.status, summary.exit_code) == ("budget", 3)
        assert summary.calls == limit
        assert set(summary.ledger["pending"]) <= {"budget"}
        assert summary.ledger["accepted"] < ROWS
        if limit > 3:
            rows = rows_of(tmp_path) if summary.ledger["accepted"] else []
            assert len(rows) == summary.ledger["accepted"]
            assert summary.ledger["pending"]
    summary = go(tmp_path, ROWS, budget_calls=100_000)
    assert summary.exit_code == 0
    assert dataset_bytes(tmp_path) == expected


def test_no_call_is_made_twice_over_stops_and_goes(tmp_path: Path) -> None:
    seen: list[tuple[object, ...]] = []

    async def note(request: lm15.Request, _: int) -> None:
        words = "\n".join(m.text or "" for m in request.messages)
        # A reply that was cut is asked for once more, with room for twice its length.
        seen.append((request.system, words, request.config.seed, request.config.max_tokens))

    for limit in (30, 77, None):
        go(tmp_path, 12, budget_calls=limit, resolve=Meddler(note).resolve)
    assert len(set(seen)) == len(seen)
    assert summary_of(tmp_path)["calls"] == len(seen)


@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_finished_run_is_read_again_without_a_call(name: str, tmp_path: Path) -> None:
    first = go(tmp_path, ROWS, preset_name=name, concurrency=64)
    before = dataset_bytes(tmp_path)
    for concurrency in (1, 64):
        again = go(tmp_path, ROWS, preset_name=name, concurrency=concurrency)
        assert again.exit_code == 0
        assert (again.new_calls, again.calls) == (0, first.calls)
        assert again.ledger["accepted"] == first.ledger["accepted"]
        assert again.ledger["rejected"] == first.ledger["rejected"]
        assert again.surplus_calls == first.surplus_calls
    assert dataset_bytes(tmp_path) == before


def test_what_a_person_wrote_on_the_card_is_kept(tmp_path: Path) -> None:
    go(tmp_path, 6)
    card = tmp_path / "dataset" / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nMy own words.\n", encoding="utf-8")
    go(tmp_path, 6)
    assert card.read_text(encoding="utf-8").endswith("\nMy own words.\n")


# Ends that are neither complete nor an error.


def test_the_candidate_cap_ends_a_run_that_cannot_get_there(tmp_path: Path) -> None:
    summary = go(tmp_path, 12, candidates=9)
    assert (summary.status, summary.exit_code) == ("candidates", 3)
    assert summary.ledger["accepted"] + sum(summary.ledger["rejected"].values()) == 9
    assert len(rows_of(tmp_path)) == summary.ledger["accepted"] < 12


def test_a_run_without_an_accepted_row_writes_no_parquet_and_says_so(tmp_path: Path) -> None:
    async def undecided(request: lm15.Request, number: int) -> lm15.Response | None:
        if asks_for(request) != "answers":
            return None
        return saying(f"[[ ## solution ## ]]\nHm.\n\n[[ ## answer ## ]]\n{number}\n")

    summary = go(tmp_path, 2, resolve=Meddler(undecided).resolve)
    assert (summary.status, summary.ledger["accepted"]) == ("candidates", 0)
    assert summary.ledger["rejected"] == {"tie": 8}
    assert (summary.mean_agreement, summary.samples_per_row) == (None, None)
    assert not list((tmp_path / "dataset").rglob("*.parquet"))
    assert any("No row was accepted" in notice for notice in summary.notices)
    assert "No rows." in (tmp_path / "dataset" / "README.md").read_text(encoding="utf-8")


def test_the_papers_preset_ends_normally_with_what_passed(tmp_path: Path) -> None:
    summary = go(tmp_path, 24, preset_name="paper")
    assert (summary.status, summary.exit_code) == ("complete", 0)
    ledger = summary.ledger
    assert 0 < ledger["accepted"] <= 24
    assert ledger["accepted"] + sum(ledger["rejected"].values()) <= 32
    assert "duplicate" not in ledger["rejected"]
    rows = rows_of(tmp_path)
    assert len(rows) == ledger["accepted"]
    assert {row["samples"] for row in rows} <= {
        3,
        4,
        5,
    }  # what cannot change the verdict is not drawn
    assert all(row["agreement"] >= 0.5 for row in rows)


def test_the_papers_preset_may_end_below_its_target_and_is_still_complete(tmp_path: Path) -> None:
    summary = go(tmp_path, 24, preset_name="paper", candidates=10)
    assert (summary.status, summary.exit_code) == ("complete", 0)
    assert summary.ledger["accepted"] + sum(summary.ledger["rejected"].values()) == 10


def test_a_bank_that_stays_small_is_told(tmp_path: Path) -> None:
    async def one_keyword(request: lm15.Request, _: int) -> lm15.Response | None:
        return (
            saying('[[ ## keywords ## ]]\n["ratios"]\n')
            if asks_for(request) == "keywords"
            else None
        )

    summary = go(tmp_path, 2, resolve=Meddler(one_keyword).resolve)
    assert summary.exit_code == 0
    assert summary.keywords["stopped"] == "nothing_new"
    assert any("1 of 6 keywords" in notice for notice in summary.notices)
    assert all(row["keywords"] == ["ratios"] for row in rows_of(tmp_path))


# What is printed and counted on the way.


def test_an_observer_hears_of_the_worst_case_before_the_first_call(tmp_path: Path) -> None:
    witness = Witness()

    async def after(_: lm15.Request, __: int) -> None:
        assert witness.told[0] == "began"

    summary = go(tmp_path, 6, observer=witness, resolve=Meddler(after).resolve)
    assert witness.told == ["began", "grew size", "started", "ended"]
    assert len(witness.bank) == summary.keywords["size"]
    assert witness.progress is not None
    assert witness.progress.ledger.accepted == witness.progress.target == 6
    assert witness.progress.agreement_sum / 6 == summary.mean_agreement


@pytest.mark.parametrize(
    "settings",
    [
        {"target": 1},
        {"target": 30, "concurrency": 64},
        {"target": 12, "candidates": 12, "concurrency": 64},
        {"target": 12, "policy": "fixed(3, 1)"},
        {"target": 24, "preset_name": "paper"},
    ],
    ids=["one", "many at once", "few candidates", "strict", "paper"],
)
def test_no_run_makes_more_calls_than_the_worst_case(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    witness = Witness()
    summary = go(tmp_path, observer=witness, **settings)
    assert summary.calls <= witness.worst


def test_the_worst_case_holds_where_every_keyword_list_is_a_struggle(tmp_path: Path) -> None:
    tries = 0

    async def grudging(request: lm15.Request, _: int) -> lm15.Response | None:
        nonlocal tries
        if asks_for(request) != "keywords":
            return None
        tries += 1
        # Two refusals before each list, and one new keyword in every second round.
        if sample_number.get() % TRIES < TRIES - 1:
            return saying("No.")
        return saying(f'[[ ## keywords ## ]]\n["topic {tries // 12}"]\n')

    witness = Witness()
    go(tmp_path, 1, observer=witness, concurrency=1, resolve=Meddler(grudging).resolve)
    assert 40 < tries <= witness.worst - 4 * 6


def test_the_worst_case_of_the_default_run_is_known() -> None:
    # 1 core list, 46 rounds of at most 2 lists in 2 directions, 3 tries each; (240 + 60 + 64) x 3 (1 + 9).
    config = preset("default", 60)
    assert worst_case_calls(config, 64) == 3 * (1 + 4 * 48) + (240 + 60 + 64) * 30
    assert worst_case_calls(config, 64, judge=True) == 3 * (1 + 4 * 48) + 364 * (30 + 36)


# A stage that gives nothing usable.


def test_a_writer_that_never_parses_stops_the_run_and_one_raw_reply_is_shown(
    tmp_path: Path,
) -> None:
    async def chatty(request: lm15.Request, _: int) -> lm15.Response | None:
        return saying("Sure!\nHere you go: \x1b[31m42") if asks_for(request) == "writer" else None

    meddler = Meddler(chatty)
    with pytest.raises(StageError) as raised:
        go(tmp_path, 60, concurrency=8, resolve=meddler.resolve)
    words = str(raised.value)
    assert "'writer' was stopped" in words
    assert "One of them reads:\nSure!\nHere you go: \N{REPLACEMENT CHARACTER}[31m42" in words
    assert "--adapter" in words
    assert meddler.calls < 2 * (20 + 8) + 20  # a reply that does not parse is drawn once more
    with RunStore(tmp_path) as store:
        assert store.counts() == {("rejected", "unparsable"): 20}


def test_answers_that_cannot_be_read_stop_the_run(tmp_path: Path) -> None:
    async def silent(request: lm15.Request, _: int) -> lm15.Response | None:
        return saying("I would rather not say.") if asks_for(request) == "answers" else None

    with pytest.raises(StageError, match=r"(?s)'answers' was stopped.*I would rather not say\."):
        go(tmp_path, 60, resolve=Meddler(silent).resolve)


def test_keywords_that_never_come_stop_the_run_and_are_not_invented(tmp_path: Path) -> None:
    async def no_list(request: lm15.Request, _: int) -> lm15.Response | None:
        return saying("[[ ## keywords ## ]]\n[]\n")

    meddler = Meddler(no_list)
    with pytest.raises(StageError, match="must be a list of keywords"):
        go(tmp_path, 6, resolve=meddler.resolve)
    assert meddler.calls == 3


def test_the_check_of_the_stages_can_be_left_out_on_the_same_folder(tmp_path: Path) -> None:
    async def chatty(request: lm15.Request, _: int) -> lm15.Response | None:
        return saying("no") if asks_for(request) == "writer" else None

    with pytest.raises(StageError):
        go(tmp_path, 6, resolve=Meddler(chatty).resolve)
    summary = go(tmp_path, 6, stage_check=False, resolve=Meddler(chatty).resolve)
    assert summary.status == "candidates"
    assert summary.ledger["rejected"] == {"unparsable": 24}


# Endpoints that fail.


def test_an_endpoint_that_never_answers_is_told_and_leaves_no_rows(
    tmp_path: Path, no_waiting: None
) -> None:
    with pytest.raises(EndpointError, match="the endpoint must answer"):
        go(tmp_path, 6, resolve=failing_after(0, gone).resolve)
    assert {path.name for path in tmp_path.iterdir()} == {STORE_NAME, LOCK_NAME, "config.json"}


@pytest.mark.parametrize("answered", [1, 3, 30, 90], ids=["first", "keywords", "early", "later"])
def test_an_endpoint_that_dies_stops_the_run_and_it_goes_on_to_the_same_bytes(
    answered: int, tmp_path: Path, no_waiting: None, expected: dict[str, bytes]
) -> None:
    summary = go(tmp_path, ROWS, resolve=failing_after(answered, gone).resolve)
    assert (summary.status, summary.exit_code) == ("endpoint", 3)
    assert summary.calls == answered
    assert set(summary.ledger["pending"]) == ({"endpoint"} if answered >= 3 else set())
    assert any("connection refused" in notice for notice in summary.notices)
    assert go(tmp_path, ROWS).exit_code == 0
    assert dataset_bytes(tmp_path) == expected


@pytest.mark.parametrize(
    "weather",
    [
        lambda: lm15.RateLimitError("slow down", status=429),
        lambda: lm15.ServerError("oops", status=503),
        lambda: lm15.TimeoutError("no reply within 600 s"),
    ],
    ids=["429", "503", "timeout"],
)
def test_weather_that_passes_leaves_no_trace_in_the_data(
    weather: Any, tmp_path: Path, no_waiting: None, expected: dict[str, bytes]
) -> None:
    async def now_and_then(_: lm15.Request, number: int) -> None:
        if number % 4 == 0:
            raise weather()

    summary = go(tmp_path, ROWS, resolve=Meddler(now_and_then).resolve)
    assert summary.exit_code == 0
    assert dataset_bytes(tmp_path) == expected


def test_a_key_that_is_refused_in_the_middle_is_the_users_to_mend(
    tmp_path: Path, expected: dict[str, bytes]
) -> None:
    refused = failing_after(60, lambda: lm15.AuthError("invalid key", status=401))
    with pytest.raises(EndpointError, match="the key must be accepted") as raised:
        go(tmp_path, ROWS, resolve=refused.resolve)
    assert raised.value.exit_code == 2
    with RunStore(tmp_path) as store:
        assert sum(usage.calls for usage in store.usage().values()) == 60
    assert go(tmp_path, ROWS).exit_code == 0
    assert dataset_bytes(tmp_path) == expected


def test_a_bug_in_an_engine_is_no_fault_of_the_endpoint(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="list index out of range") as raised:
        go(
            tmp_path,
            6,
            resolve=failing_after(20, lambda: IndexError("list index out of range")).resolve,
        )
    assert not isinstance(raised.value, DS2Error)


def test_a_full_disk_stops_the_run_as_what_it_is_and_keeps_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, bytes]
) -> None:
    go(tmp_path, ROWS, budget_calls=60)
    real = sqlite3.connect

    def small(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = real(*args, **kwargs)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        if Path(args[0]).name == STORE_NAME and pages:
            connection.execute(f"PRAGMA max_page_count = {pages + 10}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", small)
        with pytest.raises(StoreError, match="on a disk with room"):
            go(tmp_path, ROWS)
    with RunStore(tmp_path) as store:
        assert sum(usage.calls for usage in store.usage().values()) >= 60
    assert go(tmp_path, ROWS).exit_code == 0
    assert dataset_bytes(tmp_path) == expected


# Folders and programs that do not fit.


@pytest.mark.parametrize(
    "other",
    [
        {"task": "logiqa"},
        {"seed": 1},
        {"target": 13},
        {"policy": "fixed(3, 0.6)"},
        {"preset_name": "paper"},
        {"adapter": "json"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_folder_of_another_run_is_refused_and_untouched(
    other: dict[str, Any], tmp_path: Path
) -> None:
    go(tmp_path, 6, budget_calls=20)
    before = tree(tmp_path)
    settings = {"target": 6, "budget_calls": 40, **other}
    with pytest.raises(StoreError, match="must be the same as when the run began"):
        go(tmp_path, **settings)
    assert tree(tmp_path) == before


def test_a_folder_of_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"must be empty or hold a run \(got \['thesis.tex'\]\)"):
        go(tmp_path, 6)
    assert tree(tmp_path) == {"thesis.tex": b"years of work"}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_kill_at_the_very_start_leaves_is_no_foreign_folder(tmp_path: Path) -> None:
    for name in (LOCK_NAME, ".writable"):
        (tmp_path / name).touch()
    assert go(tmp_path, 1).exit_code == 0


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="a folder that can be written"):
            go(out, 6)


def test_a_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async def both() -> list[Any]:
        request = asked(tmp_path, 6)
        return list(await asyncio.gather(run(request), run(request), return_exceptions=True))

    ends = asyncio.run(both())
    refused = [end for end in ends if isinstance(end, StoreError)]
    assert len(refused) == 1
    assert "used by one process at a time" in str(refused[0])
    assert len(rows_of(tmp_path)) == 6


def saved_program(path: Path, task: str = "gsm8k", words: str = "") -> Path:
    program = DS2Instruct(load_task(task))
    if words:
        predictor = program.writer.single
        text = f"{predictor.signature.instructions} {words}"
        predictor.signature = predictor.signature.with_instructions(text)
    program.save(path)
    return path


def test_a_saved_program_is_what_the_run_asks_with(tmp_path: Path) -> None:
    saved = saved_program(tmp_path / "saved.json", words="Mention a lighthouse.")
    heard: list[bool] = []

    async def listen(request: lm15.Request, _: int) -> None:
        if asks_for(request) == "writer" and "`keyword`" in str(request.system):
            heard.append("Mention a lighthouse." in str(request.system))

    go(tmp_path / "run", 6, program=saved, resolve=Meddler(listen).resolve)
    assert heard
    assert all(heard)


def test_a_program_of_another_task_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    saved = saved_program(tmp_path / "saved.json", "logiqa")
    with pytest.raises(ProgramError, match="task must be 'gsm8k'"):
        go(tmp_path / "run", 6, program=saved)
    assert not (tmp_path / "run").exists()


def test_new_prompts_are_refused_with_their_cost_and_taken_when_accepted(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = go(out, 6)
    saved = saved_program(tmp_path / "saved.json", words="Mention a lighthouse.")
    with pytest.raises(StoreError, match=f"up to {first.calls} logged calls would not be used"):
        go(out, 6, program=saved)
    changed = go(out, 6, program=saved, accept_new_prompts=True)
    assert changed.exit_code == 0
    assert changed.fingerprint != first.fingerprint
    assert changed.new_calls > 0
    with pytest.raises(StoreError, match="prompts"):
        go(out, 6)


# Models by stage, adapters.


def test_a_stage_may_have_a_model_of_its_own(tmp_path: Path) -> None:
    async def nothing(_: lm15.Request, __: int) -> None:
        return None

    models = {name: Meddler(nothing) for name in ("common", "other")}
    stages: dict[str, set[str]] = {}

    def resolve(model: str | None, *_: object) -> Backend:
        assert model is not None
        return models[model].backend(model=model, dialect=f"test {model}")

    summary = go(tmp_path, 6, model="common", model_for={"answers": "other"}, resolve=resolve)
    for name, meddler in models.items():
        stages[name] = {asks_for(request) for request in meddler.requests}
        assert {request.model for request in meddler.requests} == {name}
    assert stages == {"common": {"keywords", "writer"}, "other": {"answers"}}
    assert summary.model == "other"
    assert {row["model"] for row in rows_of(tmp_path)} == {"other"}
    card = (tmp_path / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "keywords: `common`, writer: `common`, answers: `other`" in card


@pytest.mark.parametrize("adapter", ["json", "json-schema"])
def test_a_run_can_speak_json(adapter: str, tmp_path: Path) -> None:
    summary = go(tmp_path, 12, "logiqa", adapter=adapter)
    assert summary.exit_code == 0
    assert summary.ledger["rejected"].get("unparsable", 0) <= 2
    with RunStore(tmp_path) as store:
        assert (store.reply_at(0, "writer") or "").lstrip().startswith("{")


def test_a_model_that_fixes_its_temperature_is_drawn_plainly_and_the_card_says_so(
    tmp_path: Path,
) -> None:
    async def nothing(_: lm15.Request, __: int) -> None:
        return None

    meddler = Meddler(nothing)
    backend = meddler.backend(fixed_temperature=True)
    summary = go(tmp_path, 3, resolve=lambda *_: backend)
    assert summary.exit_code == 0
    assert {request.config.temperature for request in meddler.requests} == {None}
    card = (tmp_path / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "plain repeats" in card


def test_a_program_is_built_with_the_temperatures_of_the_configuration(tmp_path: Path) -> None:
    backend = simulated_backend(0)
    request = asked(tmp_path, 6, answer_temperatures=(0.2,), writer_temperature=0.1)
    program = build_program(request, dict.fromkeys(("keywords", "writer", "answers"), backend))
    assert program.vote.temperatures.answers == (0.2,)
    assert program.writer.temperature == 0.1


@pytest.mark.parametrize("after", [5, 10_000], ids=["failed", "finished"])
def test_no_connection_is_left_open(after: int, tmp_path: Path, no_waiting: None) -> None:
    meddler = failing_after(after, gone)
    go(tmp_path, 3, resolve=meddler.resolve)
    assert (meddler.calls > 0, meddler.open) == (True, 0)


def test_an_interrupted_run_writes_what_it_has_and_goes_on(
    tmp_path: Path, expected: dict[str, bytes]
) -> None:
    async def interrupted() -> None:
        reached = asyncio.Event()

        async def note(_: lm15.Request, number: int) -> None:
            await asyncio.sleep(0)
            if number == 80:
                reached.set()

        task = asyncio.create_task(run(asked(tmp_path, ROWS), resolve=Meddler(note).resolve))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    stopped = summary_of(tmp_path)
    assert stopped["status"] == "interrupted"
    assert stopped["calls"] >= 60
    assert stopped["ledger"]["pending"]["interrupted"] > 0
    assert adds_up(stopped["ledger"])
    go(tmp_path, ROWS)
    assert dataset_bytes(tmp_path) == expected
