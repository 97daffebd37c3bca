"""`ds2 verify`: a run that holds is verified, and each way in which one may not is told."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_runs import go, tree
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.lock import RunLock
from ds2.runtime.verifying import verify_run
from signatures.errors import OutputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verify") / "run"
    go(out, 24, "medqa")
    return out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(made, copy)
    return copy


def change(run: Path, how: Callable[[dict[str, Any]], None], number: int = 3) -> dict[str, Any]:
    """Change the record of one accepted row in the store and return it."""
    connection = sqlite3.connect(run / "store.sqlite")
    place, text = connection.execute(
        "SELECT place, record FROM units WHERE state = 'accepted' ORDER BY place LIMIT 1 OFFSET ?",
        (number,),
    ).fetchone()
    record: dict[str, Any] = json.loads(text)
    how(record)
    connection.execute("UPDATE units SET record = ? WHERE place = ?", (json.dumps(record), place))
    connection.commit()
    connection.close()
    return record


def test_a_run_that_holds_is_verified_and_left_as_it_is(run: Path) -> None:
    before = tree(run)
    found = verify_run(run)
    assert (found.problems, found.rows, found.screened, found.files) == ((), 24, 24, 2)
    assert tree(run).keys() == before.keys()
    assert {k: v for k, v in tree(run).items() if "sqlite" not in k} == {
        k: v for k, v in before.items() if "sqlite" not in k
    }


def test_a_run_with_passages_and_one_of_the_paper_are_verified(tmp_path: Path) -> None:
    go(tmp_path / "paper", 6, preset_name="paper")
    assert verify_run(tmp_path / "paper").problems == ()
    go(tmp_path / "judged", 6, verify_level=True)
    assert verify_run(tmp_path / "judged").problems == ()


def test_what_a_person_adds_below_the_machine_part_of_the_card_is_theirs(run: Path) -> None:
    card = run / "dataset" / "README.md"
    card.write_text(card.read_text("utf-8") + "\nMy words.\n", "utf-8")
    assert verify_run(run).problems == ()


def spoil_bytes(run: Path) -> None:
    shard = next((run / "dataset" / "data").iterdir())
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))


def spoil_card(run: Path) -> None:
    card = run / "dataset" / "README.md"
    card.write_text(card.read_text("utf-8").replace("24", "25", 1), "utf-8")


def lose_shard(run: Path) -> None:
    next((run / "dataset" / "data").iterdir()).unlink()


def add_shard(run: Path) -> None:
    (run / "dataset" / "data" / "extra.parquet").write_bytes(b"PAR1")


def change_response(run: Path) -> None:
    change(run, lambda record: record.update(response="Something else.\n\nAnswer: A"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_bytes, "is not what the store yields"),
        (spoil_card, "machine part of dataset/README.md"),
        (lose_shard, "is missing"),
        (add_shard, "extra.parquet is none of the files"),
        (change_response, "is not what the store yields"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_dataset_that_is_not_what_the_store_yields_is_told(
    run: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(run)
    assert any(said in problem for problem in verify_run(run).problems)


def repeat_the_first(run: Path) -> str:
    first = change(run, lambda _: None, number=0)["instruction"]
    return str(change(run, lambda record: record.update(instruction=first), number=5)["id"])


def leak_the_answer(run: Path) -> str:
    said = "As a language model, I cannot write this question."
    return str(change(run, lambda r: r["instruction"].update(question=said))["id"])


def answer_no_option(run: Path) -> str:
    return str(change(run, lambda record: record.update(answer="Z"))["id"])


def judge_far_off(run: Path) -> str:
    def spoil(record: dict[str, Any]) -> None:
        far = "Create" if record["instruction"]["level"] == "Remember" else "Remember"
        record["instruction"]["level"] = "Evaluate" if far == "Remember" else "Remember"
        record["judged_level"] = far

    return str(change(run, spoil)["id"])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (repeat_the_first, "it repeats unit"),
        (leak_the_answer, "refusal"),
        (answer_no_option, "is none of its options"),
        (judge_far_off, "It was asked for at"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_row_that_a_screen_would_turn_away_is_told(
    run: Path, spoil: Callable[[Path], str], said: str
) -> None:
    row = spoil(run)
    found = verify_run(run)
    assert found.screened < found.rows
    assert any(row in problem and said in problem for problem in found.problems)


def test_a_run_that_goes_on_is_not_verified(run: Path) -> None:
    lock = RunLock(run)
    try:
        with pytest.raises(OutputError, match="must have ended"):
            verify_run(run)
    finally:
        lock.close()


def test_a_benchmark_that_has_changed_since_is_told(tmp_path: Path) -> None:
    bench = tmp_path / "bench.jsonl"
    question = (
        "How many apples does a family of four eat in a week of seven days at two a day each?"
    )
    bench.write_text(json.dumps({"question": question}) + "\n", "utf-8")
    go(tmp_path / "run", 6, avoid=(str(bench),))
    assert verify_run(tmp_path / "run").problems == ()
    bench.write_text(json.dumps({"question": question + " And then?"}) + "\n", "utf-8")
    assert any("its files changed" in p for p in verify_run(tmp_path / "run").problems)


def test_the_command_says_what_holds_and_leaves_with_1_where_it_does_not(run: Path) -> None:
    good = CliRunner().invoke(app, ["verify", str(run)])
    assert (good.exit_code, good.output.split(":")[0]) == (0, "Verified")
    spoil_card(run)
    bad = CliRunner().invoke(app, ["verify", str(run), "--json"])
    assert bad.exit_code == 1
    assert len(json.loads(bad.output)["problems"]) == 1
