from __future__ import annotations

import pytest

from signatures.bloom import LEVELS, BloomLevel


def test_there_are_six_levels_lowest_first() -> None:
    assert [str(level) for level in LEVELS] == [
        "Remember", "Understand", "Apply", "Analyze", "Evaluate", "Create",
    ]  # fmt: skip
    assert [level.rank for level in LEVELS] == list(range(6))


def test_every_level_asks_for_something_of_its_own() -> None:
    assert len({level.demand for level in LEVELS}) == 6
    assert all(level.demand and str(level) not in level.demand for level in LEVELS)


def test_a_level_is_found_by_its_word_alone() -> None:
    assert BloomLevel("Apply") is BloomLevel.APPLY
    with pytest.raises(ValueError, match="apply"):
        BloomLevel("apply")
