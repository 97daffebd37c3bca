"""What `--avoid` reads: files, folders and datasets, and what it says of those it cannot read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2.screen import avoid
from ds2.screen.avoid import parse_avoid, read_avoided, same_questions
from signatures.errors import ConfigError

ROWS = [
    {"question": "What is 2 + 2?", "options": ["3", "4"], "answer": "4", "id": "q1"},
    {"question": "What is 3 + 3?", "options": ["6", "7"], "answer": "6", "id": "q2"},
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def jsonl(folder: Path) -> Path:
    path = folder / "test.jsonl"
    path.write_text(LINES, encoding="utf-8")
    return path


def as_json(folder: Path) -> Path:
    path = folder / "test.json"
    path.write_text(json.dumps(ROWS), encoding="utf-8")
    return path


def packed(folder: Path) -> Path:
    path = folder / "test.jsonl.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    return path


def parquet(folder: Path) -> Path:
    path = folder / "test.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def a_folder(folder: Path) -> Path:
    path = folder / "data"
    (path / ".hidden").mkdir(parents=True)
    (path / ".hidden" / "other.jsonl").write_text("broken", encoding="utf-8")
    (path / "README.md").write_text("about it", encoding="utf-8")
    for number, row in enumerate(ROWS):
        (path / f"{number}.jsonl").write_text(json.dumps(row), encoding="utf-8")
    return path


def shouted(folder: Path) -> Path:
    path = folder / "SHOUTED"
    path.mkdir()
    (path / "A.JSONL").write_text(json.dumps(ROWS[0]), encoding="utf-8")
    (path / "B.Json.GZ").write_bytes(gzip.compress(json.dumps([ROWS[1]]).encode()))
    return path


def saved_in_splits(folder: Path) -> Path:
    path = folder / "splits"
    parts = {"train": ROWS[:1], "test": ROWS[1:]}
    made = {name: datasets.Dataset.from_list(rows) for name, rows in parts.items()}
    datasets.DatasetDict(made).save_to_disk(str(path))
    return path


def saved(folder: Path) -> Path:
    path = folder / "saved"
    datasets.Dataset.from_list(ROWS).save_to_disk(str(path))
    return path


@pytest.mark.parametrize(
    "make", [jsonl, as_json, packed, parquet, a_folder, shouted, saved, saved_in_splits]
)
def test_every_form_gives_the_same_questions(make: Any, tmp_path: Path) -> None:
    (read,) = read_avoided([str(make(tmp_path))])
    (plain,) = read_avoided([str(jsonl(tmp_path))])
    assert [item[1:] for item in read.items] == [
        (1, "q1", "What is 2 + 2?", ("3", "4"), "4"),
        (2, "q2", "What is 3 + 3?", ("6", "7"), "6"),
    ]
    assert read.digest == plain.digest
    assert str(read) == f"{read.name}: 2 questions, {read.digest}"


def test_columns_can_be_named_and_are_part_of_what_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = {"Q": "What is it?", "text": "another", "ch": {"text": ["a", "b"], "label": ["A", "B"]}}
    path.write_text(json.dumps(row), encoding="utf-8")
    (read,) = read_avoided([f"{path}#question=Q,options=ch"])
    (other,) = read_avoided([str(path)])
    assert read.items[0][3:] == ("What is it?", ("a", "b"), "")
    assert other.items[0].question == "another"
    assert read.digest != other.digest


@pytest.mark.parametrize(
    ("row", "question", "options", "answer"),
    [
        ({"problem": "p", "choices": {"A": "x", "B": "y"}, "solution": 7}, "p", ("x", "y"), "7"),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]},
            "u",
            (),
            "",
        ),
        (
            {"conversations": [{"from": "human", "value": "h"}], "answer": ["a", "b"]},
            "h",
            (),
            "a b",
        ),
        ({"question": "half \ud800", "options": None}, "half �", (), ""),
        ({"question": ""}, "", (), ""),
    ],
)
def test_usual_shapes_are_known(
    row: dict[str, Any], question: str, options: tuple[str, ...], answer: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    assert read_avoided([str(path)])[0].items[0][3:] == (question, options, answer)


@pytest.mark.parametrize(
    ("content", "spec", "told"),
    [
        (None, "", "be a file, a folder, or OWNER/NAME"),
        ("", "", "hold at least one question"),
        ("not json", "", "row 1 of t.jsonl must be JSON"),
        ("[1]", "", "be an object with named fields"),
        ('{"q": 1}', "", "the column of the question must be one of q"),
        ('{"q": 1}', "#question=Q", "the column of the question must be one of q"),
        ('{"question": 1}', "", "row 1 must have text in 'question'"),
        ('{"question": "a"}\n{"question": null}', "", "row 2 must have text"),
        ('{"question": "a"}', "#options=o", "the column of the options must be one of question"),
        ('{"question": "a"}', "#colour=red", "be KEY=VALUE with keys"),
        ('{"question": "a"}', "#question=", "be KEY=VALUE with keys"),
        (b"\xff\xfe", "", "be readable"),
    ],
)
def test_what_cannot_be_read_is_told_with_one_thing_to_do(
    content: str | bytes | None, spec: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match="to be avoided failed") as caught:
        read_avoided([f"{path}{spec}"])
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl.gz"])
def test_a_damaged_file_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="be readable"):
        read_avoided([str(tmp_path / name)])


def test_one_split_of_a_saved_dataset_can_be_named(tmp_path: Path) -> None:
    path = saved_in_splits(tmp_path)
    (read,) = read_avoided([f"{path}#split=test"])
    assert [item.id for item in read.items] == ["q2"]
    with pytest.raises(ConfigError, match="split must be one of train, test"):
        read_avoided([f"{path}#split=dev"])


def test_each_row_has_the_columns_that_it_has(tmp_path: Path) -> None:
    """JSON leaves out what is empty, and the files of a folder need not be of one kind."""
    (tmp_path / "a.jsonl").write_text(
        '{"question": "one"}\n{"question": "two", "options": ["x", "y"], "answer": "x"}', "utf-8"
    )
    (tmp_path / "b.jsonl").write_text('{"problem": "three", "choices": ["z"]}', "utf-8")
    (read,) = read_avoided([str(tmp_path)])
    assert [item[3:] for item in read.items] == [
        ("one", (), ""),
        ("two", ("x", "y"), "x"),
        ("three", ("z",), ""),
    ]
    (named,) = read_avoided([f"{tmp_path / 'a.jsonl'}#options=options"])
    assert named.items == tuple(item._replace(source="a.jsonl") for item in read.items[:2])
    with pytest.raises(ConfigError, match="the column of the question in row 3 must be one of"):
        read_avoided([f"{tmp_path}#question=question"])


def cut_gzip(folder: Path) -> Path:
    path = folder / "cut.jsonl.gz"
    whole = bytearray(gzip.compress(LINES.encode()))
    whole[12:20] = b"\xff" * 8
    path.write_bytes(whole)
    return path


def no_utf8(folder: Path) -> Path:
    path = folder / "bad.parquet"
    bad = pa.array([b"\xff\xfe is it?"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"question": bad}), path)
    return path


@pytest.mark.parametrize(
    "make", [cut_gzip, no_utf8, lambda folder: folder / ("x" * 300), lambda _: ""]
)
def test_a_place_that_cannot_be_read_is_no_bug(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to be avoided failed"):
        read_avoided([str(make(tmp_path))])


def test_a_relative_path_is_looked_for_in_its_base_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = jsonl(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert read_avoided([path.name], str(tmp_path))[0].name == path.name
    with pytest.raises(ConfigError, match="Check the path"):
        read_avoided([path.name])


def test_sources_are_the_same_by_their_content(tmp_path: Path) -> None:
    path = jsonl(tmp_path)
    renamed = path.with_name("a: b.jsonl")
    renamed.write_bytes(path.read_bytes())
    one, other = (str(read_avoided([str(p)])[0]) for p in (path, renamed))
    assert one != other
    assert same_questions([one], [other])
    assert not same_questions([one], [])


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hold files in"):
        read_avoided([str(tmp_path)])


def test_a_dataset_of_the_hub_is_loaded_by_its_name_config_and_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(*names: Any, split: str) -> Any:
        asked.append((*names, split))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    read = read_avoided(["openai/gsm8k#config=main", "a/b#split=train,question=question"])
    assert asked == [("openai/gsm8k", "main", "test"), ("a/b", None, "train")]
    assert [source.name for source in read] == ["openai/gsm8k", "a/b"]
    assert len(read[0].items) == 2


def test_a_hub_that_cannot_be_reached_is_told_and_bars_are_left_as_they_were() -> None:
    before = datasets.are_progress_bars_disabled()
    with pytest.raises(ConfigError, match="load from the Hub"):
        read_avoided(["nobody/nothing-of-this-name"])
    assert datasets.are_progress_bars_disabled() is before


def test_a_spec_is_a_place_and_keys() -> None:
    assert parse_avoid("a/b.jsonl") == ("a/b.jsonl", {})
    assert parse_avoid("x #question=Q,options= O ") == ("x", {"question": "Q", "options": "O"})
    assert set(avoid.COLUMNS) == {"question", "options", "answer"}
