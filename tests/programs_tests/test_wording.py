from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.wording import MAX_KEYWORD, bullet_items, clean_keyword, keyword_key


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("unit rate", "unit rate"),
        ("  Unit   Rate ", "Unit Rate"),
        ("unit_rate", "unit rate"),
        ("1. unit rate", "unit rate"),
        ("12) unit rate", "unit rate"),
        ("(3) unit rate", "unit rate"),
        ("a) unit rate", "unit rate"),
        ("- unit rate", "unit rate"),
        ("* unit rate", "unit rate"),
        ("• 4. unit rate", "unit rate"),
        ("**unit rate**", "unit rate"),
        ("`unit rate`", "unit rate"),
        ('"unit rate",', "unit rate"),
        ("“unit rate”", "unit rate"),
        ("# unit rate", "unit rate"),
        ("unit rate.", "unit rate"),
        ("unit\u00a0rate\n", "unit rate"),
        ("unit\u200brate", "unit rate"),
        ("ｕｎｉｔ　ｒａｔｅ", "unit rate"),
        ("E. coli", "E. coli"),
        ("p-value", "p-value"),
        ("3-body problem", "3-body problem"),
        ("2.5 sigma rule", "2.5 sigma rule"),
        ("(a+b)^2", "(a+b)^2"),
        ("C++", "C++"),
        ("・割合", "割合"),
        ("1．割合", "割合"),
        ("２）割合", "割合"),
        ("①割合", "割合"),
        ("3、割合", "割合"),
        ("「割合」", "割合"),
        ("割合。", "割合"),
        ("- доля.", "доля"),
    ],
)
def test_numbering_bullets_quotes_and_stray_marks_are_taken_off(written: str, clean: str) -> None:
    assert clean_keyword(written) == clean


@pytest.mark.parametrize("nothing", ["", "  ", "-", "1.", "***", "…", "。", "\ud800", "x" * 81])
def test_what_is_no_keyword_is_none(nothing: str) -> None:
    assert clean_keyword(nothing) is None


@given(st.text(max_size=100))
def test_a_clean_keyword_is_short_printable_and_one_line(text: str) -> None:
    clean = clean_keyword(text)
    if clean is not None:
        assert 0 < len(clean) <= MAX_KEYWORD
        assert clean == " ".join(clean.split())
        assert clean.isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Unit Rate", "unit rate"),
        ("unit-rate", "unit rate"),
        ("unit_rate", "unit rate"),
        ("unit – rate", "unit rate"),
        ("unit rates", "unit rate"),
        ("sample sizes", "sample size"),
        ("classes", "class"),
        ("boxes", "box"),
        ("batches", "batch"),
        ("probabilities", "probability"),
        ("STRASSE", "straße"),
        ("ﬁnance", "finance"),
    ],
)
def test_two_spellings_are_one_keyword_in_english(one: str, other: str) -> None:
    assert keyword_key(one, english=True) == keyword_key(other, english=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [("gas", "ga"), ("mass", "mas"), ("axis", "axi"), ("virus", "viru"), ("mean", "median")],
)
def test_words_that_only_end_like_plurals_stay(one: str, other: str) -> None:
    assert keyword_key(one, english=True) != keyword_key(other, english=True)


def test_plurals_are_folded_in_english_only() -> None:
    assert keyword_key("Ideas", english=False) != keyword_key("Idea", english=False)
    assert keyword_key("Ideas", english=False) == keyword_key("IDEAS", english=False)


@pytest.mark.parametrize("text", ["割合", "比例と反比例", "доля", "نسبة"])
def test_a_word_of_any_script_is_its_own_key(text: str) -> None:
    assert keyword_key(text, english=False) == text


@given(st.text(max_size=60), st.booleans())
def test_a_key_is_the_key_of_itself_up_to_case(text: str, english: bool) -> None:
    key = keyword_key(text, english=False)
    assert keyword_key(key, english=False) == key
    assert keyword_key(text, english=english) == keyword_key(text, english=english)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Here you are:\n1. one\n2. two", ["one", "two"]),
        ("- one\n\n- two\nbye", ["one", "two"]),
        ("・割合\n・比例", ["割合", "比例"]),
        ("1．割合\n2．比例", ["割合", "比例"]),
        ("①割合\n②比例", ["割合", "比例"]),
        ("- only one", []),
        ("no list at all", []),
        ("", []),
    ],
)
def test_a_list_is_found_in_plain_text(text: str, found: list[str]) -> None:
    assert bullet_items(text) == found
