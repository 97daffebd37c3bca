"""The dataset folder: its bytes, its columns, and what a failed or earlier write leaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2.output.dataset import (
    FEATURES,
    _table,
    arrow_schema,
    dataset_shards,
    features,
    read_records,
    row_record,
    write_dataset,
)
from signatures.bloom import LEVELS
from signatures.errors import OutputError
from signatures.records import Instruction, Row, Sample, Vote, make_row


def sample_row(i: int, **changes: Any) -> Row:
    fields = {
        "keywords": ("unit rate",) if i % 3 else ("unit rate", "elapsed time"),
        "level": LEVELS[i % 6],
        "question": f"A baker sells {i} rolls at 2 coins each. How many coins is that?",
        **changes,
    }
    draws = (f"{2 * i}", f"{2 * i}", "7")
    vote = Vote(
        accepted=True,
        winner=draws[0],
        agreement=2 / 3,
        counts=((draws[0], 2), ("7", 1)),
        draws=3,
        reason="majority",
        response=0,
        samples=tuple(Sample(number=n, answer=a, key=a) for n, a in enumerate(draws)),
    )
    return make_row(
        Instruction(**fields),
        vote,
        response=f"Each costs 2, so {i} x 2 = {2 * i}.\n\nfinal answer: {2 * i}",
        task="gsm8k",
        teacher="simulated",
        model="simulated",
    )


def rows(count: int) -> Iterator[Row]:
    return (sample_row(i) for i in range(count))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_dataset(rows(2_500), tmp_path / name, shard_rows=1_200)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert list(bytes_of(tmp_path / "one")) == [f"train-0000{i}-of-00003.parquet" for i in range(3)]


def test_the_pace_of_the_rows_leaves_no_trace_in_the_bytes(tmp_path: Path) -> None:
    write_dataset(rows(30), tmp_path / "stream")
    write_dataset(list(rows(30)), tmp_path / "list")
    assert bytes_of(tmp_path / "stream") == bytes_of(tmp_path / "list")


def test_datasets_loads_the_folder_with_the_declared_features(tmp_path: Path) -> None:
    import datasets

    written = list(rows(5))
    write_dataset(written, tmp_path / "dataset", shard_rows=2)
    loaded = datasets.load_dataset(str(tmp_path / "dataset"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].features == features()
    assert list(loaded["train"]) == [row_record(row) for row in written]


def test_the_columns_are_those_of_the_contract() -> None:
    assert (
        list(FEATURES)
        == (
            "id messages instruction options context passage_id response answer level keywords "
            "family judged_level agreement "
            "agreement_low agreement_high confidence votes "
            "samples task teacher model"
        ).split()
    )
    assert features().to_dict() == dict(FEATURES)


def test_a_record_shows_the_whole_instruction_and_keeps_its_parts() -> None:
    row = sample_row(1, question="Which?", options=("one", "two"), context="A text.")
    record = row_record(row)
    assert record["instruction"] == "A text.\n\nWhich?\n\nA. one\nB. two"
    assert record["messages"][0] == {"role": "user", "content": record["instruction"]}
    assert record["messages"][1] == {"role": "assistant", "content": row.response}
    assert (record["options"], record["context"]) == (["one", "two"], "A text.")
    assert record["votes"] == [{"answer": "2", "count": 2}, {"answer": "7", "count": 1}]
    assert (record["samples"], record["level"]) == (3, "Understand")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        pytest.param("half \ud83d pair", "half \ufffd pair", id="lone surrogate"),
        pytest.param("whole \ud83d\ude00 pair", "whole 😀 pair", id="surrogate pair"),
        pytest.param("漢字 \u0000 é", "漢字 \u0000 é", id="unicode and NUL"),
    ],
)
def test_any_text_of_a_model_can_be_stored(tmp_path: Path, text: str, stored: str) -> None:
    write_dataset([sample_row(0, question=text)], tmp_path)
    assert [r["instruction"] for r in read_records(dataset_shards(tmp_path))] == [stored]


@settings(max_examples=30)
@given(
    st.text(max_size=60),
    st.lists(st.text(max_size=9), max_size=3),
    st.floats(0, 1),
    st.none() | st.floats(0, 1),
)
def test_columns_hold_what_pyarrow_makes_of_the_rows_themselves(
    text: str, options: list[str], share: float, confidence: float | None
) -> None:
    row = sample_row(3, question=text, options=tuple(options))
    vote = row.vote.model_copy(update={"agreement_low": share, "confidence": confidence})
    written = [sample_row(1), row.model_copy(update={"vote": vote})]
    schema = arrow_schema()
    made = _table(written, schema)
    assert made.equals(pa.Table.from_pylist(list(map(row_record, written)), schema=schema))
    assert made.schema.equals(schema, check_metadata=True)


def test_a_dataset_is_written_without_pandas(tmp_path: Path) -> None:
    """Loading it would be most of the time and of the memory that writing takes."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_output_dataset import rows, Path; "
        "from ds2.output.dataset import write_dataset; write_dataset(rows(3), Path(sys.argv[1])); "
        "sys.exit('pandas' in sys.modules)"
    )
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", code, str(tmp_path), here], check=True)


