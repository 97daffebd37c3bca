"""`ds2 compile` of the judges inside the metrics, and with them: `--judge-program`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ds2.engines.teacher.checks import check_question
from ds2.store import RunStore
from programs.synthesis import DS2Instruct, judges_in

QUICK = ("--optimizer", "bootstrap", "--repeats", "1", "--sensitivity", "1", "-q")
WORDS = ("unit rate", "percentage", "ratio", "elapsed time", "averages", "discount")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Return a dev set of questions with keywords and verdicts, in columns of its own."""
    names = ("Ana", "Ben", "Cem", "Dora", "Eli", "Fay", "Gus", "Hal")
    things = ("pens", "melons", "bricks", "stamps", "cups")
    rows = []
    for number in range(40):
        name, thing, word = names[number % 8], things[number // 8], WORDS[number % 6]
        question = (
            f"This is about {word}. {name} buys {number + 2} {thing} at 3 each. What is paid?"
        )
        asked = {"question": question, "keywords": word}
        label = check_question(asked)
        rows.append({"q": question, "words": [word], "used": label["keywords_used"],
                     "own": label["self_contained"]})  # fmt: skip
    path = tmp_path / "checked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


COLUMNS = "question=q,keywords=words,keywords_used=used,self_contained=own"


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def prompts_of(folder: Path, part: str) -> list[str]:
    with RunStore(folder) as store:
        found = store.rows(
            f"SELECT DISTINCT prompt FROM calls JOIN prompts ON id = prompt_id WHERE stage = '{part}'"  # noqa: S608
        )
    return [prompt for (prompt,) in found]


def test_a_judge_of_questions_is_compiled_and_judges_the_instructions_of_another_compile(
    ds2: Callable[..., Any], questions: Path, tmp_path: Path
) -> None:
    asked = ("--stage", "question-judge", "--devset", questions, "--columns", COLUMNS)
    done = ds2("compile", "gsm8k", *asked, *QUICK, "--out", "j")
    assert done.code == 0, done.err
    said = manifest_of(tmp_path / "j")
    assert said["metric"]["name"] == "verdicts as labelled"
    assert said["judge_program"] is None
    assert "judges" not in said["identity"]  # nor in a folder of before
    assert "judge" not in said["by_part"]  # no label was asked for
    program = tmp_path / "j/program.json"
    document = json.loads(program.read_text(encoding="utf-8"))
    state = document["program"]["question_judge.predict"]
    assert state["demos"]
    state["signature"]["instructions"] += " Mind every figure."
    program.write_text(json.dumps(document), encoding="utf-8")

    judged = ("--stage", "instructions", "--cells", 20, *QUICK, "--out", "w")
    done = ds2("compile", "gsm8k", *judged, "--judge-program", program)
    assert done.code == 0, done.err
    said = manifest_of(tmp_path / "w")
    assert said["judge_program"]["judges"] == ["question_judge"]
    assert said["judge_program"]["id"] == said["identity"]["judges"]
    assert f"judges with the prompts {said['identity']['judges']}" in said["metric"]["name"]
    checks = [prompt for prompt in prompts_of(tmp_path / "w", "judge") if "keywords_used" in prompt]
    assert checks
    assert all("Mind every figure." in prompt for prompt in checks)
    assert not any("Mind every figure." in p for p in prompts_of(tmp_path / "w", "program"))

    # It is part of what a compile is: the folder goes on with these judges only.
    other = ds2("compile", "gsm8k", *judged)
    assert other.code == 2
    assert "judges" in other.err
    again = ds2("compile", "gsm8k", *judged, "--judge-program", program)
    assert again.code == 0
    assert manifest_of(tmp_path / "w")["new_calls"] == 0
    # And a run leaves it out.
    assert ds2("run", "gsm8k", "-n", 6, "--program", program, "-q").code == 0


def test_a_judge_of_keywords_is_compiled_without_a_dev_set(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    asked = ("--stage", "keyword-judge", "--cells", 20, *QUICK, "--out", "k")
    done = ds2("compile", "gsm8k", *[word for word in asked if word != "-q"])
    assert done.code == 0, done.err
    assert "off the task" in done.out
    assert "self-consistency, not accuracy" in done.out
    said = manifest_of(tmp_path / "k")
    assert said["by_part"]["judge"] >= 15 * 20
    program = tmp_path / "k/program.json"
    assert judges_in(program) == {"keyword_judge"}
    loaded = DS2Instruct("gsm8k")
    loaded.load(program)
    begun = ds2("compile", "gsm8k", *asked[:-1], "k2", "--program", program)
    assert begun.code == 0, begun.err
    before = manifest_of(tmp_path / "k2")["prompts"]["before"]
    assert before == said["prompts"]["after"]
    done = ds2(
        "compile", "gsm8k", "--stage", "keywords", "--cells", 12, *QUICK, "--judge-program", program
    )
    assert done.code == 0, done.err


def test_judges_that_were_compiled_one_after_another_stand_in_one_file(
    ds2: Callable[..., Any], questions: Path, tmp_path: Path
) -> None:
    first = ("--stage", "keyword-judge", "--cells", 15, *QUICK, "--out", "one")
    assert ds2("compile", "gsm8k", *first).code == 0
    then = ("--stage", "question-judge", "--devset", questions, "--columns", COLUMNS, *QUICK)
    done = ds2("compile", "gsm8k", *then, "--program", "one/program.json", "--out", "two")
    assert done.code == 0, done.err
    states = {}
    for name in ("one", "two"):
        text = (tmp_path / name / "program.json").read_text(encoding="utf-8")
        states[name] = json.loads(text)["program"]
    kept = "keyword_judge.predict"
    assert states["two"][kept]["demos"] == states["one"][kept]["demos"] != []
    assert states["two"]["question_judge.predict"]["demos"]
    assert judges_in(tmp_path / "two/program.json") == {"keyword_judge", "question_judge"}


def test_a_list_with_a_stranger_among_its_faults_is_told_by_its_line(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    row = {"wanted": "core keywords", "keywords": ["ratio", "bees"], "off_task": ["wasps"],
           "wrong_direction": [], "wrong_grain": []}  # fmt: skip
    (tmp_path / "l.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    done = ds2("compile", "gsm8k", "--stage", "keyword-judge", "--devset", "l.jsonl")
    assert done.code == 2
    assert "keywords of that row, each under one fault (l.jsonl, line 1)" in done.err
    (tmp_path / "l.jsonl").write_text(json.dumps({**row, "off_task": ["bees"]}) + "\n")
    wrong = ds2("compile", "gsm8k", "--stage", "keywords", "--devset", "l.jsonl")
    assert "hold questions, for the stage keywords" in wrong.err
    few = ds2("compile", "gsm8k", "--stage", "keyword-judge", "--devset", "l.jsonl")
    assert "add lists up to" in few.err


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"task": "math"}, (), "task must be 'gsm8k'"),
        ({"signatures": "0" * 16}, (), "signatures must be"),
        ({"program": {}}, (), "must hold the state of every predictor"),
        (None, (), "be readable JSON that `save` wrote"),
        ({}, (), "hold one of level_judge, question_judge, which judge this stage"),
        ({}, ("--stage", "chain"), "be left out here: no judge says what is right"),
    ],
    ids=["task", "signatures", "damaged", "missing", "no such judge", "no judge"],
)
def test_judges_that_cannot_be_taken_are_refused_before_the_first_call(
    ds2: Callable[..., Any],
    tmp_path: Path,
    change: dict[str, Any] | None,
    options: tuple[str, ...],
    said: str,
) -> None:
    path = tmp_path / "program.json"
    if change is not None:
        DS2Instruct("gsm8k").save(path)
        document = json.loads(path.read_text(encoding="utf-8")) | change
        path.write_text(json.dumps(document), encoding="utf-8")
    asked = ("compile", "gsm8k", "--stage", "instructions", *options, "--judge-program", path)
    done = ds2(*asked)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "runs").exists()
