"""How often the simulated teacher errs, and how: every rate with its default."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, fields

from signatures.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TeacherRates:
    """The faults of the teacher; every value is a share or a probability from 0 to 1.

    The defaults are set so that with five draws and a threshold of 0.6 some 70 to 75 % of the
    instructions are accepted, and 97 % of those accepted are right (93 to 96 % where there are only
    three answers to choose from: wrong ones agree more often there).

    Args:
        right: chance of a right answer to the easiest question (Remember, difficulty 0).
        level_fall: what is lost from there to Create, evenly over the six levels.
        family_fall: what is lost from a family of difficulty 0 to one of difficulty 1.
        spread: questions differ by up to this much in either direction, fixed by their text.
        misconceived: share of questions, fixed by their text, where the most frequent slip is
            taken for the truth by most draws: the errors that a vote cannot see.
        misconception: chance of that slip on such a question.
        blunder: share of the wrong answers that are no slip but a random figure or option.
        vague: share of written instructions that are ambiguous on purpose.
        vague_right: chance that a draw reads an ambiguous one as its writer did.
        vague_open: chance that a draw on an ambiguous one names no answer.
        dressed: share of answers in other clothes: `1,250`, `**B**`, a full stop, a unit.
        short: share of answers whose steps are cut down to the last ones.
        malformed: share of replies that break the form asked for; half of them can be salvaged.
        truncated: share of replies that stop in the middle, as if at a limit.
        refused: share of replies that refuse.
        stock: share of written instructions that come from a small stock, whatever the keyword:
            exact duplicates sooner or later.
        bad_options: share of option lists that are one short, doubled or lettered.
        repeated: share of listed keywords that are followed by a repeat of an earlier one.
        synonym: share that are followed by a synonym of themselves.
        plural: share that stand in the plural.
        known: share of listed keywords that were named as known.
        numbered: share of keyword lists whose items carry numbers.
        bulleted: share of keyword lists whose items carry bullets.
        judged: chance that a judge of the level names the level that was asked for.
        checked: chance that a check of a question or of a keyword list is right.

    Raises:
        ConfigError: a rate is not from 0 to 1.
    """

    right: float = 0.98
    level_fall: float = 0.12
    family_fall: float = 0.16
    spread: float = 0.08
    misconceived: float = 0.012
    misconception: float = 0.65
    blunder: float = 0.25
    vague: float = 0.23
    vague_right: float = 0.28
    vague_open: float = 0.5
    dressed: float = 0.06
    short: float = 0.2
    malformed: float = 0.02
    truncated: float = 0.004
    refused: float = 0.004
    stock: float = 0.01
    bad_options: float = 0.01
    repeated: float = 0.05
    synonym: float = 0.05
    plural: float = 0.04
    known: float = 0.08
    numbered: float = 0.1
    bulleted: float = 0.1
    judged: float = 0.85
    checked: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise ConfigError.rule(
                    "Setting up the simulated teacher failed",
                    name=field.name,
                    rule="be from 0 to 1",
                    value=value,
                    todo="Give a share or a probability.",
                )

    @classmethod
    def perfect(cls) -> TeacherRates:
        """Return rates of a teacher that never errs: every fault 0, every right answer 1."""
        sure = {"right", "vague_right", "judged", "checked"}
        return cls(**{field.name: float(field.name in sure) for field in fields(cls)})

    @property
    def digest(self) -> str:
        """Return 8 hexadecimal digits that name these rates.

        `checked` counts where it is below 1 only: the digest is part of every reply's chance, and
        there was no such rate when the first call logs were written.
        """
        values = astuple(self)
        named = values if self.checked < 1 else values[:-1]
        return hashlib.blake2b(repr(named).encode(), digest_size=4).hexdigest()
