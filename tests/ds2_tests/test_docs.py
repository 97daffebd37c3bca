"""Every code block of our pages is run, every transcript is what a command printed.

`DS2_WRITE_DOCS=1 pytest tests/ds2_tests/test_docs.py` writes the transcripts anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lines import commands
from page_world import World, provider_server, stand_in
from pages import NOT_RUN, ROOT, RUN_ELSEWHERE, Session, bare, blocks, lines_of, masked, pages

from ds2.engines.teacher import simulated_backend  # noqa: F401 - loaded once, before the pages

#: Blocks that are no code: drawings, and what another test holds to what is printed.
LOOKED_AT = {
    ("README.md", "Two commands"): "a row, held to the run above it",
    ("README.md", "How it works"): "a drawing",
    ("docs/architecture.md", "Architecture"): "a drawing",
    ("docs/architecture.md", "One run"): "a drawing",
    ("docs/faults.md", "What a run makes of it"): "test_outage.py prints it",
    ("docs/replay.md", "The JSON (`--json`)"): "test_cli_replay.py has its names",
}
WRITE = os.environ.get("DS2_WRITE_DOCS") == "1"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_code(page: Path) -> bool:
    text = page.read_text(encoding="utf-8")
    return any(block.language in {"python", "bash", "console"} for block in blocks(text))


@pytest.fixture(scope="session")
def providers() -> Iterator[str]:
    with provider_server() as url:
        yield url


@pytest.fixture
def world(providers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Put stand-ins in the world's place, in an empty folder without keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_TOKEN"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_TOKEN", "hf-of-a-page")
    return stand_in(monkeypatch, providers)


@pytest.mark.parametrize("page", [page for page in pages() if with_code(page)], ids=name_of)
def test_the_blocks_of_a_page_run_and_its_transcripts_are_true(
    page: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text(encoding="utf-8")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        if f"export {name}=" not in text:  # a page that sets a key does so before it needs it
            monkeypatch.setenv(name, "sk-of-a-page")
    session, written = Session(monkeypatch, world), text
    for block in blocks(text):
        if block.heading == RUN_ELSEWHERE.get(name_of(page)):
            continue
        if block.language == "python":
            session.python(block, name_of(page))
        elif block.language == "bash":
            session.bash(block)
        elif block.language == "yaml":
            session.space(block)
        elif block.text.startswith("level  "):
            session.row(block)
        elif block.language == "console":
            made = session.console(block)
            if masked(made) != masked(block.text):
                assert WRITE, f"{name_of(page)} says\n{block.text}\nbut now it is\n{made}"
                written = written.replace(f"```console\n{block.text}", f"```console\n{made}", 1)
    if written != text:
        page.write_text(written, encoding="utf-8", newline="\n")
    asked = "\n".join(session.done)
    assert len(world.opened) == asked.count(" --open")
    assert len(world.pushed) == 3 * asked.count(" --upload")


def test_what_no_test_looks_at_is_no_code() -> None:
    """Blocks of text are drawings and messages; a command's transcript is a console block."""
    for page in pages():
        if page.name == "prompts.md":
            continue  # held to the prompts by its own test
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language in {"python", "bash", "console", "yaml"}:
                continue
            where = f"{name_of(page)}: {block.text[:60]}"
            assert (name_of(page), block.heading) in LOOKED_AT, where


def test_what_is_not_run_is_little_and_stands_on_a_page() -> None:
    lines = [
        bare(line)
        for page in pages()
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language == "bash"
        for line in lines_of(block.text)
    ]
    assert NOT_RUN.keys() <= set(lines)
    assert not [line for line in NOT_RUN if line.startswith("ds2 ")]
    for page, heading in RUN_ELSEWHERE.items():
        found = blocks((ROOT / page).read_text(encoding="utf-8"))
        assert heading in {block.heading for block in found}


def test_every_command_stands_on_a_page() -> None:
    whole = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    for words, command in commands():
        if not getattr(command, "commands", None):
            assert words in whole, f"no page shows {words}"


def test_a_transcript_that_is_wrong_is_noticed() -> None:
    said = "accepted                       12   of 12 wanted\ntime   0.7 s   9 calls made now\n"
    assert masked(said) == masked(said.replace("0.7 s", "12.0 s"))
    assert masked(said) != masked(said.replace("12 wanted", "13 wanted"))


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    api = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    for name in ("synthesize", "SelfConsistency", "make_lm", "RunConfig", "write_report"):
        assert name in api
    home = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "fonts.googleapis" not in home


def test_the_example_report_is_small_and_says_whose_rows_it_shows() -> None:
    folder = ROOT / "docs" / "example"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 3_000_000
    assert "2,000 of 2,000" in page
    assert "These rows come from the simulated teacher" in page
    pictures = {path.stem: path.read_bytes() for path in folder.glob("*.png")}
    assert set(pictures) == {
        f"report-{width}-{scheme}" for width in (1280, 400) for scheme in ("light", "dark")
    }
    for name, picture in pictures.items():
        assert len(picture) < 300_000
        width = int.from_bytes(picture[16:20])  # of the header that a PNG begins with
        assert str(width) == name.split("-")[1]
