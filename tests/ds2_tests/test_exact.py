"""The screen of exact duplicates is the plain rule, whatever was added and removed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ds2.screen.exact import ExactScreen
from signatures.bloom import BloomLevel
from signatures.records import Instruction

TEXTS = st.sampled_from(["What is 1 + 1?", " what  IS 1 + 1?", "What is 2 + 2?", "\uff11"])
STEPS = st.lists(st.tuples(st.integers(0, 6), TEXTS))


def asked(text: str) -> Instruction:
    return Instruction(keywords=("k",), level=BloomLevel.APPLY, question=text)


def plain_rule(text: str) -> str:
    return {"\uff11": "1"}.get(text, " ".join(text.casefold().split()))


@given(STEPS, st.integers(0, 7), TEXTS)
def test_a_match_is_the_first_earlier_place_that_says_the_same(
    steps: list[tuple[int, str]], before: int, text: str
) -> None:
    """A place that comes again is taken out: additions and removals in any order."""
    screen, held = ExactScreen(), dict[int, str]()
    for place, said in steps:
        if place in held:
            screen.remove(place, asked(held.pop(place)))
        else:
            screen.add(place, asked(said))
            held[place] = said
    same = [p for p, said in held.items() if plain_rule(said) == plain_rule(text) and p < before]
    match = screen.match(asked(text), before)
    assert (match and match.place) == min(same, default=None)
    for place, said in held.items():
        screen.remove(place, asked(said))
    assert (screen._first, screen._later) == ({}, {})
