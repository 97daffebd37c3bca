"""A study: resumed as if it had not stopped, shared by workers, refused where it is another's."""

from __future__ import annotations

import json
import random
import sqlite3
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.chart import spread_scale
from optimizers.recorded import Recording
from optimizers.replay import Replay
from optimizers.tuning import (
    Measured,
    Objective,
    Outcome,
    Paused,
    ReplayTrials,
    StudyPlan,
    Tried,
    Unmeasured,
    choose,
    front,
    policy_space,
    replay_space,
    run_study,
)
from optimizers.tuning.drawing import front_svg, history_svg, importances_svg
from optimizers.tuning.results import PREFERENCES
from optimizers.tuning.space import Choice, Settings
from optimizers.tuning.storage import (
    JOURNAL_NAME,
    WORKERS_NAME,
    close_storage,
    without_password,
    working,
)
from programs.ballots import Ballot
from programs.stopping import Calibrated, parse_policy
from signatures.errors import ConfigError, StoreError

OBJECTIVES = (
    Objective("precision", higher=True, title="precision"),
    Objective("cost", higher=False, title="cost a row"),
)
PAPER = {"policy": "curtailed", "curtailed.k": 5, "curtailed.threshold": 0.5}


class Votes:
    """Measures a policy by arithmetic; counts, and may stop at a trial."""

    def __init__(self, stop_at: int = 0, stop: BaseException | None = None) -> None:
        self.asked: list[Settings] = []
        self._stop_at, self._stop = stop_at, stop

    def __call__(self, settings: Settings) -> Measured:
        self.asked.append(settings)
        if self._stop is not None and len(self.asked) == self._stop_at:
            raise self._stop
        draws = sum(float(value) for value in settings.values() if isinstance(value, int | float))
        if draws > 18:
            raise Unmeasured("nothing was accepted")
        return Measured(
            {"precision": 1 - 1 / (2 + draws), "cost": draws, "yield": 1 / (1 + draws)},
            {"yield": 1 / (1 + draws)},
        )


def plan(folder: Path, trials: int = 14, **changes: Any) -> StudyPlan:
    base = StudyPlan(
        name="study",
        folder=folder,
        space=policy_space(("lead", "curtailed")),
        objectives=OBJECTIVES,
        baselines={"paper": PAPER},
        identity={"task": "gsm8k"},
        trials=trials,
        seed=3,
    )
    return replace(base, **changes)


def rows(outcome: Outcome) -> list[tuple[Settings, tuple[float, ...]]]:
    return [(one.settings, one.values) for one in outcome.tried]


def test_a_study_ends_with_its_number_of_trials_and_begins_with_its_baselines(
    tmp_path: Path,
) -> None:
    votes = Votes()
    outcome = run_study(plan(tmp_path), votes)
    assert len(outcome.tried) == 14
    assert outcome.tried[0].baseline == "paper"
    assert outcome.tried[0].settings == PAPER
    # What gave nothing is counted, and the same settings are not measured twice.
    different = {json.dumps(settings) for settings, _ in rows(outcome)}
    assert len(votes.asked) == len(different) + sum(outcome.failed.values())
    assert run_study(plan(tmp_path), Votes(1, AssertionError())) == outcome


@pytest.mark.parametrize("stopped_at", [1, 4, 12])
@pytest.mark.parametrize("how", [KeyboardInterrupt, Paused], ids=["ctrl-c", "budget"])
def test_a_study_that_was_broken_off_goes_on_as_if_it_had_not(
    tmp_path: Path, how: type[BaseException], stopped_at: int
) -> None:
    whole = run_study(plan(tmp_path / "whole"), Votes())
    votes = Votes(stopped_at, how("spent"))
    broken = plan(tmp_path / "broken")
    if how is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            run_study(broken, votes)
    else:
        assert run_study(broken, votes).paused == "spent"
    rest = Votes()
    assert rows(run_study(broken, rest)) == rows(whole)
    # Only the trial that was broken off is measured twice.
    twice = [settings for settings in rest.asked if settings in votes.asked]
    assert twice == [settings for settings in (votes.asked[-1],) if settings in rest.asked]


