"""How many calls a compile takes at most, and how wide a search a budget allows: before any call."""

from __future__ import annotations

from typing import NamedTuple

from optimizers.cells import cells_of, names_cells
from optimizers.devsets import DevSet, split_devset
from optimizers.judge_metrics import JudgeMetric, ListMetric, PairMetric, QuestionMetric
from optimizers.lists import LIST_DRAWS
from optimizers.metrics import AnswerMetric, ChainMetric, InstructionMetric, KeywordMetric
from optimizers.pairs import PAIR_DRAWS
from optimizers.reference import REFERENCE_DRAWS
from optimizers.search import Kind, most_runs
from optimizers.sides import cuts
from programs.synthesis import DS2Instruct
from signatures.errors import ConfigError

BANK_CALLS = 24  # that growing the bank of the cells takes at most, as a rule
PROPOSALS = 60  # calls of a proposer in one search, at most, as a rule

_JUDGING = {
    "keywords": KeywordMetric.calls,
    "instructions": InstructionMetric.calls,
    "answers": AnswerMetric.calls,
    "judge": JudgeMetric.calls,
    "answer-judge": PairMetric.calls,
    "question-judge": QuestionMetric.calls,
    "keyword-judge": ListMetric.calls,
    "chain": ChainMetric.calls,
}


_LABELLING = {
    "answers": REFERENCE_DRAWS,
    "answer-judge": PAIR_DRAWS + REFERENCE_DRAWS,
    "question-judge": REFERENCE_DRAWS,
    "keyword-judge": LIST_DRAWS + REFERENCE_DRAWS,
}
# Stages whose examples are the rows of a dev set, so that they need one.
ON_ROWS = frozenset({"answers", "judge", "answer-judge", "question-judge"})


class Price(NamedTuple):
    """What a compile costs in calls.

    Args:
        run: calls of one program run with its judgement.
        evaluation: calls of one held-out evaluation.
        fixed: calls whatever the search: examples, plain prompts, both held-out evaluations.
        width: how wide the search is, in the optimizer's own unit.
        most: calls in all, at most, as a rule.
    """

    run: int
    evaluation: int
    fixed: int
    width: int
    most: int


def is_labelled(stage: str, devset: DevSet | None) -> bool:
    """Return whether a dev set says what is right in a stage, or no such word is needed."""
    match stage:
        case "answers":
            return devset is not None and devset.labelled
        case "answer-judge":
            return devset is not None and devset.paired
        case "question-judge":
            return devset is not None and devset.checked
        case "keyword-judge":
            return devset is not None and devset.listed
    return True


def tried_on_rows(stage: str, devset: DevSet | None) -> bool:
    """Return whether the examples of a stage are the rows of the dev set; else they are made."""
    if stage == "keyword-judge":
        return is_labelled(stage, devset)
    return stage in ON_ROWS or (stage != "keywords" and names_cells(devset))


class Expected(NamedTuple):
    """How many examples the three sides have, at most; `different` counts near-duplicates once."""

    sizes: tuple[int, int, int]
    different: tuple[int, int, int]


def expected_sizes(stage: str, devset: DevSet | None, cells: int) -> Expected:
    """Return how many examples there will be, without asking any model."""
    rows = devset.rows if devset is not None else ()
    if not tried_on_rows(stage, devset):
        first, second = cuts(cells)
        sizes = (first, second - first, cells - second)
        return Expected(sizes, sizes)
    if stage not in ON_ROWS and stage != "keyword-judge":
        made = cells_of(rows)
        return Expected(made.sizes, made.different)
    split = split_devset(rows)
    return Expected((len(split.train), len(split.val), len(split.test)), split.different)


def price(
    stage: str,
    kind: Kind,
    program: DS2Instruct,
    sizes: tuple[int, int, int],
    *,
    predictors: int,
    searches: int,
    repeats: int,
    labelled: bool,
    asked: int,
    budget_calls: int | None,
) -> Price:
    """Return what a compile costs, its search as wide as the budget allows.

    Args:
        stage: what is compiled.
        kind: the optimizer.
        program: the program; its voting policy says what a row of the chain costs.
        sizes: examples of the three sides.
        predictors: prompts of the stage.
        searches: how many searches it may fall into (`optimizers.branches`).
        repeats: draws of each held-out example.
        labelled: whether answers (or verdicts) are known, or must be voted on first
            (`is_labelled`).
        asked: examples that labels are voted on, those that find none among them.
        budget_calls: most calls in all; None for the ordinary width.

    Raises:
        ConfigError: the budget does not reach for the narrowest search (what it would take).
    """
    draws = 1 + program.vote.policy.max_draws if stage == "chain" else 1
    run = draws + _JUDGING[stage]
    evaluation = run * sizes[2] * repeats
    on_rows = stage in ON_ROWS or (stage == "keyword-judge" and labelled)
    setup = 0 if on_rows else BANK_CALLS
    setup += 0 if labelled else _LABELLING.get(stage, 0) * asked
    fixed = setup + run * (sizes[1] or sizes[0]) + 2 * evaluation
    fixed += PROPOSALS * predictors if kind.proposes else 0
    rest = None if budget_calls is None else (budget_calls - fixed) // run

    def runs(width: int) -> int:
        return most_runs(kind, sizes, predictors=predictors, searches=searches, width=width)

    narrowest, width, most = kind.widths
    if rest is not None:
        width = max((w for w in range(narrowest, most + 1) if runs(w) <= rest), default=0)
    if not width:
        least = fixed + run * runs(narrowest)
        raise ConfigError.rule(
            "Compiling failed",
            unit=f"{stage} with {kind.name}",
            name="--budget-calls",
            rule=f"be at least {least:,}: {evaluation:,} for each of two held-out evaluations, "
            f"{fixed - 2 * evaluation:,} for the plain prompts and what comes before, and the "
            "narrowest search",
            value=budget_calls,
            todo="Raise it, give fewer --repeats, or a smaller dev set. No call was made.",
        )
    return Price(run, evaluation, fixed, width, fixed + run * runs(width))
