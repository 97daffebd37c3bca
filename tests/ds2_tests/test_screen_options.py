"""Options: a seeded order in which every place is equally likely, and a test for their balance."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import defects

from ds2.report.figures import chi_square
from ds2.screen.options import names_option, same_options, shuffle_options

asked = defects.asked
OPTIONS = ("the liver", "a lung", "the skin", "bone")


def test_the_right_letter_is_uniform_whatever_the_writer_prefers() -> None:
    """The writer always puts the right one first; 4,000 units later no letter is preferred."""
    places = Counter(
        shuffle_options(asked("Which?", options=OPTIONS), 7, place).options.index(OPTIONS[0])
        for place in range(4000)
    )
    _, _, p = chi_square([places[i] for i in range(4)], [1000.0] * 4)
    assert p is not None
    assert p > 0.01


@given(
    st.lists(st.text(max_size=12), min_size=0, max_size=8), st.integers(0, 99), st.integers(0, 99)
)
def test_a_shuffle_is_a_permutation_that_its_record_tells(
    options: list[str], seed: int, place: int
) -> None:
    written = asked("Which one is meant?", options=tuple(options))
    written.id  # noqa: B018 - an id that was asked for before must not be carried over
    shuffled = shuffle_options(written, seed, place)
    assert shuffled == shuffle_options(written, seed, place)
    order = shuffled.order or tuple(range(len(options)))
    assert sorted(order) == list(range(len(options)))
    assert shuffled.options == tuple(options[i] for i in order)
    fresh = asked("Which one is meant?", options=shuffled.options)
    assert shuffled.id == fresh.id


@pytest.mark.parametrize(
    "options",
    [
        ("the liver", "a lung", "Both A and B", "bone"),
        ("the liver", "a lung", "A, B", "bone"),
        ("the liver", "a lung", "neither (A) nor (B)", "bone"),
        ("the liver", "the first two options", "skin", "bone"),
    ],
)
def test_options_that_name_others_stay_where_they_are(options: tuple[str, ...]) -> None:
    for place in range(20):
        shuffled = shuffle_options(asked("Which?", options=options), 0, place)
        assert (shuffled.options, shuffled.order) == (options, ())


def test_a_question_that_names_an_option_keeps_the_order() -> None:
    written = asked("Why is option B wrong?", options=OPTIONS)
    assert all(shuffle_options(written, 0, place) == written for place in range(20))


@pytest.mark.parametrize("last", ["All of the above", "None of these.", "any of the others"])
def test_all_of_the_above_stays_at_the_end(last: str) -> None:
    options = ("the liver", last, "a lung", "bone")
    orders = {shuffle_options(asked("Which?", options=options), 0, p).options for p in range(40)}
    assert {order[-1] for order in orders} == {last}
    assert len(orders) > 3


def test_fewer_than_two_options_have_no_order() -> None:
    for options in ((), ("one",)):
        assert shuffle_options(asked("Which?", options=options), 0, 0).order == ()


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ((), None),
        (("a", "b"), None),
        (("0.5", "x", "1/2"), ("0.5", "1/2")),
        (("$1,250.00", "$1250"), ("$1,250.00", "$1250")),
        (("5 m", "5  m."), ("5 m", "5  m.")),
        (("5 m", "5 cm"), None),
        (("-5", "5"), None),
        (("5 %", "5"), None),
        (("mW", "MW"), None),
        (("NaCl", "NACL"), None),
        (("5", "$5"), None),
        (("5 m", "5 M"), None),
        (("It is so", "it is so"), ("It is so", "it is so")),
        (("The liver", "liver"), ("The liver", "liver")),
        (("1 - 2", "1-2"), ("1 - 2", "1-2")),
        (("$\\frac{1}{2}$", "50 %"), ("$\\frac{1}{2}$", "50 %")),
        (("1/0", "0"), None),
        (("1 to 2", "1 to 3"), None),
        (("9" * 60, "9" * 61), None),
    ],
)
def test_options_are_compared_by_text_and_by_value(
    options: tuple[str, ...], same: tuple[str, str] | None
) -> None:
    assert same_options(options) == same


@pytest.mark.parametrize(
    ("answer", "named"),
    [("A", True), ("d", True), ("E", False), ("a lung", True), ("lung", False), ("", False)],
)
def test_an_answer_is_one_of_the_options(answer: str, named: bool) -> None:
    assert names_option(answer, OPTIONS) is named


@pytest.mark.parametrize(
    ("counts", "statistic", "p_value"),
    [
        ([10, 10, 10, 10], 0.0, 1.0),
        ([30, 25, 20, 25], 2.0, 0.5724),  # the values of scipy.stats.chisquare
        ([60, 20, 10, 10], 68.0, 0.0),
        ([0, 5], 5.0, 0.0253),
        ([16, 18, 16, 14, 12, 12], 2.0, 0.8491),
    ],
)
def test_the_chi_square_is_that_of_the_books(
    counts: list[int], statistic: float, p_value: float
) -> None:
    found = chi_square(counts, even(counts))
    assert found == pytest.approx((statistic, len(counts) - 1, p_value), abs=1e-4)


def even(counts: list[int]) -> list[float]:
    return [sum(counts) / len(counts)] * len(counts)


@pytest.mark.parametrize("counts", [[], [5]])
def test_without_a_choice_there_is_no_balance(counts: list[int]) -> None:
    assert chi_square(counts, [1.0] * len(counts)) == (None, None, None)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=26).filter(any), st.randoms())
def test_balance_does_not_depend_on_the_order_of_answers(counts: list[int], rng: object) -> None:
    shuffled = counts.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = chi_square(counts, even(counts)), chi_square(shuffled, even(counts))
    assert one[2] is not None
    assert 0 <= one[2] <= 1
    assert one == pytest.approx(other, abs=1e-6)
