"""Recorded answers of models, read once: what policies are judged by and fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from optimizers.similarity import groups
from programs.ballots import UNREADABLE, Ballot
from programs.equivalence import read_answer
from signatures.recorded import RecordedQuestion, refuse_recording
from signatures.records import Vote
from signatures.task import AnswerFormat

_SHOWN = 60


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
        refuse_recording(
            source, "gold", f"be readable as {fmt.kind.value} in some line", unnamed[0]
        )
    recording = _recording(source, kept, labelled=True)
    if recording.unreadable == recording.samples:
        refuse_recording(
            source, "samples", f"hold some answer that reads as {fmt.kind.value}", "none"
        )
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
        refuse_recording(
            source, "the run", "hold a vote with a readable sample", f"{len(kept)} votes"
        )
    return _recording(source, kept, labelled=False)


def split(
    recording: Recording, *, share: float = 0.5, seed: int = 0, near_together: bool = False
) -> tuple[Recording, Recording]:
    """Return two parts of a recording, split by a hash of the question: about `share`, and the rest.

    The part of a question depends on its text and the seed alone; with `near_together` on that of the
    first in the alphabet of those that are near (`optimizers.similarity.groups`), which so fall into one
    part. The grades of the recorder stay behind, for they are of the whole.
    """
    questions = recording.questions
    texts = _first_of_near(questions) if near_together else questions
    first = [_hash_share(text, seed) < share for text in texts]
    parts = []
    for wanted in (True, False):
        pairs = zip(questions, recording.ballots, first, strict=True)
        kept = [(question, ballot) for question, ballot, in_first in pairs if in_first is wanted]
        parts.append(_recording(recording.source, kept, labelled=recording.labelled))
    return parts[0], parts[1]


def _first_of_near(questions: Sequence[str]) -> list[str]:
    leaders = groups(questions)
    first: dict[int, str] = {}
    for leader, question in zip(leaders, questions, strict=True):
        first[leader] = min(first.get(leader, question), question)
    return [first[leader] for leader in leaders]


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
