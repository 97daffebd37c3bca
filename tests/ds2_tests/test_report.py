"""The report's page: whole, self-contained, and what a model wrote is text in it and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import go, rows_of
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.report.charts import WIDTH, Item, Series, Words, bars, columns, lines
from ds2.report.scatter import Named, scatter
from ds2.report.shown import script_json, shown
from ds2.runtime.past import read_run
from ds2.runtime.reporting import ReportRequest, bank_of, report_page, write_report
from programs.synthesis import DS2Instruct
from signatures.errors import ConfigError, OutputError
from signatures.records import Keyword, KeywordOrigin


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "medqa"
    go(out, 18, "medqa")
    return out


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return report_page(ReportRequest((run,)))


class Elements(HTMLParser):
    """All elements of a page with their attributes, and the texts of some."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "input"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    @property
    def unclosed(self) -> list[str]:
        return self._open


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_is_whole_and_holds_nothing_that_is_fetched(page: str) -> None:
    elements = Elements(page)
    assert elements.unclosed == []
    for tag, attributes in elements.found:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert not {"src", "srcset", "action", "style"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page
    assert "@import" not in page


def test_only_the_pages_own_style_and_script_may_run(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none';")
    assert "unsafe" not in allowed
    for tag in ("style", "script"):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed


def test_every_chart_has_a_name_a_description_and_its_data(page: str) -> None:
    elements = Elements(page)
    pictures = [a for tag, a in elements.found if tag == "svg" and a.get("role") == "img"]
    assert len(pictures) >= 6
    ids = [a["id"] for _, a in elements.found if a.get("id")]
    assert len(ids) == len(set(ids))
    for picture in pictures:
        named = (picture["aria-labelledby"] or "").split()
        assert len(named) == 2
        assert set(named) <= set(ids)
    assert page.count('<details class="data">') == len(pictures)


def test_every_decided_unit_can_be_opened_with_all_that_is_known(run: Path, page: str) -> None:
    rows = data_of(page)["rows"]
    accepted = {row["i"]: row for row in rows if row["s"] == "accepted"}
    for row in rows_of(run):
        shown_row = accepted.pop(row["id"])
        assert (shown_row["p"], shown_row["a"]) == (row["response"], row["answer"])
        assert (shown_row["o"], shown_row["k"]) == (row["options"], row["keywords"])
        assert sum(len(group["t"]) for group in shown_row["v"]["t"]) == row["samples"]
        assert sum(s["w"] for group in shown_row["v"]["t"] for s in group["t"]) == 1
    assert accepted == {}
    assert {row["r"] for row in rows if row["s"] == "rejected"} <= set(re.findall(r"\w+", page))


def test_a_sample_of_the_rows_is_embedded_and_its_size_is_said(run: Path) -> None:
    small = report_page(ReportRequest((run,), rows=5))
    assert len(data_of(small)["rows"]) == 5
    assert re.search(
        r"5 of \d+ decided units are in this page: the first of each reason, and a seeded sample",
        small,
    )
    assert small == report_page(ReportRequest((run,), rows=5))


def test_without_its_rows_the_page_is_far_below_a_megabyte(run: Path) -> None:
    assert len(report_page(ReportRequest((run,), rows=1)).encode()) < 200_000


def test_two_runs_stand_side_by_side(run: Path, tmp_path: Path) -> None:
    go(tmp_path / "other", 12, "medqa", seed=3, answer_temperatures=(0.5,))
    page = report_page(ReportRequest((run, tmp_path / "other")))
    assert Elements(page).unclosed == []
    assert '<th scope="row">run.seed</th><td>0</td><td>3</td>' in page
    assert {row["u"] for row in data_of(page)["rows"]} == {0, 1}
    assert '<option value="1">other</option>' in page
    assert '<a href="#differences">Side by side</a>' in page
    pairs = re.findall(r'<div class="charts pairs">', page)
    assert len(pairs) >= 2
    assert "<td>0.7, 0.8, 0.9</td><td>0.5</td>" in page
    heights = re.findall(r'<rect class="c3" x="160.0" y="4.0" width="([\d.]+)"', page)
    assert len(set(heights)) == 2  # of 18 and of 12 rows, on one scale


def test_two_runs_are_written_beside_the_report_of_the_first(run: Path, tmp_path: Path) -> None:
    go(tmp_path / "other", 6, "medqa", seed=3)
    own = write_report(ReportRequest((tmp_path / "other",), rows=1))
    both = write_report(ReportRequest((tmp_path / "other", run), rows=1))
    assert (own.name, both.name) == ("report.html", f"report-other-{run.name}.html")
    assert own.parent == both.parent == tmp_path / "other"
    again = tmp_path / "other" / ".." / "other"
    with pytest.raises(ConfigError, match="the two runs must be different folders"):
        write_report(ReportRequest((tmp_path / "other", again)))


DIFF = "## vote.draw\n\n--- before\n+++ after\n@@ -1 +1 @@\n-old <b>words</b>\n+new words\n--- x\n"


def test_what_compiling_changed_is_kept_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compiled = Path("better")
    compiled.mkdir()
    DS2Instruct("gsm8k").save(compiled / "program.json")
    (compiled / "prompts.diff").write_text(DIFF, "utf-8")
    go(tmp_path / "run", 6, program=compiled / "program.json")
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    page = report_page(ReportRequest((tmp_path / "run",)))
    assert Elements(page).unclosed == []
    lines_of = dict(re.findall(r'<span class="(\w+)">([^<]*)</span>\n', page)[::-1])
    assert lines_of["add"] == "+new words"
    assert '<span class="del">-old &lt;b&gt;words' in page
    assert '<span class="head">--- before</span>' in page
    assert '<span class="del">--- x</span>' in page  # no head: nothing of a head follows it
    (tmp_path / "run" / "prompts.diff").unlink()
    page = report_page(ReportRequest((tmp_path / "run",)))
    assert "better/program.json; what compiling changed was not found" in page


STUDY: dict[str, Any] = {
    "study": "mine",
    "objectives": [
        {"name": "q", "higher": True, "title": "precision"},
        {"name": "c", "higher": False, "title": "samples a row"},
    ],
    "front": [
        {"trial": 3, "q": 0.9, "c": 4.0, "policy": "lead(2, 7)", "settings": {"lead.by": 2}},
        {
            "trial": 1,
            "baseline": "paper",
            "q": 0.8,
            "c": 2.0,
            "policy": "fixed(5, 0.6)",
            "settings": {"warm": [0.7, 0.8]},
        },
    ],
    "baselines": [
        {
            "trial": 0,
            "baseline": "default",
            "feasible": False,
            "q": 0.85,
            "c": 5.5,
            "policy": "lead(3, 9)",
            "settings": {},
        }
    ],
    "chosen": {"trial": 3},
}


def test_the_front_of_a_study_names_what_it_shows(run: Path, tmp_path: Path) -> None:
    (tmp_path / "trials.json").write_text(json.dumps(STUDY), "utf-8")
    page = report_page(ReportRequest((run,), rows=1, study=tmp_path))
    assert Elements(page).unclosed == []
    assert '<a href="#front">Pareto front</a>' in page
    assert "Pareto front of mine" in page
    assert page.count("<circle") == 2
    for name in ("chosen: lead(2, 7)", "paper: fixed(5, 0.6)", "default, not feasible: lead(3, 9)"):
        assert f"<title>{name}</title>" in page
    row = "<td>2.00</td><td>0.8000</td><td>paper</td><td>fixed(5, 0.6)</td><td>warm 0.7, 0.8</td>"
    assert f'<th scope="row">1</th>{row}' in page
    assert "held out" not in page
    (tmp_path / "trials.json").write_text("{}", "utf-8")
    with pytest.raises(OutputError, match="--study must be the folder"):
        report_page(ReportRequest((run,), study=tmp_path))


def test_the_front_tells_what_its_points_came_to_on_held_out_questions(
    run: Path, tmp_path: Path
) -> None:
    study = json.loads(json.dumps(STUDY))
    study["held_out"] = {"questions": 1258, "chosen_on": 400}
    study["front"][0]["held_out"] = {"q": 0.875, "q_low": 0.8, "q_high": 0.95}
    study["front"][1]["held_out"] = {"q": None, "q_low": None, "q_high": None}
    (tmp_path / "trials.json").write_text(json.dumps(study), "utf-8")
    page = report_page(ReportRequest((run,), rows=1, study=tmp_path))
    assert Elements(page).unclosed == []
    assert (
        "measured on 400 questions; held out, in the table, is what they came to on 1,258" in page
    )
    assert (
        '<th scope="row">3</th><td>4.00</td><td>0.9000</td><td>0.8750 (0.800 to 0.950)</td>' in page
    )
    assert '<th scope="row">1</th><td>2.00</td><td>0.8000</td><td>-</td><td>paper</td>' in page


def test_a_row_is_traced_to_the_core_and_to_its_passage(run: Path) -> None:
    core = Keyword(text="dose", origin=KeywordOrigin.CORE)
    found = Keyword(
        text="renal dose",
        origin=KeywordOrigin.RETRIEVED,
        round=2,
        parents=("dose",),
        passage_id="ab",
    )
    past = replace(read_run(run), keywords=(core, found), sources={"ab": "kidney\u202e.txt"})
    assert bank_of(past) == {
        "dose": {"o": "core", "r": 0, "p": []},
        "renal dose": {
            "o": "retrieved", "r": 2, "p": ["dose"], "g": "ab of kidney⟨U+202E⟩.txt"
        },
    }  # fmt: skip
    assert data_of(report_page(ReportRequest((run,), rows=1)))["banks"] == [bank_of(read_run(run))]


def test_the_report_of_a_run_that_made_nothing_says_so(tmp_path: Path) -> None:
    go(tmp_path / "cut", 12, budget_calls=2)
    page = report_page(ReportRequest((tmp_path / "cut",)))
    assert Elements(page).unclosed == []
    assert "0 of 12" in page
    assert data_of(page)["rows"] == []


def test_the_command_writes_one_file(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    result = CliRunner().invoke(app, ["report", str(run), "--out", str(out), "--rows", "all"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Report: {out} (")
    assert out.read_text("utf-8") == report_page(ReportRequest((run,), rows=None))


@pytest.mark.parametrize("arguments", [["--rows", "0"], ["--rows", "many"], ["x", "y"]])
def test_what_cannot_be_drawn_is_said(run: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["report", str(run), *arguments])
    assert "Drawing a report failed" in str(result.exception)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder must be that of a run"):
        write_report(ReportRequest((tmp_path,)))


@given(st.text())
def test_no_text_can_leave_the_scripts_data(text: str) -> None:
    held = script_json({"text": text})
    assert not set("<>&\u2028\u2029") & set(held)
    assert json.loads(held) == {"text": text}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\ntext\there", "plain\ntext\there"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\x1b[31mb\x00", "a⟨U+001B⟩[31mb⟨U+0000⟩"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("wide\u00a0space", "wide\u00a0space"),
        ("二加二 😀 é", "二加二 😀 é"),
        ("x" * 30, "x" * 20 + "… (30 characters)"),
        ("", ""),
    ],
)
def test_what_is_hidden_in_a_text_is_shown(text: str, seen: str) -> None:
    assert shown(text, 20) == seen if len(text) > 20 else shown(text) == seen


WORDS = Words("x", "A chart", "What it shows.", ("name", "number"))


def test_charts_of_nothing_and_of_noughts_are_drawn() -> None:
    assert bars(WORDS, []).rows == ()
    assert columns(WORDS, [Item("a", ((0, "c1"),))]).bars[0].parts[0].height == 0
    assert lines(WORDS, [Series("a", "c1")], unit="min").rows == ()


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), min_size=1, max_size=12))
def test_points_and_their_names_stay_within_their_picture(
    places: list[tuple[float, float]],
) -> None:
    points = [Named(x, y, f"posterior({x:.2f}, {y:.2f})", "c1", "p") for x, y in places]
    chart = scatter(WORDS, points, [])
    assert len(chart.dots) == len(points)
    for dot in chart.dots:
        assert 0 <= dot.x <= WIDTH
        assert 0 <= dot.y <= chart.height
        wide = 6.8 * len(dot.name)
        left = dot.name_x - {"": 0, "start": 0, "middle": wide / 2, "end": wide}[dot.anchor]
        assert dot.anchor == "" or (left >= 0 and left + wide <= WIDTH + 0.1)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=12))
def test_bars_stay_within_their_picture(values: list[float]) -> None:
    items = [Item(str(i), ((value, "c1"),)) for i, value in enumerate(values)]
    for chart in (bars(WORDS, items), columns(WORDS, items)):
        for bar in chart.bars:
            for part in bar.parts:
                assert part.x >= 0
                assert part.x + part.width <= WIDTH + 0.1
                assert -0.1 <= part.y
                assert part.y + part.height <= chart.height + 0.1