def test_a_trial_that_a_dead_process_left_running_is_asked_for_again(tmp_path: Path) -> None:
    whole = run_study(plan(tmp_path / "whole"), Votes())
    broken = plan(tmp_path / "broken")
    run_study(replace(broken, trials=5), Votes())
    study = _opened(broken)
    study.enqueue_trial({"policy": "lead", "lead.by": 2, "lead.max": 4})
    trial = study.ask()
    assert broken.space.suggest(trial)["lead.max"] == 4
    with working(broken.folder) as worker:
        assert worker.alone
        worker.share()
        # While another process works, nobody may take its trials for dead.
        assert len(run_study(replace(broken, trials=6), Votes()).tried) == 6
        states = [t.state.name for t in study.get_trials(deepcopy=False)]
        assert states.count("RUNNING") == 1
    outcome = run_study(broken, Votes())
    assert len(outcome.tried) == len(whole.tried)
    states = [t.state.name for t in study.get_trials(deepcopy=False)]
    assert states.count("RUNNING") == 0
    again = [t for t in study.get_trials(deepcopy=False) if "retry_of" in t.user_attrs]
    assert [t.params for t in again] == [{"policy": "lead", "lead.by": 2, "lead.max": 4}]


def test_of_workers_that_begin_at_the_same_moment_one_is_alone_first(tmp_path: Path) -> None:
    at_once, all_in = Barrier(6), Barrier(6)

    def begin(_: int) -> bool:
        at_once.wait()
        with working(tmp_path) as worker:
            worker.share()
            all_in.wait()
            return worker.alone

    with ThreadPoolExecutor(6) as threads:
        for _ in range(10):
            assert any(threads.map(begin, range(6)))


