"""`ds2 run` as a person meets it: what it prints, what it leaves, what it ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_runs import dataset_bytes, rows_of, tree

from ds2.lock import LOCK_NAME
from ds2.store import STORE_NAME, RunStore
from programs.synthesis import DS2Instruct

Command = Callable[..., Any]

SIMULATED = (
    "The simulated teacher answers: its rows are for trying the pipeline, not for training. "
    "Choose a real model with --model."
)


def test_one_command_makes_a_dataset_and_says_where(ds2: Command, tmp_path: Path) -> None:
    ended = ds2("run", "gsm8k", "--target", 7)
    assert ended.code == 0
    assert ended.err.splitlines() == [
        SIMULATED,
        "21 keywords.",
    ]
    names = [line.split("  ")[0] for line in ended.out.splitlines()]
    assert names[:10] == [
        "planned",
        "accepted",
        "rejected",
        "surplus",
        "pending",
        "calls",
        "tokens",
        "cost",
        "samples an accepted row",
        "time",
    ]
    assert "of 7 wanted" in ended.out
    assert ended.out.splitlines()[-1] == "Dataset: runs/gsm8k-7/dataset"
    assert all(line == line.rstrip() for line in ended.out.splitlines())
    assert len(rows_of(tmp_path / "runs" / "gsm8k-7")) == 7


def test_no_worst_case_is_printed_where_nothing_can_cost(ds2: Command) -> None:
    ended = ds2("run", "gsm8k", "--target", 1)
    assert "at worst" not in ended.out + ended.err


def test_events_are_all_that_stands_on_stdout(ds2: Command, tmp_path: Path) -> None:
    ended = ds2("run", "gsm8k", "--target", 3, "--json")
    assert ended.code == 0
    events = [json.loads(line) for line in ended.out.splitlines()]
    names = [event["event"] for event in events]
    assert (names[:3], names[-2:]) == (["began", "keywords", "progress"], ["progress", "ended"])
    path = tmp_path / "runs" / "gsm8k-3" / "summary.json"
    summary = events[-1]["summary"]
    assert summary == json.loads(path.read_text(encoding="utf-8"))
    assert (summary["status"], summary["ledger"]["accepted"]) == ("complete", 3)
    assert "not for training" in ended.err


def test_the_last_event_keeps_the_exit_code_of_a_stop(ds2: Command) -> None:
    ended = ds2("run", "gsm8k", "--target", 6, "--budget-calls", 9, "--json")
    last = json.loads(ended.out.splitlines()[-1])
    assert (ended.code, last["exit_code"], last["summary"]["status"]) == (3, 3, "budget")


def test_a_run_that_is_refused_tells_its_reason_as_the_last_event(ds2: Command) -> None:
    assert ds2("run", "gsm8k", "--target", 2).code == 0
    changed = ("--policy", "fixed(2, 0.5)", "--out", "runs/gsm8k-2", "--json")
    ended = ds2("run", "gsm8k", "--target", 2, *changed)
    last = json.loads(ended.out.splitlines()[-1])
    assert (ended.code, last["event"], last["exit_code"], last["summary"]) == (2, "ended", 2, None)
    assert f"Error: {last['error']}" in ended.err


def test_quiet_leaves_stderr_empty(ds2: Command) -> None:
    assert ds2("run", "gsm8k", "--target", 1, "--quiet", "--json").err == ""


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        (["--target", 2], "gsm8k-2"),
        (["--target", 2, "--seed", 3], "gsm8k-2-seed3"),
        (["--target", 2, "--preset", "paper"], "gsm8k-2-paper"),
        (["-n", 2, "--out", "somewhere/else"], "../somewhere/else"),
    ],
    ids=["target", "seed", "preset", "out"],
)
def test_a_run_has_a_folder_of_its_own(
    options: list[object], folder: str, ds2: Command, tmp_path: Path
) -> None:
    assert ds2("run", "gsm8k", *options).code == 0
    assert (tmp_path / "runs" / folder / "dataset" / "README.md").is_file() or (
        tmp_path / folder.removeprefix("../") / "dataset" / "README.md"
    ).is_file()


def test_a_budget_stop_says_how_to_go_on_and_going_on_gives_the_same_bytes(
    ds2: Command, tmp_path: Path
) -> None:
    stopped = ds2("run", "gsm8k", "-n", 6, "--budget-calls", 50, "--out", "a")
    assert stopped.code == 3
    assert "pending" in stopped.out
    assert "budget" in stopped.out
    assert stopped.out.splitlines()[-1].endswith(
        "of 6 rows. Give the same command with a larger --budget-calls to continue."
    )
    assert ds2("run", "gsm8k", "-n", 6, "--out", "a").code == 0
    assert ds2("run", "gsm8k", "-n", 6, "--out", "b", "-c", 1).code == 0
    assert dataset_bytes(tmp_path / "a") == dataset_bytes(tmp_path / "b")


def test_a_candidate_cap_says_what_to_do(ds2: Command) -> None:
    ended = ds2("run", "gsm8k", "-n", 12, "--max-candidates", 3)
    assert ended.code == 3
    assert "the candidate cap is reached" in ended.out.splitlines()[-1]


def test_a_second_call_costs_nothing(ds2: Command) -> None:
    ds2("run", "gsm8k", "-n", 6)
    again = ds2("run", "gsm8k", "-n", 6)
    assert again.code == 0
    assert " 0 calls made now" in again.out


MISTAKES = {
    "unknown task": (["nope"], "task must be one of cfa, gpqa, gsm8k"),
    "no such file": (["./nope.yaml"], "task file must be a readable UTF-8 file"),
    "target 0": (["gsm8k", "--target", 0], "target must be greater than or equal to 1 (got 0)"),
    "negative target": (["gsm8k", "--target", -3], "greater than or equal to 1 (got -3)"),
    "concurrency 0": (["gsm8k", "--concurrency", 0], "concurrency must be greater"),
    "negative seed": (["gsm8k", "--seed", -1], "seed must be greater than or equal to 0"),
    "no calls": (["gsm8k", "--budget-calls", 0], "budget_calls must be greater than or equal to 1"),
    "no candidates": (["gsm8k", "--max-candidates", 0], "candidates must be greater"),
    "timeout 0": (["gsm8k", "--timeout", 0], "timeout_s must be greater than 0"),
    "no tokens": (["gsm8k", "--max-tokens", 0], "max_tokens must be greater"),
    "sampling cut": (["gsm8k", "--sampling", "{"], "--sampling must be a JSON object (got '{')"),
    "sampling list": (["gsm8k", "--sampling", "[1]"], "--sampling must be a JSON object"),
    "sampling of ours": (["gsm8k", "--sampling", '{"n": 3}'], "--sampling"),
    "model-for cut": (["gsm8k", "--model-for", "answers"], "--model-for must be STAGE=MODEL"),
    "model-for nobody": (["gsm8k", "--model-for", "poet=openai/x"], "model_for must name stages"),
    "policy": (["gsm8k", "--policy", "best(3)"], "policy must be written as"),
    "policy of none": (["gsm8k", "--policy", "fixed(0, 0.6)"], "k must be at least 1"),
    "unknown provider": (["gsm8k", "--model", "nope/x"], "--model must name a provider"),
    "no key": (["gsm8k", "--model", "openai/gpt-4.1"], "OPENAI_API_KEY must hold the key"),
    "no such key": (
        ["gsm8k", "--model", "openai/gpt-4.1", "--api-key-env", "MY_KEY"],
        "MY_KEY must hold the key",
    ),
    "address": (["gsm8k", "--model", "x", "--api-base", "nowhere"], "--api-base"),
    "address alone": (["gsm8k", "--api-base", "http://127.0.0.1:1/v1"], "--model must be given"),
    "no program": (["gsm8k", "--program", "nope.json"], "program file must be readable JSON"),
    "preset": (
        ["gsm8k", "--preset", "fast"],
        "--preset must be one of 'default', 'paper' (got 'fast')",
    ),
    "adapter": (["gsm8k", "--adapter", "xml"], "--adapter must be one of"),
    "not a number": (["gsm8k", "--target", "many"], "--target must be a whole number (got 'many')"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_one_message_and_nothing_is_written(
    words: list[object], message: str, ds2: Command, tmp_path: Path
) -> None:
    ended = ds2("run", *words)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_broken_task_file_is_told_with_file_line_field_rule_and_value(
    ds2: Command, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ndomain: x\ndescription: long enough\nanswer:\n  kind: sonnet\n")
    ended = ds2("run", "mine.yaml")
    assert ended.code == 2
    for part in ("mine.yaml", "line 5", "answer.kind", "'number'", "'sonnet'"):
        assert part in ended.err
    path.write_text("name: [mine\n")
    assert "valid YAML" in ds2("run", "mine.yaml").err


def test_a_folder_of_another_run_is_refused_with_what_differs(ds2: Command, tmp_path: Path) -> None:
    assert ds2("run", "gsm8k", "-n", 1, "--out", "here").code == 0
    before = tree(tmp_path)
    for words, differs in (
        (["logiqa", "-n", 1], "task.name was 'gsm8k', is 'logiqa'"),
        (["gsm8k", "-n", 1, "--seed", 2], "config.seed was 0, is 2"),
        (["gsm8k", "-n", 2], "config.target was 1, is 2"),
    ):
        ended = ds2("run", *words, "--out", "here")
        assert ended.code == 2
        assert differs in ended.err
    assert tree(tmp_path) == before


def test_new_prompts_are_told_with_their_cost_and_taken_when_accepted(ds2: Command) -> None:
    assert ds2("run", "gsm8k", "-n", 1, "--out", "here").code == 0
    program = DS2Instruct("gsm8k")
    predictor = program.writer.single
    predictor.signature = predictor.signature.with_instructions("Write one question.")
    program.save("saved.json")
    words = ("run", "gsm8k", "-n", 1, "--out", "here", "--program", "saved.json")
    refused = ds2(*words)
    assert refused.code == 2
    assert "prompts was" in refused.err
    assert "logged calls would not be used. Give --accept-new-prompts to do so" in refused.err
    assert ds2(*words, "--accept-new-prompts").code == 0


def test_an_out_that_cannot_be_a_folder_is_told(ds2: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/below"):
        ended = ds2("run", "gsm8k", "--out", out)
        assert ended.code == 2
        assert "must be a folder that can be written" in ended.err
    assert tree(tmp_path) == {"file": b"mine"}


def test_a_foreign_folder_is_refused(ds2: Command, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-mum.txt").write_text("hi")
    ended = ds2("run", "gsm8k", "--out", "letters")
    assert ended.code == 2
    assert "nothing in it was touched" in ended.err
    assert tree(tmp_path) == {str(Path("letters") / "to-mum.txt"): b"hi"}


def test_a_folder_in_use_is_refused(ds2: Command, tmp_path: Path) -> None:
    assert ds2("run", "gsm8k", "-n", 1, "--out", "here").code == 0
    with RunStore(tmp_path / "here"):
        ended = ds2("run", "gsm8k", "-n", 1, "--out", "here")
    assert ended.code == 2
    assert "be used by one process at a time" in ended.err


def test_an_endpoint_that_is_down_is_told_and_leaves_no_rows(ds2: Command, tmp_path: Path) -> None:
    ended = ds2(
        "run", "gsm8k", "--model", "m", "--api-base", "http://127.0.0.1:9/v1", "--out", "here"
    )
    assert ended.code == 2
    assert "http://127.0.0.1:9/v1" in ended.err
    assert "ds2 check" in ended.err
    assert {path.name for path in (tmp_path / "here").iterdir()} == {
        STORE_NAME,
        LOCK_NAME,
        "config.json",
    }


def test_a_bug_keeps_its_traceback(
    ds2: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise IndexError("a bug")

    monkeypatch.setattr("ds2.runtime.runner.run", broken)
    with pytest.raises(IndexError, match="a bug"):
        ds2("run", "gsm8k")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['ds2', 'run', '--help']\n"
        "from ds2.cli.app import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'dspy', 'datasets', 'pyarrow', 'aiohttp', 'litellm', 'numpy', 'optuna'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--budget-calls" in ended.stdout
