"""The benchmark of optimizers: what is kept of it, and which counts of claims are to be expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.optimizers import (
    KEYWORD_JUDGE,
    QUESTION_JUDGE,
    Given,
    Results,
    at_least,
    examples_of,
)
from programs.judging import FAULTS


def test_what_was_found_is_not_done_again_and_other_settings_are_apart(tmp_path: Path) -> None:
    done: list[int] = []

    def work() -> tuple[int, None]:
        done.append(1)
        return len(done), None

    kept, given = tmp_path / "found.jsonl", Given(rows=60, width=1.0, sensitivity=0.0, seeds=5)
    assert Results(kept, given).of(work, "chain", "gepa", 3) == [1, None]
    more = Results(kept, given._replace(seeds=20))  # more seeds go on from fewer
    assert more.of(work, "chain", "gepa", 3) == [1, None]
    assert more.of(work, "chain", "gepa", 4) == [2, None]
    assert Results(kept, given._replace(rows=61)).of(work, "chain", "gepa", 3) == [3, None]
    assert Results(None, given).of(work, "chain", "gepa", 3) == [4, None]


@pytest.mark.parametrize(
    ("claims", "compiles", "chance"), [(0, 20, 1.0), (1, 20, 0.397), (3, 20, 0.013), (6, 280, 0.7)]
)
def test_the_chance_of_so_many_claims_is_that_of_the_level_of_the_interval(
    claims: int, compiles: int, chance: float
) -> None:
    assert at_least(claims, compiles) == pytest.approx(chance, abs=0.005)


def test_the_sets_for_the_judges_hold_every_verdict() -> None:
    questions = examples_of(QUESTION_JUDGE, 24)
    assert questions.checked
    labels = [row.check for row in questions.rows if row.check is not None]
    assert {label.keywords_used for label in labels} == {"all", "some", "none"}
    assert {label.self_contained for label in labels} == {"yes", "no"}
    lists = examples_of(KEYWORD_JUDGE, 12)
    assert lists.listed
    faults = {fault for row in lists.rows if row.faults is not None for fault in row.faults.faults}
    assert faults == {"", *FAULTS}
