"""`ds2 push`: dry unless asked, the card first, and the token nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from small_runs import go, rows_of
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.output.push import plan_push, push
from signatures.errors import EndpointError, OutputError

SECRET = "hf_secret_token"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("push") / "run"
    go(out, 6)
    return out


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Return what the libraries were asked to do; nothing is sent."""
    asked: list[tuple[str, Any]] = []

    class Api:
        def __init__(self, token: str) -> None:
            asked.append(("token", token))

        def create_repo(self, repo: str, **options: Any) -> None:
            asked.append(("create", (repo, options)))

        def upload_file(self, **options: Any) -> None:
            asked.append(("card", options))

    def push_to_hub(self: datasets.Dataset, repo: str, **options: Any) -> None:
        asked.append(("rows", (repo, self.to_list(), options)))

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(datasets.Dataset, "push_to_hub", push_to_hub)
    return asked


def test_without_upload_nothing_is_sent(
    run: Path, hub: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    result = CliRunner().invoke(app, ["push", str(run), "me/rows"])
    assert result.exit_code == 0, result.output
    assert "6 rows, 1 files" in result.output
    assert "Dry run: nothing was sent. HF_TOKEN is set." in result.output
    assert "simulated teacher" in result.output
    assert SECRET not in result.output
    assert hub == []


def test_the_card_goes_first_then_the_very_rows(run: Path, hub: list[Any]) -> None:
    plan = plan_push(run / "dataset", "me/rows")
    address = push(plan, {"HF_TOKEN": f" {SECRET}\n"}, private=True)
    assert address == "https://huggingface.co/datasets/me/rows"
    assert [what for what, _ in hub] == ["token", "create", "card", "rows"]
    told = dict(hub)
    assert told["token"] == SECRET
    assert told["create"] == (
        "me/rows",
        {"repo_type": "dataset", "private": True, "exist_ok": True},
    )
    assert told["card"]["path_or_fileobj"] == run / "dataset" / "README.md"
    repo, rows, options = told["rows"]
    assert (repo, rows) == ("me/rows", rows_of(run))
    assert options == {"token": SECRET, "private": True, "num_shards": 1}


def test_without_a_token_it_is_said_which_variable_is_missing(run: Path, hub: list[Any]) -> None:
    with pytest.raises(EndpointError, match="HF_TOKEN must hold a token"):
        push(plan_push(run / "dataset", "me/rows"), {}, private=True)
    assert hub == []


def test_what_the_hub_refuses_is_said_without_the_token(
    run: Path, hub: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: datasets.Dataset, repo: str, token: str, **_: Any) -> None:
        raise ConnectionError(f"403 for {token}\nand more")

    monkeypatch.setattr(datasets.Dataset, "push_to_hub", refuse)
    with pytest.raises(EndpointError, match=r"403 for \*\*\*") as refused:
        push(plan_push(run / "dataset", "me/rows"), {"HF_TOKEN": SECRET}, private=False)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("repo", ["rows", "a/b/c", "../x", "me/", "me/ro ws"])
def test_a_name_that_no_repository_has_is_refused(run: Path, repo: str) -> None:
    with pytest.raises(OutputError, match="must be USER/NAME"):
        plan_push(run / "dataset", repo)


def test_a_dataset_without_a_card_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shard = next((run / "dataset" / "data").iterdir())
    (tmp_path / "data" / shard.name).write_bytes(shard.read_bytes())
    with pytest.raises(OutputError, match="card must be there"):
        plan_push(tmp_path, "me/rows")
