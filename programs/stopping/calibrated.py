"""`calibrated`: a table fitted to recorded votes, made by `programs.calibration.fit_policy`.

The table says for each state of a vote whether to accept, to give up, or how many more to draw, and
how likely the first was right in such states. It is saved as one JSON file, which says what it was
fitted on and what is to be expected of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from programs.stopping.policy import Counts, Decision, accept, more, reject
from signatures.errors import ConfigError
from signatures.records import content_id

FORMAT: Literal["ds2-calibrated-policy"] = "ds2-calibrated-policy"
VERSION: Literal[1] = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Part):
    """One figure with its 95 % interval; None where there was nothing to measure."""

    value: float | None
    low: float | None
    high: float | None


class Expected(_Part):
    """What was measured on questions that the table was not fitted to, by cross-validation.

    Args:
        yielded: accepted / questions; `yield` in the file.
        precision: right / accepted.
        samples: mean samples drawn a question.
        samples_per_accepted: samples drawn / accepted.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    yielded: Measured = Field(alias="yield")
    precision: Measured
    samples: Measured
    samples_per_accepted: Measured


class Provenance(_Part):
    """What the table was fitted on, and how.

    Args:
        source: what the caller says of the recorded votes, such as the file's name.
        ballots: hash of the votes themselves.
        questions: how many.
        samples: how many recorded samples they hold.
        variant: how probabilities were estimated (`programs.calibration.estimates`).
        wrong_price: what a wrong row costs where a right one earns 1.
        sample_price: what a sample costs.
        folds: folds of the cross-validation, split by question.
        repeats: random orders of the samples of each question.
        seed: of the orders and the folds.
    """

    source: str
    ballots: str
    questions: int = Field(ge=1)
    samples: int = Field(ge=1)
    variant: str
    wrong_price: float = Field(ge=0)
    sample_price: float = Field(ge=0)
    folds: int = Field(ge=2)
    repeats: int = Field(ge=1)
    seed: int


class Entry(_Part):
    """What to do in one state.

    Args:
        do: accept, reject or draw.
        draw: how many more, for `draw`; 0 otherwise.
        right: how likely the first is right, 0 to 1.
        support: effective number of questions that were seen in this state or its class.
    """

    do: Literal["accept", "reject", "draw"]
    draw: int = Field(ge=0)
    right: float = Field(ge=0, le=1)
    support: float = Field(ge=0)


class _Document(_Part):
    format: Literal["ds2-calibrated-policy"]
    version: Literal[1]
    target_precision: float = Field(gt=0, le=1)
    max_draws: int = Field(ge=1)
    provenance: Provenance
    expected: Expected
    states: dict[str, Entry]


