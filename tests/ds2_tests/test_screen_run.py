"""Screens in whole runs: what they turn away is kept with its evidence, and the bytes stay the same."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from small_runs import Meddler, asked, asks_for, dataset_bytes, go, rows_of, saying
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.report.figures import chi_square
from ds2.runtime.pilot import pilot
from ds2.runtime.session import Pilot
from ds2.runtime.verifying import verify_run
from ds2.runtime.worst_case import worst_case_calls
from ds2.store import RunStore
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError, StoreError
from signatures.records import Rejection, Row


def rejections(out: Path, reason: str) -> list[Rejection]:
    with RunStore(out) as store:
        found = [Rejection.model_validate_json(u.record) for u in store.units("rejected")]
    return [rejection for rejection in found if rejection.reason == reason]


def accepted(out: Path) -> Iterator[Row]:
    with RunStore(out) as store:
        yield from [Row.model_validate_json(unit.record) for unit in store.units("accepted")]


def written(out: Path) -> dict[int, str]:
    """Return the question of each rejected unit that got so far, by its place."""
    with RunStore(out) as store:
        units = [
            (u.place, Rejection.model_validate_json(u.record)) for u in store.units("rejected")
        ]
    return {place: r.instruction.question for place, r in units if r.instruction is not None}


def avoid_file(path: Path, questions: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"question": q}) + "\n" for q in questions), "utf-8")
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "run"
    go(out, 12)
    return out


def test_what_a_benchmark_holds_is_written_by_no_row(plain: Path, tmp_path: Path) -> None:
    leaked = rows_of(plain)[3]["instruction"]
    questions = ["What is nobody's question here?", leaked]
    source = avoid_file(tmp_path / "a" / "bench.jsonl", questions)
    out = tmp_path / "run"
    summary = go(out, 12, avoid=(str(source),))
    assert summary.status == "complete"
    assert leaked not in [row["instruction"] for row in rows_of(out)]
    told = {
        r.instruction.question: r.evidence for r in rejections(out, "benchmark") if r.instruction
    }
    evidence = told[leaked]
    assert evidence is not None
    assert (evidence.benchmark, evidence.benchmark_row, evidence.similarity) == (
        "bench.jsonl",
        2,
        1,
    )
    assert evidence.span in leaked
    card = (out / "dataset" / "README.md").read_text("utf-8")
    assert "bench.jsonl: 2 questions" in card
    assert str(tmp_path) not in card
    place = next(p for p, q in written(out).items() if q == leaked)
    story = json.loads(CliRunner().invoke(app, ["explain", str(out), str(place), "--json"]).output)
    assert story["rejected"]["evidence"]["benchmark_row"] == 2
    assert [(s["screen"], s["verdict"]) for s in story["screens"]] == [
        ("collapse alarm", "passed"),
        ("options", "applied"),
        ("instruction checks", "passed"),
        ("benchmarks", "turned away"),
        ("exact duplicates", "not reached"),
        ("near-duplicates", "not reached"),
        ("families", "not reached"),
    ]
    # The same questions in another place are the same run; others are another one.
    moved = avoid_file(tmp_path / "b" / "bench.jsonl", questions)
    again = go(out, 12, avoid=(str(moved),))
    assert again.new_calls == 0
    changed = avoid_file(tmp_path / "c" / "bench.jsonl", [leaked])
    with pytest.raises(StoreError, match="avoid"):
        go(out, 12, avoid=(str(changed),))


def test_a_benchmark_that_is_missing_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        go(tmp_path / "run", 12, avoid=(str(tmp_path / "nowhere.jsonl"),))
    assert not (tmp_path / "run").exists()


def test_a_pilot_avoids_what_its_run_does(tmp_path: Path) -> None:
    bench = avoid_file(tmp_path / "b.jsonl", ["What is nobody's question here?"])
    request = asked(tmp_path / "run", 6, avoid=(str(bench),))
    assert len(asyncio.run(pilot(request, Pilot(units=6))).units) >= 6


def test_the_command_line_tells_it_and_leaves_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run", "gsm8k", "--avoid", "nowhere.jsonl"])
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_blind_judge_turns_down_what_is_more_than_a_level_off(tmp_path: Path) -> None:
    out = tmp_path / "run"
    request = asked(out, 30, verify_level=True)
    summary = go(out, 30, verify_level=True)
    assert summary.status == "complete"
    assert summary.ledger["rejected"]["level"] >= 1
    rows = rows_of(out)
    read = [
        (BloomLevel(r["level"]), BloomLevel(r["judged_level"])) for r in rows if r["judged_level"]
    ]
    assert len(read) >= 20  # a reply without a level is no verdict
    assert {abs(level.rank - judged.rank) for level, judged in read} == {0, 1}
    for rejection in rejections(out, "level"):
        assert rejection.evidence is not None
        assert rejection.instruction is not None
        judged = BloomLevel(rejection.evidence.span)
        assert abs(judged.rank - rejection.instruction.level.rank) > 1
        assert rejection.vote is None
    assert summary.stages["judge"]["calls"] > 0
    assert summary.calls <= worst_case_calls(request.config, 16)
    plain = asked(out, 30).config
    assert worst_case_calls(request.config, 16) - worst_case_calls(plain, 16) == 2 * (120 + 30 + 16)


async def dry(request: lm15.Request, _: int) -> lm15.Response | None:
    """Answer for every fourth keyword or so: it always gives the same question."""
    text = request.messages[-1].text or ""
    keyword = text.partition("[[ ## keyword ## ]]")[2].strip().partition("\n")[0]
    if asks_for(request) != "writer" or not keyword or len(keyword) % 4:
        return None
    return saying(
        "[[ ## question ## ]]\nA train runs 60 km an hour for 3 hours. How far does it get in km?\n\n"
        "[[ ## completed ## ]]"
    )


ALL: dict[str, Any] = {
    "verify_level": True, "family_cap": 1, "collapse": 2, "bank": 12, "pair_share": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def repeating(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("repeating") / "run"
    summary = go(out, 36, concurrency=1, resolve=Meddler(dry).resolve, **ALL)
    assert summary.status == "complete"
    assert summary.ledger["rejected"]["duplicate"] > 5
    assert summary.ledger["rejected"]["collapsed"] > 0
    assert any("retired" in notice for notice in summary.notices)
    return out


def test_all_screens_at_once_change_no_byte_at_another_concurrency(
    repeating: Path, tmp_path: Path
) -> None:
    go(tmp_path / "run", 36, concurrency=64, resolve=Meddler(dry).resolve, **ALL)
    assert dataset_bytes(tmp_path / "run") == dataset_bytes(repeating)


def test_screens_remember_over_stops_and_goes(repeating: Path, tmp_path: Path) -> None:
    """They are made anew from the call log: what was decided is decided the same again."""
    out = tmp_path / "run"
    ended = ""
    for calls in (60, 150, 250, 100_000):
        ended = go(
            out,
            36,
            concurrency=8,
            resolve=Meddler(dry).resolve,
            budget_calls=calls,
            stage_check=False,
            **ALL,
        ).status
    assert ended == "complete"
    assert dataset_bytes(out) == dataset_bytes(repeating)


def test_options_are_shuffled_and_the_response_follows(tmp_path: Path) -> None:
    """A writer who always puts the right option first does not make A the right letter."""
    question = "Which of the numbers that follow is the largest one of them all? ({})"
    texts = ["four", "three", "two", "one"]
    count = 0

    async def meddle(request: lm15.Request, _: int) -> lm15.Response | None:
        nonlocal count
        text = request.messages[-1].text or ""
        if asks_for(request) == "writer":
            count += 1
            said = question.format("".join(chr(97 + int(d)) * 9 for d in f"{count:05}"))
            return saying(
                f"[[ ## question ## ]]\n{said}\n\n[[ ## options ## ]]\n{json.dumps(texts)}\n\n"
                "[[ ## completed ## ]]"
            )
        if asks_for(request) == "answers":
            right = next(c for c in "ABCD" if f"{c}. four" in text)
            return saying(
                f"[[ ## reasoning ## ]]\nFour is most.\n\n[[ ## answer ## ]]\n{right}\n\n"
                "[[ ## completed ## ]]"
            )
        return None

    out = tmp_path / "run"
    summary = go(
        out, 120, "logiqa", resolve=Meddler(meddle).resolve, near_duplicates=1.0, family_cap=0
    )
    assert summary.status == "complete"
    rows = list(accepted(out))
    for row in rows:
        assert row.instruction.options == tuple(texts[i] for i in row.instruction.order)
        assert row.instruction.options["ABCD".index(row.answer)] == "four"
        assert row.response.endswith(f"Answer: {row.answer}")
    letters = Counter(row.answer for row in rows)
    _, _, p = chi_square([letters[c] for c in "ABCD"], [len(rows) / 4] * 4)
    assert p is not None
    assert p > 0.01


def test_the_papers_preset_runs_no_screen(tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(out, 12, "logiqa", preset_name="paper")
    assert "No screen ran." in (out / "dataset" / "README.md").read_text("utf-8")
    assert all(row.instruction.order == () for row in accepted(out))
    assert all(row.family for row in accepted(out))


def test_a_fault_of_an_instruction_is_kept_with_the_place_it_speaks_of(tmp_path: Path) -> None:
    async def meddle(request: lm15.Request, call: int) -> lm15.Response | None:
        if asks_for(request) == "writer" and call % 5 == 0:
            return saying(
                "[[ ## question ## ]]\nWhat is the area of the triangle in the figure below?\n\n"
                "[[ ## completed ## ]]"
            )
        return None

    out = tmp_path / "run"
    summary = go(out, 12, resolve=Meddler(meddle).resolve)
    assert summary.ledger["rejected"]["missing"] >= 1
    for rejection in rejections(out, "missing"):
        assert rejection.evidence is not None
        assert rejection.evidence.span == "in the figure"
    unscreened = go(tmp_path / "off", 12, resolve=Meddler(meddle).resolve, checks=False)
    assert "missing" not in unscreened.ledger["rejected"]


def test_a_question_that_gives_its_answer_away_is_turned_down_after_its_vote(
    tmp_path: Path,
) -> None:
    """Its vote is kept, and what says the same afterwards repeats it."""

    async def meddle(request: lm15.Request, call: int) -> lm15.Response | None:
        stage = asks_for(request)
        if stage == "writer" and call % 4 == 0:
            told = f"How much is {call} plus {call} apples? ({2 * call})"
            return saying(f"[[ ## question ## ]]\n{told}\n\n[[ ## completed ## ]]")
        found = re.search(r"How much is (\d+) plus", request.messages[-1].text or "")
        if stage == "answers" and found is not None:
            answer = f"[[ ## answer ## ]]\n{2 * int(found[1])}\n\n[[ ## completed ## ]]"
            return saying(f"[[ ## reasoning ## ]]\nSo.\n\n{answer}")
        return None

    out = tmp_path / "run"
    settings: dict[str, Any] = {"resolve": Meddler(meddle).resolve, "concurrency": 1}
    summary = go(out, 12, **settings)
    assert summary.ledger["rejected"]["told"] >= 1
    for rejection in rejections(out, "told"):
        assert rejection.vote is not None
        assert rejection.evidence is not None
        assert rejection.evidence.span.endswith(f"({rejection.vote.winner})")
    assert verify_run(out).problems == ()
    before = dataset_bytes(out)
    with RunStore(out) as store:
        store.set_meta({"ended": {}})
    again = go(out, 12, **settings)
    assert (again.new_calls, dataset_bytes(out)) == (0, before)
    assert "told" not in go(tmp_path / "off", 12, checks=False, **settings).ledger["rejected"]


def test_rows_of_one_template_carry_one_family_and_are_capped(tmp_path: Path) -> None:
    count = 1

    async def meddle(request: lm15.Request, _: int) -> lm15.Response | None:
        nonlocal count
        if asks_for(request) != "writer":
            return None
        count += 1
        return saying(
            f"[[ ## question ## ]]\nA train runs {count} km an hour for {count + 3} hours. How far does "
            "it get in km?\n\n[[ ## completed ## ]]"
        )

    async def sure(request: lm15.Request, call: int) -> lm15.Response | None:
        if asks_for(request) == "answers":
            return saying(
                "[[ ## reasoning ## ]]\nSo.\n\n[[ ## answer ## ]]\n7\n\n[[ ## completed ## ]]"
            )
        return await meddle(request, call)

    capped = go(tmp_path / "cap", 6, resolve=Meddler(sure).resolve)
    assert (capped.status, capped.ledger["accepted"]) == ("candidates", 4)
    assert set(capped.ledger["rejected"]) <= {"family", "collapsed"}
    assert len({row["family"] for row in rows_of(tmp_path / "cap")}) == 1
    free = go(tmp_path / "free", 6, family_cap=0, resolve=Meddler(sure).resolve)
    assert (free.status, free.ledger["accepted"]) == ("complete", 6)
