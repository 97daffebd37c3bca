"""Recorded answers: what a line may hold, how it is read, and what a broken one is told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from optimizers.recorded import (
    Recording,
    read_recording,
    recording_of_votes,
    split,
)
from programs.ballots import UNREADABLE, Ballot
from signatures.errors import StoreError
from signatures.recorded import RecordedQuestion, read_questions
from signatures.records import Sample, Vote
from signatures.task import AnswerFormat

NUMBER = AnswerFormat(kind="number")  # type: ignore[arg-type]
LINES: list[dict[str, Any]] = [
    {
        "question": "Ann has 3 bags of 4. How many apples?",
        "gold": "12",
        "samples": [
            {"model": "big-1", "text": "3 * 4 = \\boxed{12}.", "correct": True},
            {"model": "big-2", "text": "The answer is 12.0 apples.", "correct": False},
            {"model": "small", "text": "It is \\boxed{7}.", "correct": False},
            {"model": "small", "text": "I do not know.", "correct": False},
        ],
    },
    {"question": "Wie viel? ½ Ω", "gold": "many", "samples": [{"text": "A: 1", "correct": True}]},
    {"question": "数は?", "gold": "1,000", "samples": [{"text": "答えは \\boxed{1000}"}]},
]


def write(folder: Path, lines: list[Any], name: str = "replay.jsonl") -> Path:
    path = folder / name
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def read(path: Path, fmt: AnswerFormat = NUMBER, **options: Any) -> Recording:
    return read_recording(read_questions(path, **options), fmt, source=path.name)


@pytest.mark.parametrize("name", ["replay.jsonl", "replay.jsonl.gz"])
def test_samples_become_numbers_and_the_right_answer_is_nought(tmp_path: Path, name: str) -> None:
    recording = read(write(tmp_path, LINES, name))
    assert recording.ballots == (Ballot((0, 0, 1, UNREADABLE), 0), Ballot((0,), 0))
    assert recording.labelled
    assert (recording.samples, recording.unreadable) == (5, 1)
    assert recording.questions == (LINES[0]["question"], LINES[2]["question"])


def test_a_gold_that_cannot_be_read_is_counted_and_named(tmp_path: Path) -> None:
    recording = read(write(tmp_path, LINES))
    assert recording.unreadable_gold == ("line 2: Wie viel? ½ Ω",)
    with pytest.raises(StoreError, match="gold must be readable as number"):
        read(write(tmp_path, LINES[1:2]))


def test_our_grades_are_compared_with_the_recorders(tmp_path: Path) -> None:
    recording = read(write(tmp_path, LINES))
    # The recorder took `12.0 apples` for wrong; ungraded samples and those left out do not count.
    assert (recording.flagged, recording.agreeing) == (4, 3)
    assert recording.reading_agreement == 0.75
    assert read(write(tmp_path, LINES[2:])).reading_agreement is None


def test_models_are_chosen_and_left_out_by_pattern(tmp_path: Path) -> None:
    path = write(tmp_path, LINES)
    assert read(path, models="big-*").ballots == (Ballot((0, 0), 0),)
    assert read(path, exclude="small").ballots == (Ballot((0, 0), 0), Ballot((0,), 0))
    assert read(path, models="big-*", exclude="*-2").ballots == (Ballot((0,), 0),)
    with pytest.raises(StoreError, match="hold a sample of a model"):
        read_questions(path, models="none")


def test_choices_are_read_with_the_options_of_their_line(tmp_path: Path) -> None:
    line = {
        "question": "Which metal is liquid?",
        "gold": "B",
        "options": ["iron", "mercury", "tin"],
        "samples": [{"text": "Answer: B"}, {"text": "Answer: mercury"}, {"text": "Answer: E"}],
    }
    fmt = AnswerFormat(kind="choice", options=3)  # type: ignore[arg-type]
    assert read(write(tmp_path, [line]), fmt).ballots == (Ballot((0, 0, UNREADABLE), 0),)


def test_no_readable_sample_at_all_is_refused(tmp_path: Path) -> None:
    line = LINES[0] | {"samples": [{"text": "No idea."}]}
    with pytest.raises(StoreError, match="hold some answer that reads as number"):
        read(write(tmp_path, [line]))


BROKEN = [
    ("not JSON", "{oops", "line 2.*be JSON"),
    ("too deep", "[" * 100_000, "line 2.*be JSON"),
    ("no object", "[1]", "line 2.*be a JSON object"),
    ("no samples", {"question": "q", "gold": "1"}, "line 2.*samples must be a list"),
    ("empty samples", {"question": "q", "gold": "1", "samples": []}, "line 2.*at least one"),
    ("no text", {"question": "q", "gold": "1", "samples": [{}]}, "line 2.*`text`"),
    (
        "bad flag",
        {"question": "q", "gold": "1", "samples": [{"text": "", "correct": 1}]},
        "true or",
    ),
    ("no gold", {"question": "q", "samples": [{"text": ""}]}, "line 2.*gold must"),
    (
        "gold no text",
        {"question": "q", "gold": 1, "samples": [{"text": ""}]},
        "gold must be a text",
    ),
    ("empty question", {"question": " ", "gold": "1", "samples": [{"text": ""}]}, "question must"),
    ("options", {"question": "q", "gold": "1", "samples": [{"text": ""}], "options": "AB"}, "list"),
    ("twice", LINES[0], "line 2.*come once"),
]


@pytest.mark.parametrize(("line", "message"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path, [LINES[0], line])
    with pytest.raises(StoreError, match=message) as caught:
        read_questions(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    cut = write(tmp_path, LINES, "cut.jsonl.gz")
    cut.write_bytes(cut.read_bytes()[:-12])
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_text("{}")
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path / "missing.jsonl", tmp_path, cut, plain, latin):
        with pytest.raises(StoreError, match="be a readable"):
            read_questions(path)
    with pytest.raises(StoreError, match="no line"):
        read_questions(write(tmp_path, ["", "  "], "empty.jsonl"))


def vote(keys: list[str | None], winner: str | None) -> Vote:
    samples = tuple(
        Sample(number=n, answer=key, key=key, unreadable=None if key else "no answer found")
        for n, key in enumerate(keys)
    )
    return Vote(
        accepted=winner is not None, winner=winner, agreement=0.5, counts=(), draws=len(keys),
        reason="majority", response=None, samples=samples,
    )  # fmt: skip


def test_the_votes_of_a_run_have_their_winner_in_place_of_the_right_answer() -> None:
    recording = recording_of_votes(
        [("a", vote(["7", "8", "8", None], "8")), ("b", vote(["1", "2"], None))], source="run"
    )
    assert recording.ballots == (Ballot((0, 1, 1, UNREADABLE), 1), Ballot((0, 1), None))
    assert not recording.labelled
    assert recording.reading_agreement is None


@pytest.mark.parametrize("votes", [[], [("a", vote([None, None], None))]], ids=["none", "unread"])
def test_a_run_without_a_readable_vote_is_refused(votes: list[tuple[str, Vote]]) -> None:
    with pytest.raises(StoreError, match="hold a vote with a readable sample"):
        recording_of_votes(votes, source="run")


def test_a_split_is_of_the_question_alone() -> None:
    questions = tuple(RecordedQuestion(n, f"q {n}", "1", (), ()) for n in range(200))
    ballots = tuple(Ballot((n,), 0) for n in range(200))
    whole = Recording("x", tuple(q.question for q in questions), ballots, True, 200, 0)
    first, rest = split(whole)
    assert set(first.questions) | set(rest.questions) == set(whole.questions)
    assert not set(first.questions) & set(rest.questions)
    assert 70 < len(first.questions) < 130
    fewer = Recording("x", whole.questions[:50], ballots[:50], True, 50, 0)
    assert set(split(fewer)[0].questions) == set(first.questions) & set(fewer.questions)
    assert split(whole, seed=1)[0].questions != first.questions
    assert [len(part.ballots) for part in split(whole, share=1.0)] == [200, 0]


def test_questions_that_are_near_fall_into_one_part_where_that_is_asked_for() -> None:
    questions = tuple(f"How many of the {k} has Ada {n} left over?" for k in ("pens", "cats", "red hats")
                      for n in range(20))  # fmt: skip
    whole = Recording("x", questions, (Ballot((0,), 0),) * 60, True, 60, 0)
    apart = split(whole, share=0.4)
    assert {len(part.questions) % 20 for part in apart} != {0}
    for seed in range(5):
        parts = split(whole, share=0.4, seed=seed, near_together=True)
        assert {len(part.questions) % 20 for part in parts} == {0}
        assert sorted(parts[0].questions + parts[1].questions) == sorted(questions)
    one_each = Recording("x", questions[::20], (Ballot((0,), 0),) * 3, True, 3, 0)
    assert split(one_each, near_together=True) == split(one_each)
