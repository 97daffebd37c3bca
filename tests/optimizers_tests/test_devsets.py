"""Dev sets: what is read, how they are split, and what is refused in which words."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.devsets import (
    DevRow,
    DevSet,
    leaks,
    left_out,
    load_devset,
    parse_columns,
    refuse_overlap,
    split_devset,
)
from optimizers.labels import ListLabel, QuestionLabel
from optimizers.similarity import NearIndex, clusters, folded, groups
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError
from signatures.task import load_task

GSM8K, MEDQA, PUBMEDQA = load_task("gsm8k"), load_task("medqa"), load_task("pubmedqa")
SHARED = Path(
    os.environ.get("DS2_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)


def jsonl(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_answers_are_read_in_the_format_of_the_task(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "d.jsonl", {"question": "2 + 2?", "answer": "2 + 2 = 4\n#### 4"})
    found = load_devset(file, GSM8K)
    assert (found.rows[0].key, found.labelled, found.labelled_by) == ("4", True, "")


def test_columns_can_be_called_otherwise_and_a_parquet_file_is_read(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"prompt": "2 + 2?", "label": 4, "level": "apply"}])
    pq.write_table(table, tmp_path / "d.parquet")
    columns = parse_columns("question=prompt, answer=label")
    for source in (tmp_path / "d.parquet", tmp_path):
        row = load_devset(str(source), GSM8K, columns=columns).rows[0]
        assert (row.question, row.key, row.level) == ("2 + 2?", "4", BloomLevel.APPLY)


def test_a_folder_that_datasets_saved_is_read(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_list([{"question": "2 + 2?", "answer": "4"}]).save_to_disk(tmp_path / "saved")
    assert load_devset(str(tmp_path / "saved"), GSM8K).rows[0].key == "4"


@pytest.mark.parametrize(
    "options", [["a", "b", "c", "d"], {"A": "a", "B": "b", "C": "c", "D": "d"},
                {"label": ["A", "B", "C", "D"], "text": ["a", "b", "c", "d"]},
                {"label": ["B", "D", "C", "A"], "text": ["b", "d", "c", "a"]},
                {"text": ["a", "b", "c", "d"]}],
    ids=["list", "letters", "label and text", "other order", "text"],
)  # fmt: skip
def test_options_are_read_from_each_usual_shape(tmp_path: Path, options: Any) -> None:
    file = jsonl(tmp_path / "d.jsonl", {"question": "Which?", "options": options, "answer": "B"})
    row = load_devset(file, MEDQA).rows[0]
    assert (row.options, row.answer) == (("a", "b", "c", "d"), "B")
    assert row.key is not None


def test_a_letter_that_only_other_rows_have_is_no_option(tmp_path: Path) -> None:
    rows = [
        {"question": "Which one?", "options": {"A": "a", "B": "b"}, "answer": "B"},
        {
            "question": "And which of three?",
            "options": {"A": "a", "B": "b", "C": "c"},
            "answer": "C",
        },
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    found = load_devset(str(tmp_path / "d.parquet"), MEDQA).rows
    assert [row.options for row in found] == [("a", "b"), ("a", "b", "c")]


@pytest.mark.parametrize(
    "options", [None, [], "A) a B) b", ["a"], ["a", ""], ["a", None], {"A": "a"}]
)
def test_a_choice_without_options_is_refused(tmp_path: Path, options: Any) -> None:
    file = jsonl(tmp_path / "d.jsonl", {"question": "Which?", "options": options, "answer": "A"})
    with pytest.raises(ConfigError, match=r"two options at least in each row, .*d.jsonl, line 1"):
        load_devset(file, MEDQA)


def test_a_number_can_be_a_question_and_nothing_is_no_keyword(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "d.jsonl", {"question": 0, "answer": 0, "keywords": ["sums", None]})
    (row,) = load_devset(file, GSM8K).rows
    assert (row.question, row.key, row.keywords) == ("0", "0", ("sums",))


def test_a_set_without_answers_is_unlabelled(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "d.jsonl", {"question": "2 + 2?"})
    assert not load_devset(file, GSM8K).labelled


def test_a_self_labelled_set_says_so(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "d.jsonl", {"question": "2?", "answer": "2", "labelled_by": "a vote"})
    assert load_devset(file, GSM8K).labelled_by == "a vote"


GOOD = {"question": "2 + 2?", "answer": "4"}


@pytest.mark.parametrize(
    ("task", "rows", "said"),
    [
        (GSM8K, [], "must hold at least one row"),
        (GSM8K, [{"prompt": "2?"}], r"have the columns question \(got \['prompt'\]\)"),
        (
            GSM8K,
            [GOOD, {"question": "", "answer": "4"}],
            r"a question in each row, as text \(d.jsonl, line 2",
        ),
        (GSM8K, [GOOD, {"question": "3?"}], r"an answer in each row \(d.jsonl, line 2\)"),
        (GSM8K, [GOOD, {"question": "3?", "answer": "many"}], "d.jsonl, line 2: 'many'"),
        (GSM8K, [{**GOOD, "level": "Guess"}], "name Bloom's levels only"),
        (PUBMEDQA, [{"question": "Does it?", "answer": "yes"}], "have the columns context"),
        (MEDQA, [{"question": "Which?", "answer": "A"}], "have the columns options"),
        (
            GSM8K,
            [{"question": [{"role": "user"}], "answer": "4"}],
            "a question in each row, as text",
        ),
        (
            PUBMEDQA,
            [{"question": "Does it?", "context": {"texts": ["It does."]}, "answer": "yes"}],
            "a context in each row, as text",
        ),
        (
            PUBMEDQA,
            [{"question": "Does it?", "context": None, "answer": "yes"}],
            "a context in each row, as text",
        ),
    ],
    ids=[
        "empty",
        "column",
        "question",
        "answer",
        "unreadable",
        "level",
        "context",
        "options",
        "chat",
        "mapping",
        "no context",
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, task: Any, rows: list[Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_devset(jsonl(tmp_path / "d.jsonl", *rows), task)


CHECK = {
    "question": "2 + 2?",
    "keywords": ["sums"],
    "keywords_used": "all",
    "self_contained": "yes",
}
LISTED = {
    "wanted": "core keywords of the field", "keywords": ["sums", "bees", "maths"],
    "off_task": ["bees"], "wrong_direction": [], "wrong_grain": ["Maths"],
}  # fmt: skip


def test_verdicts_on_questions_and_on_lists_are_read(tmp_path: Path) -> None:
    checked = load_devset(jsonl(tmp_path / "c.jsonl", {**CHECK, "self_contained": True}), GSM8K)
    assert (checked.checked, checked.listed, checked.labelled) == (True, False, False)
    assert checked.rows[0].check == ("all", "yes")
    listed = load_devset(jsonl(tmp_path / "l.jsonl", LISTED), MEDQA)  # no options are wanted here
    assert (listed.checked, listed.listed) == (False, True)
    assert listed.rows[0].keywords == ("sums", "bees", "maths")
    assert listed.rows[0].faults == ("core keywords of the field", ("", "off_task", "wrong_grain"))
    text = {**LISTED, "keywords": "sums; bees\nmaths", "off_task": "bees", "wrong_grain": "maths"}
    again = load_devset(jsonl(tmp_path / "t.jsonl", text), GSM8K)
    assert again.rows[0].faults == listed.rows[0].faults
    assert again.id == listed.id


def test_lists_are_split_by_what_stands_in_them(tmp_path: Path) -> None:
    names = [f"the {a} of {b} and {a}{b}" for a in NAMES for b in NAMES[:6]]
    rows = [{**LISTED, "keywords": [name, "bees", "maths"]} for name in names]
    found = load_devset(jsonl(tmp_path / "l.jsonl", *rows), GSM8K)
    assert all(len(side) > 5 for side in split_devset(found.rows))


@pytest.mark.parametrize("column", ["keywords", "check", "faults"])
def test_the_hash_of_a_set_is_of_all_that_is_in_it(column: str) -> None:
    one = DevRow("2 + 2?", keywords=("sums",))
    changes = {"keywords": ("pairs",), "check": QuestionLabel("all", "no"),
               "faults": ListLabel("core", ("",))}  # fmt: skip
    other = replace(one, **{column: changes[column]})
    ids = [DevSet("d", (row,), labelled=False).id for row in (one, other)]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {**CHECK, "keywords_used": "most"},
            r"all, some or none as `keywords_used` \(d.jsonl, line 2",
        ),
        (
            {**CHECK, "self_contained": "maybe"},
            r"yes or no as `self_contained` \(d.jsonl, line 2\)",
        ),
        ({**CHECK, "self_contained": None}, r"`self_contained` in each row \(d.jsonl, line 2\)"),
        ({**CHECK, "keywords": []}, r"have `keywords`, .* in each row \(d.jsonl, line 2\)"),
        ({**CHECK, "keywords": {"a": 1}}, r"a list as `keywords` \(d.jsonl, line 2\)"),
        ({"question": "3?"}, r"`self_contained` in each row \(d.jsonl, line 2\)"),
    ],
    ids=["used", "own", "no verdict", "no keywords", "no list", "nothing"],
)
def test_a_verdict_on_a_question_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_devset(jsonl(tmp_path / "d.jsonl", CHECK, row), GSM8K)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**LISTED, "off_task": ["wasps"]}, r"`off_task` keywords of that row.*d.jsonl, line 2"),
        ({**LISTED, "wrong_direction": ["bees"]}, r"each under one fault \(d.jsonl, line 2\)"),
        ({**LISTED, "off_task": 3}, r"a list as `off_task` \(d.jsonl, line 2\)"),
        (
            {**LISTED, "wanted": " "},
            r"have `wanted` and `keywords` in each row \(d.jsonl, line 2\)",
        ),
        ({**LISTED, "keywords": []}, r"have `wanted` and `keywords` in each row"),
    ],
    ids=["not in the list", "two faults", "no list", "not asked for", "empty"],
)
def test_a_list_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_devset(jsonl(tmp_path / "d.jsonl", LISTED, row), GSM8K)


def test_lists_need_all_columns_of_a_verdict(tmp_path: Path) -> None:
    short = {name: value for name, value in LISTED.items() if name != "wrong_grain"}
    with pytest.raises(ConfigError, match=r"have the columns wrong_grain"):
        load_devset(jsonl(tmp_path / "d.jsonl", short), GSM8K)
    columns = parse_columns("keywords=words,wrong_grain=coarse")
    named = {**short, "words": LISTED["keywords"], "coarse": ["maths"]}
    assert load_devset(jsonl(tmp_path / "e.jsonl", named), GSM8K, columns=columns).listed


def test_of_many_unreadable_answers_the_first_are_shown_and_the_rest_counted(
    tmp_path: Path,
) -> None:
    rows = [{"question": f"{i}?", "answer": "many"} for i in range(22)]
    with pytest.raises(ConfigError, match=r"line 6: 'many'; and 16 more.\).*Mend the 22 rows"):
        load_devset(jsonl(tmp_path / "d.jsonl", *rows), GSM8K)


def test_a_few_unreadable_answers_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [{"question": f"{i} + {i}?", "answer": str(2 * i)} for i in range(19)]
    file = jsonl(tmp_path / "d.jsonl", *rows, {"question": "?", "answer": "many"})
    found = load_devset(file, GSM8K)
    assert (len(found.rows), found.unreadable) == (19, ("d.jsonl, line 20: 'many'",))
    assert found.labelled


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.jsonl", None, "nothing there"),
        ("d.csv", "question\n", "end in .jsonl or .parquet"),
        ("d.jsonl", "{oops\n", r"a JSON object in each line \(d.jsonl, line 1\)"),
        (
            "d.jsonl",
            '{"question": "\\ud83d 2?"}\n',
            r"no half of a pair \(d.jsonl, line 1\) \(got 'U\+D83D'",
        ),
        ("d.jsonl", "[" * 99_999, r"a JSON object in each line \(d.jsonl, line 1\)"),
        ("d.parquet", "no parquet", "be readable Parquet"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_devset(str(path), GSM8K)


def test_no_name_is_not_the_folder_one_stands_in() -> None:
    with pytest.raises(ConfigError, match="be named"):
        load_devset("", GSM8K)


@pytest.mark.parametrize("text", ["question", "question=", "size=x"])
def test_a_column_map_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="be pairs OURS=THEIRS"):
        parse_columns(text)


NAMES = ("Ana", "Ben", "Cem", "Dora", "Eli", "Fay", "Gus", "Hal", "Ida", "Jon")


def rows(*questions: str) -> list[DevRow]:
    return [DevRow(question, where=str(i)) for i, question in enumerate(questions)]


def test_the_side_of_a_question_does_not_depend_on_the_others() -> None:
    questions = [
        f"How {word} is the {name} road to {name}ville?"
        for word in ("long", "far")
        for name in NAMES
    ]
    whole, part = split_devset(rows(*questions)), split_devset(rows(*questions[::2]))
    for side_whole, side_part in zip(whole, part, strict=True):
        assert {r.question for r in side_part} <= {r.question for r in side_whole}


def test_questions_that_differ_in_figures_stay_on_one_side() -> None:
    alike = [f"A pen costs {i} dollars. What do {i + 3} pens cost in the shop?" for i in range(30)]
    split = split_devset(rows(*alike))
    assert sorted(map(len, split)) == [0, 0, 30]
    assert leaks(split) == ()


def test_a_leak_between_sides_is_seen() -> None:
    split = split_devset(rows("What is the price of a pen in this shop?"))
    row = next(row for side in split for row in side)
    assert leaks(split._replace(train=(row,), test=(row,))) == ("train: 0", "test: 0")


def test_overlap_with_a_benchmark_is_refused_and_named(tmp_path: Path) -> None:
    dev = jsonl(
        tmp_path / "d.jsonl", GOOD, {"question": "Anna has 3 red pens left.", "answer": "3"}
    )
    bench = jsonl(tmp_path / "b.jsonl", {"question": "anna has 17 red pens left"})
    with pytest.raises(ConfigError, match=r"1 of 2: d\.jsonl, line 2"):
        refuse_overlap(load_devset(dev, GSM8K), bench)
    other = jsonl(tmp_path / "c.jsonl", {"question": "Who was the first to sail around the cape?"})
    refuse_overlap(load_devset(dev, GSM8K), other)


def test_case_punctuation_and_figures_are_folded() -> None:
    assert folded("A pen costs $3.50!") == folded("a PEN costs 1,200") == "a pen costs #"
    assert NearIndex(["two words"]).near("Two words.") == [0]
    assert NearIndex([]).near("anything") == []
    assert NearIndex(["", "x"]).near("") == [0]


def test_of_many_texts_those_alone_that_fold_alike_are_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [
        f"Ada has {n} pens and gives away 3 of them to Bo{end}" for n in (1, 2) for end in "?!"
    ]
    texts.append("Ada has 1 pens and gives away 3 of them to Bo today")
    assert groups(texts) == [0] * 5
    monkeypatch.setattr("optimizers.similarity.MOST", 4)
    assert groups(texts) == [0, 0, 0, 0, 4]


@given(st.lists(st.text(alphabet="abc 12", max_size=24), max_size=12))
def test_clusters_are_the_same_in_any_order(texts: list[str]) -> None:
    def joined(order: list[int]) -> set[frozenset[int]]:
        found: dict[int, set[int]] = {}
        for place, leader in zip(order, clusters([texts[i] for i in order]), strict=True):
            found.setdefault(leader, set()).add(place)
        return {frozenset(group) for group in found.values()}

    order = list(range(len(texts)))
    assert joined(order) == joined(order[::-1])


@pytest.mark.skipif(not (SHARED / "gsm8k").is_dir(), reason="needs the shared data")
@pytest.mark.parametrize(
    ("task", "file", "count"),
    [(GSM8K, "gsm8k/dev.jsonl", 200), (PUBMEDQA, "pubmedqa/dev.jsonl", 100)],
    ids=["gsm8k", "pubmedqa"],
)
def test_real_dev_sets_are_read_and_split(task: Any, file: str, count: int) -> None:
    found = load_devset(str(SHARED / file), task)
    assert (len(found.rows), found.labelled, found.unreadable) == (count, True, ())
    split = split_devset(found.rows)
    assert leaks(split) == ()
    assert all(len(side) > 0.15 * count for side in split)
    if task is GSM8K:
        refuse_overlap(found, str(SHARED / "gsm8k/test.jsonl"))


def test_a_row_that_repeats_another_is_left_out_and_named(tmp_path: Path) -> None:
    rows = [{"question": "2 + 2?", "answer": "4"}, {"question": "3 + 3?", "answer": "6"}]
    found = load_devset(jsonl(tmp_path / "d.jsonl", *rows, *rows[:1], rows[0]), GSM8K)
    assert (len(found.rows), found.repeated) == (2, ("d.jsonl, line 3", "d.jsonl, line 4"))
    (told,) = left_out(found)
    assert told == "2 dev rows were left out, repeats of others: d.jsonl, line 3; d.jsonl, line 4."


def test_the_same_question_for_other_keywords_is_no_repeat(tmp_path: Path) -> None:
    rows = [{"question": "2 + 2?", "answer": "4", "keywords": [word]} for word in ("sum", "four")]
    found = load_devset(jsonl(tmp_path / "d.jsonl", *rows), GSM8K)
    assert (len(found.rows), found.repeated) == (2, ())
    assert sorted(split_devset(found.rows).different) == [0, 0, 1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"answer": "4"}, {"answer": "5"}),
        ({"level": "apply"}, {"level": "create"}),
        (
            {"first": "4", "second": "four", "same": "yes"},
            {"first": "4", "second": "four", "same": "no"},
        ),
        (
            {"keywords": ["sum"], "keywords_used": "all", "self_contained": "yes"},
            {"keywords": ["sum"], "keywords_used": "none", "self_contained": "yes"},
        ),
    ],
    ids=["answer", "level", "same", "verdicts"],
)
def test_rows_that_contradict_each_other_are_refused_and_named(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    rows = [{"question": "2 + 2?", **labels} for labels in (first, second)]
    with pytest.raises(ConfigError, match=r"one thing.*d.jsonl, line 2 against d.jsonl, line 1"):
        load_devset(jsonl(tmp_path / "d.jsonl", *rows), GSM8K)


@pytest.mark.parametrize("answer", [[1], [], {"A": 1}])
def test_a_list_is_no_answer(tmp_path: Path, answer: Any) -> None:
    file = jsonl(tmp_path / "d.jsonl", {"question": "2 + 2?", "answer": answer})
    with pytest.raises(ConfigError, match=r"have one answer in each row .d.jsonl, line 1"):
        load_devset(file, GSM8K)