def test_a_worker_that_finds_the_folder_held_with_nothing_in_it_waits(tmp_path: Path) -> None:
    """So it is found where another is just beginning, or died before it had begun."""
    with closing(sqlite3.connect(tmp_path / WORKERS_NAME, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM sqlite_master").fetchall()
        with ThreadPoolExecutor(1) as threads:
            begun = threads.submit(_alone_in, tmp_path)
            with pytest.raises(TimeoutError):
                begun.result(timeout=0.1)
            other.execute("COMMIT")
            assert begun.result(timeout=30)


def _alone_in(folder: Path) -> bool:
    with working(folder) as worker:
        return worker.alone


def test_a_journal_whose_last_line_is_torn_is_continued(tmp_path: Path) -> None:
    run_study(plan(tmp_path, trials=4), Votes())
    journal = tmp_path / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "wor')
    assert len(run_study(plan(tmp_path, trials=6), Votes()).tried) == 6


def test_a_study_is_kept_in_a_database_as_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = run_study(plan(tmp_path / "one", trials=3, storage=url), Votes())
    both = run_study(plan(tmp_path / "two", trials=4, storage=url), Votes())
    assert rows(both)[:3] == rows(first)
    assert not (tmp_path / "one" / JOURNAL_NAME).exists()
    assert rows(both) == rows(run_study(plan(tmp_path / "three", trials=4), Votes()))


def test_a_worker_without_a_heartbeat_loses_its_trial_to_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = plan(tmp_path / "one", trials=2, storage=url)
    run_study(first, Votes())
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name="study", storage=storage)
    study.enqueue_trial({"policy": "lead", "lead.by": 2, "lead.max": 4})
    trial = study.ask()
    asked = first.space.suggest(trial)
    storage.record_heartbeat(trial._trial_id)
    # In its own folder nobody has begun since: only the silence tells.
    other = replace(first, folder=tmp_path / "two", trials=3)
    assert rows(run_study(other, Votes()))[2][0] != asked
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        aged = "datetime(heartbeat, '-5 minutes')"
        database.execute(f"UPDATE trial_heartbeats SET heartbeat = {aged}")  # noqa: S608
    again = run_study(replace(other, trials=4), Votes())
    assert rows(again)[3][0] == asked
    states = [t.state.name for t in storage.get_all_trials(trial.study._study_id)]
    assert "RUNNING" not in states
    close_storage(storage)


@pytest.mark.parametrize(
    "url",
    ["nonsense", "sqlite:////no/such/folder/s.db", "mysql://ann:secret@127.0.0.1:1/x"],
    ids=["no URL", "no folder", "no driver or server"],
)
def test_a_storage_that_cannot_be_opened_is_refused_without_its_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(StoreError, match="--storage must be the URL") as caught:
        run_study(plan(tmp_path, storage=url), Votes())
    assert "secret" not in str(caught.value)
    assert without_password("see http://a.b/c") == "see http://a.b/c"


def test_a_missing_driver_is_told_by_the_package_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        run_study(plan(tmp_path, storage="mysql://ann:secret@127.0.0.1:1/x"), Votes())
    assert "no module named 'MySQLdb'" in str(caught.value)
    assert "pip install 'mysqlclient'" in str(caught.value)


def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_text("my notes\nmore\n")
    with pytest.raises(StoreError, match="a file that Optuna wrote"):
        run_study(plan(tmp_path), Votes())
    assert (tmp_path / JOURNAL_NAME).read_text() == "my notes\nmore\n"


OTHER: list[tuple[dict[str, Any], str]] = [
    ({"identity": {"task": "math"}}, "task was gsm8k, is math"),
    ({"space": policy_space(("lead",))}, "space: policy was"),
    ({"minima": {"yield": 0.2}}, "minima: yield was None, is 0.2"),
    ({"objectives": OBJECTIVES[::-1]}, "objectives was"),
]


@pytest.mark.parametrize(("change", "said"), OTHER, ids=["task", "space", "minima", "objectives"])
def test_a_study_of_something_else_is_refused_with_what_differs(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    run_study(plan(tmp_path, trials=2), Votes())
    with pytest.raises(StoreError, match=said):
        run_study(plan(tmp_path, **change), Votes())


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--trials must be at least 1"):
        run_study(plan(tmp_path, trials=0), Votes())
    with pytest.raises(ConfigError, match="--seed must be from 0"):
        run_study(plan(tmp_path, seed=-1), Votes())


def test_a_baseline_outside_the_space_is_not_tried_and_said(tmp_path: Path) -> None:
    outcome = run_study(plan(tmp_path, trials=3, space=policy_space(("lead",))), Votes())
    assert outcome.skipped == {"paper": "policy"}
    assert not any(one.baseline for one in outcome.tried)


def test_a_study_without_any_result_ends_and_says_why(tmp_path: Path) -> None:
    def nothing(settings: Settings) -> Measured:
        raise Unmeasured("nothing was accepted")

    outcome = run_study(plan(tmp_path), nothing)
    assert outcome.tried == []
    assert outcome.failed == {"nothing was accepted": 20}
    assert outcome.importances == {}


def test_constraints_say_what_is_feasible_and_the_sampler_goes_there(tmp_path: Path) -> None:
    outcome = run_study(plan(tmp_path, trials=30, minima={"precision": 0.9}), Votes())
    assert all(one.feasible == (one.values[0] >= 0.9) for one in outcome.tried)
    late = [one.feasible for one in outcome.tried[15:]]
    assert sum(late) > len(late) / 2
    assert all(one.feasible for one in front(outcome.tried, OBJECTIVES))


def test_optuna_says_nothing_and_is_left_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_study(plan(tmp_path, trials=15), Votes())
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_evaluation_goes_through_and_its_trial_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_study(plan(tmp_path), Votes(3, ZeroDivisionError()))
    whole = run_study(plan(tmp_path / "whole"), Votes())
    assert rows(run_study(plan(tmp_path), Votes())) == rows(whole)


# The front and the choice.


def tried(values: Sequence[tuple[float, float]], feasible: bool = True) -> list[Tried]:
    return [Tried(n, {"policy": "lead"}, v, {}, feasible) for n, v in enumerate(values)]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100)), min_size=1, max_size=30))
