"""Recorded answers of models, read once: what policies are judged by and fitted to.

A file holds one question a line as JSON: `question`, `gold` (the right answer as text), optional
`options` (texts), and `samples`, each with `text`, optional `model` and optional `correct` (how its
recorder graded it). A name that ends in `.gz` is gzip. `docs/replay.md` says it in full.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, NamedTuple, NoReturn

from programs.ballots import UNREADABLE, Ballot
from programs.equivalence import read_answer
from signatures.errors import StoreError
from signatures.records import Vote
from signatures.task import AnswerFormat

_SHOWN = 60


class RecordedSample(NamedTuple):
    """One recorded reply: its text, the model that gave it, and how its recorder graded it."""

    text: str
    model: str
    correct: bool | None


class RecordedQuestion(NamedTuple):
    """One line of a file: where it stands, the question, its right answer and its replies."""

    line: int
    question: str
    gold: str
    options: tuple[str, ...]
    samples: tuple[RecordedSample, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """Recorded votes with their answers read.

    Args:
        source: the file or run they come from.
        questions: the questions that can be judged, in order.
        ballots: their votes, in the same order. `right` is the right answer of a labelled recording,
            else the answer that won the recorded vote (None where none did).
        labelled: whether the right answers are known.
        samples: samples of these questions.
        unreadable: how many of them could not be read.
        flagged: how many of them their recorder graded.
        agreeing: how many of those our reading grades alike.
        unreadable_gold: the questions left out because their right answer cannot be read, each as
            `line 3: How many ...`.
    """

    source: str
    questions: tuple[str, ...]
    ballots: tuple[Ballot, ...]
    labelled: bool
    samples: int
    unreadable: int
    flagged: int = 0
    agreeing: int = 0
    unreadable_gold: tuple[str, ...] = ()

    @property
    def reading_agreement(self) -> float | None:
        """Return the share of graded samples that our reading grades alike; None without any."""
        return self.agreeing / self.flagged if self.flagged else None


def read_questions(
    path: str | os.PathLike[str], *, models: str | None = None, exclude: str | None = None
) -> tuple[RecordedQuestion, ...]:
    """Return the questions of a file, in order.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file.
        models: keep the samples of models whose name matches this pattern (`*` and `?`); None keeps
            all. A question that keeps none is left out.
        exclude: leave out the samples of models whose name matches this pattern.

    Raises:
        StoreError: the file cannot be read, a line breaks the format (file, line, what), a question
            comes twice, or no sample is left.
    """
    file = os.fspath(path)
    seen: set[str] = set()
    kept = []
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        found = _question(file, number, line)
        if found.question.strip() in seen:
            _refuse(f"{file}, line {number}", "question", "come once", found.question)
        seen.add(found.question.strip())
        samples = tuple(s for s in found.samples if _wanted(s.model, models, exclude))
        if samples:
            kept.append(found._replace(samples=samples))
    if not kept:
        what = f"models={models!r}, exclude={exclude!r}" if seen else "no line"
        _refuse(file, "the file", "hold a sample of a model that is asked for", what)
    return tuple(kept)


def read_recording(
    questions: Sequence[RecordedQuestion], fmt: AnswerFormat, *, source: str
) -> Recording:
    """Return recorded questions with every sample read once, as `programs.equivalence` reads it.

    A question whose gold cannot be read is left out and named. A sample is taken as its raw text.

    Args:
        questions: what `read_questions` returned.
        fmt: the answer format.
        source: what errors and reports call it.

    Raises:
        StoreError: no gold, or no sample, can be read in this format.
    """
    kept: list[tuple[str, Ballot]] = []
    unnamed = []
    flagged = agreeing = 0
    for found in questions:
        about = {"options": found.options, "question": found.question}
        gold = read_answer(fmt, typed=found.gold, **about).key  # type: ignore[arg-type]
        if gold is None:
            unnamed.append(f"line {found.line}: {found.question.strip()[:_SHOWN]}")
            continue
        numbers = {gold: 0}
        answers = []
        for sample in found.samples:
            key = read_answer(fmt, typed=None, text=sample.text, **about).key  # type: ignore[arg-type]
            answers.append(_number(key, numbers))
            if sample.correct is not None:
                flagged += 1
                agreeing += sample.correct == (answers[-1] == 0)
        kept.append((found.question, Ballot(tuple(answers), right=0)))
    if not kept:
        _refuse(source, "gold", f"be readable as {fmt.kind.value} in some line", unnamed[0])
    recording = _recording(source, kept, labelled=True)
    if recording.unreadable == recording.samples:
        _refuse(source, "samples", f"hold some answer that reads as {fmt.kind.value}", "none")
    return replace(recording, flagged=flagged, agreeing=agreeing, unreadable_gold=tuple(unnamed))


def recording_of_votes(votes: Iterable[tuple[str, Vote]], *, source: str) -> Recording:
    """Return the votes of a run as a recording without right answers.

    Answers were read in the run and are compared by their stored keys. In place of the right answer
    stands the winner of the recorded vote; a tie has none.

    Args:
        votes: the question and the vote of each unit that came to a vote.
        source: what errors and reports call it.

    Raises:
        StoreError: there is no vote, or none has a readable sample.
    """
    kept = []
    for question, vote in votes:
        numbers: dict[str, int] = {}
        answers = tuple(_number(sample.key, numbers) for sample in vote.samples)
        winner = next((s.key for s in vote.samples if s.key and s.answer == vote.winner), None)
        kept.append((question, Ballot(answers, None if winner is None else numbers[winner])))
    if not any(answer != UNREADABLE for _, ballot in kept for answer in ballot.answers):
        _refuse(source, "the run", "hold a vote with a readable sample", f"{len(kept)} votes")
    return _recording(source, kept, labelled=False)


def split(
    recording: Recording, *, share: float = 0.5, seed: int = 0
) -> tuple[Recording, Recording]:
    """Return two parts of a recording, split by a hash of the question: about `share`, and the rest.

    The part of a question depends on its text and the seed alone. The grades of the recorder stay
    behind, for they are of the whole.
    """
    first = [_hash_share(question, seed) < share for question in recording.questions]
    parts = []
    for wanted in (True, False):
        pairs = zip(recording.questions, recording.ballots, first, strict=True)
        kept = [(question, ballot) for question, ballot, in_first in pairs if in_first is wanted]
        parts.append(_recording(recording.source, kept, labelled=recording.labelled))
    return parts[0], parts[1]


def _hash_share(question: str, seed: int) -> float:
    data = f"{seed}/{question.strip()}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") / 2**64


def _recording(source: str, kept: Sequence[tuple[str, Ballot]], *, labelled: bool) -> Recording:
    ballots = tuple(ballot for _, ballot in kept)
    return Recording(
        source=source,
        questions=tuple(question for question, _ in kept),
        ballots=ballots,
        labelled=labelled,
        samples=sum(len(ballot.answers) for ballot in ballots),
        unreadable=sum(ballot.answers.count(UNREADABLE) for ballot in ballots),
    )


def _number(key: str | None, numbers: dict[str, int]) -> int:
    return UNREADABLE if key is None else numbers.setdefault(key, len(numbers))


def _wanted(model: str, models: str | None, exclude: str | None) -> bool:
    if models is not None and not fnmatchcase(model, models):
        return False
    return exclude is None or not fnmatchcase(model, exclude)


def _lines(file: str) -> Iterator[str]:
    opened = gzip.open if file.endswith(".gz") else open
    try:
        with opened(file, "rt", encoding="utf-8") as lines:
            yield from lines
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StoreError.rule(
            "Reading recorded answers failed",
            unit=file,
            name="the file",
            rule="be a readable .jsonl or .jsonl.gz file in UTF-8",
            value=f"{type(error).__name__}: {error}",
            todo="Check the path and that the file is complete.",
        ) from error


def _question(file: str, number: int, line: str) -> RecordedQuestion:
    where = f"{file}, line {number}"
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        _refuse(where, "the line", f"be JSON ({error})", line.strip())
    if not isinstance(data, dict):
        _refuse(where, "the line", "be a JSON object", data)
    samples = data.get("samples")
    if not isinstance(samples, list) or not samples:
        _refuse(where, "samples", "be a list with at least one sample", samples)
    options = data.get("options") or []
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        _refuse(where, "options", "be a list of texts", options)
    return RecordedQuestion(
        line=number,
        question=_text(where, "question", data.get("question")),
        gold=_text(where, "gold", data.get("gold")),
        options=tuple(options),
        samples=tuple(_sample(where, sample) for sample in samples),
    )


def _sample(where: str, sample: Any) -> RecordedSample:
    if not isinstance(sample, dict) or not isinstance(sample.get("text"), str):
        _refuse(where, "samples", "hold objects with a `text`", sample)
    model, correct = sample.get("model", ""), sample.get("correct")
    if not isinstance(model, str) or not (correct is None or isinstance(correct, bool)):
        _refuse(where, "samples", "hold `model` as text and `correct` as true or false", sample)
    return RecordedSample(sample["text"], model, correct)


def _text(where: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse(where, name, "be a text that is not empty", value)
    return value


def _refuse(where: str, name: str, rule: str, value: object) -> NoReturn:
    raise StoreError.rule(
        "Reading recorded answers failed",
        unit=where,
        name=name,
        rule=rule,
        value=value,
        todo="docs/replay.md describes the format; mend the file, or choose others with --format, "
        "--models and --exclude.",
    )
