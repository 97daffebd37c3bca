"""Normal forms, numbers and words: what the screens see of a text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.screen.text import (
    figures,
    jaccard,
    mask_word,
    masked,
    normal_form,
    shingles,
    words,
)

SETS = st.frozensets(st.text(max_size=3), max_size=8)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("What is  6 x 7?", "what is 6 X 7"),
        ("Ｗhat　is １２?", "What is 12!"),
        ("snake_case", "snake case"),
        ("", "?!..."),
    ],
)
def test_spellings_of_one_text_share_their_normal_form(left: str, right: str) -> None:
    assert normal_form(left) == normal_form(right)


@given(st.text())
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    # Case folding may open a new composition once (final sigma, dotted i); then it is settled.
    once = normal_form(normal_form(text))
    assert normal_form(once) == once


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("no number at all", ()),
        ("3 pens, three pens, 1,250 pens", ("3", "3", "1250")),
        ("x^2 - 3x + 2 = 0", ("^", "2", "-", "3", "+", "2", "=", "0")),
        ("a well-known 3-day trip", ("3",)),
        ("NaCl and H2O and NOT Salt", ("NaCl", "H2O")),
        ("someone has one stone", ("1",)),
        ("٣ ١٢", ("٣", "١٢")),
    ],
)
def test_figures_are_numbers_signs_and_symbols_in_order(text: str, found: tuple[str, ...]) -> None:
    assert figures(text) == found


def test_masking_hides_numbers_in_figures_and_letters_alone() -> None:
    assert masked("she has 12 pens and twelve someone 1,250.5") == (
        "she has 0 pens and 0 someone 0"
    )
    assert [mask_word(word) for word in ("12", "twelve", "well")] == ["0", "0", "well"]


@given(st.text(max_size=60))
def test_every_word_stands_where_it_says(text: str) -> None:
    for word in words(text):
        assert 0 <= word.start < word.end <= len(text)
    found = words(text)
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_a_sign_of_a_script_without_spaces_is_a_word() -> None:
    assert [w.text for w in words("東京 3 stations")] == ["東", "京", "3", "stations"]


@given(SETS, SETS)
def test_similarity_is_symmetric_reflexive_and_from_0_to_1(
    left: frozenset[str], right: frozenset[str]
) -> None:
    assert jaccard(left, right) == jaccard(right, left)
    assert jaccard(left, left) == 1
    assert 0 <= jaccard(left, right) <= 1
    assert (jaccard(left, right) == 1) == (left == right)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("abc", 1), ("abcde", 1), ("abcdef", 2)])
def test_shingles_are_five_characters_or_the_whole(text: str, count: int) -> None:
    assert len(shingles(text)) == count
