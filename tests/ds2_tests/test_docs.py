"""Every code block of our pages is run, every transcript is what a command printed.

`DS2_WRITE_DOCS=1 pytest tests/ds2_tests/test_docs.py` writes the transcripts anew.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import commands
from pages import ROOT, Session, blocks, lines_of, masked, only_read, pages

from ds2.engines.teacher import simulated_backend  # noqa: F401 - loaded once, before the pages

WRITE = os.environ.get("DS2_WRITE_DOCS") == "1"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_code(page: Path) -> bool:
    text = page.read_text(encoding="utf-8")
    return any(block.language in {"python", "bash", "console"} for block in blocks(text))


def record(path: Path) -> None:
    """Write recorded answers, as the pages on replay and tuning read them."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for number in range(40):
            right = [number % 3 != 0 or draw % 2 == 0 for draw in range(10)]
            samples = [
                {
                    "text": f"The answer is {number if good else number + 1 + draw}.",
                    "model": "large",
                }
                for draw, good in enumerate(right)
            ]
            line = {"question": f"Number {number}?", "gold": str(number), "samples": samples}
            file.write(json.dumps(line) + "\n")


@pytest.mark.parametrize("page", [page for page in pages() if with_code(page)], ids=name_of)
def test_the_blocks_of_a_page_run_and_its_transcripts_are_true(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_TOKEN"))]:
        monkeypatch.delenv(name)
    record(tmp_path / "replay.jsonl.gz")
    text = page.read_text(encoding="utf-8")
    session, written = Session(monkeypatch), text
    for block in blocks(text):
        if block.language == "python":
            session.python(block, name_of(page))
        elif block.language == "bash":
            session.bash(block)
        elif block.language == "console":
            made = session.console(block)
            if masked(made) != masked(block.text):
                assert WRITE, f"{name_of(page)} says\n{block.text}\nbut now it is\n{made}"
                written = written.replace(f"```console\n{block.text}", f"```console\n{made}", 1)
    if written != text:
        page.write_text(written, encoding="utf-8", newline="\n")


def test_pages_have_something_to_run() -> None:
    languages = [b.language for page in pages() for b in blocks(page.read_text(encoding="utf-8"))]
    assert languages.count("python") >= 8
    assert languages.count("console") >= 6
    given = [
        line
        for page in pages()
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language in {"bash", "console"}
        for line in lines_of(block.text.replace("$ ", ""))
        if line.startswith("ds2 ") and only_read(line) is None
    ]
    assert len(given) >= 10


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
    assert set(pictures) == {"report-light", "report-dark", "report-narrow"}
    for name, picture in pictures.items():
        assert len(picture) < 300_000
        width = int.from_bytes(picture[16:20])  # of the header that a PNG begins with
        assert width == (400 if name == "report-narrow" else 1280)
