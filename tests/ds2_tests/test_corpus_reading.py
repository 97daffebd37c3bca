"""Files, documents, passages: every format, every way a file can be bad."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.corpus import documents as documents_module
from ds2.corpus.documents import Document, documents
from ds2.corpus.files import corpus_files
from ds2.corpus.passages import OVERLAP, SIZE, WHOLE, passages
from signatures.errors import CorpusError


def read(path: Path, column: str | None = None) -> list[tuple[str, str]]:
    return [(d.source, d.text) for f in corpus_files(path)[0] for d in documents(f, column)]


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


# Formats.


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.JSONL", "a.jsonl.gz"])
def test_a_line_of_jsonl_is_a_document(name: str, tmp_path: Path) -> None:
    data = (
        lines({"id": 7, "text": "One."}, {"text": ["Two.", "Three."]})
        + b"\n"
        + lines({"text": " "})
    )
    assert read(put(tmp_path / name, data)) == [
        (f"{name}#7", "One."),
        (f"{name}:2", "Two.\n\nThree."),
    ]


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.markdown.gz"])
def test_a_text_file_is_a_document(name: str, tmp_path: Path) -> None:
    put(tmp_path / name, b"\xef\xbb\xbf# Title\n\nA text.\n")
    assert read(tmp_path / name) == [(name, "# Title\n\nA text.")]


def test_a_row_of_parquet_is_a_document(tmp_path: Path) -> None:
    columns = {"pmid": ["x", "y", "z"], "abstract": ["One.", None, "Three."], "n": [1, 2, 3]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [("a.parquet#x", "One."), ("a.parquet#z", "Three.")]


def test_a_folder_is_read_with_all_below_it_in_the_order_of_names(tmp_path: Path) -> None:
    put(tmp_path / "b.txt", b"B")
    put(tmp_path / "a/c.md", b"C")
    put(tmp_path / "a/x.pdf", b"%PDF")
    put(tmp_path / ".hidden/d.txt", b"D")
    put(tmp_path / ".e.txt", b"E")
    assert read(tmp_path) == [("a/c.md", "C"), ("b.txt", "B")]
    assert corpus_files(tmp_path)[1] == 1


@pytest.mark.parametrize(
    ("row", "column", "text"),
    [
        ({"abstract": "a", "content": "c", "text": "t"}, None, "t"),
        ({"abstract": "a", "content": "c"}, None, "c"),
        ({"abstract": "a", "body": "b"}, None, "a"),
        ({"text": "t", "body": "b"}, "body", "b"),
    ],
)
def test_the_column_is_guessed_or_named(
    row: dict[str, str], column: str | None, text: str, tmp_path: Path
) -> None:
    assert read(put(tmp_path / "a.jsonl", lines(row)), column) == [("a.jsonl:1", text)]


def test_a_text_without_an_end_is_taken_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents_module, "PIECE", 10)
    found = read(put(tmp_path / "a.txt", b"one two three\nfour\n\nfive\n"))
    assert found == [("a.txt#1", "one two three\nfour\n"), ("a.txt#2", "five")]


# What is wrong with a file.


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", lines({"text": "a"}) + b'{"text": ', r"a\.jsonl:2.*be a JSON object"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1.*be a JSON object"),
        ("a.jsonl", b"[" * 100_000, r"a\.jsonl:1.*be a JSON object"),
        ("a.jsonl", lines({"title": "a", "body": "b"}), r"text, content, abstract.*title, body"),
        ("a.jsonl", lines({"text": {"a": 1}}), r"column 'text' must hold text"),
        ("a.jsonl", lines({"text": 3}), r"column 'text' must hold text"),
        ("a.txt", b"caf\xe9 au lait", r"'a\.txt': byte 3 \(line 1\) must be UTF-8.*xe9"),
        ("a.txt", b"one\ntwo \xff", r"byte 8 \(line 2\) must be UTF-8"),
        ("a.parquet", b"PAR1 nonsense", r"a\.parquet.*be readable and whole"),
        ("a.pdf", b"%PDF", r"hold one that ends in \.jsonl"),
        ("a.parquet.gz", b"PAR1", r"hold one that ends in"),
    ],
    ids=[
        "torn", "no object", "deep", "no column", "object", "number", "latin1", "second line",
        "no parquet", "unknown", "packed parquet",
    ],
)  # fmt: skip
def test_a_bad_file_is_named_with_its_rule(
    name: str, data: bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=said) as caught:
        read(put(tmp_path / name, data))
    assert caught.value.exit_code == 2


def test_a_packed_file_that_is_cut_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"text " * 999)[:-20])
    with pytest.raises(CorpusError, match=r"a\.txt\.gz.*be readable and whole"):
        read(tmp_path)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", lines({"text": "a", "title": "b"}))
    with pytest.raises(CorpusError, match=r"--corpus-column must be.*got 'body'.*text, title"):
        read(tmp_path, "body")
    pq.write_table(pa.table({"title": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(CorpusError, match="columns are: title"):
        read(tmp_path / "b.parquet")


def test_a_path_that_is_not_there_and_a_folder_without_documents(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="--corpus must be a file or a folder that exists"):
        corpus_files(tmp_path / "nope")
    with pytest.raises(CorpusError, match="be readable and whole"):
        corpus_files(tmp_path / ("x" * 300))
    with pytest.raises(CorpusError, match="hold one that ends in"):
        corpus_files(tmp_path)


# Passages.


def cut(text: str) -> list[str]:
    return [passage.text for passage in passages(Document("d", text))]


def test_a_document_that_is_short_enough_is_one_passage() -> None:
    text = "A sentence. " * (WHOLE // 12)
    assert cut(f"  {text}\n") == [text.strip()]
    assert cut("12 34") == cut("") == []


def test_a_longer_one_is_cut_where_paragraphs_end_and_repeats_the_last_sentences() -> None:
    paragraphs = [f"Paragraph {i} begins. {'It goes on. ' * 40}It ends {i}." for i in range(9)]
    found = cut("\n\n".join(paragraphs))
    assert len(found) > 2
    assert all(len(text) <= SIZE and text.endswith(".") for text in found)
    assert all(any(p in text for text in found) for p in paragraphs)
    for before, after in pairwise(found):
        repeated = after.partition("\n\n")[0]
        assert 0 < len(repeated) <= OVERLAP
        assert before.endswith(repeated)


texts = st.lists(
    st.text(st.sampled_from("ab .!?\n。"), max_size=400)
    | st.integers(1, 4000).map(lambda n: "x" * n)
    | st.integers(1, 300).map(lambda n: "Word by word. " * n)
    | st.just("\n\n"),
    max_size=12,
).map("".join)


@given(texts)
def test_no_passage_is_too_long_and_no_word_is_lost(text: str) -> None:
    found = cut(text)
    longest = WHOLE if len(text.strip()) <= WHOLE else SIZE
    assert all(0 < len(passage) <= longest for passage in found)
    kept = "".join("".join(found).split())
    for word in text.split():
        if len(word) < SIZE and word.isascii() and any(c.isalpha() for c in word):
            assert word in kept
    ids = [passage.id for passage in passages(Document("other", text))]
    assert ids == [passage.id for passage in passages(Document("d", text))]
