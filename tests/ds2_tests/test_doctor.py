"""`ds2 doctor`: what it finds, what it would do about it, and what it never tells."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ds2.cli import app as command_line
from ds2.cli.app import app
from ds2.engines.resolve import resolve_backend
from ds2.runtime import diagnosis
from ds2.runtime.diagnosis import Finding, diagnose

SECRET = "sk-a-key-that-nobody-may-see"


def found(folder: Path, environ: dict[str, str] | None = None) -> dict[str, Finding]:
    backend = resolve_backend(None)
    return {f.name: f for f in diagnose(folder, {backend.model: backend.price}, environ or {})}


def test_a_machine_that_is_ready_has_nothing_wrong(tmp_path: Path) -> None:
    findings = found(tmp_path / "runs" / "that" / "is" / "not" / "there")
    assert "wrong" not in {finding.verdict for finding in findings.values()}
    assert findings["price"].words == "simulated is free"
    assert not (tmp_path / "runs").exists()


def test_a_key_is_named_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    result = CliRunner().invoke(app, ["doctor", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "OPENAI_API_KEY" in result.output
    assert SECRET not in result.output


@pytest.mark.parametrize(
    ("name", "value", "finding", "verdict"),
    [
        ("FREE_BYTES", 10**18, "disk", "note"),
        ("SLOW_SYNC_S", -1.0, "disk sync", "note"),
    ],
)
def test_a_disk_that_is_full_or_slow_is_noted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: float,
    finding: str,
    verdict: str,
) -> None:
    monkeypatch.setattr(diagnosis, name, value)
    assert found(tmp_path)[finding].verdict == verdict


def test_a_package_that_is_missing_and_an_old_python_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = diagnosis.version

    def version(name: str) -> str:
        if name == "optuna":
            raise diagnosis.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(diagnosis, "version", version)
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    findings = found(tmp_path)
    assert findings["optuna"].verdict == findings["python"].verdict == "wrong"
    assert "pip install 'optuna" in findings["optuna"].words
    result = CliRunner().invoke(app, ["doctor", "--out", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert {"name": "optuna", "verdict": "wrong"}.items() <= {
        k: v for f in json.loads(result.output) if f["name"] == "optuna" for k, v in f.items()
    }.items()


def test_the_endpoint_is_asked_only_with_a_model(tmp_path: Path) -> None:
    assert "endpoint" not in found(tmp_path)
    result = CliRunner().invoke(app, ["doctor", "--model", "simulated", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "endpoint         answers as" in result.output


@pytest.mark.parametrize(
    ("words", "said", "price"),
    [
        (["-m", "openai/gpt-4.1-mini"], "OPENAI_API_KEY must hold the key", "ok"),
        (["-m", "x", "--api-base", "http://127.0.0.1:9/v1"], "the endpoint must answer", "note"),
        (["-m", "nonesuch/x"], "--model must", None),
        (["--api-base", "http://127.0.0.1:9/v1"], "--model must be given", None),
    ],
    ids=["no key", "no server", "no such provider", "no model"],
)
def test_what_is_wrong_with_an_endpoint_stands_among_all_other_findings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
    price: str | None,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = CliRunner().invoke(app, ["doctor", *words, "--out", str(tmp_path), "--json"])
    assert result.exit_code == 2
    told = {f["name"]: f for f in json.loads(result.output)}
    assert {"python", "ds2", "disk", "disk sync", "keys"} <= told.keys()
    assert told["endpoint"]["verdict"] == "wrong"
    assert said in told["endpoint"]["words"]
    assert told.get("price", {"verdict": None})["verdict"] == price


def test_a_price_that_is_not_known_is_noted(tmp_path: Path) -> None:
    local = resolve_backend("m", api_base="http://127.0.0.1:1/v1", environ={})
    findings = {f.name: f for f in diagnose(tmp_path, {local.model: local.price}, {})}
    assert findings["price"].verdict == "note"
    assert "--price" in findings["price"].words


def test_a_bug_shows_its_version_above_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(command_line, "app", broken)
    with pytest.raises(ZeroDivisionError):
        command_line.main()
    said = capsys.readouterr().err
    assert said.startswith("This is a bug in ds2 0.")
    assert "report it" in said
