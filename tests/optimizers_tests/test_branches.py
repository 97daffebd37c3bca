"""Searching a stage prompt by prompt: which examples ask which prompt, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator

import dspy
import pytest
from compiling import adapter, calls_budget, compiled, devset, lm, models, program, teacher

from ds2.engines.logged import MemoryLog
from optimizers.branches import branches, student_of, together
from optimizers.compile import Job, check_job, compile_stage
from optimizers.evaluating import Progress
from optimizers.examples import Examples, make_examples
from optimizers.search import GOOD, KINDS, OPTIMIZERS, good_enough
from optimizers.stages import Stage, stage_of


@pytest.fixture(autouse=True)
def _context() -> Iterator[None]:
    with dspy.context(lm=lm(teacher()), adapter=adapter()):
        yield


def examples_of(stage: str, rows: int = 60) -> tuple[Stage, Examples]:
    made = program()
    return stage_of(made, stage), make_examples(
        stage, made, devset(rows), judge=lm(teacher()), cells=rows
    )


@pytest.mark.parametrize("stage", ["keywords", "instructions", "answers", "judge", "chain"])
def test_the_prompt_that_an_example_is_said_to_ask_is_the_one_it_asks(stage: str) -> None:
    ours, examples = examples_of(stage)
    names = {id(predictor): name for name, predictor in ours.named_predictors()}
    for example in examples.train[:6]:
        with dspy.context(trace=[]):
            ours(**example.inputs())
            asked = {names[id(predictor)] for predictor, _, _ in dspy.settings.trace}
        said = ours.asks(example)
        assert asked == {said} or (said is None and asked <= set(names.values()))


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        ("keywords", ["keywords.core", "keywords.prerequisites", "keywords.advanced"]),
        ("instructions", ["writer.single", "writer.pair"]),
        ("answers", [None]),
        ("judge", [None]),
        ("chain", [None]),
    ],
)
def test_a_stage_is_searched_prompt_by_prompt_where_an_example_asks_one_alone(
    stage: str, names: list[str | None]
) -> None:
    ours, examples = examples_of(stage)
    parts = branches(ours, examples, KINDS["mipro"])
    assert [part.predictor for part in parts] == names
    assert len(parts) <= ours.searches
    for side in ("train", "val"):
        shared = [example for part in parts for example in getattr(part.examples, side)]
        assert sorted(map(str, shared)) == sorted(map(str, getattr(examples, side)))
    assert all(part.examples.test == examples.test for part in parts)


def test_too_few_examples_of_one_prompt_are_searched_with_all_others() -> None:
    ours, examples = examples_of("keywords", rows=15)
    assert [part.predictor for part in branches(ours, examples, KINDS["mipro"])] == [None]


def test_a_prompt_that_no_example_asks_is_left_as_it_is() -> None:
    ours, examples = examples_of("instructions")
    single = [
        tuple(e for e in side if len(e.keywords) == 1) for side in (examples.train, examples.val)
    ]
    few = examples._replace(train=single[0], val=single[1])
    assert [p.predictor for p in branches(ours, few, KINDS["mipro"])] == ["writer.single"]


def test_each_search_sees_its_own_prompt_and_all_are_put_together() -> None:
    ours, examples = examples_of("instructions")
    made = []
    for part in branches(ours, examples, KINDS["copro"]):
        student = student_of(ours, part).deepcopy().reset_copy()
        ((name, predictor),) = student.named_predictors()
        assert name == part.predictor
        predictor.signature = predictor.signature.with_instructions(f"Better {name}.")
        predictor.demos = [dspy.Example(question=name)]
        made.append(student)
    whole = dict(together(ours, made).named_predictors())
    assert {name: (p.signature.instructions, len(p.demos)) for name, p in whole.items()} == {
        "writer.single": ("Better writer.single.", 1),
        "writer.pair": ("Better writer.pair.", 1),
    }
    assert not any(p.demos for p in ours.predictors())


@pytest.mark.parametrize(
    ("stage", "least"),
    [("instructions", 3), ("keywords", 1)],  # of keywords a prompt has a dozen lists to learn from
)
def test_each_prompt_that_is_asked_gets_demos_as_if_it_were_alone(stage: str, least: int) -> None:
    found = compiled(stage, "bootstrap", devset=devset(60), cells=60).program
    shown = {n: len(p.demos) for n, p in stage_of(found, stage).named_predictors()}
    assert shown.pop("keywords.extract", 0) == 0
    assert least <= min(shown.values()) <= max(shown.values()) <= 3


_LONG = {"simba", "copro", "bootstrap-optuna"}


@pytest.mark.parametrize(
    "optimizer",
    [pytest.param(o, marks=pytest.mark.slow) if o in _LONG else o for o in OPTIMIZERS],
)
def test_searches_of_single_prompts_cost_no_more_than_was_told(optimizer: str) -> None:
    job = Job(program(), "instructions", optimizer, devset(60), repeats=1)
    log, budget = MemoryLog(), calls_budget(check_job(job).most)
    shared = {"log": log, "budget": budget}
    given = models(
        program=lm(teacher(1.0), **shared),
        judge=lm(teacher(), **shared),
        proposer=lm(teacher(), **shared),
    )
    compiled("instructions", optimizer, given, devset=devset(60), repeats=1)
    assert len(log._receipts) <= check_job(job).most


def test_progress_names_each_search_and_begins_anew_with_its_own_plain_score() -> None:
    progress, seen = Progress(), {}

    def told() -> None:
        seen[progress.phase] = (progress.plain, progress.candidates)

    job = Job(program(), "instructions", "random-search", devset(60), repeats=1, threads=2)
    compile_stage(job, models(), progress=progress, told=told)
    parts = [phase for phase in seen if phase.startswith("random-search")]
    assert parts == ["random-search, writer.single", "random-search, writer.pair"]
    assert seen[parts[0]][0] != seen[parts[1]][0]
    assert 1 < seen[parts[0]][1] < seen[parts[1]][1]


@pytest.mark.parametrize(
    ("plain", "train", "good"),
    [
        ([], 20, GOOD),
        ([1.0] * 3 + [0.0] * 7, 20, GOOD),  # good ones are frequent enough
        ([0.5, 0.4, 0.3, 0.2], 20, 0.5),  # the best quarter of four is one
        ([i / 20 for i in range(12)], 24, 0.45),  # the third best of twelve
        ([i / 100 for i in range(60)], 60, 0.54),  # six of sixty are enough
        ([0.3], 1, 0.3),
        ([0.0, 0.0], 8, 0.0),
    ],
    ids=["unknown", "binary", "graded", "a quarter", "many", "one", "nothing good"],
)
def test_demos_are_the_best_there_are_where_good_ones_are_rare(
    plain: list[float], train: int, good: float
) -> None:
    assert good_enough(plain, train) == pytest.approx(good)
