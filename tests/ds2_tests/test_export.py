"""`ds2 export`: each format as its trainer reads it, nothing lost, and what is said of bad input."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_runs import go, rows_of, tree
from typer.testing import CliRunner

from ds2.cli.export import export_command
from ds2.output.dataset import FEATURES, row_record
from ds2.output.exports import FORMATS, Entry, Selection, Split, parse_split
from ds2.output.exports.formats import Options
from ds2.output.exports.selection import WHOLE, assign
from ds2.runtime.decisions import accepted_rows
from ds2.runtime.destination import OWN_FILES
from ds2.runtime.exporting import ExportRequest, export_run
from ds2.store import RunStore
from signatures.bloom import BloomLevel
from signatures.errors import OutputError
from signatures.records import Row


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "my-run"
    go(out, 24)
    return out


def export(run: Path, format_name: str, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    """Export and read back: the entries by split."""
    changes.setdefault("out", run.parent / f"out-{format_name}" / "rows.json")
    done = export_run(ExportRequest(run=run, format_name=format_name, **changes))
    container = FORMATS[format_name].container
    entries = {part.split: list(read_back(part.path, container)) for part in done}
    assert {part.split: part.entries for part in done} == {s: len(e) for s, e in entries.items()}
    return entries


def read_back(path: Path, container: str) -> Iterator[dict[str, Any]]:
    if container == "parquet":
        import pyarrow.parquet as pq

        yield from pq.read_table(path).to_pylist()
    elif container == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    elif container == "json":
        yield from json.loads(path.read_text(encoding="utf-8"))
    else:
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            yield json.loads(line)


def stored(run: Path) -> list[Row]:
    with RunStore(run, lock=False) as store:
        return list(accepted_rows(store))


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


CHATS = {
    "sharegpt": lambda r: {
        "id": r["id"],
        "conversations": [
            {"from": "human", "value": r["instruction"]},
            {"from": "gpt", "value": r["response"]},
        ],
    },
    "alpaca": lambda r: {
        "instruction": r["instruction"],
        "input": "",
        "output": r["response"],
        "id": r["id"],
    },
    "openai": lambda r: {"messages": user(r["instruction"]) + assistant(r["response"])},
    "trl-messages": lambda r: {
        "id": r["id"],
        "messages": user(r["instruction"]) + assistant(r["response"]),
    },
    "trl": lambda r: {
        "id": r["id"],
        "prompt": user(r["instruction"]),
        "completion": assistant(r["response"]),
    },
}
CHATS["llama-factory"] = CHATS["sharegpt"]
CHATS["axolotl"] = CHATS["trl-messages"]


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_format_holds_every_row_as_it_is_in_order(run: Path, name: str) -> None:
    assert export(run, name)["all"] == [CHATS[name](row) for row in rows_of(run)]


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.container != "csv"])
def test_datasets_loads_every_format(run: Path, name: str, tmp_path: Path) -> None:
    import datasets

    out = tmp_path / f"rows{'.parquet' if name == 'parquet' else '.json'}"
    done = export_run(ExportRequest(run=run, format_name=name, out=out))
    loaded = datasets.load_dataset(
        "parquet" if name == "parquet" else "json",
        data_files=str(out),
        cache_dir=str(tmp_path / "cache"),
        split="train",
    )
    assert loaded.num_rows == done[0].entries > 0


def test_parquet_keeps_every_column_and_type(run: Path) -> None:
    assert export(run, "parquet")["all"] == rows_of(run)


def test_csv_loses_nothing_either(run: Path) -> None:
    rows = export(run, "csv")["all"]
    lists = [name for name, kind in FEATURES.items() if kind["_type"] == "List"]
    for row, kept in zip(rows, rows_of(run), strict=True):
        assert list(row) == list(FEATURES)
        for name, value in row.items():
            if name in lists:
                assert json.loads(value) == kept[name]
            elif kept[name] is None:
                assert value == ""
            else:
                assert type(kept[name])(value) == kept[name]


def test_a_preference_pair_sets_the_majority_against_the_strongest_losing_answer(
    run: Path,
) -> None:
    pairs = export(run, "dpo")["all"]
    rows = {row.id: row for row in stored(run)}
    expected = {id_ for id_, row in rows.items() if any(s.parsed for s in row.vote.losing)}
    assert [pair["id"] for pair in pairs] == [id_ for id_ in rows if id_ in expected]
    for pair in pairs:
        row = rows[pair["id"]]
        assert pair["prompt"] == user(row.instruction.text)
        assert pair["chosen"] == assistant(row.response)
        assert pair["rejected"][0]["content"].endswith(f"final answer: {pair['rejected_answer']}")
        votes = dict(row.vote.counts)
        lost = votes[pair["rejected_answer"]]
        assert pair["rejected_answer"] != pair["chosen_answer"] == row.answer
        assert pair["margin"] == pytest.approx((votes[row.answer] - lost) / row.vote.draws)
        assert lost == max(votes[s.answer] for s in row.vote.losing if s.parsed and s.answer)


def test_the_margin_is_a_filter_and_all_pairs_gives_one_for_every_losing_answer(run: Path) -> None:
    best = export(run, "dpo")["all"]
    every = export(run, "dpo", options=Options(all_pairs=True))["all"]
    assert len(every) > len(best)
    assert len({(pair["id"], pair["rejected_answer"]) for pair in every}) == len(every)
    least = sorted(pair["margin"] for pair in every)[len(every) // 2]
    kept = export(run, "dpo", options=Options(min_margin=least, all_pairs=True))["all"]
    assert kept == [pair for pair in every if pair["margin"] >= least]


def test_verifier_data_has_every_readable_answer_with_the_verdict_of_the_vote(run: Path) -> None:
    entries = export(run, "verifier")["all"]
    by_row = Counter(entry["id"] for entry in entries)
    for row in stored(run):
        assert by_row[row.id] == sum(s.key is not None for s in row.vote.samples)
        right = [e for e in entries if e["id"] == row.id and e["label"]]
        assert len(right) == dict(row.vote.counts)[row.answer]
        assert assistant(row.response) in [e["completion"] for e in right]
    assert {entry["label"] for entry in entries} == {True, False}


def test_llama_factory_finds_its_files_and_other_datasets_stay(run: Path, tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text('{"theirs": {"file_name": "x.json"}}', encoding="utf-8")
    parts = (Split("train", 0.75), Split("test", 0.25))
    export(run, "llama-factory", out=tmp_path / "sft.json", splits=parts)
    export(run, "llama-factory-dpo", out=tmp_path / "pairs.json")
    known = json.loads(info.read_text(encoding="utf-8"))
    assert list(known) == ["theirs", "my_run_train", "my_run_test", "my_run_dpo"]
    assert known["my_run_train"] == {
        "file_name": "sft.train.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
        "tags": {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "human",
            "assistant_tag": "gpt",
        },
    }
    pairs = known["my_run_dpo"]
    entry = json.loads((tmp_path / pairs["file_name"]).read_text(encoding="utf-8"))[0]
    assert pairs["ranking"] is True
    assert set(pairs["columns"].values()) <= set(entry)
    assert entry["chosen"]["from"] == entry["rejected"]["from"] == "gpt"


def test_a_list_of_datasets_that_is_none_is_left_as_it_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("[1", encoding="utf-8")
    with pytest.raises(OutputError, match="must be a JSON object"):
        export(run, "llama-factory", out=tmp_path / "sft.json")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def test_axolotl_gets_lines_for_its_configuration(run: Path, tmp_path: Path) -> None:
    parts = (Split("train", 0.75), Split("test", 0.25))
    export(run, "axolotl", out=tmp_path / "a b.jsonl", splits=parts)
    lines = yaml.safe_load((tmp_path / "axolotl.yaml").read_text(encoding="utf-8"))
    assert [d["path"] for d in lines["datasets"]] == ["a b.train.jsonl"]
    assert [d["path"] for d in lines["test_datasets"]] == ["a b.test.jsonl"]
    assert lines["datasets"][0]["field_messages"] == "messages"


def test_without_reasoning_the_answer_alone_responds(run: Path) -> None:
    rows = export(run, "trl", reasoning=False)["all"]
    assert [r["completion"][0]["content"] for r in rows] == [r["answer"] for r in rows_of(run)]
    chats = export(run, "openai", reasoning=False)["all"]
    assert [c["messages"][1]["content"] for c in chats] == [r["answer"] for r in rows_of(run)]
    pairs = export(run, "dpo", reasoning=False)["all"]
    assert all(p["rejected"][0]["content"] == p["rejected_answer"] for p in pairs)


def test_only_the_rows_asked_for_go_out(run: Path) -> None:
    wanted = Selection(0.8, (BloomLevel.APPLY, BloomLevel.CREATE))
    kept = export(run, "parquet", selection=wanted)["all"]
    assert kept == [
        row
        for row in rows_of(run)
        if row["agreement"] >= 0.8 and row["level"] in {"Apply", "Create"}
    ]
    split = export(run, "parquet", selection=wanted, splits=parse_split("0.5,0.5"))
    assert sorted(r["id"] for part in split.values() for r in part) == sorted(r["id"] for r in kept)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=3, max_size=60),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 5),
)
def test_a_split_keeps_families_whole_and_is_near_its_shares(
    sizes: list[int], share: float, seed: int
) -> None:
    groups = [f"family {i}" for i, size in enumerate(sizes) for _ in range(size)]
    parts = (Split("train", 1 - share), Split("test", share))
    side = assign(groups, parts, seed=seed)
    assert set(side) == set(groups)
    test = sum(size for i, size in enumerate(sizes) if side[f"family {i}"] == "test")
    assert test >= 1
    assert abs(test - share * len(groups)) <= max(sizes)
    assert side == assign(list(reversed(groups)), parts, seed=seed)


def test_a_split_that_leaves_a_part_empty_is_refused() -> None:
    with pytest.raises(OutputError, match=r"must get a row.*test: none of 9 rows in 1 families"):
        assign(["one"] * 9, (Split("test", 0.9), Split("train", 0.1)))


@pytest.mark.parametrize(
    "text",
    [
        "0.9",
        "0.9,0.2",
        "1,0",
        "a,b",
        "0.5,0.5,0",
        "x=0.5,x=0.5",
        "../x=0.5,y=0.5",
        "",
        "a=0.5,A=0.5",
    ],
)
def test_shares_that_make_no_whole_are_refused(text: str) -> None:
    with pytest.raises(OutputError, match="must be shares above 0"):
        parse_split(text)


def test_shares_may_be_named() -> None:
    assert parse_split("0.8, 0.1, 0.1") == (
        Split("train", 0.8),
        Split("validation", 0.1),
        Split("test", 0.1),
    )
    assert parse_split("dev=0.25,fit=0.75") == (Split("dev", 0.25), Split("fit", 0.75))


def test_options_and_context_stand_in_the_question_and_the_input() -> None:
    record = row_record_with(context="An abstract.", text="An abstract.\n\nIs it so?")
    shaped = next(iter(FORMATS["alpaca"].shape(Entry(record, 3), Options())))
    assert (shaped["instruction"], shaped["input"]) == ("Is it so?", "An abstract.")


def row_record_with(*, context: str, text: str) -> dict[str, Any]:
    return {"id": "x", "instruction": text, "context": context, "response": "yes"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"format_name": "word"}, "must be one of sharegpt", id="format"),
        pytest.param({"out": Path("dataset/data/x.json")}, "outside the dataset", id="shards"),
        pytest.param({"out": Path("dataset/x.json")}, "outside the dataset", id="dataset"),
        pytest.param({"out": Path()}, "outside the dataset", id="folder"),
        pytest.param(
            {"selection": Selection(1.0, (BloomLevel.CREATE,)), "format_name": "dpo"},
            "at least one entry; pairs need",
            id="no entry",
        ),
    ],
)
def test_what_cannot_be_exported_is_said_and_leaves_no_file(
    run: Path, changes: dict[str, Any], said: str
) -> None:
    before = sorted(path.name for path in run.rglob("*"))
    if "out" in changes:
        changes = {**changes, "out": run / changes["out"]}
    else:
        changes = {**changes, "out": run / "none.json"}
    with pytest.raises(OutputError, match=said):
        export_run(ExportRequest(run=run, **{"format_name": "sharegpt", **changes}))
    assert sorted(path.name for path in run.rglob("*")) == before


@pytest.mark.parametrize(
    "name",
    [
        "dataset/README.md",
        "store.sqlite-wal",
        "store.sqlite-shm",
        *sorted(OWN_FILES),
        "Store.SQLite",
    ],
)
def test_the_files_of_a_run_are_never_overwritten(run: Path, name: str, tmp_path: Path) -> None:
    link = tmp_path / "linked"
    link.symlink_to(run, target_is_directory=True)
    before = tree(run)
    for out in (run / name, link / name, run / "dataset" / ".." / name):
        for source in (run, run / "dataset"):
            with pytest.raises(OutputError, match="none of them a run's own"):
                export_run(ExportRequest(run=source, format_name="trl", out=out))
    assert tree(run) == before


HALVES = parse_split("0.5,0.5")


@pytest.mark.parametrize(
    ("format_name", "out", "splits"),
    [
        ("trl", "x.json", (Split("a", 0.5), Split("A", 0.5))),
        ("trl", "dataset/x.json", HALVES),
        ("llama-factory", "dataset_info.json", WHOLE),
        ("axolotl", "dataset/rows.jsonl", WHOLE),
    ],
)
def test_every_file_of_a_split_and_beside_it_is_looked_at(
    run: Path, format_name: str, out: str, splits: tuple[Split, ...]
) -> None:
    before = tree(run)
    with pytest.raises(OutputError, match="none of them a run's own"):
        export_run(ExportRequest(run, format_name, run / out, splits))
    assert tree(run) == before


def test_a_stem_like_a_file_of_the_run_is_none(run: Path) -> None:
    done = export_run(ExportRequest(run, "trl", run / "summary.json", HALVES))
    assert [part.path.name for part in done] == ["summary.train.json", "summary.test.json"]


def test_the_export_of_a_dataset_alone_lies_beside_it(run: Path) -> None:
    done = export_run(ExportRequest(run=run / "dataset", format_name="trl"))
    assert [part.path for part in done] == [run / "dataset.trl.jsonl"]


def test_a_dataset_alone_gives_chats_but_no_pairs(run: Path, tmp_path: Path) -> None:
    alone = run / "dataset"
    request = ExportRequest(run=alone, format_name="trl", out=tmp_path / "x.jsonl")
    assert export_run(request)[0].entries == 24
    with pytest.raises(OutputError, match="must be asked of a run folder"):
        export_run(ExportRequest(run=alone, format_name="dpo", out=tmp_path / "y.jsonl"))


@pytest.mark.parametrize("make", ["nothing", "no dataset", "no rows"])
def test_a_folder_without_rows_is_refused(tmp_path: Path, make: str) -> None:
    run = tmp_path / "run"
    if make != "nothing":
        (run / ("dataset" if make == "no rows" else "other")).mkdir(parents=True)
    with pytest.raises(OutputError, match=r"must (be the folder of a run|hold data)"):
        export_run(ExportRequest(run=run, format_name="sharegpt"))


def test_a_damaged_shard_leaves_the_earlier_export(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run / "dataset", copy / "dataset")
    out = export_run(ExportRequest(run=copy, format_name="sharegpt"))[0].path
    before = out.read_bytes()
    next((copy / "dataset" / "data").iterdir()).write_bytes(b"PAR1")
    with pytest.raises(OutputError, match="whole Parquet"):
        export_run(ExportRequest(run=copy, format_name="sharegpt"))
    assert out.read_bytes() == before
    assert sorted(path.name for path in copy.iterdir()) == ["dataset", out.name]


def test_the_command_says_what_it_wrote(run: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(export_command)
    out = tmp_path / "x.jsonl"
    asked = [str(run), "-f", "trl", "--split", "0.75,0.25", "--out", str(out)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert result.output == (
        f"train: 18 entries -> {tmp_path / 'x.train.jsonl'}\n"
        f"test: 6 entries -> {tmp_path / 'x.test.jsonl'}\n"
    )
    result = CliRunner().invoke(app, [str(run), "--levels", "apply,wise"])
    assert isinstance(result.exception, OutputError)
    assert "must name Bloom levels" in str(result.exception)
    for nothing in (",", "", "apply,,create"):
        result = CliRunner().invoke(app, [str(run), "--levels", nothing])
        assert isinstance(result.exception, OutputError)


@pytest.mark.parametrize("options", [Options(min_margin=0.4), Options(all_pairs=True)])
def test_an_option_of_pairs_is_not_passed_over(run: Path, options: Options, tmp_path: Path) -> None:
    for name in sorted(FORMATS.keys() - {"dpo", "llama-factory-dpo"}):
        with pytest.raises(OutputError, match="be given for a format of pairs: dpo"):
            export_run(ExportRequest(run, name, tmp_path / "x.json", options=options))


def test_every_row_of_a_run_is_a_record(run: Path) -> None:
    assert [row_record(row) for row in stored(run)] == rows_of(run)
