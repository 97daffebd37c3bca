"""The words of the tool: help with examples, groups, completion, and terminals of every kind."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_lines import check_command_line, commands
from conftest import Ended

from ds2.cli.app import main
from ds2.cli.plain import survive_code_pages

MAIN = [sys.executable, "-m", "ds2"]
COMMANDS = dict(commands())
ENDINGS = r"Example: (ds2 .+?)(?:\n\n|\Z)"


def shell(*words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run `ds2` in a process of its own, into pipes, with more in its environment."""
    kept = {k: v for k, v in os.environ.items() if k not in {"FORCE_COLOR", "TERM"}}
    return subprocess.run(
        [*MAIN, *words], env={**kept, **env}, capture_output=True, check=False, timeout=120
    )


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_shows_an_example_that_can_be_given(words: str) -> None:
    example = re.search(ENDINGS, COMMANDS[words].help or "", re.DOTALL)
    assert example is not None, f"{words} --help has no Example:"
    line = " ".join(example[1].split())
    assert line.startswith(words)
    check_command_line(line)


@pytest.mark.parametrize("words", COMMANDS)
def test_each_option_and_command_says_what_it_does(words: str) -> None:
    command = COMMANDS[words]
    assert command.help
    for one in command.params:
        assert getattr(one, "help", None), f"{words}: {one.name}"


def test_the_commands_stand_in_groups_by_what_a_person_wants() -> None:
    shown = shell("--help", COLUMNS="100", PYTHONIOENCODING="utf-8").stdout.decode()
    groups = re.findall(r"^╭─ (\w+) ", shown, re.MULTILINE)
    assert groups == ["Options", "Make", "Look", "Improve", "Export"]
    for name in ("run", "tasks", "report", "replay", "tune", "compile", "export", "push"):
        assert re.search(rf"^│ {name} ", shown, re.MULTILINE)


@pytest.mark.parametrize("line", ["ds2 run --no-such", "ds2 nope", "ds2 report --targt 3 x"])
def test_a_command_line_that_cannot_be_given_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        check_command_line(line)


# Mistakes on the command line.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run gsm8k --target abc", "--target must be a whole number (got 'abc')"),
        ("run gsm8k --target 0", "target must be greater than or equal to 1 (got 0)"),
        ("run gsm8k --preset nope", "--preset must be one of 'default', 'paper' (got 'nope')"),
        ("run gsm8k --taget 3", "the option must be one that `ds2 run` has (got '--taget')"),
        ("run gsm8k --seed", "--seed must be followed by a value (got None)"),
        ("run gsm8k extra more", "the rest of the line must be left out (got 'extra more')"),
        ("run", "TASK must be given (got None)"),
        ("watch x --every 0", "--every must be greater than or equal to 1 (got '0')"),
        ("plam", "the command must be one of run, plan, "),
        ("tasks nope", "the command must be one of show, new (got 'nope')"),
        ("status .", "the folder must be that of a run, with its store.sqlite"),
        ("report .", "the folder must be that of a run, with its store.sqlite"),
    ],
)
def test_every_mistake_is_told_in_one_template(
    ds2: Callable[..., Ended], words: str, said: str
) -> None:
    ended = ds2(*words.split())
    assert (ended.code, ended.out) == (2, "")
    template = r"Error: Reading the [\w ]+ failed( for '[^']*')?: .+ must .+ \(got .+\)\. .+\.\n"
    assert re.fullmatch(template, ended.err), ended.err
    assert said in ended.err
    assert not re.search(r"Input should|Value error|╭", ended.err)


def test_the_nearest_is_named_for_what_was_misspelt(ds2: Callable[..., Ended]) -> None:
    assert "Nearest: --target" in ds2("run", "gsm8k", "--taget", "3").err
    assert "Nearest: plan" in ds2("plam").err
    assert "for 'ds2 run'" in ds2("run", "gsm8k", "--seed").err


# Completion.


