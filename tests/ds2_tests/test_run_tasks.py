"""All seven built-in tasks from their name to a dataset, on the simulated teacher."""

from __future__ import annotations

import json
from collections import Counter
from math import sqrt
from pathlib import Path
from typing import Any

import datasets
import pytest
from small_runs import go, rows_of, summary_of

from ds2.config import preset
from ds2.engines.teacher import truth
from ds2.output.dataset import features
from programs.equivalence import read_answer
from signatures.bloom import LEVELS
from signatures.task import BUILT_IN, AnswerFormat, AnswerKind, TaskSpec, load_task

# A floor, not a measurement: the teacher errs on purpose, and a vote cannot see what most draws
# get wrong alike. See the rates of the teacher for what is expected.
PRECISION = 0.9


def quotas(target: int) -> dict[str, int]:
    wanted = preset("default", target).level_quotas
    return {str(level): n for level, n in wanted.items() if n}


def question_of(row: dict[str, Any]) -> str:
    """Return the question alone: the shown text less the context before it and the options after."""
    lettered = "\n".join(f"{chr(65 + i)}. {o}" for i, o in enumerate(row["options"]))
    text: str = row["instruction"]
    if row["context"]:
        text = text.removeprefix(row["context"])
    return text.removesuffix(lettered).strip()


def is_right(row: dict[str, Any], answer: AnswerFormat) -> bool:
    wanted = truth(question_of(row), row["options"], row["context"])
    given, right = (
        read_answer(answer, typed=text, options=row["options"]) for text in (row["answer"], wanted)
    )
    return given.key is not None and given.key == right.key


@pytest.mark.parametrize("target", [5, 60])
@pytest.mark.parametrize("task", BUILT_IN)
def test_a_task_runs_to_its_target(task: str, target: int, tmp_path: Path) -> None:
    summary = go(tmp_path, target, task, concurrency=64)
    rows = rows_of(tmp_path)

    assert (summary.status, summary.exit_code) == ("complete", 0)
    assert summary.ledger["accepted"] == len(rows) == target
    assert summary.ledger["pending"] == {}
    assert Counter(row["level"] for row in rows) == quotas(target)
    assert len({row["id"] for row in rows}) == target
    assert summary_of(tmp_path)["ledger"] == summary.ledger
    spec = load_task(task)
    for row in rows:
        check_row(row, spec)
    right = sum(is_right(row, spec.answer) for row in rows)
    # Sixty rows or five are a small sample: two standard deviations below the floor are luck.
    assert right >= PRECISION * target - 2 * sqrt(target * PRECISION * (1 - PRECISION))


def check_row(row: dict[str, Any], spec: TaskSpec) -> None:
    user, assistant = row["messages"]
    assert (row["task"], row["teacher"], row["model"]) == (spec.name, "simulated", "simulated")
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    assert (user["content"], assistant["content"]) == (row["instruction"], row["response"])
    assert row["response"].splitlines()[-1] == spec.answer.close(row["answer"])
    assert row["response"] != spec.answer.close(row["answer"])  # there are steps before it
    assert len(row["keywords"]) in {1, 2}
    assert all(row["keywords"])
    assert row["level"] in {str(level) for level in LEVELS}
    first, second = [vote["count"] for vote in [*row["votes"], {"count": 0}][:2]]
    assert first - second >= 3  # the default policy's lead
    assert row["agreement"] == first / row["samples"]
    assert 3 <= row["samples"] <= 9
    assert row["votes"][0]["answer"] == row["answer"]
    assert sum(vote["count"] for vote in row["votes"]) <= row["samples"]
    assert bool(row["options"]) == (spec.answer.kind is AnswerKind.CHOICE)
    assert bool(row["context"]) == (spec.context == "written")
    reading = read_answer(spec.answer, typed=None, text=row["response"], options=row["options"])
    assert reading.key is not None


@pytest.mark.parametrize("task", ["gsm8k", "logiqa", "pubmedqa"])
def test_the_dataset_loads_as_declared(task: str, tmp_path: Path) -> None:
    go(tmp_path / "run", 7, task)
    loaded = datasets.load_dataset(
        str(tmp_path / "run" / "dataset"), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert loaded.features == features()
    assert list(loaded) == rows_of(tmp_path / "run")


def test_every_keyword_of_a_row_is_in_the_bank_and_pairs_are_used(tmp_path: Path) -> None:
    go(tmp_path, 60)
    bank = json.loads((tmp_path / "keywords.json").read_text(encoding="utf-8"))
    texts = [keyword["text"] for keyword in bank["keywords"]]
    used = [row["keywords"] for row in rows_of(tmp_path)]
    assert len(set(texts)) == len(texts) == bank["size"] == 24
    assert {word for words in used for word in words} <= set(texts)
    assert len({word for words in used for word in words}) >= 20
    assert 0.2 < sum(len(words) == 2 for words in used) / 60 < 0.6
    assert {k["origin"] for k in bank["keywords"]} == {"core", "prerequisite", "advanced"}
    assert all(k["parents"] for k in bank["keywords"] if k["round"])
