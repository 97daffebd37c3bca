"""The code blocks of our pages, and how each is run: one folder and one namespace a page, in order."""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from command_lines import check_command_line

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 60  # rows that a test may make for a page
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SIZED = re.compile(r"runs/[\w-]+?-(\d+)")


class Block(NamedTuple):
    """A fenced block: its language, its text, and where the text begins in the page."""

    language: str
    text: str
    start: int


def pages() -> list[Path]:
    """Return the pages whose blocks are run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page; one without a language that holds our commands counts as bash."""
    for found in _FENCE.finditer(page):
        language = found[1] or ("bash" if found[2].startswith("ds2 ") else "text")
        yield Block(language, found[2], found.start(2))


def lines_of(script: str) -> list[str]:
    """Return the commands of a bash block, those over several lines as one."""
    joined = script.replace("\\\n", " ")
    return [line for line in joined.splitlines() if shlex.split(line, comments=True)]


def only_read(line: str) -> str | None:
    """Return why a command is held to the options that there are but not given, or None to run it."""
    words = shlex.split(line, comments=True)
    values = dict(pairwise(words))
    if words[0] != "ds2":
        return f"{words[0]} installs, serves or sets something"
    if words[1] in {"watch", "simulate"}:
        return "it serves until Ctrl-C"
    if words[1] in {"check", "compile", "tune"}:
        return "it needs an endpoint, or minutes"
    made = ("--program", "--config")  # by a compile or a study, which are not run here
    for option in ("--api-base", "--model-for", "--model", "--upload", "--open", "--corpus", *made):
        if option in words:
            return f"{option} needs a model, a browser, the network or documents"
    sizes = [values.get("--target", ""), values.get("-n", ""), *_SIZED.findall(line)]
    if any(size.isdecimal() and int(size) > LARGEST for size in sizes):
        return f"more than {LARGEST} rows"
    if any(word.endswith(".gz") or word in {"test.jsonl", "train.jsonl"} for word in words):
        return "it reads a recording"
    return None


class Session:
    """Runs the blocks of one page in the current folder."""

    def __init__(self, monkeypatch: Any) -> None:
        self._patch = monkeypatch
        self._names: dict[str, Any] = {}

    def python(self, block: Block, name: str) -> None:
        """Run Python in the page's namespace."""
        with redirect_stdout(io.StringIO()):
            exec(compile(block.text, name, "exec"), self._names)  # noqa: S102 - our own pages

    def bash(self, block: Block) -> None:
        """Run the commands that can be run here, hold the others to the options that there are."""
        for line in lines_of(block.text):
            if shlex.split(line, comments=True)[0] == "ds2":
                check_command_line(_command(line))
            if only_read(line) is None:
                self.command(line)

    def console(self, block: Block) -> str:
        """Return the transcript of a block's commands, run now."""
        made = []
        for line in block.text.splitlines():
            if line.startswith("$ "):
                check_command_line(_command(line[2:]))
                assert only_read(line[2:]) is None, f"no transcript can be made of {line}"
                made.append(f"{line}\n{self.command(line[2:])}")
        assert made, "a console block without a line that begins with $"
        return "".join(made)

    def command(self, line: str) -> str:
        """Run one `ds2` command in this process; return what stands on the terminal then."""
        from ds2.cli.app import main

        words, _, file = _command(line, keep_file=True).partition(" > ")
        self._patch.setattr(sys, "argv", shlex.split(words))
        out, err = io.StringIO(), io.StringIO()
        both = out if not file else err
        with redirect_stdout(out), redirect_stderr(both):
            code: Any = 0
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
        assert code in (0, 3), f"{line}: {code}: {both.getvalue()}"
        if file:
            Path(file.strip()).write_text(out.getvalue(), encoding="utf-8")
        return "\n".join(text.rstrip() for text in both.getvalue().splitlines()) + (
            "\n" if both.getvalue() else ""
        )


def _command(line: str, *, keep_file: bool = False) -> str:
    """Return a command without its comment and, unless asked for, the file it writes to."""
    words, _, comment = line.partition("   #")
    del comment
    words = words.split("  # ")[0].rstrip()
    return words if keep_file else words.partition(" > ")[0]


def masked(transcript: str) -> str:
    """Return a transcript without what differs from one run to the next: times, sizes, timing."""
    text = re.sub(r"\d[\d,.]*( (?:ms|s|MB|kB)\b)", r"N\1", transcript)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d|process \d+", "N", text)
    timed = r"^((?:planned|surplus|calls|tokens|samples an accepted row|time|rate)\s).*$"
    text = re.sub(timed, r"\1", text, flags=re.MULTILINE)
    return re.sub(r"  +", "  ", text)
