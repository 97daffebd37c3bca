from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from dspy import lm15
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2.runtime.growth import Lister, play_growth
from programs.keywords import DRY_ROUNDS, TRIES, Ask, ExpansionShape, KeywordExpansion
from programs.redraw import Drawn
from programs.retrieval import Retriever
from signatures.records import KeywordOrigin, Passage
from signatures.task import load_task

RICH = Lister(vocabulary=100_000, fresh=1.0, found=1.0, again=0.0)


class Sure(KeywordExpansion):
    """The real expansion on a model that gives every list in full, always new."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.asked: list[KeywordOrigin] = []

    async def draw(
        self, ask: Ask, count: int, known: str, config: dict[str, Any], words: str = ""
    ) -> tuple[Drawn, list[str]]:
        """Return a list of new words."""
        self.asked.append(ask.origin)
        texts = [f"topic x{len(self.asked)}y{i}z" for i in range(count)]
        return Drawn(lm15, "", "stop", None, ""), texts


class Shelf:
    """Passages that all match."""

    def __init__(self, number: int) -> None:
        self.passages = [
            Passage(id=f"{i:064x}", text=f"text {i}", source=f"{i}.txt") for i in range(number)
        ]

    def search(self, query: str, k: int) -> list[Passage]:
        """Return the first k."""
        return self.passages[:k]


def lists(size: int, shape: ExpansionShape, shelf: Retriever | None = None) -> list[KeywordOrigin]:
    program = Sure(load_task("gsm8k"), shape, retriever=shelf)
    asyncio.run(program.aforward(size=size))
    return program.asked


SHAPES = [
    ExpansionShape(),
    ExpansionShape(width=3, max_rounds=9),
    ExpansionShape(width=20),
    ExpansionShape(core=4, parallel=2, max_rounds=2),
]


@pytest.mark.parametrize("shape", SHAPES, ids=["default", "narrow", "wide", "few rounds"])
@pytest.mark.parametrize("size", [1, 9, 24, 60, 300])
def test_of_a_model_that_never_repeats_itself_the_lists_are_those_of_the_program(
    size: int, shape: ExpansionShape
) -> None:
    played = play_growth(size, shape, RICH, random.Random(0))
    assert played.calls == pytest.approx(len(lists(size, shape)), abs=max(2, 0.1 * played.calls))
    if size <= 24:  # chance repeats aside, which a large vocabulary hardly has
        assert played.calls == len(lists(size, shape))


@pytest.mark.parametrize("size", [9, 24, 60])
@pytest.mark.parametrize("number", [3, 200])
def test_passages_are_read_as_the_program_reads_them(size: int, number: int) -> None:
    shape = ExpansionShape(retrieved=0.5)
    real = lists(size, shape, Shelf(number))
    # Of few passages no more is new, the second time, so only the long shelf is alike to the end.
    played = play_growth(size, shape, RICH, random.Random(0), passages=number)
    assert played.asked["core"] == real.count(KeywordOrigin.CORE) == 1
    if number == 200:
        assert played.asked["extract"] == real.count(KeywordOrigin.RETRIEVED)
        assert played.calls == len(real)
    assert played.asked["extract"] > 0


def test_a_field_that_runs_dry_ends_after_dry_rounds_and_costs_more_lists() -> None:
    dry = Lister(vocabulary=20, fresh=0.9, found=0.5, again=0.0)
    played = play_growth(60, ExpansionShape(), dry, random.Random(0))
    rich = play_growth(60, ExpansionShape(), RICH, random.Random(0))
    assert played.keywords <= 20
    assert rich.keywords == 60
    assert played.calls > rich.calls
    assert played.rounds > DRY_ROUNDS


def test_a_model_that_lists_nothing_new_is_asked_in_dry_rounds_only() -> None:
    silent = Lister(vocabulary=100, fresh=0.0, found=0.0, again=0.0)
    played = play_growth(24, ExpansionShape(), silent, random.Random(0), passages=50)
    assert played.keywords == 0
    assert played.rounds == 1 + 3 * DRY_ROUNDS


def test_lists_that_are_asked_for_again_count() -> None:
    stubborn = Lister(vocabulary=100_000, fresh=1.0, found=1.0, again=0.999999)
    once = play_growth(24, ExpansionShape(), RICH, random.Random(0))
    again = play_growth(24, ExpansionShape(), stubborn, random.Random(0))
    assert again.calls == TRIES * once.calls
    assert again.rounds == TRIES * once.rounds


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 80), st.integers(1, 64), st.integers(1, 9), st.floats(0, 1), st.integers(0, 9)
)
def test_no_bank_is_too_large_and_no_round_too_many(
    size: int, width: int, rounds: int, fresh: float, passages: int
) -> None:
    lister = Lister(vocabulary=40, fresh=fresh, found=0.5, again=0.2)
    shape = ExpansionShape(width=width, max_rounds=rounds)
    played = play_growth(size, shape, lister, random.Random(1), passages=passages)
    assert played.keywords <= size
    assert played.rounds <= TRIES * (1 + rounds)
