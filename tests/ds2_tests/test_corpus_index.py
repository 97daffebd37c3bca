"""The index on disk: found again, grown, made anew; and the same answers however it came about."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from ds2.config import CorpusConfig
from ds2.corpus import corpus as corpus_module
from ds2.corpus.corpus import Corpus, cache_folder, open_corpus
from ds2.corpus.index import PassageIndex, searchable, write
from signatures.errors import CorpusError
from signatures.records import Passage

WORDS = [f"word{i}" for i in range(60)]


def texts(number: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 30))) for _ in range(number)]


def opened(path: Path, index: Path, **options: Any) -> Corpus:
    return open_corpus(CorpusConfig(path=str(path), index=str(index), **options))


def found(corpus: Corpus, query: str = "word1 word2 word3", k: int = 99) -> list[str]:
    return [passage.text for passage in corpus.index.search(query, k)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for i, text in enumerate(texts(20)):
        (tmp_path / "docs" / f"{i:02d}.txt").write_text(text)
    return tmp_path / "docs"


# Searching.


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> PassageIndex:
    made = ["Mitochondria in lace plants", "It's C++: std::sort, naïve", "植物细胞的死亡", "ｐＨ 7"]
    place = tmp_path_factory.mktemp("index")
    write(place, [Passage(id=f"p{i}", text=t, source=f"s{i}") for i, t in enumerate(made)])
    return PassageIndex(place)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("MITOCHONDRION lace-plant", ["p0"]),
        ("it's \"C++: std::", ["p1"]),
        ("naive AND (NOT OR", ["p1"]),
        ("细胞", ["p2"]),
        ("pH", ["p3"]),
        ("text:lace -plants ~ ^ * ? [ } \\ /", ["p0"]),
        ("", []),
        ("zzz", []),
        ("\x00\ud800", []),
    ],
)
def test_a_query_is_plain_text_in_any_script(
    query: str, expected: list[str], index: PassageIndex
) -> None:
    assert [passage.id for passage in index.search(query, 5)] == expected


def test_a_passage_comes_back_as_it_was_written_and_by_its_id(index: PassageIndex) -> None:
    assert index.search("naive", 1) == [index.get("p1")]
    assert index.get("p1") == Passage(id="p1", text="It's C++: std::sort, naïve", source="s1")
    assert index.get("p9") is None
    assert (len(index), copy.deepcopy(index) is index) == (4, True)
    assert index.search("naive", 0) == []


def test_pairs_of_characters_stand_for_words_where_there_are_no_spaces() -> None:
    assert searchable("a 细胞死亡 b 茶").split() == ["a", "细胞", "胞死", "死亡", "b", "茶"]


def test_ties_go_by_id_and_a_smaller_k_is_the_beginning_of_a_larger(tmp_path: Path) -> None:
    rng = random.Random(3)
    ids = [f"{rng.randrange(10**9):09d}" for _ in range(50)]
    write(tmp_path, [Passage(id=i, text=f"same words {n % 3}") for n, i in enumerate(ids)])
    ranked = [p.id for p in PassageIndex(tmp_path).search("same words", 50)]
    assert ranked == sorted(ids)
    for k in (1, 7, 49, 80):
        assert [p.id for p in PassageIndex(tmp_path).search("same words", k)] == ranked[:k]


def test_what_is_found_does_not_depend_on_how_the_index_was_written(tmp_path: Path) -> None:
    passages = [Passage(id=f"{i:04d}", text=text) for i, text in enumerate(texts(600))]
    write(tmp_path / "once", passages)
    shuffled = random.Random(1).sample(passages, len(passages))
    for start in range(0, 600, 200):
        write(tmp_path / "often", shuffled[start : start + 200])
    once, often = PassageIndex(tmp_path / "once"), PassageIndex(tmp_path / "often")
    assert often._searcher.num_segments > once._searcher.num_segments == 1
    for query in texts(60, seed=2):
        assert once.search(query, 9) == often.search(query, 9)


# The cache.


def test_an_index_is_made_once_and_found_again(folder: Path, tmp_path: Path) -> None:
    first, second = opened(folder, tmp_path / "c"), opened(folder, tmp_path / "c")
    assert (first.how, second.how) == ("made", "found")
    assert first.facts == second.facts
    assert first.facts == {"id": first.id, "passages": 20, "documents": 20, "files": 20}
    assert found(first) == found(second) != []
    shutil.move(folder, tmp_path / "moved")
    assert opened(tmp_path / "moved", tmp_path / "c").how == "found"


def test_added_files_are_added_and_what_is_found_is_as_if_made_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = opened(folder, tmp_path / "c")
    old = found(before)
    for i, text in enumerate(texts(10, seed=5)):
        (folder / f"a{i}.txt").write_text(text)
    read: list[str] = []
    real = corpus_module.documents
    monkeypatch.setattr(corpus_module, "documents", lambda f, c: read.append(f.name) or real(f, c))
    grown = opened(folder, tmp_path / "c")
    assert grown.how == "grown"
    assert read == [f"a{i}.txt" for i in range(10)]
    anew = opened(folder, tmp_path / "other")
    assert anew.how == "made"
    assert grown.facts == anew.facts
    for query in texts(30, seed=7):
        assert found(grown, query) == found(anew, query)
    # Who was reading the old one goes on with what it was.
    assert found(before) == old
    assert opened(folder, tmp_path / "c").how == "found"


@pytest.mark.parametrize("how", ["changed", "removed", "renamed"])
def test_a_file_that_changed_or_went_is_no_longer_found(
    how: str, folder: Path, tmp_path: Path
) -> None:
    before = opened(folder, tmp_path / "c")
    file = folder / "03.txt"
    text = file.read_text()
    if how == "changed":
        file.write_text("entirely other words")
    elif how == "removed":
        file.unlink()
    else:
        file.rename(folder / "new.txt")
    after = opened(folder, tmp_path / "c")
    assert after.how == "made"
    assert (text in found(after, text)) == (how == "renamed")
    # Where a passage lies is no part of what the corpus is.
    assert (after.id == before.id) == (how == "renamed")


def test_the_same_text_twice_is_one_passage(tmp_path: Path) -> None:
    rows = [{"text": "one text"}, {"text": "another"}, {"text": "one text"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = opened(tmp_path / "a.jsonl", tmp_path / "c")
    assert (corpus.passages, corpus.documents) == (2, 3)


def test_another_column_is_another_index(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one", "title": "two"}\n')
    assert found(opened(tmp_path / "a.jsonl", tmp_path / "c"), "one two") == ["one"]
    other = opened(tmp_path / "a.jsonl", tmp_path / "c", column="title")
    assert (other.how, found(other, "one two")) == ("made", ["two"])


def test_an_index_of_another_version_is_left_alone_and_a_new_one_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(folder, tmp_path / "c")
    monkeypatch.setattr(corpus_module, "CUT_VERSION", 99)
    second = opened(folder, tmp_path / "c")
    assert second.how == "made"
    assert second.id != first.id
    monkeypatch.undo()
    assert opened(folder, tmp_path / "c").how == "found"


@pytest.mark.parametrize("damage", ["facts", "segment", "meta"])
def test_a_damaged_index_is_made_anew(damage: str, folder: Path, tmp_path: Path) -> None:
    first = opened(folder, tmp_path / "c")
    place = next(path.parent for path in (tmp_path / "c").rglob("corpus.json"))
    target = {
        "facts": place / "corpus.json",
        "segment": next((place / "index").glob("*.store")),
        "meta": place / "index" / "meta.json",
    }[damage]
    target.unlink()
    again = opened(folder, tmp_path / "c")
    assert (again.how, again.facts) == ("made", first.facts)
    assert found(again) == found(first)


def test_a_build_that_is_broken_off_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus_module, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(folder, tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []
    left = tmp_path / "c" / ".building-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    monkeypatch.undo()
    assert opened(folder, tmp_path / "c").how == "made"
    assert not left.exists()


def test_two_that_index_at_once_end_with_one_index(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = corpus_module.write

    def overtaken(place: Path, passages: Any) -> None:
        real(place, passages)
        monkeypatch.setattr(corpus_module, "write", real)
        assert opened(folder, tmp_path / "c").how == "made"

    monkeypatch.setattr(corpus_module, "write", overtaken)
    assert found(opened(folder, tmp_path / "c")) != []
    assert len(list((tmp_path / "c").rglob("corpus.json"))) == 1


# What can be wrong.


def test_a_corpus_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n 123 ")
    with pytest.raises(CorpusError, match="its documents must hold text"):
        opened(tmp_path, tmp_path / "c")


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match=r"folder for indexes must be writable.*--corpus-index"):
        opened(folder, tmp_path / "file" / "c")


def test_without_tantivy_the_message_says_how_to_install_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tantivy", None)
    with pytest.raises(CorpusError, match=r"pip install 'ds2-instruct\[retrieval\]'"):
        opened(folder, tmp_path / "c")


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    monkeypatch.delenv("DS2_CACHE", raising=False)
    assert cache_folder() == tmp_path / "x" / "ds2" / "corpus"
    monkeypatch.setenv("DS2_CACHE", str(tmp_path / "d"))
    assert cache_folder() == tmp_path / "d" / "corpus"
    assert cache_folder("here") == Path("here")
    monkeypatch.delenv("DS2_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "ds2" / "corpus"
