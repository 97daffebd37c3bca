"""The policy that a table makes: its laws, its file, and what a broken file is told."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.calibration import Ballot, fit_policy
from programs.stopping import Calibrated, Counts, Decision, load_calibrated, parse_policy
from signatures.errors import ConfigError

DRAWS = st.lists(st.none() | st.integers(0, 4), max_size=12)


@lru_cache(maxsize=1)
def policy() -> Calibrated:
    rng = random.Random(0)
    ballots = []
    for _ in range(60):
        chance = rng.choice((0.95, 0.7, 0.3))
        draws = [0 if rng.random() < chance else rng.choice((1, 2, 3, -1)) for _ in range(8)]
        ballots.append(Ballot(tuple(draws), 0))
    return fit_policy(ballots, 0.93, 7, min_yield=0.3, repeats=8, source="made up").policy


def counts_of(draws: list[int | None]) -> Counts:
    readable = [d for d in draws if d is not None]
    votes = sorted((readable.count(a) for a in set(readable)), reverse=True)
    return Counts(tuple(votes), unreadable=len(draws) - len(readable))


@given(DRAWS)
def test_a_vote_stops_within_its_draws_in_states_that_the_table_holds(
    draws: list[int | None],
) -> None:
    supply = [*draws, *[None] * 7]
    used = 0
    while (decision := policy().decide(counts_of(supply[:used]))).draw:
        used += decision.draw
        assert used <= policy().max_draws
        assert counts_of(supply[:used]) in policy().states
    assert decision.reason in {"confident", "unsure", "tie", "unreadable"}
    assert decision.accepted == (decision.reason == "confident")


@given(DRAWS)
def test_no_smaller_wave_could_have_decided(draws: list[int | None]) -> None:
    counts = counts_of(draws[:5])
    wave = policy().decide(counts).draw
    if wave < 2 or counts not in policy().states:
        return
    for answer in (*{d for d in draws[:5] if d is not None}, 99, None):
        assert policy().decide(counts_of([*draws[:5], answer])).draw >= wave - 1


@given(DRAWS)
def test_a_tie_and_nothing_readable_are_never_accepted(draws: list[int | None]) -> None:
    counts = counts_of(draws)
    if counts.tied or not counts.votes:
        assert not policy().decide(counts).accepted
        assert policy().probability(counts) is None


def test_a_state_that_the_table_lacks_draws_on_and_ends_at_the_cap() -> None:
    strange = Counts((1, 1, 1, 1), 1)
    bare = Calibrated(0.9, 7, {}, expected=policy().expected, provenance=policy().provenance)
    assert bare.decide(strange) == Decision(1, accepted=False, reason="more")
    assert bare.decide(Counts((7,))) == Decision(0, accepted=False, reason="unsure")
    assert bare.decide(Counts((9, 9))).reason == "tie"
    assert bare.decide(Counts((), 8)).reason == "unreadable"
    assert bare.probability(Counts((7,))) is None


def test_the_probability_rises_with_the_agreement() -> None:
    sure = [c for c, entry in policy().states.items() if entry.do == "accept"]
    unsure = [c for c, e in policy().states.items() if e.do == "reject" and c.votes and not c.tied]
    assert sure
    assert unsure
    assert min(policy().probability(c) or 0 for c in sure) > max(  # type: ignore[type-var]
        policy().probability(c) or 0 for c in unsure if policy().states[c].support > 5
    )


def test_what_was_saved_is_read_back_from_its_own_spec(tmp_path: Path) -> None:
    path = tmp_path / "my policy, 1.json"
    saved = policy().save(path)
    assert saved.spec == f"calibrated({path})"
    again = parse_policy(saved.spec)
    assert isinstance(again, Calibrated)
    assert again == saved == policy()
    assert again.states == policy().states
    assert (again.expected, again.provenance) == (policy().expected, policy().provenance)
    assert hash(again) == hash(policy())
    copy = again.save(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == path.read_bytes()
    assert copy.id == again.id


def test_before_it_is_saved_the_id_stands_for_the_file() -> None:
    assert policy().spec == f"calibrated({policy().id})"
    assert repr(policy()) == policy().spec


def test_the_file_says_what_it_was_fitted_on_and_what_to_expect(tmp_path: Path) -> None:
    policy().save(tmp_path / "p.json")
    document = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert document["provenance"]["source"] == "made up"
    assert document["provenance"]["questions"] == 60
    assert len(document["provenance"]["ballots"]) == 16
    names = ["yield", "precision", "samples", "samples_per_accepted"]
    assert list(document["expected"]) == names
    assert document["states"]["|0"]["do"] == "draw"


BROKEN: list[tuple[str, Any, str]] = [
    ("format", "other", "format must hold"),
    ("version", 2, "version must hold"),
    ("extra", 1, "extra must hold"),
    ("max_draws", 0, "max_draws must hold"),
    ("states", {"3;1|0": {"do": "draw", "draw": 1, "right": 0.5, "support": 1}}, "like `3,1"),
    ("states", {"1,3|0": {"do": "draw", "draw": 1, "right": 0.5, "support": 1}}, "most first"),
    ("states", {"0|0": {"do": "draw", "draw": 1, "right": 0.5, "support": 1}}, "at least 1"),
    ("states", {"2,2|0": {"do": "accept", "draw": 0, "right": 0.5, "support": 1}}, "no tie"),
    ("states", {"|3": {"do": "accept", "draw": 0, "right": 0.5, "support": 1}}, "no tie"),
    ("states", {"3|0": {"do": "draw", "draw": 0, "right": 0.5, "support": 1}}, "at least 1"),
    ("states", {"3|0": {"do": "draw", "draw": 9, "right": 0.5, "support": 1}}, "to 7 at most"),
    ("states", {"3|0": {"do": "keep", "draw": 0, "right": 0.5, "support": 1}}, "do must hold"),
    ("states", {"3|0": {"do": "accept", "draw": 0, "right": 1.5, "support": 1}}, "right must"),
]


@pytest.mark.parametrize(("field", "value", "message"), BROKEN)
def test_a_broken_table_is_named(tmp_path: Path, field: str, value: Any, message: str) -> None:
    path = tmp_path / "p.json"
    policy().save(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document[field] = value
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_calibrated(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("{oops", encoding="utf-8")
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe\xff")
    for name in ("text.json", "latin.json", "missing.json", ""):
        with pytest.raises(ConfigError, match="Reading a calibrated policy failed"):
            parse_policy(f"calibrated({tmp_path / name})")
    with pytest.raises(ConfigError, match="Saving the calibrated policy failed"):
        policy().save(tmp_path / "no" / "p.json")
    with pytest.raises(ConfigError, match="be written as"):
        parse_policy("calibrated()")
