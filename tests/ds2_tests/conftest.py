"""What the tests of the machine room share: the command line, run in this process."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_KEY = re.compile(r"(?i)(key|token|secret)")


class Ended(NamedTuple):
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """Keep what Typer builds of an app: a command line is built once for each worker, not each call.

    A built command holds nothing of a call; building all of ours takes 50 ms.
    """
    import functools

    import typer.main
    import typer.testing

    patch = pytest.MonkeyPatch()
    built = functools.cache(typer.main.get_command)
    patch.setattr(typer.main, "get_command", built)
    patch.setattr(typer.testing, "_get_command", built)
    yield
    patch.undo()


@pytest.fixture
def ds2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    """Run `ds2 ...` in an empty folder, with no key in the environment but those a test sets."""
    import os

    from ds2.cli.app import main

    for name in [name for name in os.environ if _KEY.search(name)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ds2", *map(str, words)])
        capsys.readouterr()
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        else:
            code = 0
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Ended(int(code or 0), printed.out, printed.err)

    return command
