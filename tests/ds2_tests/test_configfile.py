"""`ds2 run --config`: the file below the environment below the options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

FILE = """
policy: curtailed(3, 0.5)
target: 5
pair_share: 0.2
expansion_width: 4
answer_temperatures: [0.5, 0.6]
model_for: {}
sampling: {min_p: 0.1}
"""


def config(folder: Path) -> dict[str, Any]:
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {**written["run"], **written["engine"], **written["budget"]}


def test_the_file_gives_way_to_the_environment_and_that_to_an_option(
    ds2: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(FILE)
    out = tmp_path / "run"
    monkeypatch.setenv("DS2_RUN_POLICY", "lead(2, 3)")
    monkeypatch.setenv("DS2_RUN_TARGET", "4")
    ended = ds2("run", "gsm8k", "--config", "c.yaml", "--target", 3, "--out", out)
    assert ended.code == 0, ended.err
    found = config(out)
    assert found["target"] == 3
    assert found["policy"] == "lead(2, 3)"
    assert found["pair_share"] == 0.2
    assert found["expansion_width"] == 4
    assert found["answer_temperatures"] == [0.5, 0.6]
    assert found["sampling"] == {"min_p": 0.1}


def test_a_calibrated_policy_is_looked_for_beside_the_file(ds2: Command, tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "policy.json").write_text("{}")
    (folder / "best.yaml").write_text("policy: calibrated(policy.json)\n")
    ended = ds2("run", "gsm8k", "--config", "tuned/best.yaml")
    assert ended.code == 2
    # It was found: what is said is what is wrong with it.
    assert "Reading a calibrated policy failed for 'tuned/policy.json'" in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("polcy: lead(3, 9)", "polcy must be one of target, seed"),
        ("- a", "must map settings to values"),
        ("a: [", "the file, line 1"),
        ("pair_share: 3", "pair_share must be less than or equal to 1"),
        ("policy: leed", "policy must be written as"),
        ("target: many", "--target must be a whole number (got 'many')"),
    ],
)
def test_what_is_no_setting_is_refused(ds2: Command, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    ended = ds2("run", "gsm8k", "--config", "c.yaml")
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_not_there_is_named(ds2: Command) -> None:
    ended = ds2("run", "gsm8k", "--config", "none.yaml")
    assert ended.code == 2
    assert "none.yaml" in ended.err
    assert "readable UTF-8 file" in ended.err