class Calibrated:
    """Do what the table says of the state; where it says nothing, draw one more.

    A state is missing only where a vote came to it by another way than this policy. At the cap such
    a vote is rejected, and no state is accepted that the table does not accept. The first is never
    accepted while another answer has as many votes.

    Args:
        target_precision: what it was fitted for, 0 < target_precision <= 1.
        max_draws: most answers to draw, at least 1.
        states: what to do, by state.
        expected: what to expect of it.
        provenance: what it was fitted on.
        file: where it was saved; None before.
    """

    def __init__(
        self,
        target_precision: float,
        max_draws: int,
        states: Mapping[Counts, Entry],
        *,
        expected: Expected,
        provenance: Provenance,
        file: str | None = None,
    ) -> None:
        self.target_precision = target_precision
        self.expected = expected
        self.provenance = provenance
        self.file = file
        self._max_draws = max_draws
        self._states = dict(states)
        self._id = content_id(self._content())

    @property
    def max_draws(self) -> int:
        """Return the most answers that it draws."""
        return self._max_draws

    @property
    def spec(self) -> str:
        """Return `calibrated(FILE)`; before it was saved its id stands in for the file."""
        return f"calibrated({self.file or self.id})"

    @property
    def id(self) -> str:
        """Return the id of all that decides: the cap and the table, wherever the file lies."""
        return self._id

    @property
    def states(self) -> dict[Counts, Entry]:
        """Return the table."""
        return dict(self._states)

    def decide(self, counts: Counts) -> Decision:
        """Return what the table says; see the class for states that it does not hold."""
        entry = self._states.get(counts)
        if entry is None:
            return more(1) if counts.draws < self._max_draws else reject(counts, "unsure")
        if entry.do == "draw":
            return more(entry.draw)
        return accept("confident") if entry.do == "accept" else reject(counts, "unsure")

    def probability(self, counts: Counts) -> float | None:
        """Return how likely the first was right in this state; None for a tie or an unknown state."""
        entry = self._states.get(counts)
        return None if entry is None or counts.tied or not counts.votes else entry.right

    def save(self, path: str | os.PathLike[str]) -> Calibrated:
        """Write the table as JSON, and return the policy that knows its file.

        Raises:
            ConfigError: the file cannot be written.
        """
        document = {"format": FORMAT, "version": VERSION, **self._content()}
        document["provenance"] = self.provenance.model_dump()
        document["expected"] = self.expected.model_dump(by_alias=True)
        text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        try:
            Path(path).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError.rule(
                "Saving the calibrated policy failed",
                unit=os.fspath(path),
                name="the file",
                rule="be in a folder that exists and can be written to",
                value=f"{type(error).__name__}: {error}",
                todo="Name another place.",
            ) from error
        return self._at(os.fspath(path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibrated) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return self.spec

    def _at(self, file: str) -> Calibrated:
        return Calibrated(
            self.target_precision,
            self._max_draws,
            self._states,
            expected=self.expected,
            provenance=self.provenance,
            file=file,
        )

    def _content(self) -> dict[str, Any]:
        return {
            "target_precision": self.target_precision,
            "max_draws": self._max_draws,
            "states": {_name(c): entry.model_dump() for c, entry in self._states.items()},
        }


def load_calibrated(path: str | os.PathLike[str]) -> Calibrated:
    """Return the policy that `Calibrated.save` wrote.

    Raises:
        ConfigError: the file cannot be read, or is no such table; it names the field.
    """
    file = os.fspath(path)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _refuse(file, "the file", "be a readable UTF-8 file", type(error).__name__, error)
    try:
        document = _Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        _refuse(file, where, f"hold ({first['msg']})", first["input"], error)
    states = {_counts(file, name): entry for name, entry in document.states.items()}
    _check_states(file, states, document.max_draws)
    return Calibrated(
        document.target_precision,
        document.max_draws,
        states,
        expected=document.expected,
        provenance=document.provenance,
        file=file,
    )


def _name(counts: Counts) -> str:
    """Return a state as text: the votes, then the unreadable draws, such as `3,1|0`."""
    return f"{','.join(map(str, counts.votes))}|{counts.unreadable}"


def _counts(file: str, name: str) -> Counts:
    votes, bar, unreadable = name.partition("|")
    parts = votes.split(",") if votes else []
    if not bar or not all(p.isascii() and p.isdigit() for p in (*parts, unreadable)):
        _refuse(file, "states", "be named like `3,1|0`", name)
    found = tuple(int(part) for part in parts)
    if found != tuple(sorted(found, reverse=True)) or 0 in found:
        _refuse(file, "states", "name votes of at least 1, most first", name)
    return Counts(found, int(unreadable))


def _check_states(file: str, states: Mapping[Counts, Entry], max_draws: int) -> None:
    for counts, entry in states.items():
        if entry.do == "accept" and (counts.tied or not counts.votes):
            _refuse(file, "states", "accept no tie and no vote without an answer", _name(counts))
        if (entry.do == "draw") != (entry.draw > 0) or counts.draws + entry.draw > max_draws:
            _refuse(file, "states", f"draw at least 1, to {max_draws} at most", _name(counts))


def _refuse(
    file: str, name: str, rule: str, value: object, cause: Exception | None = None
) -> NoReturn:
    raise ConfigError.rule(
        "Reading a calibrated policy failed",
        unit=file,
        name=name,
        rule=rule,
        value=value,
        todo="Fit it anew: `ds2 replay FILE --fit TRAIN --target-precision P --save OUT.json`.",
    ) from cause
