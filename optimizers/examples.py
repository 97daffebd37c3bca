"""What each stage is tried on: examples in three sides, of a dev set or of the task's own keywords.

Answers and judges are tried on the rows of a dev set; the judge of answers on pairs of them, which are
drawn where the dev set holds none. Keywords, instructions and the chain are tried
on cells: of the dev set where its rows name keywords and level (as `ds2 devset` writes them), else
of a bank that the plain program grows. Sides are cut by a hash, so that they do not depend on order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import dspy

from optimizers.devsets import TRAIN, VAL, DevRow, DevSet, split_devset
from optimizers.metrics import reference_answers
from optimizers.pairs import compared, reference_pairs
from programs.synthesis import DS2Instruct
from signatures.answers import lettered
from signatures.bloom import LEVELS
from signatures.errors import ConfigError
from signatures.records import KeywordOrigin, content_id

CELLS = 60
BANK = 24
LIST_SIZE = 8
SEEDS = 4


class Examples(NamedTuple):
    """The three sides, and what a reader should know of them."""

    train: tuple[dspy.Example, ...]
    val: tuple[dspy.Example, ...]
    test: tuple[dspy.Example, ...]
    notices: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Return how many examples each side has."""
        return len(self.train), len(self.val), len(self.test)


def make_examples(
    stage: str,
    program: DS2Instruct,
    devset: DevSet | None,
    *,
    judge: dspy.LM,
    cells: int = CELLS,
    seed: int = 0,
) -> Examples:
    """Return the examples of a stage.

    Args:
        stage: one of `optimizers.stages.STAGES`.
        program: the program as it is before compiling; it grows the bank with the language model of
            the context where no dev set names keywords.
        devset: the dev set; answers and judge need one.
        judge: answers an unlabelled dev set.
        cells: how many cells to make where the dev set holds none.
        seed: of the cells.

    Raises:
        ConfigError: the stage needs a dev set, or the dev set has no levels for the judge.
    """
    if stage == "answers":
        return _answers(program, _required(devset, stage, "questions, best with answers"), judge)
    if stage == "judge":
        return _levels(_required(devset, stage, "questions with their levels"))
    if stage == "answer-judge":
        found_in = _required(devset, stage, "two answers in each row, or questions to draw them of")
        return _pairs(program, found_in, judge)
    if stage == "keywords":
        return _lists(_bank(program, devset, seed), cells, seed)
    found = _cells(devset)
    if found is not None:
        return found
    bank = _bank(program, None, seed)
    rng = random.Random(f"{seed}/cells")
    made = []
    for number in range(cells):
        words = rng.sample(bank, min(len(bank), 2 if rng.random() < 0.4 else 1))
        made.append(_cell(words, LEVELS[number % len(LEVELS)].value, number))
    return _sides(made)


def _required(devset: DevSet | None, stage: str, what: str) -> DevSet:
    if devset is None:
        raise ConfigError.rule(
            "Compiling failed",
            unit=stage,
            name="--devset",
            rule=f"hold {what}",
            value=None,
            todo="Give a file, or make one of a run's own rows with `ds2 devset TASK`.",
        )
    return devset


def _answers(program: DS2Instruct, devset: DevSet, judge: dspy.LM) -> Examples:
    notices: list[str] = []
    split = split_devset(devset.rows)
    made: list[tuple[dspy.Example, ...]] = []
    dropped = 0
    for side in split:
        labels: Sequence[tuple[str, str] | None] = [(r.answer or "", r.key or "") for r in side]
        if not devset.labelled:
            labels = reference_answers(program, judge, side)
        dropped += sum(label is None for label in labels)
        made.append(
            tuple(
                dspy.Example(**_asked(row), gold=label[0], key=label[1]).with_inputs(*_asked(row))
                for row, label in zip(side, labels, strict=True)
                if label is not None
            )
        )
    if dropped:
        notices.append(
            f"{dropped} questions without a majority among the reference draws left out."
        )
    return Examples(made[0], made[1], made[2], tuple(notices))


def _asked(row: DevRow) -> dict[str, Any]:
    asked: dict[str, Any] = {"question": row.question}
    if row.context:
        asked["context"] = row.context
    if row.options:
        asked["options"] = list(row.options)
    return asked


