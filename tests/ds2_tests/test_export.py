"""`ds2 export`: ShareGPT as trainers read it, and what is said when there is nothing to export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ds2.cli.export import export_command
from ds2.output.dataset import write_dataset
from ds2.output.export import export_dataset
from signatures.bloom import BloomLevel
from signatures.errors import OutputError
from signatures.records import Instruction, Row, Sample, Vote, make_row


def row(question: str) -> Row:
    vote = Vote(
        accepted=True, winner="4", agreement=1, counts=(("4", 1),), draws=1, reason="majority",
        response=0, samples=(Sample(number=0, answer="4", key="4"),),
    )  # fmt: skip
    asked = Instruction(keywords=("sum",), level=BloomLevel.APPLY, question=question)
    return make_row(
        asked, vote, response="2 + 2 = 4", task="gsm8k", teacher="simulated", model="simulated"
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "gsm8k"
    write_dataset([row("What is 2 + 2?"), row("二加二？\n😀")], folder / "dataset", shard_rows=1)
    return folder


def test_sharegpt_is_a_list_of_conversations_in_the_order_of_the_rows(run: Path) -> None:
    done = export_dataset(run, "sharegpt")
    assert (done.path, done.rows) == (run / "dataset.sharegpt.json", 2)
    text = done.path.read_text(encoding="utf-8")
    entries = [
        {
            "id": row(question).id,
            "conversations": [
                {"from": "human", "value": question},
                {"from": "gpt", "value": "2 + 2 = 4"},
            ],
        }
        for question in ("What is 2 + 2?", "二加二？\n😀")
    ]
    assert text == json.dumps(entries, ensure_ascii=False, indent=2) + "\n"


def test_the_dataset_folder_itself_can_be_exported_anywhere(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "train.json"
    export_dataset(run / "dataset", "sharegpt", out)
    export_dataset(run, "sharegpt")
    assert out.read_bytes() == (run / "dataset.sharegpt.json").read_bytes()


def test_datasets_reads_the_file(run: Path, tmp_path: Path) -> None:
    import datasets

    done = export_dataset(run, "sharegpt")
    loaded = datasets.load_dataset(
        "json", data_files=str(done.path), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert loaded[0]["conversations"][0] == {"from": "human", "value": "What is 2 + 2?"}


def test_an_unknown_format_lists_the_known_ones(run: Path) -> None:
    with pytest.raises(OutputError, match="must be one of sharegpt"):
        export_dataset(run, "alpaca")


@pytest.mark.parametrize("make", ["nothing", "no dataset", "no rows"])
def test_a_folder_without_rows_is_refused(tmp_path: Path, make: str) -> None:
    run = tmp_path / "run"
    if make != "nothing":
        (run / ("dataset" if make == "no rows" else "other")).mkdir(parents=True)
    with pytest.raises(OutputError, match=r"must (be the folder of a run|hold data)"):
        export_dataset(run, "sharegpt")


@pytest.mark.parametrize(
    "out",
    [
        pytest.param("", id="a folder"),
        pytest.param("dataset/data/x.json", id="among the shards"),
        pytest.param("dataset.sharegpt.json/x.json", id="below a file"),
    ],
)
def test_an_unusable_file_is_refused_and_nothing_is_lost(run: Path, out: str) -> None:
    before = export_dataset(run, "sharegpt").path.read_bytes()
    with pytest.raises(OutputError):
        export_dataset(run, "sharegpt", run / out)
    assert (run / "dataset.sharegpt.json").read_bytes() == before


def test_a_damaged_shard_leaves_the_earlier_export(run: Path) -> None:
    before = export_dataset(run, "sharegpt").path.read_bytes()
    (run / "dataset" / "data" / "train-00001-of-00002.parquet").write_bytes(b"PAR1")
    with pytest.raises(OutputError, match="whole Parquet"):
        export_dataset(run, "sharegpt")
    assert (run / "dataset.sharegpt.json").read_bytes() == before
    assert sorted(p.name for p in run.iterdir()) == ["dataset", "dataset.sharegpt.json"]


def test_the_command_says_what_it_wrote(run: Path) -> None:
    app = typer.Typer()
    app.command()(export_command)
    result = CliRunner().invoke(app, [str(run), "--format", "sharegpt"])
    assert result.exit_code == 0
    assert result.output == f"2 rows -> {run / 'dataset.sharegpt.json'}\n"
