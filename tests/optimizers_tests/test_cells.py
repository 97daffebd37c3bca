"""Cells and keyword lists: no side asks what another one asks."""

from __future__ import annotations

from collections import Counter

import dspy
import pytest
from compiling import devset

from optimizers.cells import asked_lists, cells_of, drawn_cells
from optimizers.sides import Examples, alike, asked, sides_of

BANK = [f"keyword {number}" for number in range(24)]


def asked_by(found: Examples) -> Counter[str]:
    return Counter(asked(e) for side in (found.train, found.val, found.test) for e in side)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [asked_lists, drawn_cells])
def test_no_two_examples_ask_the_same(make: object, seed: int) -> None:
    found = make(BANK, 60, seed)  # type: ignore[operator]
    assert sum(found.sizes) == 60
    assert found.sizes == found.different == (21, 15, 24)
    assert max(asked_by(found).values()) == 1


def test_core_lists_stand_on_all_sides_and_differ_in_their_length() -> None:
    found = asked_lists(BANK, 60, 0)
    for side in (found.train, found.val, found.test):
        assert {e.origin for e in side} == {"core", "prerequisite", "advanced"}
    core = [e.count for side in found[:3] for e in side if e.origin == "core"]
    assert sorted(core) == list(range(4, 24))
    more = asked_lists(BANK, 200, 0)
    origins = Counter(e.origin for side in more[:3] for e in side)
    assert origins == {"core": 20, "prerequisite": 90, "advanced": 90}


def test_a_bank_that_is_too_small_gives_fewer_cells() -> None:
    found = drawn_cells(["ratio"], 30, 0)
    assert found.different == found.sizes
    assert sum(found.sizes) == 6


def test_rows_that_name_one_cell_are_one_example_and_it_is_told() -> None:
    row = devset().rows[0]
    found = cells_of([*devset().rows, row])
    assert sum(found.sizes) < 25
    assert max(asked_by(found).values()) == 1
    assert found.notices[0].endswith("examples that ask the same as another one left out.")


def test_two_draws_of_a_cell_ask_the_same_whatever_the_order_of_its_keywords() -> None:
    made = [
        dspy.Example(keywords=words, level="Apply", visit=visit).with_inputs(
            "keywords", "level", "visit"
        )
        for visit, words in enumerate((["a", "b"], ["b", "a"], ["a"]))
    ]
    assert alike(made) == [0, 0, 2]
    assert sum(sides_of(made).sizes) == 2
    assert (alike([]), sides_of([]).sizes) == ([], (0, 0, 0))


def test_questions_that_differ_in_their_figures_are_alike() -> None:
    texts = ("A pen costs 3 dollars at the shop.", "A pen costs 12 dollars at the shop.", "Why?")
    made = [dspy.Example(question=text).with_inputs("question") for text in texts]
    assert alike(made) == [0, 0, 2]
