"""Dev sets by the name that the Hub has for them, with a stand-in for the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from optimizers.devsets import load_devset
from optimizers.rowfiles import read_rows
from signatures.errors import ConfigError
from signatures.task import load_task

ROWS = [{"prompt": f"What is {n} + {n}?", "label": f"#### {2 * n}"} for n in range(5)]
COLUMNS = {"question": "prompt", "answer": "label"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stand in for the Hub: `one/split`, `two/splits`, nothing else; give what it was asked for."""
    calls: list[tuple[Any, ...]] = []
    held = {"one/split": ["train"], "two/splits": ["train", "test"]}

    def load(name: str, config: str | None, *, split: str | None) -> Any:
        calls.append((name, config, split))
        if name not in held:
            raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{name}' doesn't exist.\nmore")
        if split is not None and split not in held[name]:
            raise ValueError(f'Unknown split "{split}". Should be one of {held[name]}.')
        parts = {part: datasets.Dataset.from_list(ROWS) for part in held[name]}
        return datasets.DatasetDict(parts) if split is None else parts[split]

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr("optimizers.rowfiles.unreachable", lambda: "")
    return calls


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("one/split", ("one/split", None, None)),
        ("two/splits:test", ("two/splits", None, "test")),
        ("two/splits:main:train", ("two/splits", "main", "train")),
    ],
)
def test_a_hub_name_is_loaded_with_its_config_and_split(
    source: str, call: tuple[Any, ...], asked: list[tuple[Any, ...]]
) -> None:
    found = load_devset(source, load_task("gsm8k"), columns=COLUMNS)
    assert asked == [call]
    assert (len(found.rows), found.labelled, found.source) == (5, True, source)
    assert found.rows[2].answer == "#### 4"
    assert (found.rows[2].key, found.rows[2].where) == ("4", "row 3")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nobody/nothing", "be a data set that can be loaded .got \"Dataset 'nobody/nothing'"),
        ("two/splits:dev", "Unknown split"),
        (
            "two/splits",
            r"name a split where there are several .*Name one of them: two/splits:train",
        ),
    ],
)
def test_what_the_hub_does_not_have_is_told(source: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_devset(source, load_task("gsm8k"))


def test_a_folder_like_a_repository_is_read_whole_or_by_its_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ann" / "sums"
    (folder / "data").mkdir(parents=True)
    for part, rows in (("train", ROWS), ("test", ROWS[:2])):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "data" / f"{part}.jsonl").write_text(text)
    (folder / "README.md").write_text("# sums\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    assert len(read_rows("ann/sums")) == 7
    # With a split the name goes to `datasets`, which reads such a folder as it reads the Hub.
    assert [row.values for row in read_rows("ann/sums:test")] == ROWS[:2]


def test_a_folder_that_datasets_saved_names_the_split_of_each_row(tmp_path: Path) -> None:
    parts = {part: datasets.Dataset.from_list(ROWS[:2]) for part in ("train", "test")}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    where = [row.where for row in read_rows(str(tmp_path / "saved"))]
    assert where == ["train row 1", "train row 2", "test row 1", "test row 2"]


def test_a_line_ends_at_a_line_feed_and_nowhere_else(tmp_path: Path) -> None:
    texts = [f"one{mark}two" for mark in "\u2028\u2029\x85\x0b\x0c\x1c"]
    file = tmp_path / "d.jsonl"
    lines = [json.dumps({"question": text}, ensure_ascii=False) for text in texts]
    file.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    found = read_rows(str(file))
    assert [row.values["question"] for row in found] == texts
    assert found[-1].where == "d.jsonl, line 6"
