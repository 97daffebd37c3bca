"""What is held out of a study: no trial sees it, and it tells what was chosen is worth."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from optimizers.recorded import Recording
from optimizers.replay import Replay
from optimizers.tuning import (
    HeldOut,
    Measured,
    Objective,
    ReplayTrials,
    StudyPlan,
    Tried,
    hold_out,
    judged,
    policy_space,
    run_study,
)
from optimizers.tuning.heldout import HELD_OUT, LEAST, below, held_out_part
from optimizers.tuning.space import Settings
from programs.ballots import Ballot, wilson
from signatures.errors import StoreError

LEAD: Settings = {"policy": "lead", "lead.by": 2, "lead.max": 7}
TABLE: Settings = {
    "policy": "calibrated",
    "calibrated.variant": "shrunk",
    "calibrated.max": 6,
    "calibrated.wrong": 5.0,
    "calibrated.sample": 0.03,
}
OBJECTIVES = (
    Objective("precision", higher=True, title="precision"),
    Objective("samples_per_accepted", higher=False, title="samples a row"),
)


def question(number: int, figure: int = 0) -> str:
    words = [first + second for first in "bcdfghjk" for second in "aeioulmn"]
    return " ".join(random.Random(number).sample(words, 9)) + f" {figure}?"


def recording(number: int = 150, *, twins: int = 1, labelled: bool = True) -> Recording:
    """Return votes on so many questions, each there `twins` times with other figures."""
    rng = random.Random(0)
    questions, ballots = [], []
    for place in range(number * twins):
        chance = rng.choice((0.95, 0.8, 0.4))
        said = tuple(0 if rng.random() < chance else rng.randint(1, 4) for _ in range(12))
        questions.append(question(place // twins, place % twins))
        ballots.append(Ballot(said, 0))
    whole = Recording("votes", tuple(questions), tuple(ballots), labelled, 12 * len(ballots), 0)
    assert len(set(questions)) == number * twins
    return whole


def apart(whole: Recording, repeats: int = 3) -> tuple[ReplayTrials, HeldOut]:
    sides = hold_out(whole)
    return ReplayTrials(sides.chosen_on, held_out=sides.held_out, repeats=repeats), sides.about


def test_two_fifths_are_held_out_and_near_duplicates_stay_together() -> None:
    whole = recording(100, twins=2)
    chosen_on, held_out, about = hold_out(whole)
    assert held_out is not None
    assert {*chosen_on.questions, *held_out.questions} == {*whole.questions}
    assert not {q[:-3] for q in chosen_on.questions} & {q[:-3] for q in held_out.questions}
    assert (about.questions, about.chosen_on) == (len(held_out.questions), len(chosen_on.questions))
    assert about.questions == 2 * about.different
    assert 0.25 < about.questions / 200 < 0.55
    assert about.why == ""


@pytest.mark.parametrize(
    "whole", [recording(50), recording(2, twins=100)], ids=["few", "many of two kinds"]
)
def test_of_few_different_questions_none_is_held_out_and_it_says_why(whole: Recording) -> None:
    chosen_on, held_out, about = hold_out(whole)
    assert chosen_on is whole
    assert held_out is None
    assert about.questions == 0
    assert f"at least {LEAST} questions" in about.why
    assert f"of {len(whole.questions)}, " in about.why


def test_either_side_needs_the_least_number() -> None:
    assert held_out_part((50, 40), (LEAST, LEAST), "x") == HeldOut(40, 50, LEAST, "x")
    assert held_out_part((50, 40), (LEAST - 1, LEAST), "x").questions == 0
    assert held_out_part((50, 40), (LEAST, LEAST - 1), "x").questions == 0


@pytest.mark.parametrize("settings", [LEAD, TABLE], ids=["lead", "calibrated"])
def test_the_policy_that_is_saved_is_the_one_that_is_judged(settings: Settings) -> None:
    whole = recording()
    trials, about = apart(whole)
    found = trials.held_out(settings, about)
    held_out = hold_out(whole).held_out
    assert held_out is not None
    policy = trials.policy(settings, 0.9)
    same = Replay(held_out, repeats=3).judge(policy)
    assert found["precision"] == pytest.approx(same.precision)
    assert found["samples_per_accepted"] == pytest.approx(same.samples_per_accepted)
    assert found["yield"] == pytest.approx(same.yielded)
    assert found["precision_low"] == pytest.approx(same.precision_low)
    assert found["precision_high"] == pytest.approx(same.precision_high)


@pytest.mark.parametrize("settings", [LEAD, TABLE], ids=["lead", "calibrated"])
def test_no_trial_sees_what_is_held_out(settings: Settings) -> None:
    chosen_on, held_out, about = hold_out(recording())
    assert held_out is not None
    wrong = replace(held_out, ballots=tuple(Ballot((1,) * 12, 0) for _ in held_out.ballots))
    told = []
    for other in (held_out, wrong):
        trials = ReplayTrials(chosen_on, held_out=other, repeats=3)
        told.append((trials(settings), trials.held_out(settings, about), trials(settings)))
    (first, good, again), (same, bad, _) = told
    assert first == same == again
    assert bad["precision"] == 0 < good["precision"]


def test_where_nothing_is_accepted_held_out_there_is_no_figure() -> None:
    chosen_on, held_out, about = hold_out(recording())
    assert held_out is not None
    mute = replace(held_out, ballots=tuple(Ballot((-1,) * 12, 0) for _ in held_out.ballots))
    found = ReplayTrials(chosen_on, held_out=mute, repeats=2).held_out(LEAD, about)
    assert found["yield"] == 0
    values = ("precision", "precision_low", "precision_high", "samples_per_accepted")
    assert {found[name] for name in values} == {None}


def test_the_agreement_of_a_run_is_held_out_too() -> None:
    trials, about = apart(recording(labelled=False))
    assert 0 < trials.held_out(LEAD, about)["winner_agreement"] <= 1


def test_near_duplicates_count_once_in_the_interval() -> None:
    assert HeldOut(80, 100, 40, "x").interval(0.9, 60) == wilson(0.9, 30)
    assert HeldOut(80, 100, 80, "x").interval(0.9, 60) == wilson(0.9, 60)
    assert HeldOut(80, 100, 80, "x").interval(None, 0) == (None, None)


def test_without_held_out_votes_nothing_is_judged_by_them() -> None:
    with pytest.raises(ValueError, match="no votes are held out"):
        ReplayTrials(recording(), repeats=1).held_out(LEAD, HeldOut())


def test_the_front_and_the_baselines_are_judged_and_what_is_not_kept_is_told() -> None:
    tried = [
        Tried(0, LEAD, (0.9, 6.0), {}, False, "default"),
        Tried(1, LEAD, (0.9, 5.0), {}, True),
        Tried(2, LEAD, (0.8, 5.0), {}, True),  # nothing for the front
    ]
    found = judged(tried, OBJECTIVES, lambda one: {"precision": one.values[0] - 0.1, "yield": None})
    assert [HELD_OUT in one.facts for one in found] == [True, True, False]
    assert found[1].facts[HELD_OUT]["precision"] == pytest.approx(0.8)
    minima = {"precision": 0.85, "yield": 0.5}
    assert below(found[1].facts, minima) == {"precision": 0.85}
    assert below(found[1].facts, {"precision": 0.75}) == below({}, minima) == {}


def plan(folder: Path, held_out: HeldOut) -> StudyPlan:
    space = policy_space(("lead",))
    return StudyPlan("study", folder, space, OBJECTIVES, held_out=held_out, trials=2)


def measure(settings: Settings) -> Measured:
    cost = float(str(settings["lead.by"]))
    return Measured({"precision": 0.9, "samples_per_accepted": cost, "yield": 0.5}, {})


def test_what_is_held_out_is_part_of_what_a_study_is(tmp_path: Path) -> None:
    one, other = HeldOut(40, 60, 40, "one"), HeldOut(40, 60, 40, "other")
    run_study(plan(tmp_path / "one", one), measure)
    run_study(plan(tmp_path / "one", one._replace(different=39)), measure)
    with pytest.raises(StoreError, match="40 questions were held out, now others"):
        run_study(plan(tmp_path / "one", other), measure)
    with pytest.raises(StoreError, match="40 questions were held out, now none"):
        run_study(plan(tmp_path / "one", HeldOut()), measure)


def test_a_study_of_before_goes_on_where_nothing_is_held_out(tmp_path: Path) -> None:
    run_study(replace(plan(tmp_path, HeldOut())), measure)
    run_study(plan(tmp_path, HeldOut(why="there are too few")), measure)
    with pytest.raises(StoreError, match=r"none were held out.*go on with --no-held-out") as caught:
        run_study(plan(tmp_path, HeldOut(40, 60, 40, "one")), measure)
    assert "now 40 questions" in str(caught.value)