def _levels(devset: DevSet) -> Examples:
    if not all(row.level for row in devset.rows):
        raise ConfigError.rule(
            "Compiling failed",
            unit=devset.source,
            name="its rows",
            rule="have a level each, for the stage judge",
            value=f"{sum(row.level is None for row in devset.rows)} rows without one",
            todo="Name the column with --columns level=NAME, or use a file that `ds2 devset` wrote.",
        )

    def example(row: DevRow) -> dspy.Example:
        parts = (row.context, row.question, lettered(row.options))
        text = "\n\n".join(part for part in parts if part)
        return dspy.Example(question=text, label=row.level).with_inputs("question")

    return Examples(*(tuple(map(example, side)) for side in split_devset(devset.rows)))


def _pairs(program: DS2Instruct, devset: DevSet, judge: dspy.LM) -> Examples:
    made: list[tuple[dspy.Example, ...]] = []
    dropped = 0
    for side in split_devset(devset.rows):
        pairs: Sequence[tuple[str, str, bool] | None] = [
            (*row.pair, bool(row.same)) if row.pair else None for row in side
        ]
        if not devset.paired:
            pairs = reference_pairs(program, judge, side)
        dropped += sum(pair is None for pair in pairs)
        made.append(tuple(_pair(row, *pair) for row, pair in zip(side, pairs, strict=True) if pair))
    labels = [example.label for side in made for example in side]
    notices = [f"{labels.count('yes')} of {len(labels)} pairs of answers say the same."]
    if dropped:
        notices.append(f"{dropped} questions whose draws all had one answer left out.")
    return Examples(made[0], made[1], made[2], tuple(notices))


def _pair(row: DevRow, first: str, second: str, same: bool) -> dspy.Example:
    label = "yes" if same else "no"
    example = dspy.Example(question=compared(row), first=first, second=second, label=label)
    return example.with_inputs("question", "first", "second")


def _cells(devset: DevSet | None) -> Examples | None:
    rows = devset.rows if devset is not None else ()
    if not rows or not all(row.level and len(row.keywords) in (1, 2) for row in rows):
        return None

    def cell(row: DevRow) -> dspy.Example:
        return _cell(list(row.keywords), str(row.level), 0)

    return Examples(*(tuple(map(cell, side)) for side in split_devset(rows)))


def _cell(words: list[str], level: str, visit: int) -> dspy.Example:
    return dspy.Example(keywords=words, level=level, visit=visit).with_inputs(
        "keywords", "level", "visit"
    )


def _bank(program: DS2Instruct, devset: DevSet | None, seed: int) -> list[str]:
    named = [word for row in (devset.rows if devset else ()) for word in row.keywords]
    if len(set(named)) >= BANK // 2:
        return sorted(set(named))
    return [keyword.text for keyword in program.expand(BANK, seed).bank]


def _lists(bank: list[str], cells: int, seed: int) -> Examples:
    """Return lists to ask for: a third each of core, prerequisite and advanced keywords."""
    rng = random.Random(f"{seed}/lists")
    made = []
    for number in range(cells):
        origin = list(KeywordOrigin)[number % 3]
        seeds = [] if origin is KeywordOrigin.CORE else rng.sample(bank, min(SEEDS, len(bank)))
        rest = [word for word in bank if word not in seeds]
        known = [] if origin is KeywordOrigin.CORE else rng.sample(rest, len(rest) // 3)
        example = dspy.Example(
            origin=origin.value, seeds=seeds, known=known, count=LIST_SIZE, number=number
        )
        made.append(example.with_inputs("origin", "seeds", "known", "count", "number"))
    return _sides(made)


def _sides(made: Sequence[dspy.Example]) -> Examples:
    """Cut examples in three sides, in the order of a hash of what they ask."""
    order = sorted(made, key=_hash)
    first, second = round(TRAIN * len(order)), round((TRAIN + VAL) * len(order))
    return Examples(tuple(order[:first]), tuple(order[first:second]), tuple(order[second:]))


def _hash(example: dspy.Example) -> str:
    return content_id(example.toDict())
