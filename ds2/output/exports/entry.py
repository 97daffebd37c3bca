"""One row as a format reads it: the record of the dataset, and the answers that lost its vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Alternative:
    """One readable answer drawn in the vote of a row.

    Args:
        response: the whole of it, closed like the responses of the dataset.
        answer: the answer that was read out of it.
        won: whether it gave the winner.
        votes: how many draws gave the same answer.
        parsed: whether the reply kept to the format; its text is a raw reply otherwise.
    """

    response: str
    answer: str
    won: bool
    votes: int
    parsed: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted row.

    Args:
        record: one value for each column of the dataset.
        draws: answers drawn in its vote, unreadable ones counted.
        alternatives: the readable ones in the order they were drawn; empty where only the dataset
            is at hand, which keeps no losing answers.
    """

    record: Mapping[str, Any]
    draws: int
    alternatives: tuple[Alternative, ...] = field(default=())

    @property
    def prompt(self) -> str:
        """Return the whole instruction as a student is shown it."""
        return str(self.record["instruction"])

    @property
    def question(self) -> str:
        """Return the instruction without its context; its options stay."""
        context = self.record["context"]
        return self.prompt.removeprefix(f"{context}\n\n") if context else self.prompt

    @property
    def response(self) -> str:
        """Return the response."""
        return str(self.record["response"])

    @property
    def votes(self) -> int:
        """Return how many draws gave the row's answer."""
        return max((vote["count"] for vote in self.record["votes"]), default=0)


def entry_of(
    record: Mapping[str, Any],
    alternatives: tuple[Alternative, ...] = (),
    *,
    reasoning: bool = True,
) -> Entry:
    """Return the entry of a stored row; without `reasoning` its response is the bare answer."""
    if not reasoning:
        answer = record["answer"]
        spoken = [
            {**message, "content": answer} if message["role"] == "assistant" else message
            for message in record["messages"]
        ]
        record = {**record, "response": answer, "messages": spoken}
        alternatives = tuple(
            Alternative(a.answer, a.answer, a.won, a.votes, a.parsed) for a in alternatives
        )
    return Entry(record, int(record["samples"]), alternatives)