def test_the_front_is_what_nothing_beats_and_every_choice_is_on_it(
    values: list[tuple[float, float]],
) -> None:
    every = tried(values)
    best = front(every, OBJECTIVES)
    assert best

    def beats(one: Tried, other: Tried) -> bool:
        return (
            one.values != other.values
            and one.values[0] >= other.values[0]
            and one.values[1] <= other.values[1]
        )

    for one in every:
        beaten = any(beats(other, one) for other in every)
        assert beaten != any(other.values == one.values for other in best)
    chosen = {prefer: choose(best, OBJECTIVES, prefer) for prefer in PREFERENCES}
    assert chosen["precise"].values[0] == max(values)[0]
    assert chosen["cheap"].values[1] == min(v[1] for v in values)
    assert chosen["balanced"] in best


def test_balanced_takes_the_knee_and_ties_go_to_the_first() -> None:
    best = front(tried([(0.9, 2), (0.98, 3), (1.0, 20), (0.98, 3)]), OBJECTIVES)
    assert [one.number for one in best] == [0, 1, 2]
    assert choose(best, OBJECTIVES, "balanced").number == 1
    assert choose(best, OBJECTIVES, "cheap").number == 0
    assert choose(best, OBJECTIVES, "precise").number == 2
    with pytest.raises(ConfigError, match="be one of cheap, balanced, precise"):
        choose(best, OBJECTIVES, "dear")  # type: ignore[arg-type]
    assert front(tried([(1, 1)], feasible=False), OBJECTIVES) == []


@pytest.mark.parametrize("number", [0, 1, 40])
def test_pictures_are_whole_and_say_what_they_show(number: int) -> None:
    rng = random.Random(number)
    every = [
        Tried(n, {}, (rng.random(), 9 * rng.random()), {}, n % 3 > 0, "<b>" if n == 1 else "")
        for n in range(number)
    ]
    best = front(every, OBJECTIVES)
    importances = {"precision": {"lead.by": 0.75, "policy & co": 0.25}} if number else {}
    svgs = (
        front_svg(every, best, OBJECTIVES, best[0] if best else None),
        history_svg(every, OBJECTIVES),
        importances_svg(importances, OBJECTIVES),
    )
    for svg in svgs:
        root = ET.fromstring(svg)  # noqa: S314 - made here
        assert root.attrib["role"] == "img"
        words = ["".join(part.itertext()) for part in root[:2]]
        assert all(words)
        assert "nan" not in svg
    if best:
        assert f"trial {best[0].number}" in svgs[0]
        assert "lead.by 0.75" in svgs[2]


def test_what_a_picture_of_the_front_leaves_out_is_written_into_it() -> None:
    every = tried([(0.9, 1.0), (0.91, 2.0), (0.92, 3.0), (0.99, 90.0)])
    svg = front_svg(every, front(every, OBJECTIVES), OBJECTIVES, every[0])
    assert f"1 more of the front, to {OBJECTIVES[1].name} 90, not shown" in svg


def test_a_picture_leads_from_what_was_chosen_to_what_it_is_held_out() -> None:
    every = tried([(0.9, 1.0), (0.95, 2.0)])
    lower = {"precision": 0.6, "cost": 3.0}
    every[1] = every[1]._replace(facts={"held_out": lower})
    every[0] = every[0]._replace(facts={"held_out": {"precision": 0.5}})
    svg = front_svg(every, front(every, OBJECTIVES), OBJECTIVES, every[1])
    assert svg.count("<polygon") == 1
    assert "trial 1 held out: precision 0.6000, cost 3" in svg
    # In a live study the cost is that of the trial; where nothing was accepted there is no point.
    same = front_svg(every, front(every, OBJECTIVES), OBJECTIVES, every[0])
    assert "trial 0 held out: precision 0.5000, cost 1" in same
    none = every[1]._replace(facts={"held_out": {"precision": None, "cost": None}})
    assert "diamond" not in front_svg([none], [none], OBJECTIVES, none)


