"""The figures of a run: against counting by hand, against known values, and over empty input."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st
from small_runs import Meddler, asks_for, go, rows_of, saying, summary_of
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.report.diversity import Reservoir, diversity, embedded_diversity, words
from ds2.report.embedding import lexical, load_embedding
from ds2.report.figures import FigureCounter, Figures, chi_square, chi_square_tail
from ds2.report.units import Cell, DecidedUnit
from ds2.runtime.comparison import compare, figures_of
from ds2.runtime.past import read_run
from signatures.bloom import LEVELS
from signatures.errors import ConfigError, OutputError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("figures") / "medqa"
    go(out, 30, "medqa")
    return out


@pytest.fixture(scope="module")
def figures(run: Path) -> Figures:
    return figures_of(read_run(run))


def test_the_counts_are_those_of_the_rows_and_of_the_ledger(run: Path, figures: Figures) -> None:
    rows, ledger = rows_of(run), summary_of(run)["ledger"]
    assert figures.accepted == len(rows) == 30
    assert dict(figures.rejected) == ledger["rejected"]
    assert figures.surplus == ledger["surplus"]
    by_level = Counter(row["level"] for row in rows)
    assert {level.level: level.accepted for level in figures.levels} == by_level
    assert sum(level.rejected for level in figures.levels) == sum(ledger["rejected"].values())
    assert dict(figures.draws) == Counter(row["samples"] for row in rows)
    assert figures.balance is not None
    assert dict(figures.balance.answers) == Counter(row["answer"] for row in rows)


def test_coverage_counts_a_row_for_each_of_its_keywords(run: Path, figures: Figures) -> None:
    expected = Counter((k, row["level"]) for row in rows_of(run) for k in row["keywords"])
    found = {
        (keyword, level): count.accepted
        for keyword, by_level in figures.coverage.items()
        for level, count in by_level.items()
        if count.accepted
    }
    assert found == expected
    bank = {keyword.text for keyword in read_run(run).keywords}
    assert set(figures.coverage) == bank
    decided = 30 + sum(figures.rejected.values())
    singles_and_pairs = sum(
        c.accepted + c.rejected for by in figures.coverage.values() for c in by.values()
    )
    assert decided <= singles_and_pairs <= 2 * decided


def test_agreement_falls_into_ten_bins_with_one_in_the_last(run: Path, figures: Figures) -> None:
    expected = [0] * 10
    for row in rows_of(run):
        expected[min(9, math.floor(row["agreement"] * 10 + 1e-9))] += 1
    assert list(figures.agreement) == expected


def test_a_run_without_a_decided_unit_has_empty_figures() -> None:
    empty = FigureCounter(["a keyword"], closed=True).figures("lexical")
    assert (empty.accepted, empty.surplus, dict(empty.rejected)) == (0, 0, {})
    assert empty.balance is None
    assert empty.question_words == ()
    assert empty.instructions.distinct_1 is None
    assert empty.coverage["a keyword"]["Apply"].accept_share is None
    assert empty.embedded is not None
    assert empty.embedded.vendi is None
    json.dumps(empty.as_dict(), allow_nan=False)


def test_a_unit_that_was_never_written_counts_in_its_cell() -> None:
    counter = FigureCounter()
    lost = DecidedUnit(0, "rejected", "unparsable", Cell("Apply", ("x", "y")), {"stage": "writer"})
    counter.add(lost)
    figures = counter.figures()
    assert figures.coverage["x"]["Apply"].rejected == figures.coverage["y"]["Apply"].rejected == 1
    assert dict(figures.rejected) == {"unparsable": 1}


@pytest.mark.parametrize(
    ("statistic", "degrees", "p"),
    [
        (3.841459, 1, 0.05),
        (5.991465, 2, 0.05),
        (9.487729, 4, 0.05),
        (15.086272, 5, 0.01),
        (0.0, 3, 1.0),
        (0.584374, 3, 0.9),
    ],
)
def test_the_tail_of_chi_square_is_that_of_the_tables(
    statistic: float, degrees: int, p: float
) -> None:
    assert chi_square_tail(statistic, degrees) == pytest.approx(p, abs=1e-6)


def test_letters_are_expected_by_how_many_options_each_question_has() -> None:
    assert chi_square([25, 25, 25, 25], [25.0] * 4) == (0.0, 3, 1.0)
    counter = FigureCounter(closed=True)
    for number in range(40):
        answer, options = ("ABCD"[number % 4], 4) if number % 2 else ("ABCDE"[number % 5], 5)
        counter.add(accepted(number, answer=answer, options=options))
    balance = counter.figures().balance
    assert balance is not None
    assert balance.degrees == 4
    counts, expected = dict(balance.answers), [9.0, 9.0, 9.0, 9.0, 4.0]
    by_hand = sum((counts.get("ABCDE"[i], 0) - e) ** 2 / e for i, e in enumerate(expected))
    assert balance.chi_square == pytest.approx(by_hand)


def accepted(number: int, *, answer: str, options: int) -> DecidedUnit:
    record: dict[str, Any] = {
        "id": str(number),
        "instruction": {"question": "Which?", "options": ["x"] * options, "context": ""},
        "response": "So.",
        "answer": answer,
        "vote": {"agreement": 1.0, "draws": 3, "reason": "lead"},
    }
    return DecidedUnit(number, "accepted", "", Cell("Apply", ("k",)), record)


def test_words_are_those_of_scripts_without_spaces_too() -> None:
    assert words("Über 3 Äpfel, don't!") == ["über", "3", "äpfel", "don", "t"]
    assert words("二加二") == ["二", "加", "二"]
    assert words("") == words("?!") == []


def test_diversity_of_known_texts() -> None:
    same = diversity(["a b c d e", "a b c d e"])
    assert (same.distinct_1, same.distinct_2, same.repeated_4grams) == (0.5, 0.5, 1.0)
    other = diversity(["a b c d e", "f g h i j"])
    assert (other.distinct_1, other.distinct_2, other.repeated_4grams) == (1.0, 1.0, 0.0)
    assert diversity(["a b c d a b c d"]).repeated_4grams == 0.0
    long = ["the same words over and over"] * 50
    ratio = diversity(long).compression_ratio
    assert ratio is not None
    assert ratio > 10
    assert diversity([]).n == 0


@given(st.lists(st.text(alphabet="ab c", max_size=30), max_size=12))
def test_shares_lie_between_nought_and_one_whatever_the_texts(texts: list[str]) -> None:
    found = diversity(texts)
    for share in (found.distinct_1, found.distinct_2, found.repeated_4grams):
        assert share is None or 0 <= share <= 1


def test_vendi_counts_texts_that_are_different() -> None:
    def axes(texts: Any) -> Any:
        return [[float(i == int(text)) for i in range(4)] for text in texts]

    alike = embedded_diversity(["1"] * 5, axes, "axes")
    assert (alike.vendi, alike.mean_cosine) == (pytest.approx(1), pytest.approx(1))
    apart = embedded_diversity(["0", "1", "2", "3"], axes, "axes")
    assert (apart.vendi, apart.mean_cosine) == (pytest.approx(4), pytest.approx(0))
    assert embedded_diversity(["0"], axes, "axes").vendi == 1


def test_vendi_and_cosine_are_those_of_the_whole_matrix_of_pairs() -> None:
    import numpy as np

    texts = [
        f"a question about {topic} and {i} apples" for i, topic in enumerate(("x" * 9, "rate"))
    ]
    texts += ["something else entirely", "a question about rate and 1 apples", ""]
    vectors = lexical(texts)
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.where(lengths == 0, 1, lengths)[:, None]
    kernel = unit @ unit.T
    pairs = [kernel[i, j] for i in range(5) for j in range(5) if i != j]
    values = [v for v in np.linalg.eigvalsh(kernel / 5) if v > 1e-12]
    found = embedded_diversity(texts, lexical, "lexical")
    assert found.mean_cosine == pytest.approx(float(np.mean(pairs)))
    assert found.vendi == pytest.approx(math.exp(-sum(v * math.log(v) for v in values)))


@pytest.mark.parametrize("name", ["nowhere/at/all", "tests"])
def test_an_embedding_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(ConfigError, match="must be `lexical`"):
        load_embedding(name)


@given(st.integers(0, 40), st.integers(1, 10), st.integers(0, 3))
def test_a_sample_is_in_order_and_repeats_itself(n: int, size: int, seed: int) -> None:
    def sampled() -> list[int]:
        reservoir: Reservoir[int] = Reservoir(size, seed=seed)
        for item in range(n):
            reservoir.add(item)
        return reservoir.items

    items = sampled()
    assert items == sorted(set(items)) == sampled()
    assert len(items) == min(n, size)
    assert all(0 <= item < n for item in items)


def test_levels_are_all_there(figures: Figures) -> None:
    assert [level.level for level in figures.levels] == [level.value for level in LEVELS]


def test_two_runs_side_by_side_say_what_was_asked_differently(run: Path, tmp_path: Path) -> None:
    go(tmp_path / "other", 12, "medqa", seed=1)
    found = compare(run, tmp_path / "other")
    asked = {name: (one, other) for name, one, other in found.settings}
    assert asked["run.seed"] == (0, 1)
    assert asked["run.target"] == (30, 12)
    assert not any(name.startswith("task.") for name in asked)
    assert {n: (a, b) for n, a, b in found.figures}["accepted"] == (30, 12)
    assert any(name.endswith("n = 12") for name, _, _ in found.figures)
    same = compare(run, run)
    assert (same.settings, same.shared_rows, same.shared_questions) == ([], 30, 30)


def test_beside_a_run_without_rows_no_diversity_is_told(run: Path, tmp_path: Path) -> None:
    """Two questions of many say nothing, and the other has none to measure."""
    go(tmp_path / "none", 6, "medqa", resolve=Meddler(shrug).resolve, stage_check=False)
    for pair in ((run, tmp_path / "none"), (tmp_path / "none", run)):
        found = compare(*pair)
        assert not [name for name, _, _ in found.figures if "questions, n" in name]
        assert sorted((a, b) for name, a, b in found.figures if name == "accepted") in (
            [(30, 0)],
            [(0, 30)],
        )


async def shrug(request: lm15.Request, _: int) -> lm15.Response | None:
    return saying("I do not know.") if asks_for(request) == "answers" else None


def test_stats_and_diff_print_tables_and_json(run: Path) -> None:
    shown = CliRunner().invoke(app, ["stats", str(run), "--embedding", "lexical"])
    assert shown.exit_code == 0, shown.output
    assert "accepted     30 of 30 wanted" in shown.output
    assert "chi-square" in shown.output
    plain = CliRunner().invoke(app, ["stats", str(run), "--json"])
    assert json.loads(plain.output)["accepted"] == 30
    both = CliRunner().invoke(app, ["diff", str(run), str(run)])
    assert "30 questions and 30 whole rows are in both" in both.output
    assert json.loads(CliRunner().invoke(app, ["diff", str(run), str(run), "--json"]).output)


@pytest.mark.parametrize("width", [120, 80, 60, 44])
def test_no_figure_of_the_coverage_is_cut_however_narrow_the_terminal(
    width: int, run: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    printed = CliRunner().invoke(app, ["stats", str(run)]).output
    table = printed.partition("thinnest first:")[2].splitlines()
    heads, *lines = [line for line in table if line][: 1 + len(figures.coverage)]
    names = heads.split()[1:]
    assert len(names) == 7
    assert names[-1] == "yield"
    assert all(len(name) >= 3 for name in names)
    assert all(len(line) <= width and re.search(r"(%|-)\s*$", line) for line in lines)
    told = [re.findall(r"(?<=\s)\d[\d,]*(?=\s)", line) for line in lines]
    accepted = sum(sum(c.accepted for c in cells.values()) for cells in figures.coverage.values())
    assert sum(int(n) for row in told for n in row) == accepted


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder must be that of a run"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task": 3, "run": {}}'])
def test_a_damaged_configuration_is_said(run: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "store.sqlite").touch()
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match="must be what `ds2 run` wrote"):
        read_run(tmp_path)
