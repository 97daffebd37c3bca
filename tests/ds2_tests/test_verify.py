"""`ds2 verify`: a run that holds is verified, and each way in which one may not is told."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from small_runs import Meddler, asks_for, dataset_bytes, go, saying, tree
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.lock import RunLock
from ds2.runtime.comparison import compare, figures_of
from ds2.runtime.exporting import ExportRequest, export_run
from ds2.runtime.past import read_run
from ds2.runtime.reporting import ReportRequest, report_page
from ds2.runtime.story import read_story
from ds2.runtime.verifying import verify_run
from ds2.store import RunStore
from programs.stopping import parse_policy
from programs.synthesis import ChainConfig, DS2Instruct
from signatures.errors import OutputError, StoreError
from signatures.records import Row, Vote, content_id


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
    assert found.calls >= 24 * 4
    assert tree(run).keys() == before.keys()
    assert {k: v for k, v in tree(run).items() if "sqlite" not in k} == {
        k: v for k, v in before.items() if "sqlite" not in k
    }


def test_a_run_with_passages_and_one_of_the_paper_are_verified(tmp_path: Path) -> None:
    go(tmp_path / "paper", 6, preset_name="paper")
    assert verify_run(tmp_path / "paper").problems == ()
    go(tmp_path / "judged", 6, verify_level=True)
    assert verify_run(tmp_path / "judged").problems == ()


async def mumbles(request: lm15.Request, call: int) -> lm15.Response | None:
    """Give every fifth answer in no form, and every seventh not at all."""
    if asks_for(request) != "answers" or (call % 5 and call % 7):
        return None
    return saying("" if call % 7 == 0 else "no form at all \u2028 {{")


@pytest.mark.parametrize(
    ("task", "settings", "backend"),
    [
        ("medqa", {}, {}),
        ("pubmedqa", {"adapter": "json"}, {}),
        ("gsm8k", {"answer_temperatures_by": "draw", "sampling": {}}, {"thinking": True}),
        ("math", {"merger": "judge"}, {"fixed_temperature": True, "max_tokens": None}),
    ],
)
def test_replies_without_form_are_read_again_as_they_were(
    task: str, settings: dict[str, Any], backend: dict[str, Any], tmp_path: Path
) -> None:
    asked = Meddler(mumbles)
    go(
        tmp_path / "run", 8, task, resolve=lambda *_: asked.backend(**backend), stage_check=False,
        **settings,
    )  # fmt: skip
    found = verify_run(tmp_path / "run")
    assert found.problems == ()
    assert found.calls > 8 * 3


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


def add_beside(run: Path) -> None:
    (run / "dataset" / "extra.parquet").write_bytes(b"PAR1")


def add_below(run: Path) -> None:
    (run / "dataset" / "data" / "sub").mkdir()
    (run / "dataset" / "data" / "sub" / "x.parquet").write_bytes(b"PAR1")


def change_response(run: Path) -> None:
    change(run, lambda record: record.update(response="Something else.\n\nAnswer: A"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_bytes, "is not what the store yields"),
        (spoil_card, "machine part of dataset/README.md"),
        (lose_shard, "is missing"),
        (add_shard, "extra.parquet is none of the files"),
        (add_beside, "dataset/extra.parquet is none of the files"),
        (add_below, "dataset/data/sub/x.parquet is none of the files"),
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
        (answer_no_option, "is none of the options"),
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


def sql(run: Path, statement: str) -> None:
    connection = sqlite3.connect(run / "store.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()


def other_answer(record: dict[str, Any]) -> None:
    record["answer"] = record["vote"]["winner"] = "B" if record["answer"] == "A" else "A"


def other_response(record: dict[str, Any]) -> None:
    record["response"] = "Because it is so.\n\n" + record["response"].splitlines()[-1]


def other_agreement(record: dict[str, Any]) -> None:
    record["vote"]["agreement"] = 0.5


def other_counts(record: dict[str, Any]) -> None:
    record["vote"]["counts"] = [[record["answer"], 99]]


def other_id(record: dict[str, Any]) -> None:
    record["id"] = "0123456789abcdef"


def other_model(record: dict[str, Any]) -> None:
    record["model"] = "a/better-one"


def drawn_so(record: dict[str, Any]) -> None:
    """Make all of a record follow from its draws, as a run would."""
    row = Row.model_validate(record)
    config = ChainConfig(parse_policy("lead(3, 9)"), teacher=row.teacher, model=row.model)
    program = DS2Instruct("medqa", config)
    vote = program.vote.count(row.vote.samples)
    assert isinstance(vote, Vote)
    forged = program.conclude(row.instruction, vote).row.model_copy(update={"family": row.family})
    record.update(forged.model_dump(mode="json"))


def other_steps(record: dict[str, Any]) -> None:
    for sample in record["vote"]["samples"]:
        sample["reasoning"] = "Because I say so."
    drawn_so(record)


def one_call_twice(record: dict[str, Any]) -> None:
    first, *others = record["vote"]["samples"]
    copied = [{**first, "number": sample["number"]} for sample in others[:2]]
    record["vote"]["samples"] = [first, *copied]
    drawn_so(record)


def other_question(record: dict[str, Any]) -> None:
    asked = record["instruction"]
    asked["question"] = "Which of these organs stores the bile between two meals?"
    instruction = Row.model_validate(record).instruction
    record["id"] = content_id([record["task"], instruction.id, record["response"]])


def other_order(record: dict[str, Any]) -> None:
    record["instruction"]["order"] = record["instruction"]["order"][::-1]


FORGED = {
    other_answer: "its vote is not what its draws give",
    other_response: "its response is not what its vote gives",
    other_agreement: "its vote is not what its draws give",
    other_counts: "its vote is not what its draws give",
    other_id: "its id is not what its vote gives",
    other_model: "its model is not what its vote gives",
    other_steps: "is not what its call in the log says",
    one_call_twice: "its draw 1 is not what its call in the log says",
    other_question: "its instruction is not what the writer's reply in the log says",
    other_order: "its instruction is not what the writer's reply in the log says",
}


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_a_row_that_does_not_follow_from_the_call_log_is_told(
    run: Path, forge: Callable[[dict[str, Any]], None]
) -> None:
    row = change(run, forge)["id"]
    problems = verify_run(run).problems
    assert any(row in problem and FORGED[forge] in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE calls SET text = 'hello' WHERE stage = 'answers'", "is not what its call in"),
        ("UPDATE calls SET text = 'hello' WHERE stage = 'writer'", "the writer's reply in the log"),
        ("UPDATE calls SET options = '{}' WHERE stage = 'answers'", "is not what its call in"),
        ("UPDATE prompts SET prompt = prompt || ' '", "is not what its call in the log says"),
        ("DELETE FROM calls WHERE stage = 'answers'", "its draw 0 is missing from the log"),
        ("DELETE FROM calls WHERE stage = 'writer'", "its instruction is missing from the log"),
    ],
)
def test_a_log_that_was_changed_is_told(run: Path, statement: str, said: str) -> None:
    sql(run, statement)
    problems = verify_run(run).problems
    assert sum(said in problem for problem in problems) >= 24, problems[:3]
    assert not any("dataset/" in problem for problem in problems)


def test_a_judged_level_is_read_from_the_judge_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    go(run, 6, verify_level=True)
    row = change(run, lambda r: r.update(judged_level=r["instruction"]["level"]), 0)
    asked = change(run, lambda r: r.update(judged_level=None), 1)
    problems = verify_run(run).problems
    said = "its judged level is not what the judge's reply in the log says"
    assert any(asked["id"] in p and said in p for p in problems)
    assert not any(row["id"] in p and "level" in p for p in problems)
    sql(run, "DELETE FROM calls WHERE stage = 'judge'")
    assert sum("judged its level is missing" in p for p in verify_run(run).problems) == 6


def test_a_forged_row_that_a_run_took_over_is_told_and_one_of_a_finished_run_is_not_taken(
    run: Path, made: Path
) -> None:
    change(run, other_steps)
    go(run, 24, "medqa")
    assert verify_run(run).problems == ()
    assert dataset_bytes(run) == dataset_bytes(made)
    row = change(run, other_steps)["id"]
    sql(run, "DELETE FROM meta WHERE name = 'ended'")
    go(run, 24, "medqa")
    problems = verify_run(run).problems
    assert problems
    assert all(row in p and "is not what its call in the log says" in p for p in problems)


BROKEN = {
    "no JSON": "UPDATE units SET record = '{broken' WHERE place = {place}",
    "an unknown key": "UPDATE units SET record = '{{\"foo\": 1, ' || substr(record, 2) WHERE place = {place}",
    "an unknown state": "UPDATE units SET state = 'weird' WHERE place = {place}",
    "another reason": "UPDATE units SET reason = 'odd' WHERE state = 'rejected'",
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("finished", [True, False])
def test_a_damaged_record_is_named_and_decided_anew_by_the_run(
    run: Path, made: Path, how: str, finished: bool, tmp_path: Path
) -> None:
    with RunStore(run, lock=False) as store:
        states = {unit.state: unit.place for unit in reversed(list(store.units()))}
    place = states["rejected" if how == "another reason" else "accepted"]
    sql(run, BROKEN[how].replace("{place}", str(place)).replace("{{", "{"))
    assert any(f"unit {place} is damaged" in p for p in verify_run(run).problems)
    named = f"the record of unit {place} must be what `ds2 run` wrote"
    reads: list[Callable[[], object]] = [
        lambda: figures_of(read_run(run)),
        lambda: compare(run, run),
        lambda: read_story(run, str(place)),
        lambda: report_page(ReportRequest(runs=(run,))),
    ]
    if how != "another reason" and how != "an unknown state":
        reads.append(lambda: export_run(ExportRequest(run, "dpo", tmp_path / "x.jsonl")))
    for read in reads:
        with pytest.raises(StoreError, match=named):
            read()
    if not finished:
        sql(run, "DELETE FROM meta WHERE name = 'ended'")
    go(run, 24, "medqa")
    assert verify_run(run).problems == ()
    assert dataset_bytes(run) == dataset_bytes(made)


@pytest.mark.parametrize("value", [None, "{}", "[]"])
def test_a_store_that_does_not_say_which_run_it_is_of_is_told(run: Path, value: str | None) -> None:
    if value is None:
        sql(run, "DELETE FROM meta WHERE name = 'identity'")
    else:
        sql(run, f"UPDATE meta SET value = '{value}' WHERE name = 'identity'")  # noqa: S608
    (problem,) = verify_run(run).problems
    assert "its identity is missing" in problem


def test_a_table_that_is_no_json_is_an_error_of_the_store(run: Path) -> None:
    sql(run, "UPDATE meta SET value = '{' WHERE name = 'identity'")
    with pytest.raises(StoreError, match="its table meta"):
        verify_run(run)


def test_a_torn_page_of_the_store_is_told(run: Path) -> None:
    path = run / "store.sqlite"
    sql(run, "PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    path.write_bytes(whole[:-40960] + bytes(8192) + whole[-32768:])
    try:
        problems = verify_run(run).problems
    except StoreError as error:
        assert "be a readable and writable SQLite file" in str(error)  # noqa: PT017
    else:
        assert problems


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


def test_a_benchmark_is_known_by_its_content_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    bench = tmp_path / "bench.jsonl"
    bench.write_text(
        json.dumps({"question": "Which gas do plants take up by day?"}) + "\n", "utf-8"
    )
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    go(run, 6, avoid=("bench.jsonl",))
    before = dataset_bytes(run)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert verify_run(run).problems == ()
    bench.rename(tmp_path / "elsewhere" / "renamed.jsonl")
    (problem,) = verify_run(run).problems
    assert problem.startswith("Benchmarks were not checked")
    spoil_bytes(run)
    assert sum("is not what the store yields" in p for p in verify_run(run).problems) == 1
    go(run, 6, avoid=("renamed.jsonl",))
    assert dataset_bytes(run) == before
    assert verify_run(run).problems == ()


def test_the_command_says_what_holds_and_leaves_with_1_where_it_does_not(run: Path) -> None:
    good = CliRunner().invoke(app, ["verify", str(run)])
    assert (good.exit_code, good.output.split(":")[0]) == (0, "Verified")
    spoil_card(run)
    bad = CliRunner().invoke(app, ["verify", str(run), "--json"])
    assert bad.exit_code == 1
    assert len(json.loads(bad.output)["problems"]) == 1