def test_completion_can_be_shown_for_bash() -> None:
    shown = shell("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.returncode == 0
    assert b"complete" in shown.stdout


def test_completion_completes() -> None:
    # The name of the program is that of the test's own here; typer reads the variable by it.
    code = "from ds2.cli.app import app; app(prog_name='ds2')"
    for words, offered in (
        ("ds2 re", ["report", "replay"]),
        ("ds2 run g", ["gpqa", "gsm8k"]),
        ("ds2 export runs/x --format sha", ["sharegpt"]),
    ):
        env = {
            **os.environ,
            "_DS2_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, check=False
        )
        assert sorted(done.stdout.decode().split()) == sorted(offered)


# Terminals.


@pytest.mark.parametrize("page", ["cp1252", "cp437", "ascii"])
def test_help_is_read_on_a_narrow_terminal_of_any_code_page(page: str) -> None:
    shown = shell("run", "--help", COLUMNS="40", NO_COLOR="1", PYTHONIOENCODING=page)
    assert shown.returncode == 0, shown.stderr
    text = shown.stdout.decode(page)
    assert "\x1b" not in text
    if page == "cp1252":  # the others lack the dots of what Rich cut, which are written out
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 40
    assert "--target" in text


def test_a_run_is_told_on_a_narrow_terminal_of_a_windows_code_page(tmp_path: Path) -> None:
    task = tmp_path / "oui.yaml"
    shown = shell("tasks", "new", "oui", "--out", str(task))
    assert shown.returncode == 0
    task.write_text(task.read_text(encoding="utf-8") + "# \u2264 \U0001f600\n", encoding="utf-8")
    shown = shell("tasks", "show", str(task), PYTHONIOENCODING="cp1252")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.decode("cp1252").splitlines()[-1] == "# \\u2264 \\ud83d\\ude00"
    env = {"COLUMNS": "40", "NO_COLOR": "1", "PYTHONIOENCODING": "cp1252"}
    made = shell("run", "gsm8k", "-n", "2", "--out", str(tmp_path / "run"), **env)
    assert made.returncode == 0, made.stderr
    assert b"\x1b" not in made.stdout + made.stderr


def test_what_a_code_page_lacks_is_written_as_json_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "caf\xe9 \u2264 \U0001f600"
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    survive_code_pages()
    stream.write(f'"{said}"')
    stream.flush()
    written: Any = stream.buffer
    assert json.loads(written.getvalue()) == said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "words",
    ["tasks", "--help", "run gsm8k -n 2 --out run -q", "status run", "run gsm8k -n 2 --json"],
)
def test_a_full_disk_behind_stdout_is_no_bug_and_ends_no_run(
    ds2: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: str,
) -> None:
    if words == "status run":
        assert ds2("run", "gsm8k", "-n", 2, "--out", "run", "-q").code == 0
    monkeypatch.setattr(sys, "argv", ["ds2", *words.split()])
    # As with PYTHONUNBUFFERED, which keeps nothing that would fail once more.
    unbuffered = words in {"--help", "run gsm8k -n 2 --json"}
    raw: Any = io.FileIO("/dev/full", "w")
    full = io.TextIOWrapper(raw if unbuffered else io.BufferedWriter(raw), write_through=unbuffered)
    with full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            main()
    said = capsys.readouterr().err
    assert "Error: Printing failed: stdout must take all that is printed (got 'No space" in said
    assert said.count("Error") == 1
    assert ended.value.code == (0 if "--json" in words else 2)
    if words.startswith("run"):
        assert list(tmp_path.glob("run*/**/summary.json"))


def test_a_reader_that_has_gone_does_not_end_a_run(tmp_path: Path) -> None:
    words = ["run", "gsm8k", "-n", "6", "--json", "--quiet", "--out", str(tmp_path / "run")]
    with subprocess.Popen([*MAIN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert b"began" in run.stdout.readline()
        run.stdout.close()
        said = run.stderr.read()
    assert (run.returncode, said) == (0, b"")
    assert (tmp_path / "run" / "summary.json").is_file()
