"""What the judges are tried on: questions with levels, pairs of answers, checked questions, lists.

A dev set without labels is labelled by what the judge itself says most often; how the labels are
spread is told in a notice, for a judge that always says the same would be right as often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dspy

from optimizers.cases import Case, question_cases, reference_label, shown
from optimizers.devsets import DevRow, DevSet, split_devset
from optimizers.judges import Judges
from optimizers.labels import QuestionLabel
from optimizers.lists import KeywordList, reference_faults
from optimizers.pairs import compared, reference_pairs
from optimizers.sides import Examples, sides_of
from programs.judging import FAULTS
from programs.synthesis import DS2Instruct
from signatures.errors import ConfigError


def level_examples(devset: DevSet) -> Examples:
    """Return questions with their levels.

    Raises:
        ConfigError: the dev set lacks levels.
    """
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
        return dspy.Example(question=shown(row), label=row.level).with_inputs("question")

    return Examples(*(tuple(map(example, side)) for side in split_devset(devset.rows)))


def pair_examples(program: DS2Instruct, devset: DevSet, judge: dspy.LM, judges: Judges) -> Examples:
    """Return pairs of answers; where the dev set has none they are drawn and labelled by `judge`."""
    made: list[tuple[dspy.Example, ...]] = []
    dropped = 0
    for side in split_devset(devset.rows):
        pairs: Sequence[tuple[str, str, bool] | None] = [
            (*row.pair, bool(row.same)) if row.pair else None for row in side
        ]
        if not devset.paired:
            pairs = reference_pairs(program, judge, side, judges.answer)
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


def question_examples(devset: DevSet, judge: dspy.LM, judges: Judges) -> Examples:
    """Return questions with keywords and both verdicts; without verdicts, cases labelled by `judge`.

    Raises:
        ConfigError: the dev set lacks keywords.
    """
    bare = sum(not row.keywords for row in devset.rows)
    if bare:
        raise ConfigError.rule(
            "Compiling failed",
            unit=devset.source,
            name="its rows",
            rule="have keywords each, for the stage question-judge",
            value=f"{bare} rows without any",
            todo="Name the column with --columns keywords=NAME, or use a file that `ds2 devset` wrote.",
        )
    made: list[tuple[dspy.Example, ...]] = []
    dropped = 0
    for side in split_devset(devset.rows):
        cases = [Case(shown(row), row.keywords) for row in side]
        labels: list[QuestionLabel | None] = [row.check for row in side]
        if not devset.checked:
            cases = question_cases(side)
            labels = [reference_label(judges.question, judge, case) for case in cases]
        dropped += sum(label is None for label in labels)
        made.append(
            tuple(_check(case, x) for case, x in zip(cases, labels, strict=True) if x is not None)
        )
    said = [example for side in made for example in side]
    used = Counter(example.keywords_used for example in said)
    own = sum(example.self_contained == "yes" for example in said)
    spread = f"{used['all']} use all of their keywords, {used['some']} some, {used['none']} none"
    notices = [f"Of {len(said)} questions {spread}; {own} are self-contained."]
    if dropped:
        notices.append(f"{dropped} questions without a majority among the verdicts left out.")
    return Examples(made[0], made[1], made[2], tuple(notices))


def _check(case: Case, label: QuestionLabel) -> dspy.Example:
    example = dspy.Example(question=case.question, keywords=list(case.keywords), **label._asdict())
    return example.with_inputs("question", "keywords")


def list_examples(devset: DevSet) -> Examples:
    """Return the keyword lists of a dev set."""
    made = []
    for side in split_devset(devset.rows):
        labelled = [(row.faults, row.keywords) for row in side if row.faults is not None]
        made.append(tuple(_faults(label.wanted, words, label.faults) for label, words in labelled))
    balance = _balance([example for side in made for example in side])
    return Examples(made[0], made[1], made[2], (balance,))


def drawn_list_examples(
    program: DS2Instruct, lists: Sequence[KeywordList], judge: dspy.LM, judges: Judges
) -> Examples:
    """Return lists that were drawn, labelled by `judge`."""
    made = [
        _faults(*one, reference_faults(judges.keyword, judge, program.task, one)) for one in lists
    ]
    labelled = [example for example in made if any(f is not None for f in example.faults)]
    notices = [_balance(labelled)]
    unsure = sum(fault is None for example in labelled for fault in example.faults)
    if unsure:
        notices.append(f"{unsure} keywords without a majority among the verdicts do not count.")
    if len(labelled) < len(made):
        notices.append(f"{len(made) - len(labelled)} lists without any verdict left out.")
    sides = sides_of(labelled)
    return sides._replace(notices=(*sides.notices, *notices))


def _faults(wanted: str, keywords: Sequence[str], faults: Sequence[str | None]) -> dspy.Example:
    example = dspy.Example(wanted=wanted, keywords=list(keywords), faults=list(faults))
    return example.with_inputs("wanted", "keywords")


def _balance(examples: Sequence[dspy.Example]) -> str:
    """Return how many keywords of labelled lists have which fault."""
    found = Counter(fault for example in examples for fault in example.faults)
    off, turned, grain = (found[name] for name in FAULTS)
    return (
        f"Of {sum(found.values()) - found[None]} keywords {found['']} are sound, {off} off the task, "
        f"{turned} in the wrong direction, {grain} of the wrong grain."
    )
