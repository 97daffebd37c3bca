"""The search space: what it holds, what a file may change, and what a broken file is told."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers.tuning.catalog import (
    PARAMETERS,
    allowed,
    live_space,
    policy_space,
    policy_text,
)
from optimizers.tuning.space import Choice, Range, Space
from optimizers.tuning.spacefile import read_space
from programs.stopping import parse_policy
from signatures.errors import ConfigError


def changed(folder: Path, text: str, space: Space | None = None) -> Space:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return read_space(path, space or policy_space())


def test_every_default_is_within_what_is_allowed_at_all() -> None:
    for name, parameter in PARAMETERS.items():
        default = parameter.default
        values = default.values if isinstance(default, Choice) else ()
        if isinstance(default, Range):
            values = (default.low, default.high)
        assert [allowed(name, value) for value in values] == [None] * len(values), name


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_what_is_suggested_is_inside_and_makes_a_policy(seed: int) -> None:
    space = live_space({"bank": Choice((12, 24))}, ("lead", "curtailed", "posterior", "fixed"))
    study = optuna.create_study(
        directions=["minimize"], sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    asked = space.suggest(study.ask())
    assert space.outside(asked) is None
    text = policy_text(asked)
    assert text is not None
    family = "waves" if asked.get("wave", 1) != 1 else str(asked["policy"])
    assert parse_policy(text).spec.startswith(family)


def test_only_the_parameters_of_the_policy_are_asked_for() -> None:
    trial = optuna.trial.FixedTrial({"policy": "lead", "lead.by": 2, "lead.max": 5})
    assert policy_space().suggest(trial) == {"policy": "lead", "lead.by": 2, "lead.max": 5}


def test_a_baseline_outside_the_space_is_named_by_its_parameter() -> None:
    space = policy_space(("lead",))
    lead = {"policy": "lead", "lead.by": 3, "lead.max": 9}
    assert space.outside(lead) is None
    assert space.outside({**lead, "lead.max": 99}) == "lead.max"
    assert space.outside({**lead, "lead.by": 2.5}) == "lead.by"
    assert space.outside({**lead, "bank": 3}) == "bank"
    assert space.outside({"policy": "lead", "lead.by": 3}) == "lead.max"
    assert space.outside({"policy": "curtailed", "curtailed.k": 5}) == "policy"


def test_contradicting_numbers_are_mended_upward() -> None:
    assert policy_text({"policy": "lead", "lead.by": 5, "lead.max": 3}) == "lead(5, 5)"
    sure = {"policy": "posterior", "posterior.confidence": 0.99, "posterior.max": 3}
    assert policy_text(sure) == "posterior(0.99, 6)"
    assert policy_text({"policy": "lead(2, 7)"}) == "lead(2, 7)"
    assert policy_text({"policy": "calibrated"}) is None


def test_a_file_narrows_fixes_and_extends(tmp_path: Path) -> None:
    space = changed(
        tmp_path,
        "policy: [lead, fixed, 'curtailed(7, 0.6)']\nlead.by: 3\nlead.max: {low: 5, high: 20}\n",
    )
    assert space.domains["policy"] == Choice(("lead", "fixed", "curtailed(7, 0.6)"))
    assert space.fixed == {"lead.by": 3}
    assert space.domains["lead.max"] == Range(5, 20, whole=True)
    assert "fixed.k" in space.domains
    assert "curtailed.k" not in space.domains
    assert space.id != policy_space().id


def test_a_wave_counts_where_a_vote_looks_after_every_wave(tmp_path: Path) -> None:
    space = changed(tmp_path, "policy: [lead, fixed, 'lead(2, 7)']\nwave: [1, 4]")
    lead = {"policy": "lead", "lead.by": 3, "lead.max": 9}
    assert space.outside(lead) == "wave"
    assert space.outside({**lead, "wave": 4}) is None
    fixed = {"policy": "fixed", "fixed.k": 5, "fixed.threshold": 0.5}
    assert space.outside(fixed) is None
    assert space.outside({"policy": "lead(2, 7)"}) is None
    assert policy_text({**lead, "wave": 4}) == "waves(lead(3, 9), 4)"
    assert policy_text({**lead, "wave": 1}) == "lead(3, 9)"
    with pytest.raises(ConfigError, match="belong to one of the policies"):
        changed(tmp_path, "policy: fixed\nwave: 4")


def test_a_range_ends_on_its_grid(tmp_path: Path) -> None:
    space = changed(tmp_path, "curtailed.threshold: {low: 0.5, high: 0.98, step: 0.1}")
    assert space.domains["curtailed.threshold"] == Range(0.5, 0.9, 0.1)
    one = changed(tmp_path, "lead.max: {low: 7, high: 7}")
    assert one.fixed == {"lead.max": 7}


def test_null_is_a_value_where_it_means_something(tmp_path: Path) -> None:
    space = changed(tmp_path, "max_tokens: [null, 512]", live_space({}))
    assert space.domains["max_tokens"] == Choice((None, 512))
    assert allowed("bank", None) is not None


BROKEN = [
    ("unknown", "policy: lead\nlaed.by: 3", "line 2.*laed.by must be one of policy, lead.by"),
    ("range", "lead.max: 0", "line 1.*lead.max must be a whole number from 1 to 64"),
    ("number", "keyword_temperature: hot", "keyword_temperature must be a number from 0 to 2"),
    ("true", "lead.by: true", "lead.by must be a whole number"),
    ("whole", "lead.by: 2.5", "lead.by must be a whole number"),
    ("upside down", "lead.max: {low: 9, high: 3}", "`low` that is not above `high`"),
    ("half a range", "lead.max: {low: 9}", "have `low` and `high`"),
    ("step", "lead.max: {low: 3, high: 9, step: 0}", "`step` above 0"),
    ("log", "pair_share: {low: 0, high: 1, log: true}", "above 0 for `log`"),
    ("policy", "policy: [lead, leed]", r"policy must be a family \(lead"),
    ("policy range", "policy: {low: 1, high: 2}", "be a value or a list"),
    ("stray", "policy: lead\ncurtailed.k: 5", "line 2.*belong to one of the policies"),
    ("twice", "lead.by: 3\nlead.by: 4", "line 2.*be given once"),
    ("no mapping", "- lead", "map parameters"),
    ("empty", "", "map parameters"),
    ("no value", "lead.by: []", "at least one value"),
    ("nested", "lead.by: [[1]]", "plain values"),
    ("no yaml", "lead.by: [", "valid YAML"),
]


@pytest.mark.parametrize(("text", "message"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_file_is_told_where_and_what(tmp_path: Path, text: str, message: str) -> None:
    space = Space({**live_space({}).domains, **policy_space().domains})
    with pytest.raises(ConfigError, match=f"(?s){message}") as caught:
        changed(tmp_path, text, space)
    assert "space.yaml" in str(caught.value)


def test_a_file_that_is_not_there_or_asks_for_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="readable UTF-8"):
        read_space(tmp_path / "none.yaml", policy_space())
    path = tmp_path / "space.yaml"
    path.write_text("bank: 12")
    with pytest.raises(ConfigError, match="bank must be left out: only live"):
        read_space(path, policy_space(), fixed_here={"bank": "only live"})
