"""Decontamination: every planted copy of a benchmark is found, and what is not one passes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import choices, defects, needs_data

from ds2.screen.benchmark import BenchmarkItem, BenchmarkScreen
from ds2.screen.grams import covered, longest_run, ngrams

asked = defects.asked
LONG = (
    "A farmer keeps 12 hens and 5 geese behind an old mill near the river. Each hen lays 6 eggs in a "
    "week and each goose lays 2 eggs. He sells all of them at 3 dollars for a dozen. How much does he earn?"
)
SMALL = "Which planet is nearest to the sun?"


def screen(*questions: str, options: tuple[str, ...] = (), answer: str = "") -> BenchmarkScreen:
    return BenchmarkScreen(
        BenchmarkItem("test", i, f"id{i}", q, options, answer) for i, q in enumerate(questions, 1)
    )


def test_nothing_to_avoid_hits_nothing() -> None:
    assert BenchmarkScreen([]).match(asked(LONG)) is None
    assert screen(LONG).match(asked("?")) is None
    assert screen(LONG).match(asked("Why?")) is None


@pytest.mark.parametrize("name", defects.COPIES)
def test_every_copy_of_a_question_is_found(name: str) -> None:
    rng = random.Random(name)
    hosts = [h.question for h in defects.written("gsm8k", 20, seed=1)]
    questions = [q.question for q in defects.written("cfa", 12) + defects.written("math", 12)]
    index = screen(*questions)
    for row, question in enumerate(questions, 1):
        hit = index.match(asked(defects.COPIES[name](question, rng, rng.choice(hosts))))
        assert hit is not None, question
        if name == "verbatim":
            assert (hit.item.row, hit.rule, hit.span) == (row, "13-gram", question.rstrip(" .?)$"))


@needs_data
@pytest.mark.parametrize("name", defects.COPIES)
def test_every_planted_copy_of_gsm8k_is_found(name: str, gsm8k: BenchmarkScreen) -> None:
    """A sample; `benchmarks/screens.py` plants all 1,319 questions in each way."""
    rng = random.Random(name)
    hosts = [h.question for h in defects.written("cfa", 20, seed=1)]
    rows = defects.shared("gsm8k/test.jsonl")[::40]
    missed = [
        row["question"]
        for row in rows
        if gsm8k.match(asked(defects.COPIES[name](row["question"], rng, rng.choice(hosts)))) is None
    ]
    assert not missed


@pytest.fixture(scope="module")
def gsm8k() -> BenchmarkScreen:
    rows = defects.shared("gsm8k/test.jsonl")
    return screen(*(row["question"] for row in rows))


@needs_data
def test_of_200_training_questions_one_is_hit_and_it_is_a_template_of_the_test(
    gsm8k: BenchmarkScreen,
) -> None:
    hits = [gsm8k.match(asked(r["question"])) for r in defects.shared("gsm8k/dev.jsonl")]
    found = [hit for hit in hits if hit is not None]
    assert [hit.span[:34] for hit in found] == ["bought stamps at the post office. S"[:34]]


@needs_data
def test_questions_of_other_sources_are_not_hit(gsm8k: BenchmarkScreen) -> None:
    others = [asked(r["question"], r["context"]) for r in defects.shared("pubmedqa/dev.jsonl")]
    others += defects.written("gsm8k", 200)
    assert [gsm8k.match(other) for other in others] == [None] * len(others)


def test_a_hit_keeps_the_span_and_the_row() -> None:
    index = screen("Something else entirely that nobody would ever ask of anyone.", LONG)
    hit = index.match(asked(f"Read this with care. {LONG} Write two sentences."))
    assert hit is not None
    assert (hit.item.row, hit.item.id, hit.coverage) == (2, "id2", 1.0)
    assert hit.span == LONG.rstrip("?")


def test_other_numbers_are_told() -> None:
    short = "If 3 cats eat 4 fish, how many do 9 cats eat?"
    hit = screen(short).match(asked("If 7 cats eat 5 fish, how many do 2 cats eat?"))
    assert hit is not None
    assert hit.rule.endswith("numbers masked")


def test_a_short_question_is_found_where_it_stands_whole_and_no_sooner() -> None:
    index = screen(SMALL)
    assert index.match(asked(f"Look up tonight. {SMALL} Explain.")) is not None
    assert (
        index.match(asked("Which planet is the largest of all, and which is nearest to us?"))
        is None
    )


def test_a_stock_phrase_with_options_is_nobodys_question() -> None:
    phrase = "Which of the following is true?"
    index = screen(phrase, options=("the sun is cold", "the moon is a star", "ice is water"))
    assert index.match(asked(phrase, options=("a cat barks", "dogs can fly", "fish swim"))) is None
    same = asked(phrase, options=("ice is water", "the moon is a star", "the sun is cold"))
    assert index.match(same) is not None


@pytest.fixture(scope="module")
def quiz() -> BenchmarkScreen:
    return BenchmarkScreen(
        BenchmarkItem("quiz", i, "", *choice) for i, choice in enumerate(choices.CHOICES, 1)
    )


@pytest.mark.parametrize("name", [*choices.COPIES_OF_CHOICES, *choices.COPIES_OF_TOLD])
def test_every_copy_of_a_short_question_with_options_is_found(
    name: str, quiz: BenchmarkScreen
) -> None:
    whole = name in choices.COPIES_OF_CHOICES
    copy = choices.COPIES_OF_CHOICES[name] if whole else choices.COPIES_OF_TOLD[name]
    rng = random.Random(name)
    for row, choice in enumerate(choices.CHOICES if whole else choices.TOLD, 1):
        copied = copy(choice, rng)
        hit = quiz.match(asked(copied.question, options=copied.options))
        assert hit is not None, choice
        assert hit.item.row == row
        assert hit.span in asked(copied.question, options=copied.options).text


def test_what_any_examination_asks_with_other_options_is_no_copy(quiz: BenchmarkScreen) -> None:
    hits = [quiz.match(asked(c.question, options=c.options)) for c in choices.OTHERS]
    assert hits == [None] * len(hits)


def test_a_question_that_a_benchmark_asks_twice_is_told_by_its_options_alone() -> None:
    question = "Which enzyme unwinds the DNA double helix?"
    twice = BenchmarkScreen(
        BenchmarkItem("b", i, "", question, options)
        for i, options in enumerate((("one", "two"), ("three", "four")), 1)
    )
    assert twice.match(asked(question, options=("five", "six"))) is None
    assert twice.match(asked(question, options=("four", "three"))) is not None


def test_letters_before_the_options_of_a_benchmark_and_other_numbers_are_no_difference() -> None:
    index = screen("How many legs do 7 spiders have?", options=("A) 48", "B) 56", "C) 64"))
    same = index.match(asked("How many legs do 7 spiders have?", options=("56", "48", "64")))
    other = index.match(asked("How many legs do 9 spiders have?", options=("72", "48", "64")))
    masked = index.match(asked("How many legs do 9 spiders have?", options=("72", "80", "90")))
    assert [hit and hit.rule for hit in (same, masked)] == [
        "question and options",
        "question, numbers masked",
    ]
    assert other is not None


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: "\u200b".join(text),
        lambda text: text.replace("e", "e\u00ad"),
        lambda text: text.replace("a", "\N{CYRILLIC SMALL LETTER A}"),
        lambda text: text.replace("o", "\N{GREEK SMALL LETTER OMICRON}"),
    ],
    ids=["zero width", "soft hyphen", "Cyrillic", "Greek"],
)
def test_letters_that_do_not_show_or_look_alike_are_no_disguise(disguise: Any) -> None:
    hit = screen(LONG).match(asked(f"Read this. {disguise(LONG)}"))
    assert hit is not None
    assert hit.rule == "13-gram"
    assert len(hit.span) > 40
    assert hit.span in disguise(LONG)


def test_boilerplate_of_eight_words_is_no_hit() -> None:
    index = screen(LONG)
    shared = "How many of them are there in the old mill near the river when the week is over, if 5 leave?"
    assert index.match(asked(shared)) is None


def test_a_long_answer_is_avoided_too_and_too_short_questions_are_counted() -> None:
    solution = (
        "He has 12 hens with 6 eggs each, so 72 eggs, and then the geese lay ten more of them."
    )
    index = screen("Why?", answer=solution)
    assert index.too_short == 1
    assert len(index) == 1
    assert index.match(asked(f"Explain this: {solution}")) is not None
    assert index.match(asked("He has 12 hens with 6 eggs each, so 72 eggs. How many hens?")) is None


def test_scripts_without_spaces_are_compared_sign_by_sign() -> None:
    question = "商人が十二個の林檎を持っています。半分を売ると何個残りますか。"
    assert screen(question).match(asked(f"次の問題を解け。{question}")) is not None
    assert screen(question).match(asked("東京から大阪までの距離は何キロですか。")) is None


HASHES = st.lists(st.integers(0, 6), max_size=25).map(lambda x: np.array(x, np.uint64))


@given(HASHES, HASHES, st.integers(1, 6))
def test_grams_are_shared_exactly_where_the_words_are(
    left: np.ndarray, right: np.ndarray, size: int
) -> None:
    def runs(text: np.ndarray) -> list[tuple[int, ...]]:
        return [tuple(text[i : i + size].tolist()) for i in range(len(text) - size + 1)]

    assert len(ngrams(left, size)) == len(runs(left))
    known = set(runs(right))
    marks = [
        any(
            i - j >= 0 and i - j < len(runs(left)) and runs(left)[i - j] in known
            for j in range(size)
        )
        for i in range(len(left))
    ]
    assert covered(left, right, size).tolist() == marks


@given(HASHES, HASHES)
def test_the_longest_run_is_shared_and_none_is_longer(left: np.ndarray, right: np.ndarray) -> None:
    start, length = longest_run(left, right)
    assert not np.isin(ngrams(left, length + 1), ngrams(right, length + 1)).any()
    if length:
        run = ngrams(left[start : start + length], length)
        assert np.isin(run, ngrams(right, length)).all()
