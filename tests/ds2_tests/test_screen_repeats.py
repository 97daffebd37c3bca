"""Exact and near-duplicates, and families: what repeats what, whatever the order of questions."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import defects

from ds2.screen.exact import ExactScreen, NoScreen, Screen
from ds2.screen.family import Families
from ds2.screen.minhash import RECALL, BandIndex, bands_for
from ds2.screen.near import NearScreen
from signatures.records import Instruction

asked = defects.asked
SCREENS: list[Callable[[], Screen]] = [ExactScreen, NearScreen, NoScreen]
PROBLEM = (
    "Karim takes 12 plant pots at 5 dollars each and 10 picture frames at 18 dollars each from the "
    "harbour store. A voucher takes 40% off the whole bill. How much does he pay in dollars?"
)


def with_numbers(*numbers: int) -> Instruction:
    text = PROBLEM
    for old, new in zip(("12", "5", "10 ", "18", "40"), numbers, strict=False):
        text = text.replace(old, f"{new} " if old.endswith(" ") else str(new), 1)
    return asked(text)


@pytest.mark.parametrize("screen", SCREENS)
def test_an_empty_screen_matches_nothing(screen: Callable[[], Screen]) -> None:
    assert screen().match(asked(PROBLEM), 5) is None


@pytest.mark.parametrize("screen", SCREENS[:2])
def test_only_what_stands_before_is_matched_and_the_first_of_it(
    screen: Callable[[], Screen],
) -> None:
    index = screen()
    for place in (9, 4, 7):
        index.add(place, asked(PROBLEM))
    assert index.match(asked(PROBLEM), 4) is None
    assert index.match(asked(PROBLEM), 5) == (4, 1.0)
    index.remove(4, asked(PROBLEM))
    assert index.match(asked(PROBLEM), 9) == (7, 1.0)
    index.remove(7, asked(PROBLEM))
    index.remove(9, asked(PROBLEM))
    assert index.match(asked(PROBLEM), 99) is None
    assert not vars(index)["_first" if screen is ExactScreen else "_kept"]


@pytest.mark.parametrize("name", defects.REPEATS)
def test_every_planted_repeat_is_found_at_its_place(name: str) -> None:
    rng = random.Random(name)
    originals = [q for task in ("gsm8k", "cfa", "pubmedqa") for q in defects.written(task, 20)]
    index = NearScreen()
    for place, original in enumerate(originals):
        assert index.match(original, place) is None
        index.add(place, original)
    for place, original in enumerate(originals):
        copy = defects.REPEATS[name](original.question, rng, "")
        found = index.match(asked(copy, original.context), len(originals))
        if len(original.question) < 100 and name in {"one word changed", "an opening sentence"}:
            continue  # in a short question, one word or sentence is a large part
        assert found is not None
        assert found.place == place


def test_another_number_sign_or_symbol_is_no_duplicate() -> None:
    index = NearScreen()
    index.add(0, asked(PROBLEM))
    assert index.match(with_numbers(13), 9) is None
    index.add(1, asked("Find the roots of x^2 - 3x + 2 = 0 and say which one of them is larger."))
    assert (
        index.match(
            asked("Find the roots of x^2 + 3x + 2 = 0 and say which one of them is larger."), 9
        )
        is None
    )
    index.add(
        2, asked("A plant with the genotype AaBb is crossed with itself. Which share is tall?")
    )
    assert (
        index.match(
            asked("A plant with the genotype AABb is crossed with itself. Which share is tall?"), 9
        )
        is None
    )


def test_two_questions_about_one_passage_are_two_and_one_about_two_passages_too() -> None:
    passage = defects.written("pubmedqa", 1)[0].context
    other = defects.written("pubmedqa", 2)[1].context
    index = NearScreen()
    index.add(0, asked("Does the treatment shorten the stay in hospital?", passage))
    assert index.match(asked("Which group had more adverse events, and why?", passage), 9) is None
    assert index.match(asked("Does the treatment shorten the stay in hospital?", other), 9) is None
    assert index.match(asked("Does the treatment shorten a stay in hospital?", passage), 9)


def test_the_order_of_options_is_no_difference() -> None:
    options = ("a liver cell of the mouse", "a nerve cell of the mouse", "a red blood cell", "skin")
    question = "Which of these cells has no nucleus when it is mature, in the animals named?"
    for screen in (ExactScreen(), NearScreen()):
        screen.add(0, asked(question, options=options))
        assert screen.match(asked(question, options=options[::-1]), 9) == (0, 1.0)
        assert screen.match(asked(question, options=("bone", "hair", "nail", "lens")), 9) is None


TEXTS = st.lists(
    st.sampled_from([PROBLEM, PROBLEM.upper(), PROBLEM.replace("store", "shop"), "What is 2 x 3?"]),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25)
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_in_which_units_come_in_changes_no_match(
    texts: list[str], rng: random.Random
) -> None:
    """What rule 6 of a run rests on: a match is a function of what was added, not of when."""
    units = [(place, asked(text)) for place, text in enumerate(texts)]
    shuffled = units.copy()
    rng.shuffle(shuffled)
    one, other = NearScreen(), NearScreen()
    for place, unit in units:
        one.add(place, unit)
    for place, unit in shuffled:
        other.add(place, unit)
        other.add(place + 100, unit)
    for place, unit in shuffled:
        other.remove(place + 100, unit)
    for before in range(len(units) + 1):
        for _, unit in units:
            assert one.match(unit, before) == other.match(unit, before)


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.75, 0.9, 0.99])
def test_bands_are_cut_for_their_threshold(threshold: float) -> None:
    bands = bands_for(threshold)
    assert bands.recall(threshold) >= RECALL
    assert bands.values <= 128
    assert bands.recall(1.0) == 1


def test_a_threshold_that_no_bands_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        bands_for(0.01)


@pytest.mark.parametrize("recent", [1, 40, 10_000], ids=["packed", "both", "not packed"])
@settings(max_examples=25)
@given(st.lists(st.frozensets(st.text("ab", min_size=5, max_size=5), max_size=4), max_size=8))
def test_equal_sets_always_meet_and_salts_keep_sets_apart(
    recent: int, sets: list[frozenset[str]]
) -> None:
    index = BandIndex(bands_for(0.75), recent)
    for number, each in enumerate(sets):
        index.add(number, index.keys(each))
    for each in sets:
        same = {number for number, other in enumerate(sets) if other == each}
        found = list(index.candidates(index.keys(each)))
        assert same <= set(found)
        assert found == sorted(set(found))
        assert not list(index.candidates(index.keys(each, "another")))
    for number, each in enumerate(sets[::2]):
        index.remove(2 * number, index.keys(each))
    for each in sets:
        assert all(number % 2 for number in index.candidates(index.keys(each)))


def test_an_index_of_what_comes_and_goes_holds_what_is_there() -> None:
    index = BandIndex(bands_for(0.75), recent=100)
    keys = [index.keys(frozenset((str(number),))) for number in range(600)]
    for number, buckets in enumerate(keys):
        index.add(number, buckets)
        if number >= 10:
            index.remove(number - 10, keys[number - 10])
    found = [n for buckets in keys for n in index.candidates(buckets)]
    assert found == list(range(590, 600))
    held = sum(len(packed.keys) for packed in index._packed) + len(index._buckets)
    assert held < 20 * 100
    assert len(index._gone) < 100


def test_a_family_is_one_problem_with_other_numbers_and_is_full_at_its_cap() -> None:
    families = Families(cap=3)
    opener = with_numbers(12)
    for place, number in enumerate((12, 13, 14)):
        assert families.full(with_numbers(number)) is None
        assert families.join(place, with_numbers(number)) == opener.id
    full = families.full(with_numbers(77, 6))
    assert full is not None
    assert (full[0].place, full[0].rows, full[1]) == (0, 3, 1.0)
    other = asked("How far is it from the village to the lake, on foot, in 3 hours?")
    assert families.full(other) is None
    assert families.join(9, other) == other.id


def test_without_a_cap_families_are_named_and_never_full() -> None:
    families = Families(cap=0)
    ids = {families.join(place, with_numbers(place + 2)) for place in range(9)}
    assert len(ids) == 1
    assert families.full(with_numbers(99)) is None


@given(st.lists(st.integers(2, 999), min_size=1, max_size=8), st.integers(1, 4))
def test_no_family_ever_has_more_rows_than_its_cap(numbers: list[int], cap: int) -> None:
    families = Families(cap)
    rows = 0
    for place, number in enumerate(numbers):
        if families.full(with_numbers(number)) is None:
            families.join(place, with_numbers(number))
            rows += 1
    assert rows == min(cap, len(numbers))


def test_the_teachers_own_questions_are_neither_repeats_nor_crowded() -> None:
    """A false alarm here would starve a run on the simulated teacher."""
    index, families = NearScreen(), Families()
    for place, question in enumerate(q for t in ("gsm8k", "gpqa") for q in defects.written(t, 120)):
        assert index.match(question, place) is None
        assert families.full(question) is None
        index.add(place, question)
        families.join(place, question)
