"""The typed data that flows between stages: frozen, and known by their content.

An id is 16 hexadecimal digits of BLAKE2b over the canonical JSON of what the record *is*, never of
when or how it was made; two runs that make the same thing give it the same id.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from signatures.bloom import BloomLevel
from signatures.untrusted import neutral_text

ID_BYTES = 8


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys, no spaces and no escapes: one text for one value."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def content_id(value: Any) -> str:
    """Return the id of a JSON value: 16 hexadecimal digits."""
    data = canonical_json(value).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=ID_BYTES).hexdigest()


def valid_text(text: str) -> str:
    """Return `text` as UTF-8 can hold it: halves of a surrogate pair joined, lone ones U+FFFD.

    A model's JSON may escape half of a pair; Python reads it, no file and no request can carry it.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# What a model wrote, or may have written.
Text = Annotated[str, BeforeValidator(lambda v: valid_text(v) if isinstance(v, str) else v)]


# What stands in a document.
Untrusted = Annotated[
    str, BeforeValidator(lambda v: neutral_text(valid_text(v)) if isinstance(v, str) else v)
]


class Record(BaseModel):
    """The base of all records: frozen, and no unknown field is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KeywordOrigin(StrEnum):
    """Where a keyword came from."""

    CORE = "core"
    PREREQUISITE = "prerequisite"
    ADVANCED = "advanced"
    RETRIEVED = "retrieved"


class Keyword(Record):
    """One keyword of the bank, with its lineage.

    Args:
        text: the keyword as it is shown and used.
        origin: how it was found.
        round: the expansion round that found it; 0 for core keywords.
        parents: the keywords that were shown when it was found.
        passage_id: the passage it was extracted from, for `retrieved`.
    """

    text: Text
    origin: KeywordOrigin
    round: int = Field(default=0, ge=0)
    parents: tuple[Text, ...] = ()
    passage_id: str | None = None


class Passage(Record):
    """A piece of a corpus. Its text is untrusted: it is made neutral here, whoever found it.

    Args:
        id: known by its content; the same text in two documents is one passage.
        text: the piece, see `signatures.untrusted`.
        source: the document it is from, for people.
    """

    id: str
    text: Untrusted
    source: Untrusted = ""


class Instruction(Record):
    """One question as it was written, with the keywords and the level it was asked for.

    Args:
        passage_id: the passage of a corpus that is the context; None where there is none.
        order: where options were shuffled after writing, which of the written ones stands where.
    """

    keywords: tuple[Text, ...]
    level: BloomLevel
    question: Text
    options: tuple[Text, ...] = ()
    context: Text = ""
    passage_id: str | None = None
    order: tuple[int, ...] = ()

    @cached_property
    def id(self) -> str:
        """Return the id of what is asked: question, options and context."""
        return content_id([self.question, list(self.options), self.context])

    @property
    def text(self) -> str:
        """Return the whole instruction as a student is shown it: context, question, lettered options."""
        parts = [self.context, self.question] if self.context else [self.question]
        if self.options:
            parts.append("\n".join(f"{chr(65 + i)}. {o}" for i, o in enumerate(self.options)))
        return "\n\n".join(parts)


class Sample(Record):
    """One drawn answer, readable or not.

    Args:
        number: the draw's place in the vote, from 0.
        answer: the answer as it was read, shown to people; None when unreadable.
        key: the canonical key that the vote compares; None when unreadable.
        reasoning: the steps that led to it, or the raw text where nothing else was found.
        unreadable: why no answer could be read; None when one was.
        parsed: whether the reply kept to the format; False when it was read out of the raw text.
        temperature: what it was drawn with; None where the model fixes its own.
        call: the key of its call in the call log, where there is one.
    """

    number: int = Field(ge=0)
    answer: Text | None
    key: Text | None
    reasoning: Text = ""
    unreadable: str | None = None
    parsed: bool = True
    temperature: float | None = None
    call: str | None = None


class Vote(Record):
    """The outcome of self-consistency voting over one instruction.

    Args:
        accepted: whether the policy accepts the winner.
        winner: the answer with most votes; None for a tie or when nothing was readable.
        agreement: votes for the winner (for a tie: for each of the first) / draws; 0 with no draws.
        agreement_low: lower end of the 95 % Wilson interval of the agreement; 0 with no draws.
        agreement_high: its upper end; 1 with no draws.
        confidence: estimated probability that the winner is right, 0 to 1; None unless the policy
            was fitted to estimate it, and where there is no winner.
        counts: votes by answer, most first, ties in the order of the first draw.
        draws: answers drawn, unreadable ones counted.
        reason: why it stopped, such as `majority`, `below_threshold`, `tie`, `unreadable`.
        response: number of the sample that becomes the response; None when not accepted.
        samples: all draws, in order.
    """

    accepted: bool
    winner: Text | None
    agreement: float = Field(ge=0, le=1)
    agreement_low: float = Field(default=0.0, ge=0, le=1)
    agreement_high: float = Field(default=1.0, ge=0, le=1)
    confidence: float | None = Field(default=None, ge=0, le=1)
    counts: tuple[tuple[Text, int], ...]
    draws: int = Field(ge=0)
    reason: str
    response: int | None
    samples: tuple[Sample, ...]

    @property
    def losing(self) -> tuple[Sample, ...]:
        """Return the readable samples that did not vote for the winner; all of them in a tie."""
        won = self.samples[self.response].key if self.response is not None else None
        if won is None and self.winner is not None:
            won = next((s.key for s in self.samples if s.answer == self.winner), None)
        return tuple(s for s in self.samples if s.key is not None and s.key != won)


class Row(Record):
    """One validated row of the dataset.

    Args:
        family: id of the family of like problems it belongs to; a split keeps a family together.
        judged_level: the level that a judge read in it, where one was asked.
    """

    id: str
    instruction: Instruction
    response: Text
    answer: Text
    vote: Vote
    task: str
    teacher: str
    model: str
    family: str = ""
    judged_level: BloomLevel | None = None

    @property
    def messages(self) -> tuple[dict[str, str], ...]:
        """Return the row as chat messages: the user's instruction, the assistant's response."""
        return (
            {"role": "user", "content": self.instruction.text},
            {"role": "assistant", "content": self.response},
        )


class Evidence(Record):
    """What a screen found, so that its verdict can be looked at.

    Args:
        screen: the screen.
        span: the place in the instruction that it speaks of, as it stands there; may be cut short.
        place: the unit that is repeated, by its place in the global order.
        other: content id of that unit's instruction, or the family's.
        similarity: how alike both are, or the share of a benchmark question that is covered, 0 to 1.
        benchmark: what was to be avoided, by name.
        benchmark_row: the row there, from 1.
        benchmark_id: its own id there, where it has one.
    """

    screen: str
    span: Text = ""
    place: int | None = None
    other: str | None = None
    similarity: float | None = Field(default=None, ge=0, le=1)
    benchmark: Text | None = None
    benchmark_row: int | None = None
    benchmark_id: Text | None = None


class Rejection(Record):
    """Why a unit gave no row. `reason` is of its content only; the weather never rejects.

    Args:
        stage: the stage that turned it down.
        reason: a short machine-readable cause, such as `unparsable`, `duplicate`, `tie`.
        detail: one sentence for people.
        instruction: what had been written, where it got that far.
        vote: the vote with all its samples, where it got that far.
        evidence: what a screen found.
    """

    stage: Literal["writer", "screen", "vote"]
    reason: str
    detail: Text = ""
    instruction: Instruction | None = None
    vote: Vote | None = None
    evidence: Evidence | None = None


def make_row(
    instruction: Instruction, vote: Vote, *, response: str, task: str, teacher: str, model: str
) -> Row:
    """Return the row of an accepted vote; its id is of the instruction and the response.

    Raises:
        ValueError: the vote was not accepted.
    """
    if not vote.accepted or vote.winner is None:
        raise ValueError("only an accepted vote makes a row")
    return Row(
        id=content_id([task, instruction.id, response]),
        instruction=instruction,
        response=response,
        answer=vote.winner,
        vote=vote,
        task=task,
        teacher=teacher,
        model=model,
    )
