"""The code blocks of our pages, and how each is run: one folder and one namespace a page, in order."""

from __future__ import annotations

import io
import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from command_lines import check_command_line
from page_supplies import supply
from page_world import World
from pyarrow.parquet import read_table

from optimizers.tuning.catalog import live_space
from optimizers.tuning.spacefile import read_space

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 60  # rows, questions and trials that a page is given as it asks
SMALLER = {150: 30, 200: 12, 240: 50, 500: 12, 1000: 12, 20_000: 400}  # what it is given for more
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SIZED = re.compile(r"(runs/[a-z]\w*-|(?:--target|--trials|--budget-calls|--n|-n) )(\d+)\b")

#: What no test can run, and why; each entry stands on a page.
NOT_RUN = {
    "make demo": "the gate runs it",
    "make test": "it would run itself",
    "pip install 'ds2-instruct[retrieval]'": "it installs: the tests run with all extras",
    "python -m venv .venv": "it makes the environment of these tests",
    '.venv/bin/python -m pip install -c constraints.txt -e ".[dev]"': "it installs: `make test`",
    ".venv/bin/python -m pytest": "it would run itself",
    "vllm serve Qwen/Qwen3-8B": "a server of others: a stand-in listens at its address",
    "ollama pull llama3.1": "a server of others: a stand-in listens at its address",
}
#: What another test runs as it stands, with more to say about it.
RUN_ELSEWHERE = {"README.md": "Better prompts, a cheaper vote: from nothing in five commands"}


class Block(NamedTuple):
    """A fenced block: its language, its text, and the heading it stands under."""

    language: str
    text: str
    heading: str


def pages() -> list[Path]:
    """Return the pages whose blocks are run: those at the top, of the folders, and of the site."""
    return sorted({*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/README.md"), *ROOT.glob("docs/**/*.md")})


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page; one without a language that holds our commands counts as bash."""
    for found in _FENCE.finditer(page):
        language = found[1] or ("bash" if found[2].startswith("ds2 ") else "text")
        headings = re.findall(r"^#+ (.*)$", page[: found.start()], re.MULTILINE)
        yield Block(language, found[2], headings[-1] if headings else "")


def lines_of(script: str) -> list[str]:
    """Return the commands of a bash block, those over several lines as one."""
    joined = re.sub(r"\\\n\s*", "", script)
    return [line for line in joined.splitlines() if shlex.split(line, comments=True)]


def bare(line: str) -> str:
    """Return a command without its comment."""
    return re.split(r"\s{2,}#", line, maxsplit=1)[0].rstrip()


def scaled(line: str) -> str:
    """Return a command with its large sizes made small, and so the names of runs that hold them."""

    def smaller(found: re.Match[str]) -> str:
        size = int(found[2])
        return found[1] + str(size if size <= LARGEST else SMALLER[size])

    return _SIZED.sub(smaller, line)


class Session:
    """Runs the blocks of one page in the current folder.

    Args:
        monkeypatch: pytest's.
        world: what stands in for providers, browsers and hubs.
    """

    def __init__(self, monkeypatch: Any, world: World) -> None:
        self._patch, self._world = monkeypatch, world
        self._names: dict[str, Any] = {"__name__": "__page__"}
        self.done: list[str] = []
        self.left: list[str] = []

    def python(self, block: Block, name: str) -> None:
        """Run Python in the page's namespace."""
        supply(block.text, self.command)
        with redirect_stdout(io.StringIO()):
            exec(compile(block.text, name, "exec"), self._names)  # noqa: S102 - our own pages

    def bash(self, block: Block) -> None:
        """Run every command but those of `NOT_RUN`."""
        for line in map(bare, lines_of(block.text)):
            if line in NOT_RUN:
                self.left.append(line)
                continue
            first, *rest = shlex.split(line)
            if first == "export":
                name, _, _ = rest[0].partition("=")
                self._patch.setenv(name, "sk-of-a-page")
            elif first == "sqlite3":
                self._sqlite(*map(scaled, rest))
            else:
                check_command_line(line)
                supply(scaled(line), self.command)
                self.command(scaled(line))
            self.done.append(line)

    def console(self, block: Block) -> str:
        """Return the transcript of a block's commands, run now."""
        made = []
        for line in block.text.splitlines():
            if line.startswith("$ "):
                check_command_line(line[2:].partition(" > ")[0])
                assert scaled(line) == line, f"no transcript can be made of {line}"
                supply(line[2:], self.command)
                made.append(f"{line}\n{self.command(line[2:])}")
                self.done.append(line[2:])
        assert made, "a console block without a line that begins with $"
        return "".join(made)

    def row(self, block: Block) -> None:
        """Hold a row that a page shows to the runs that its commands have made."""
        words = {"level", "agreement", "keywords", "votes", "instruction", "response"}
        texts = re.split(rf"(?:^|(?<=   ))({'|'.join(words)})  +", block.text, flags=re.MULTILINE)
        said = {
            name: " ".join(text.split())
            for name, text in zip(texts[1::2], texts[2::2], strict=True)
        }
        rows = [
            row
            for file in Path("runs").glob("*/dataset/data/*")
            for row in read_table(file).to_pylist()
        ]
        (row,) = [
            row for row in rows if " ".join(row["instruction"].split()) == said["instruction"]
        ]
        assert said.keys() == words
        assert said["response"] == " ".join(row["response"].split())
        assert (said["level"], said["keywords"]) == (row["level"], ", ".join(row["keywords"]))
        assert float(said["agreement"]) == row["agreement"]
        votes = {key: int(count) for key, count in re.findall(r"(\S+) \((\d+)\)", said["votes"])}
        assert votes[row["answer"]] / sum(votes.values()) == row["agreement"]

    def space(self, block: Block) -> None:
        """Read a file of what a study searches, as `ds2 tune --space` does."""
        supply("test.jsonl train.jsonl", self.command)
        fitted = "--fit train.jsonl --target-precision 0.97 --save policy.json"
        self.command(f"ds2 replay test.jsonl --format number --max 4 {fitted}")
        Path("space.yaml").write_text(block.text, "utf-8")
        assert read_space(Path("space.yaml"), live_space({}))

    def command(self, line: str) -> str:
        """Run one `ds2` command in this process; return what stands on the terminal then."""
        from ds2.cli.app import main

        words, _, file = line.partition(" > ")
        arguments = shlex.split(words)
        self._patch.setattr(sys, "argv", arguments)
        out, err = io.StringIO(), io.StringIO()
        both = out if not file else err
        with (
            self._world.serving(arguments),
            self._world.asked(arguments),
            redirect_stdout(out),
            redirect_stderr(both),
        ):
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

    def _sqlite(self, file: str, query: str) -> None:
        """Do what sqlite3's own program does, which is not everywhere."""
        assert Path(file).is_file()
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as store:
            assert store.execute(query).fetchall()
        store.close()


def masked(transcript: str) -> str:
    """Return a transcript without what differs from one run to the next: times, sizes, timing."""
    text = re.sub(r"\d[\d,.]*( (?:ms|s|MB|kB)\b)", r"N\1", transcript)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d|process \d+", "N", text)
    timed = r"^((?:planned|surplus|calls|tokens|samples an accepted row|time|rate)\s).*$"
    text = re.sub(timed, r"\1", text, flags=re.MULTILINE)
    return re.sub(r"  +", "  ", text)
