"""`ds2 tune` as a person meets it: tables, files, exit codes, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_runs import go
from test_cli_replay import recorded, wordy

from ds2.cli.tune_notes import notes
from ds2.cli.tune_views import document, write_best
from optimizers.tuning import HeldOut, Objective, Outcome, StudyPlan, Tried
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
    # A task says the answer format too.
    named = ds2("tune", "gsm8k", *command[1:3], *command[5:])
    assert "Continuing: 20 of 20 trials are there." in named.err
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
    best = write_best(plan, found, {"policy": "lead(1, 3)"}).read_text()
    assert "# Measured: precision 0.91 (95 % interval 0.862 to 0.920), cost 4.\n" in best


HELD_OUT = [
    (0.93, 0.95, "0.9300, below 0.94, which the interval reaches: it may be chance, or ask for a"),
    (0.80, 0.85, "0.8000, below 0.94, which the interval does not reach: ask for more"),
    (0.95, 0.99, None),
]


@pytest.mark.parametrize(
    ("value", "high", "said"), HELD_OUT, ids=["may be chance", "missed", "kept"]
)
def test_a_least_precision_that_does_not_hold_on_held_out_questions_is_told(
    tmp_path: Path, value: float, high: float, said: str | None
) -> None:
    objectives = (Objective("precision", True, "precision"), Objective("c", False, "cost"))
    plan = StudyPlan(
        name="s",
        folder=tmp_path,
        space=live_space({}),
        objectives=objectives,
        minima={"precision": 0.94, "yield": 0.5},
        held_out=HeldOut(40, 60, 40, "x"),
        trials=1,
    )
    told = {
        "precision": value,
        "precision_low": 0.7,
        "precision_high": high,
        "yield": 0.4,
        "c": 5.0,
    }
    between = {"precision_low": 0.88, "precision_high": 0.98}
    lead = {"policy": "lead", "lead.by": 1, "lead.max": 3}
    only = Tried(0, lead, (0.95, 4.0), {"yield": 0.57, **between, "held_out": told}, True)
    found = document(plan, Outcome([only], {}, {}, {}), only, "balanced")
    lines = notes(plan, found)
    on = "The chosen trial, on the 60 questions that it was chosen on: precision 0.95 (95 % interval "
    assert lines[1].startswith(f"{on}0.880 to 0.980), cost 4")
    assert lines[2] == (
        "Held out, on 40 questions that no trial was measured on: "
        f"precision {value:.4g} (95 % interval 0.700 to {high:.3f}), cost 5, yield 0.400."
    )
    broken = [line for line in lines if line.startswith("Held-out ")]
    assert broken[-1] == "Held-out yield 0.4000, below 0.5."
    assert [
        line.removeprefix("Held-out precision ")[: len(said or "")] for line in broken[:-1]
    ] == ([said] if said else [])
    best = write_best(plan, found, {"policy": "lead(1, 3)"}).read_text()
    assert all(f"# {line}\n" in best for line in lines[2:-1])
    assert set(found["chosen"]["held_out"]["below"]) == {"yield", *(["precision"] if said else [])}


def test_what_was_chosen_is_judged_on_questions_that_no_trial_saw(
    ds2: Command, tmp_path: Path
) -> None:
    path = recorded(tmp_path, number=120, samples=12, differ=True)
    command = ("tune", "--replay", path, *NUMBER, "--trials", 12, "--out", "t", "-q")
    ended = ds2(*command, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    apart = found["held_out"]
    assert apart["questions"] + apart["chosen_on"] == 120
    assert found["not_held_out"] is None
    for entry in (*found["front"], *found["baselines"]):
        assert entry["held_out"].keys() >= {"precision", "precision_low", "samples_per_accepted"}
    assert found["chosen"]["trial"] == found["choices"]["balanced"]
    ended = ds2(*command)
    head, *lines = ended.out.splitlines()
    assert head.split("held out")[1].split() == ["samples", "an", "accepted", "row"]
    policy = found["chosen"]["policy"]
    (row,) = [line for line in lines if line.startswith("chosen (") and line.endswith(policy)]
    assert f"{found['chosen']['held_out']['precision']:.4f}" in row
    assert (
        f"Held out, on {apart['questions']} questions that no trial was measured on: " in ended.out
    )
    assert "(the default there: precision " in ended.out or "balanced, default" in ended.out
    assert "diamonds: held out" in (tmp_path / "t" / "pareto.svg").read_text()
    # What is held out is a part of the study, and is judged as `ds2 replay` does it.
    refused = ds2(*command, "--no-held-out")
    assert refused.code == 2
    assert f"got {apart['questions']} questions were held out, now none" in refused.err
    whole = ds2(
        "tune", "--replay", path, *NUMBER, "--trials", 3, "--no-held-out", "--out", "w", "-q"
    )
    assert "held out" not in whole.out
    assert "on others expect a little less" in whole.out


def test_where_no_question_is_held_out_it_says_why(ds2: Command, tmp_path: Path) -> None:
    path = recorded(tmp_path, number=120, samples=12)
    ended = ds2("tune", "--replay", path, *NUMBER, "--trials", 3, "--out", "t", "-q")
    assert (
        "No question is held out, for each part must have at least 30 questions that" in ended.out
    )
    told = json.loads((tmp_path / "t" / "trials.json").read_text())
    assert told["held_out"] is None
    assert told["not_held_out"].startswith("each part must have at least 30")
    live = ds2("tune", "gsm8k", "--target", 3, "--trials", 1, "--out", "live", "-q")
    assert "No question is held out, for a trial is judged by the rows that it makes" in live.out


def test_a_live_study_on_a_dev_set_holds_its_val_side_out_without_a_call_more(
    ds2: Command, tmp_path: Path
) -> None:
    rows = [{"question": wordy(n), "answer": "7", "labelled_by": "a vote"} for n in range(150)]
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "space.yaml").write_text("policy: lead\nlead.by: 1\nlead.max: 3\nbank: 6\n")
    command = ("tune", "gsm8k", "--devset", path, "-n", 3, "--trials", 1, "--space", "space.yaml")
    told = []
    for name, words in (("t", ()), ("w", ("--no-held-out",))):
        assert ds2(*command, "--out", name, *words, "-q", "-c", 1).code == 0
        told.append(json.loads((tmp_path / name / "trials.json").read_text()))
    (apart, whole) = (found["front"][0] for found in told)
    assert told[0]["held_out"]["questions"] >= 30
    assert apart["new_calls"] == whole["new_calls"]  # one call at a time: no surplus unit is begun
    on_all = apart["dev_accepted"] + apart["held_out_accepted"]
    assert (on_all, apart["tokens"]) == (whole["dev_accepted"], whole["tokens"])
    assert apart["held_out"].keys() == {
        "agreement_with_self_labels", "agreement_with_self_labels_low",
        "agreement_with_self_labels_high", "below",
    }  # fmt: skip
    assert whole["held_out"] is None


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
    (outside,) = [line for line in ended.out.splitlines() if "not tried" in line]
    assert outside == (
        "The baselines default and paper were not tried: the file of --space does not allow their "
        "`policy`. Nothing is wrong; to compare with them, let that file allow them, or leave `policy` "
        "out of it."
    )
    ran = ds2("run", "gsm8k", "--config", "t/best.yaml", "-n", 2, "--out", "r", "-q")
    assert ran.code == 0, ran.err
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["run"]["policy"] == "calibrated(t/policy.json)"


@pytest.mark.parametrize(
    ("space", "tried", "said"),
    [
        ("policy: lead(3,9)", ["default"], "The baseline paper was not tried: the file of --space"),
        ("policy: [posterior, 'curtailed( 5, 0.50)']", ["paper"], "baseline default was not tried"),
        (
            "policy: [lead, curtailed]\nlead.by: 4",
            ["paper"],
            "allow its `lead.by`. Nothing is wrong",
        ),
        ("policy: lead\nlead.by: 4", [], "allow their `lead.by` and `policy`."),
    ],
    ids=["default in full", "paper in full", "a number", "both"],
)
def test_a_baseline_that_the_space_leaves_out_is_told_and_one_in_full_is_tried(
    ds2: Command, tmp_path: Path, space: str, tried: list[str], said: str
) -> None:
    path = recorded(tmp_path, samples=12)
    (tmp_path / "space.yaml").write_text(space + "\n")
    command = ("tune", "--replay", path, *NUMBER, "--trials", 2, "--space", "space.yaml", "-q")
    ended = ds2(*command, "--out", "t")
    assert ended.code == 0, ended.err
    assert said in ended.out
    found = json.loads((tmp_path / "t" / "trials.json").read_text())
    assert [entry["baseline"] for entry in found["baselines"]] == tried


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
