"""`ds2 tasks`: the list, the YAML of a task, and templates that load as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ds2.cli.task_template import task_template
from ds2.cli.tasks import NewAnswer, tasks_app
from signatures.errors import OutputError, TaskError
from signatures.task import BUILT_IN, AnswerKind, load_task, parse_task, task_source

KINDS = [kind for kind in AnswerKind if kind is not AnswerKind.OPEN]


def invoke(*arguments: str) -> str:
    """Return what the command prints; an error of ours comes through as itself."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(tasks_app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_list_names_every_task_with_its_answer() -> None:
    lines = invoke().splitlines()
    assert lines[0].split() == ["name", "domain", "answer", "language"]
    assert [line.split()[0] for line in lines[1:]] == list(BUILT_IN)
    assert "choice of 4 or 5" in next(line for line in lines if line.startswith("medqa"))
    assert "label: yes, no, maybe" in next(line for line in lines if line.startswith("pubmedqa"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_show_prints_the_yaml_as_it_is(name: str) -> None:
    assert invoke("show", name) == task_source(name)


def test_show_prints_a_file_and_reports_a_bad_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(task_source("gsm8k"), encoding="utf-8")
    assert invoke("show", str(path)) == task_source("gsm8k")
    path.write_text("name: mine\n", encoding="utf-8")
    with pytest.raises(TaskError, match="must be given"):
        invoke("show", str(path))
    with pytest.raises(TaskError, match="gsm8k"):
        invoke("show", "gsm9k")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["own-task", "1e5", "true", "2024-01-01"])
def test_a_template_loads_as_it_is(kind: AnswerKind, name: str) -> None:
    task = parse_task(task_template(name, kind, "x.yaml"))
    assert (task.name, task.answer.kind) == (name, kind)
    # What the template spells out is the default, so that leaving it out changes nothing.
    bare = type(task.answer)(kind=kind, options=task.answer.options, labels=task.answer.labels)
    assert task.answer.close("7") == bare.close("7")


def test_every_runnable_answer_format_can_be_started_with() -> None:
    assert [answer.value for answer in NewAnswer] == [kind.value for kind in KINDS]


def test_new_writes_a_file_that_loads(tmp_path: Path) -> None:
    out = tmp_path / "own.yaml"
    said = invoke("new", "own", "--answer", "choice", "--out", str(out))
    assert str(out) in said
    assert load_task(out).answer.options == (4,)


def test_new_writes_next_to_the_user_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    invoke("new", "own")
    assert load_task("own.yaml").answer.kind is AnswerKind.NUMBER


def test_new_never_overwrites(tmp_path: Path) -> None:
    out = tmp_path / "own.yaml"
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="not there yet"):
        invoke("new", "own", "--out", str(out))
    assert out.read_text(encoding="utf-8") == "mine"


def test_new_needs_a_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="in a folder that exists"):
        invoke("new", "own", "--out", str(tmp_path / "no" / "own.yaml"))


@pytest.mark.parametrize("name", ["", "../up", "a b", "名", "gsm8k", "x" * 65])
def test_a_name_that_cannot_name_a_run_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="letters, digits"):
        invoke("new", name, "--out", str(tmp_path / "own.yaml"))
    assert list(tmp_path.iterdir()) == []
