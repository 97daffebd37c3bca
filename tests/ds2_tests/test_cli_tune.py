"""`ds2 tune` as a person meets it: tables, files, exit codes, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_runs import go
from test_cli_replay import recorded

from ds2.cli.tune_views import document, notes, write_best
from optimizers.tuning import Objective, Outcome, StudyPlan, Tried
from optimizers.tuning.catalog import live_space

Command = Callable[..., Any]
NUMBER = ("--format", "number", "--repeats", 3)


def test_a_file_is_tuned_to_a_front_a_choice_and_pictures(ds2: Command, tmp_path: Path) -> None:
    path = recorded(tmp_path, samples=12)
    command = ("tune", "--replay", path, *NUMBER, "--trials", 20, "--min-yield", 0.3, "--out", "t")
    ended = ds2(*command, "--prefer", "cheap")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].split()[:2] == ["precision", "samples"]
    assert any(line.startswith("chosen") for line in lines)
    assert "20 of 20 trials; cheap so far: precision" in ended.err
    files = {file.name for file in (tmp_path / "t").iterdir()}
    assert files >= {
        "best.yaml", "trials.json", "pareto.svg", "history.svg", "importances.svg", "study.log",
    }  # fmt: skip
    cheap = yaml.safe_load((tmp_path / "t" / "best.yaml").read_text())
    assert set(cheap) == {"policy"}
    # The same command again measures nothing; another preference chooses from the same front.
    again = ds2(*command, "--prefer", "precise", "--json")
    found = json.loads(again.out)
    assert "Continuing: 20 of 20 trials are there." in again.err
    best = {entry["trial"] for entry in found["front"]}
    assert found["chosen"]["trial"] in best
    assert found["chosen"]["precision"] == max(entry["precision"] for entry in found["front"])
    assert {entry["baseline"] for entry in found["baselines"]} == {"default", "paper"}
    assert set(found["importances"]) == {"precision", "samples_per_accepted"}


def test_trials_without_a_result_are_told_apart_from_those_that_count(tmp_path: Path) -> None:
    objectives = (Objective("q", True, "quality"), Objective("c", False, "cost"))
    plan = StudyPlan(
        name="s", folder=tmp_path, space=live_space({}), objectives=objectives, trials=25
    )
    tried = [
        Tried(n, {"policy": "lead", "lead.by": 1, "lead.max": 3}, (0.9, n), {}, True)
        for n in (0, 52)
    ]
    outcome = Outcome(tried, {"nothing was accepted": 38}, {}, {})
    found = document(plan, outcome, tried[0], "balanced")
    counted, failed, ended = notes(plan, found)
    assert counted.startswith("2 of 25 trials gave a result; above is the Pareto front")
    assert failed.startswith("38 more gave none: nothing was accepted (38). They have numbers of ")
    assert "do not count towards --trials" in failed
    assert ended == "The study ended early: its last 20 in a row gave none."


def test_what_was_chosen_is_told_with_its_doubts(tmp_path: Path) -> None:
    objectives = (Objective("precision", True, "precision"), Objective("c", False, "cost"))
    plan = StudyPlan(
        name="s",
        folder=tmp_path,
        space=live_space({}),
        objectives=objectives,
        minima={"precision": 0.9},
        trials=2,
    )
    lead = {"policy": "lead", "lead.by": 1, "lead.max": 3}
    between = {"precision_low": 0.862, "precision_high": 0.92}
    default = Tried(0, lead, (0.99, 9.0), {"yield": 0.86}, True, "default")
    chosen = Tried(1, lead, (0.91, 4.0), {"yield": 0.57, **between}, True)
    found = document(plan, Outcome([default, chosen], {}, {}, {}), chosen, "cheap")
    _, quality, least, price = notes(plan, found)
    assert "the precision has the 95 % interval 0.862 to 0.920" in quality
    assert "not for its lower end" in least
    assert price.startswith("It accepts 0.57 of the questions, the default 0.86")
    best = write_best(plan, chosen, "cheap", {"policy": "lead(1, 3)"}).read_text()
    assert "precision: 95 % interval 0.862 to 0.920." in best


def test_best_yaml_of_a_calibrated_policy_can_be_run(ds2: Command, tmp_path: Path) -> None:
    path = recorded(tmp_path, samples=12)
    (tmp_path / "space.yaml").write_text("policy: calibrated\ncalibrated.max: 6\n")
    ended = ds2(
        "tune",
        "--replay",
        path,
        *NUMBER,
        "--trials",
        3,
        "--space",
        "space.yaml",
        "--out",
        "t",
        "-q",
    )
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert "The baseline paper was not tried: policy is outside the space." in ended.out
    ran = ds2("run", "gsm8k", "--config", "t/best.yaml", "-n", 2, "--out", "r", "-q")
    assert ran.code == 0, ran.err
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["run"]["policy"] == "calibrated(t/policy.json)"


def test_a_wave_is_searched_by_replay_where_it_is_named(ds2: Command, tmp_path: Path) -> None:
    path = recorded(tmp_path, samples=12)
    (tmp_path / "space.yaml").write_text("policy: [lead, curtailed]\nwave: 4\n")
    command = ("tune", "--replay", path, *NUMBER, "--trials", 6, "--space", "space.yaml")
    ended = ds2(*command, "--out", "t", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert {entry["policy"] for entry in found["baselines"]} == {
        "waves(lead(3, 9), 4)", "waves(curtailed(5, 0.5), 4)",
    }  # fmt: skip
    best = yaml.safe_load((tmp_path / "t" / "best.yaml").read_text())
    assert best["policy"].startswith("waves(")
    assert 1 <= found["chosen"]["waves"] < 3


def test_nothing_feasible_is_said_and_leaves_with_4(ds2: Command, tmp_path: Path) -> None:
    path = recorded(tmp_path, samples=12)
    ended = ds2(
        "tune", "--replay", path, *NUMBER, "--trials", 4, "--min-precision", 1.0, "--min-yield", 1.0,
        "--out", "t",
    )  # fmt: skip
    assert ended.code == 4
    assert "No trial is feasible: none reached precision of at least 1" in ended.out
    assert "default (not feasible)" in ended.out
    assert not (tmp_path / "t" / "best.yaml").exists()


def test_the_votes_of_a_run_are_tuned_for_agreement(ds2: Command, tmp_path: Path) -> None:
    go(tmp_path / "run", 12, policy="fixed(5, 0.6)")
    ended = ds2("tune", tmp_path / "run", "--repeats", 2, "--trials", 5)
    assert ended.code == 0, ended.err
    assert "agreement with the recorded winner" in ended.out
    assert (tmp_path / "runs" / "run-tune" / "best.yaml").is_file()
    refused = ds2("tune", tmp_path / "run", "--trials", 5, "--min-precision", 0.9)
    assert refused.code == 2
    assert "right answers are not known here" in refused.err


def test_self_labels_are_no_precision(ds2: Command, tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + {n} of the {w} kind, {w}?", "answer": str(2 * n),
             "labelled_by": "a vote"} for n, w in enumerate("abcdefghij")]  # fmt: skip
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("tune", "gsm8k", "--devset", path, "-n", 3, "--trials", 1, "--out", "t")
    refused = ds2(*command, "--min-precision", 0.9)
    assert refused.code == 2
    assert "only the agreement with self labels" in refused.err
    ended = ds2(*command)
    found = json.loads((tmp_path / "t" / "trials.json").read_text())
    assert found["objectives"][0]["title"] == "agreement with self-labels"
    assert found["labelled_by"] == "a vote"
    assert "precision on the dev set" not in ended.out
    path.write_text(path.read_text().replace("a vote", "another"))
    other = ds2(*command)
    assert other.code == 2
    assert "labelled_by" in other.err


def test_a_task_is_tuned_live_under_a_budget(ds2: Command, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("keyword_temperature: 0.7\nmax_tokens: null\nbank: 6\n")
    command = ("tune", "gsm8k", "--target", 6, "--trials", 3, "--space", "space.yaml")
    short = ds2(*command, "--budget-calls", 50)
    assert short.code == 3
    assert "Stopped: the budget is spent." in short.out
    ended = ds2(*command, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert [objective["name"] for objective in found["objectives"]] == [
        "agreement", "tokens_per_accepted", "diversity",
    ]  # fmt: skip
    assert {entry["baseline"] for entry in found["baselines"]} == {"default", "paper"}
    out = tmp_path / "runs" / "gsm8k-tune"
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert {"policy", "answer_temperatures", "pair_share"} <= set(best)
    assert "bank" not in best
    ran = ds2("run", "gsm8k", "--config", out / "best.yaml", "-n", 2, "--out", "r", "-q")
    assert ran.code == 0, ran.err


REFUSED = [
    ((), "TASK, RUN or --replay must be given"),
    (("no-such-task",), "task must be one of"),
    (("--replay", "none.jsonl", "--format", "number"), "be a readable"),
    (("--replay", "r.jsonl"), "--format must be one of"),
    (("--replay", "r.jsonl", *NUMBER, "--prefer", "dear"), "--prefer must be one of 'cheap'"),
    (("--replay", "r.jsonl", *NUMBER, "--trials", 0), "--trials must be at least 1"),
    (
        ("--replay", "r.jsonl", *NUMBER, "--min-precision", 95),
        "--min-precision must be from 0 to 1",
    ),
    (("--replay", "r.jsonl", *NUMBER, "--storage", "nowhere"), "--storage must be the URL"),
    (("--replay", "r.jsonl", *NUMBER, "--space", "bank.yaml"), "only a live study"),
    (("gsm8k", "--devset", "none.jsonl"), "none.jsonl"),
    (("gsm8k", "--min-precision", 0.9), "right answers are not known here"),
    (("gsm8k", "--calibrated", "none.json"), "none.json"),
    (
        ("gsm8k", "--cost", "usd"),
        "--cost must be tokens or calls where the price of a model is nothing",
    ),
    (("gsm8k", "--space", "fit.yaml"), "policy must not be `calibrated`"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_tuned_is_refused_before_the_first_trial(
    ds2: Command, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    recorded(tmp_path)
    (tmp_path / "bank.yaml").write_text("bank: 12\n")
    (tmp_path / "fit.yaml").write_text("policy: [lead, calibrated]\n")
    ended = ds2("tune", *words)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert ended.out == ""


def test_a_study_of_other_votes_is_refused(ds2: Command, tmp_path: Path) -> None:
    first = recorded(tmp_path, samples=12)
    other = recorded(tmp_path, samples=12, name="other.jsonl")
    command = (*NUMBER, "--trials", 2, "--out", "t", "-q")
    assert ds2("tune", "--replay", first, *command).code == 0
    ended = ds2("tune", "--replay", other, *command)
    assert ended.code == 2
    assert "source was r.jsonl, is other.jsonl" in ended.err
