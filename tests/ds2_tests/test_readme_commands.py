"""The README's way from nothing to a compiled, tuned run, as a newcomer types it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ds2.cli.app import app

ROOT = Path(__file__).resolve().parents[2]


def commands(heading: str) -> list[list[str]]:
    """Return the `ds2` commands of the first block below a heading of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"## {heading}")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [shlex.split(line, comments=True) for line in block[1].splitlines() if line]


def test_five_commands_lead_from_nothing_to_a_compiled_tuned_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = commands("Better prompts, a cheaper vote: from nothing in five commands")
    assert len(steps) == 5
    for name, *arguments in steps:
        assert name == "ds2"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
    config = json.loads((tmp_path / "runs/final/config.json").read_text("utf-8"))
    best = (tmp_path / "runs/tuned/best.yaml").read_text("utf-8")
    assert f"policy: {config['run']['policy']}" in best
    manifest = json.loads((tmp_path / "runs/better/manifest.json").read_text("utf-8"))
    assert manifest["optimizer"] == "simba"
    summary = json.loads((tmp_path / "runs/final/summary.json").read_text("utf-8"))
    assert (summary["status"], summary["ledger"]["accepted"]) == ("complete", 60)
