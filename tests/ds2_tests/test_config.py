"""Configuration: what may be asked for, and what is said of everything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.config import (
    REMAINDER_ORDER,
    BudgetConfig,
    EngineConfig,
    RunConfig,
    bank_size,
    preset,
)
from signatures.bloom import LEVELS
from signatures.errors import ConfigError


@given(st.integers(1, 10_000))
def test_quotas_add_up_and_differ_by_one_at_most(target: int) -> None:
    quotas = preset("default", target).level_quotas
    assert list(quotas) == list(LEVELS)
    assert sum(quotas.values()) == target
    assert max(quotas.values()) - min(quotas.values()) <= 1


@pytest.mark.parametrize("target", [1, 2, 5, 13])
def test_the_remainder_goes_to_the_levels_in_the_stated_order(target: int) -> None:
    quotas = preset("default", target).level_quotas
    larger = [level for level in REMAINDER_ORDER if quotas[level] > target // 6]
    assert larger == list(REMAINDER_ORDER[: target % 6])


@pytest.mark.parametrize(
    ("target", "size"),
    [(1, 6), (2, 6), (3, 9), (8, 24), (60, 24), (241, 25), (1000, 100), (6000, 600), (10**6, 600)],
)
def test_the_bank_has_a_tenth_of_the_target_within_its_bounds(target: int, size: int) -> None:
    assert bank_size(target) == size
    assert preset("default", target).bank == size


def test_the_default_preset_asks_for_sixty_rows_and_four_candidates_a_row() -> None:
    config = preset("default")
    assert (config.target, config.candidates, config.policy) == (60, 240, "lead(3, 9)")
    assert config.quotas
    assert config.duplicates
    assert config.pair_share == 0.4


def test_the_paper_preset_is_the_papers() -> None:
    config = preset("paper")
    assert (config.target, config.candidates, config.pairs) == (6000, 8000, 2000)
    assert config.policy == "curtailed(5, 0.5)"
    assert (config.answer_temperatures, config.answer_temperatures_by) == ((0.7, 0.8, 0.9), "draw")
    assert not config.quotas
    assert not config.duplicates


@pytest.mark.parametrize(("target", "rows", "cut"), [(60, 60, 80), (1, 1, 2), (9000, 6000, 8000)])
def test_a_smaller_paper_run_is_cut_in_proportion(target: int, rows: int, cut: int) -> None:
    config = preset("paper", target)
    assert (config.target, config.candidates) == (rows, cut)


def test_single_values_of_a_preset_can_be_changed() -> None:
    config = preset("default", 60, seed=3, policy=None, candidates=70)
    assert (config.seed, config.policy, config.candidates) == (3, "lead(3, 9)", 70)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": 0}, "target must be greater than or equal to 1 (got 0)"),
        ({"target": -3}, "target must be greater than or equal to 1 (got -3)"),
        ({"target": 10**9}, "target must be less than or equal to 10000000"),
        ({"seed": -1}, "seed must be greater than or equal to 0"),
        ({"answer_temperatures": ()}, "answer_temperatures must hold at least one temperature"),
        ({"answer_temperatures": (0.7, 3)}, "each from 0 to 2"),
        ({"writer_temperature": 2.5}, "writer_temperature must be less than or equal to 2"),
        ({"pair_share": 1.5}, "pair_share must be less than or equal to 1"),
        ({"candidates": 0}, "candidates must be greater than or equal to 1"),
        ({"adapter": "xml"}, "adapter must be 'chat', 'json-schema' or 'json' (got 'xml')"),
        ({"colour": "red"}, "colour must be one of the known ones: target, seed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_run_setting_out_of_its_range_is_told_by_name_rule_and_value(
    changes: dict[str, Any], words: str
) -> None:
    target = changes.pop("target", 12)
    with pytest.raises(ConfigError) as raised:
        preset("default", target, **changes)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"concurrency": 0}, "concurrency must be greater than or equal to 1 (got 0)"),
        ({"concurrency": 5000}, "concurrency must be less than or equal to 4096"),
        ({"timeout_s": 0}, "timeout_s must be greater than 0"),
        ({"max_tokens": 0}, "max_tokens must be greater than or equal to 1"),
        (
            {"model_for": {"poet": "openai/x"}},
            "model_for must name stages that there are: keywords, writer, answers, judge (got {'po",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_engine_setting_out_of_its_range_is_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        EngineConfig.build(**changes)
    assert words in str(raised.value)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget_calls must be greater than or equal to 1"):
        BudgetConfig.build(budget_calls=0)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="preset must be one of default, paper"):
        preset("fast", 12)


def test_a_stage_has_its_own_model_or_the_common_one() -> None:
    engine = EngineConfig(model="a/b", model_for={"answers": "c/d"})
    assert [engine.model_of(stage) for stage in ("keywords", "writer", "answers")] == [
        "a/b",
        "a/b",
        "c/d",
    ]


def test_what_only_says_when_to_stop_or_how_to_reach_is_no_run_setting() -> None:
    outside = {"budget_calls", "stage_check", "concurrency", "timeout_s", "api_base", "model"}
    assert not outside & set(RunConfig.model_fields)
