"""What each stage is tried on: examples in three sides, of a dev set or of the task's own keywords.

Answers and judges are tried on the rows of a dev set; the judge of answers on pairs of them, which are
drawn where the dev set holds none, the judge of questions on cases that are made of them. The judge of
keywords is tried on the lists of a dev set, else on lists that are drawn. Keywords, instructions and the
chain are tried on cells: of the dev set where its rows name keywords and level (as `ds2 devset` writes
them), else of a bank that the plain program grows. Sides are cut by a hash, so that they do not depend
on order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy

from optimizers.cells import asked_lists, cells_of, drawn_cells, names_cells
from optimizers.devsets import DevRow, DevSet, split_devset
from optimizers.judge_examples import (
    drawn_list_examples,
    level_examples,
    list_examples,
    pair_examples,
    question_examples,
)
from optimizers.judges import JudgePrompts, Judges
from optimizers.lists import draw_lists
from optimizers.metrics import reference_answers
from optimizers.reference import REFERENCE_DRAWS
from optimizers.sides import Examples
from programs.synthesis import DS2Instruct
from signatures.errors import ConfigError

CELLS = 60
BANK = 24
MOST_UNSURE = 0.8
_LOOK = 5  # questions labelled between two looks at how many have a majority


def make_examples(
    stage: str,
    program: DS2Instruct,
    devset: DevSet | None,
    *,
    judge: dspy.LM,
    cells: int = CELLS,
    seed: int = 0,
    prompts: JudgePrompts | None = None,
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
        prompts: of judges that label; None for those that are written.

    Raises:
        ConfigError: the stage needs a dev set, or the dev set has no levels for the judge.
    """
    judges = Judges(program, prompts)
    match stage:
        case "answers":
            found_in = _required(devset, stage, "questions, best with answers")
            return _answers(program, found_in, judge, judges)
        case "judge":
            return level_examples(_required(devset, stage, "questions with their levels"))
        case "answer-judge":
            what = "two answers in each row, or questions to draw them of"
            return pair_examples(program, _required(devset, stage, what), judge, judges)
        case "question-judge":
            what = "questions with their keywords, best with verdicts on them"
            return question_examples(_required(devset, stage, what), judge, judges)
        case "keyword-judge" if devset is not None and devset.listed:
            return list_examples(devset)
        case "keyword-judge":
            bank = _bank(program, devset, seed)
            return drawn_list_examples(
                program, draw_lists(program, bank, cells, seed), judge, judges
            )
        case "keywords":
            return asked_lists(_bank(program, devset, seed), cells, seed)
    if devset is not None and names_cells(devset):
        return cells_of(devset.rows)
    return drawn_cells(_bank(program, None, seed), cells, seed)


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


def _answers(program: DS2Instruct, devset: DevSet, judge: dspy.LM, judges: Judges) -> Examples:
    notices: list[str] = []
    split = split_devset(devset.rows)
    made: list[tuple[dspy.Example, ...]] = []
    dropped = 0
    for side in split:
        labels: Sequence[tuple[str, str] | None] = [(r.answer or "", r.key or "") for r in side]
        if not devset.labelled:
            labels = _voted(program, judge, side, judges, devset.source)
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


def _voted(
    program: DS2Instruct, judge: dspy.LM, rows: Sequence[DevRow], judges: Judges, source: str
) -> list[tuple[str, str] | None]:
    """Return the reference answers of one side.

    Raises:
        ConfigError: after some questions hardly one has a majority; no more draws are made.
    """
    labels: list[tuple[str, str] | None] = []
    for at in range(0, len(rows), _LOOK):
        labels += reference_answers(program, judge, rows[at : at + _LOOK], judges)
        none = labels.count(None)
        if len(labels) >= _LOOK and none > MOST_UNSURE * len(labels):
            raise ConfigError.rule(
                "Labelling the dev set failed",
                unit=source,
                name="its questions",
                rule=f"have an answer that most of {REFERENCE_DRAWS} draws agree on, "
                f"{1 - MOST_UNSURE:.0%} of them at least",
                value=f"{none} of the first {len(labels)} have none",
                todo="Give their answers, or take another --judge-model.",
            )
    return labels


def _asked(row: DevRow) -> dict[str, Any]:
    asked: dict[str, Any] = {"question": row.question}
    if row.context:
        asked["context"] = row.context
    if row.options:
        asked["options"] = list(row.options)
    return asked


def _bank(program: DS2Instruct, devset: DevSet | None, seed: int) -> list[str]:
    named = [word for row in (devset.rows if devset else ()) for word in row.keywords]
    if len(set(named)) >= BANK // 2:
        return sorted(set(named))
    return [keyword.text for keyword in program.expand(BANK, seed).bank]
