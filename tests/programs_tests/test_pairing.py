from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.pairing import Cell, cells, pair_at, shuffled

banks = st.integers(1, 14)
shares = st.floats(0, 1)


def cycle_length(bank: int) -> int:
    return bank + bank * (bank - 1) // 2


def take(bank: int, share: float, number: int, seed: str = "s") -> list[Cell]:
    return list(islice(cells(bank, pair_share=share, seed=seed), number))


@given(banks, shares)
@settings(max_examples=60)
def test_no_cell_comes_twice_before_all_came_once(bank: int, share: float) -> None:
    length = cycle_length(bank)
    stream = take(bank, share, 3 * length)
    for cycle in range(3):
        part = stream[cycle * length : (cycle + 1) * length]
        assert {cell.visit for cell in part} == {cycle}
        assert len({cell.keywords for cell in part}) == length


@given(st.integers(3, 14), shares)
@settings(max_examples=60)
def test_the_share_of_pairs_is_kept_while_both_kinds_last(bank: int, share: float) -> None:
    pairs = singles = 0
    for number, cell in enumerate(take(bank, share, cycle_length(bank)), start=1):
        if singles == bank or pairs == bank * (bank - 1) // 2:
            break
        pairs += len(cell.keywords) == 2
        singles += len(cell.keywords) == 1
        assert abs(pairs - number * share) < 1 + 1e-9


def test_forty_percent_of_the_first_cells_are_pairs() -> None:
    stream = take(24, 0.4, 40)
    assert sum(len(cell.keywords) == 2 for cell in stream) == 16
    assert all(sum(len(c.keywords) == 2 for c in stream[i : i + 5]) == 2 for i in range(0, 40, 5))


def test_every_keyword_and_every_pair_comes_in_a_cycle() -> None:
    seen = Counter(cell.keywords for cell in take(5, 0.3, 15))
    assert set(seen) == {(i,) for i in range(5)} | {(a, b) for b in range(5) for a in range(b)}


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_bank_of_one_has_no_pairs(share: float) -> None:
    assert take(1, share, 3) == [Cell((0,), 0), Cell((0,), 1), Cell((0,), 2)]


def test_an_empty_bank_is_refused_instead_of_searched_for_ever() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        take(0, 0.4, 1)


@pytest.mark.parametrize(("share", "kind"), [(0.0, 1), (1.0, 2)])
def test_at_the_ends_of_the_share_one_kind_comes_first(share: float, kind: int) -> None:
    first = take(6, share, 6 if kind == 1 else 15)
    assert {len(cell.keywords) for cell in first} == {kind}


def test_a_stream_is_the_same_on_every_machine() -> None:
    assert [cell.keywords for cell in take(6, 0.4, 8, seed="golden")] == [
        (2,),
        (1,),
        (1, 4),
        (5,),
        (0, 5),
        (0,),
        (4,),
        (0, 1),
    ]
    assert list(shuffled(8, "golden")) == [1, 6, 4, 5, 0, 7, 3, 2]


def test_another_seed_gives_another_stream() -> None:
    assert take(12, 0.4, 20, "a") == take(12, 0.4, 20, "a") != take(12, 0.4, 20, "b")


def test_a_second_cycle_comes_in_another_order() -> None:
    stream = take(6, 0.4, 42)
    assert [c.keywords for c in stream[:21]] != [c.keywords for c in stream[21:]]


@given(st.integers(0, 10**15))
def test_a_pair_has_exactly_one_number(index: int) -> None:
    a, b = pair_at(index)
    assert 0 <= a < b
    assert b * (b - 1) // 2 + a == index


def test_pairs_are_numbered_without_a_gap() -> None:
    assert {pair_at(i) for i in range(45)} == {(a, b) for b in range(10) for a in range(b)}