def test_no_rows_write_no_parquet(tmp_path: Path) -> None:
    files = write_dataset([], tmp_path / "dataset")
    assert files.files == ()
    assert files.counts.rows == 0
    assert not (tmp_path / "dataset").exists()


def test_shards_of_an_earlier_write_go_when_the_new_ones_stand(tmp_path: Path) -> None:
    write_dataset(rows(5), tmp_path, shard_rows=1)
    (tmp_path / "data" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "data" / ".train-00009.tmp").write_text("of a killed write", encoding="utf-8")
    files = write_dataset(rows(5), tmp_path, shard_rows=3)
    assert files.files == (
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
    )
    assert sorted(bytes_of(tmp_path)) == ["notes.txt", *(Path(f).name for f in files.files)]
    assert write_dataset([], tmp_path).files == ()
    assert sorted(bytes_of(tmp_path)) == ["notes.txt"]


def test_a_write_that_breaks_off_leaves_the_earlier_dataset(tmp_path: Path) -> None:
    write_dataset(rows(3), tmp_path)
    before = bytes_of(tmp_path)

    def breaking() -> Iterator[Row]:
        yield from rows(1_500)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(breaking(), tmp_path, shard_rows=1_000)
    assert bytes_of(tmp_path) == before


def test_an_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="must be writable"):
        write_dataset(rows(1), tmp_path / "file")


def test_a_shard_needs_at_least_one_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        write_dataset(rows(1), tmp_path, shard_rows=0)


def test_an_incomplete_set_of_shards_is_refused(tmp_path: Path) -> None:
    write_dataset(rows(3), tmp_path, shard_rows=1)
    (tmp_path / "data" / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(OutputError, match="complete set"):
        dataset_shards(tmp_path)


def test_a_foreign_or_damaged_file_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"text": ["x"]}), path)
    with pytest.raises(OutputError, match="no column id"):
        list(read_records(dataset_shards(tmp_path)))
    path.write_bytes(b"PAR1 cut")
    with pytest.raises(OutputError, match="whole Parquet"):
        list(read_records(dataset_shards(tmp_path)))


def test_counts_are_those_of_the_rows(tmp_path: Path) -> None:
    counts = write_dataset(rows(7), tmp_path).counts
    assert dict(counts.by_level) == {
        "Remember": 2, "Understand": 1, "Apply": 1, "Analyze": 1, "Evaluate": 1, "Create": 1,
    }  # fmt: skip
    assert (counts.rows, counts.from_pairs, counts.draws, counts.unanimous) == (7, 3, 21, 0)
    assert counts.mean_agreement == pytest.approx(2 / 3)
    assert counts.first == sample_row(0)
    assert counts.answers is not None
    assert sum(n for _, n in counts.answers) == 7


def test_an_open_set_of_answers_is_not_counted(tmp_path: Path) -> None:
    assert write_dataset(rows(40), tmp_path).counts.answers is None
