"""`ds2 replay`: policies side by side on a file or a run, a fit, a picture, and clear refusals."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.store import RunStore, UnitRecord
from programs.stopping import load_calibrated
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError, DS2Error, OutputError, StoreError
from signatures.records import Instruction, Rejection, Sample, Vote, make_row

ROOT = Path(__file__).resolve().parents[2]

FIXED = ("--policy", "fixed(5, 0.6)")


def invoke(*arguments: str | Path) -> str:
    """Return what the command prints; an error of ours comes through as itself."""
    result = CliRunner().invoke(app, ["replay", *map(str, arguments)])
    if isinstance(result.exception, DS2Error):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def recorded(
    folder: Path, number: int = 60, samples: int = 6, name: str = "r.jsonl", *, differ: bool = False
) -> Path:
    """Write recorded answers; where questions do not `differ`, they do by their figures alone."""
    rng = random.Random(0)
    lines = []
    for place in range(number):
        chance = rng.choice((0.95, 0.8, 0.3))
        said = [12 if rng.random() < chance else rng.randint(1, 5) for _ in range(samples)]
        lines.append(
            {
                "question": wordy(place) if differ else f"{name}: how many are {place}?",
                "gold": "12",
                "samples": [
                    {"model": f"m{n % 2}", "text": f"\\boxed{{{s}}}", "correct": s == 12}
                    for n, s in enumerate(said)
                ],
            }
        )
    path = folder / name
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def wordy(place: int) -> str:
    """Return a question that is near to no other one."""
    words = [first + second for first in "bcdfghjk" for second in "aeioulmn"]
    return " ".join(random.Random(place).sample(words, 9)) + "?"


def run_folder(folder: Path) -> Path:
    """A run with an accepted row, a rejected vote, a unit without a vote, and a surplus one."""

    def vote(answers: list[str], winner: str | None, *, accepted: bool) -> Vote:
        counts = tuple((a, answers.count(a)) for a in dict.fromkeys(answers))
        samples = tuple(Sample(number=n, answer=a, key=a) for n, a in enumerate(answers))
        return Vote(
            accepted=accepted, winner=winner, agreement=0.6, counts=counts, draws=len(answers),
            reason="majority" if accepted else "tie", response=0 if accepted else None,
            samples=samples,
        )  # fmt: skip

    def asked(question: str) -> Instruction:
        return Instruction(keywords=("k",), level=BloomLevel.APPLY, question=question)

    row = make_row(
        asked("one?"), vote(["4", "4", "4", "5", "4"], "4", accepted=True),
        response="4", task="gsm8k", teacher="simulated", model="simulated",
    )  # fmt: skip
    tied = Rejection(
        stage="vote", reason="tie", instruction=asked("two?"),
        vote=vote(["1", "2", "1", "2", "3"], None, accepted=False),
    )  # fmt: skip
    unread = Rejection(stage="writer", reason="unparsable")
    folder.mkdir()
    with RunStore(folder) as store:
        units = [
            ("accepted", "", row.model_dump_json()),
            ("rejected", "tie", tied.model_dump_json()),
            ("rejected", "unparsable", unread.model_dump_json()),
            ("surplus", "", "{}"),
        ]
        for place, (state, reason, record) in enumerate(units):
            store.record_unit(UnitRecord(place, state, reason, record)).result()
    return folder


def test_policies_stand_side_by_side_in_a_table(tmp_path: Path) -> None:
    said = invoke(recorded(tmp_path), "--format", "number", *FIXED, "-p", "lead(2, 6)").splitlines()
    assert said[0].split()[:3] == ["policy", "yield", "precision"]
    assert said[1].startswith("fixed(5, 0.6)")
    assert said[2].startswith("lead(2, 6)")
    assert "60 questions, 360 samples (0 unreadable), 20 random orders." in said


def test_the_json_is_as_documented(tmp_path: Path) -> None:
    document = json.loads(invoke(recorded(tmp_path), "--format", "number", *FIXED, "--json"))
    assert set(document) == {
        "source", "labelled", "questions", "samples", "unreadable_samples", "unreadable_gold",
        "repeats", "seed", "policies", "fit",
    }  # fmt: skip
    (found,) = document["policies"]
    assert found["policy"] == "fixed(5, 0.6)"
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    shown = json.loads(page.partition("```json")[2].partition("```")[0])
    assert list(shown) == list(document)
    assert list(shown["policies"][0]) == list(found)
    assert found["samples"] == 5.0
    assert found["n"] == 60
    assert 0 < found["precision_low"] < found["precision"] < found["precision_high"] <= 1
    assert found["reading_agreement"] == 1.0


def test_orders_are_of_the_seed(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    ask = (path, "--format", "number", "-p", "lead(2, 4)", "--json", "--repeats", "1", "--seed")
    assert invoke(*ask, "3") == invoke(*ask, "3")
    assert json.loads(invoke(*ask, "3"))["policies"] != json.loads(invoke(*ask, "4"))["policies"]


def test_models_are_chosen(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    ask = (path, "--format", "number", "-p", "fixed(3, 0.5)", "--json")
    for pattern in (("--models", "m0"), ("--exclude", "m1")):
        assert json.loads(invoke(*ask, *pattern))["samples"] == 180


def test_a_policy_is_fitted_judged_saved_and_used_again(tmp_path: Path) -> None:
    train, test = recorded(tmp_path, name="train.jsonl"), recorded(tmp_path, 30, name="test.jsonl")
    saved = tmp_path / "policy.json"
    fit = ("--fit", train, "--target-precision", "0.9", "--max", "6", "--save", saved)
    ask = (test, "--format", "number", *FIXED, "--json")
    document = json.loads(invoke(*ask, *fit))
    assert [found["policy"] for found in document["policies"]] == [
        "fixed(5, 0.6)",
        f"calibrated({saved})",
    ]
    assert document["fit"]["questions"] == 60
    assert document["fit"]["questions_judged_and_fitted"] == 0
    assert len(document["fit"]["variants"]) == 5
    assert load_calibrated(saved).provenance.source == str(train)
    again = json.loads(invoke(*ask, "-p", f"calibrated({saved})"))
    assert again["policies"] == document["policies"]
    said = invoke(train, "--format", "number", *fit)
    assert "60 of the questions judged were fitted to as well" in said
    assert "(chosen)" in said


def test_the_precision_wanted_may_be_that_of_a_policy(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    fit = ("--fit", path, "--target-precision", "fixed(5, 0.6)", "--max", "5")
    document = json.loads(invoke(path, "--format", "number", *FIXED, *fit, "--json"))
    wanted = document["fit"]["target_precision"]
    assert wanted == pytest.approx(document["policies"][0]["precision"], abs=0.02)


def test_the_frontier_is_drawn(tmp_path: Path) -> None:
    plot = tmp_path / "frontier.svg"
    invoke(recorded(tmp_path), "--format", "number", *FIXED, "--plot", plot)
    assert plot.read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(OutputError, match="--plot"):
        invoke(
            recorded(tmp_path), "--format", "number", *FIXED, "--plot", tmp_path / "no" / "f.svg"
        )


def test_a_run_is_replayed_from_its_own_store(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    document = json.loads(invoke(folder, *FIXED, "-p", "lead(2, 5)", "--json"))
    assert (document["labelled"], document["questions"], document["samples"]) == (False, 2, 10)
    fixed, _ = document["policies"]
    assert (fixed["precision"], fixed["winner_agreement"], fixed["yield"]) == (None, 1.0, 0.5)
    said = invoke(folder, *FIXED)
    assert "A run holds no right answers" in said
    assert "as recorded" in said


def test_samples_that_ran_out_and_gold_that_is_unreadable_are_told(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | {"gold": "nobody knows"})
    path.write_text("\n".join(lines), encoding="utf-8")
    said = invoke(path, "--format", "number", "-p", "fixed(7, 0.5)")
    assert "Left out, gold unreadable: line 4" in said
    assert "fixed(7, 0.5) asked for more samples than were recorded in 100.0%" in said


def test_choices_and_labels_take_their_sets(tmp_path: Path) -> None:
    def write(name: str, gold: str, texts: list[str], **more: Any) -> Path:
        samples = [{"text": f"Answer: {text}"} for text in texts]
        line = {"question": "q?", "gold": gold, "samples": samples, **more}
        (tmp_path / name).write_text(json.dumps(line), encoding="utf-8")
        return tmp_path / name

    def unread(*arguments: str | Path) -> int:
        return json.loads(invoke(*arguments, "-p", "lead(1, 2)", "--json"))["unreadable_samples"]

    bare = write("bare.jsonl", "B", ["B", "D"])
    assert unread(bare, "--format", "choice", "--options", "4") == 0
    assert unread(bare, "--format", "choice", "--options", "3") == 1
    named = write("named.jsonl", "B", ["B", "D"], options=["x", "y", "z"])
    assert unread(named, "--format", "choice") == 1
    labels = write("labels.jsonl", "yes", ["Yes.", "perhaps"])
    assert unread(labels, "--format", "label", "--labels", "yes,no") == 1
    with pytest.raises(ConfigError, match="--options"):
        unread(bare, "--format", "choice")
    with pytest.raises(ConfigError, match="--format"):
        unread(bare, "--format", "choice", "--options", "40")
    with pytest.raises(ConfigError, match="--labels"):
        unread(labels, "--format", "label")
    with pytest.raises(ConfigError, match="--labels"):
        unread(bare, "--format", "number", "--labels", "yes,no")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["-p", "fixed(5, 1.5)"], "threshold", id="threshold-over-one"),
        pytest.param(["-p", "lead(5, 4)"], "most draws", id="max-below-lead"),
        pytest.param(["-p", "leader"], "be written as", id="no-policy"),
        pytest.param(["-p", "calibrated(none.json)"], "calibrated", id="no-table"),
        pytest.param([], "--policy must be given", id="nothing-to-judge"),
        pytest.param(["--save", "x.json"], "--fit must be given", id="save-without-fit"),
        pytest.param([*FIXED, "--repeats", "0"], "repeats", id="no-repeats"),
        pytest.param(["--fit", "SELF"], "--target-precision", id="fit-without-target"),
        pytest.param(["--fit", "SELF", "--target-precision", "1.5"], "below 1", id="target"),
        pytest.param(["--fit", "SELF", "--target-precision", "nan"], "below 1", id="nan"),
        pytest.param(["--fit", "SELF", "--target-precision", "high"], "be written as", id="word"),
        pytest.param(
            ["--fit", "SELF", "--target-precision", "0.9", "--max", "40"], "most draws", id="max"
        ),
    ],
)
def test_what_cannot_be_met_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = recorded(tmp_path)
    words = [str(path) if word == "SELF" else word for word in arguments]
    with pytest.raises(ConfigError, match=message):
        invoke(path, "--format", "number", *words)


def test_one_draw_is_its_own_majority(tmp_path: Path) -> None:
    ask = (recorded(tmp_path), "--format", "number", "-p", "fixed(1, 1.0)", "--json")
    (found,) = json.loads(invoke(*ask))["policies"]
    assert (found["yield"], found["samples_per_accepted"]) == (1.0, 1.0)


def test_a_tie_is_no_majority(tmp_path: Path) -> None:
    line = {"question": "q", "gold": "1", "samples": [{"text": "A: 1"}, {"text": "A: 2"}]}
    path = tmp_path / "tie.jsonl"
    path.write_text(json.dumps(line), encoding="utf-8")
    ask = (path, "--format", "number", "-p", "fixed(2, 0.5)", "--json")
    assert json.loads(invoke(*ask))["policies"][0]["yield"] == 0.0


def test_a_source_that_is_none_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    for path in (empty, tmp_path / "missing.jsonl"):
        with pytest.raises(StoreError, match=path.name):
            invoke(path, "--format", "number", *FIXED)
    with pytest.raises(ConfigError, match="--format"):
        invoke(recorded(tmp_path), *FIXED)
    with pytest.raises(ConfigError, match="be a run"):
        invoke(tmp_path, *FIXED)
    folder = run_folder(tmp_path / "run")
    with pytest.raises(ConfigError, match="right answers"):
        invoke(folder, "--fit", folder, "--target-precision", "0.9")


def test_a_broken_line_is_named_with_its_file_and_number(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + '\n{"question": "q"', encoding="utf-8")
    with pytest.raises(StoreError, match=r"r\.jsonl, line 61"):
        invoke(path, "--format", "number", *FIXED)