def test_costs_of_several_tenfolds_are_drawn_on_a_logarithmic_axis() -> None:
    up = spread_scale([1.0, 1000.0], 200.0, 20.0)
    assert up.ticks() == [1.0, 10.0, 100.0, 1000.0]
    steps = [up.at(low) - up.at(10 * low) for low in (1.0, 10.0, 100.0)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert not spread_scale([5.0, 50.0], 200.0, 20.0).logarithmic
    assert not spread_scale([0.0, 50.0], 200.0, 20.0).logarithmic
    assert not spread_scale([], 200.0, 20.0).logarithmic


# Replay.


def recording(number: int = 60, samples: int = 12, *, labelled: bool = True) -> Recording:
    rng = random.Random(0)
    ballots = []
    for _ in range(number):
        chance = rng.choice((0.95, 0.8, 0.4))
        said = tuple(0 if rng.random() < chance else rng.randint(1, 4) for _ in range(samples))
        ballots.append(Ballot(said, 0))
    questions = tuple(f"q {n}" for n in range(number))
    return Recording("votes", questions, tuple(ballots), labelled, number * samples, 0)


def test_replay_measures_a_policy_as_ds2_replay_does() -> None:
    whole = recording()
    trials = ReplayTrials(whole, repeats=5)
    measured = trials(PAPER)
    judged = Replay(whole, repeats=5).judge(parse_policy("curtailed(5, 0.5)"))
    assert measured.values == {
        "precision": judged.precision,
        "samples_per_accepted": judged.samples_per_accepted,
        "yield": judged.yielded,
    }
    assert measured.facts["waves"] == judged.waves
    assert measured.facts["precision_low"] == pytest.approx(judged.precision_low)
    with pytest.raises(Unmeasured, match="nothing was accepted"):
        trials({"policy": "lead", "lead.by": 40, "lead.max": 60})


def test_larger_waves_are_fewer_round_trips_for_more_samples_a_row() -> None:
    trials = ReplayTrials(recording(), repeats=5)
    found = [
        trials({"policy": "lead", "lead.by": 3, "lead.max": 9, "wave": size}) for size in (1, 4, 9)
    ]
    rounds = [measured.facts["waves"] for measured in found]
    samples = [measured.values["samples_per_accepted"] for measured in found]
    assert rounds[0] > rounds[1] > rounds[2] == 1
    assert samples[0] < samples[1] < samples[2]


def test_a_calibrated_trial_is_judged_crosswise_and_fitted_when_chosen(tmp_path: Path) -> None:
    trials = ReplayTrials(recording(), repeats=4)
    settings: Settings = {
        "policy": "calibrated",
        "calibrated.variant": "shrunk",
        "calibrated.max": 6,
        "calibrated.wrong": 5.0,
        "calibrated.sample": 0.03,
    }
    measured = trials(settings)
    policy = trials.policy(settings, measured.values["precision"])
    assert isinstance(policy, Calibrated)
    # Its file says what was measured on the folds left out, which is what the trial was judged by.
    assert policy.expected.precision.value == pytest.approx(measured.values["precision"])
    cost = measured.values["samples_per_accepted"]
    assert policy.expected.samples_per_accepted.value == pytest.approx(cost)
    assert policy.provenance.wrong_price == 5.0


def test_votes_without_right_answers_are_tuned_for_agreement() -> None:
    trials = ReplayTrials(recording(labelled=False), repeats=2)
    assert [objective.name for objective in trials.objectives] == [
        "winner_agreement",
        "samples_per_accepted",
    ]
    assert 0 < trials(PAPER).values["winner_agreement"] <= 1


def test_policies_are_fitted_only_where_they_can_be() -> None:
    def sizes(found: Recording) -> object:
        return replay_space(found).domains.get("calibrated.max")

    assert sizes(recording(samples=10)) == Choice((8, 10))
    assert sizes(recording(samples=5)) == Choice((5,))
    assert sizes(recording(labelled=False)) is None
    assert sizes(recording(number=19)) is None


def _opened(plan: StudyPlan) -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(str(plan.folder / JOURNAL_NAME))
    return optuna.load_study(study_name=plan.name, storage=optuna.storages.JournalStorage(backend))
