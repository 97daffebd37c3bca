"""Compile the prompts of a stage: search on train and val, believe what test shows.

Source: DSPy (Khattab et al. 2024, arXiv:2310.03714) and its optimizers, made to fit in `search.py`.
The program before and the program after are judged on the same held-out examples; the difference
comes with an interval, and an interval that holds 0 is told as no gain shown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import dspy
from dspy.utils.exceptions import AdapterParseError

from optimizers.branches import Branch, branches, student_of, together
from optimizers.budget import (
    ON_ROWS,
    Price,
    expected_sizes,
    is_labelled,
    price,
    tried_on_rows,
)
from optimizers.devsets import DevSet
from optimizers.evaluating import OWN_ROLLOUT, Progress, Scorer, evaluate
from optimizers.examples import CELLS, make_examples
from optimizers.judges import JudgePrompts, Judges, judged_by, refuse_idle
from optimizers.metrics import (
    METRICS_VERSION,
    MIN_PRECISION,
    PLAIN_CHAIN,
    ChainMetric,
    Metric,
    held_out,
    metric_for,
)
from optimizers.notices import notices
from optimizers.prompt_diff import prompt_diff
from optimizers.proposing import proposing
from optimizers.quiet import quiet
from optimizers.scores import (
    Evaluation,
    Interval,
    Outcome,
    difference,
    refuse_unscored,
)
from optimizers.search import (
    KINDS,
    MOST_SEEDS,
    OPTIMIZERS,
    Kind,
    Models,
    Search,
    Sizing,
    good_enough,
    refuse_small,
)
from optimizers.search import search as run_search
from optimizers.sides import Examples, alike
from optimizers.stages import STAGES, Gate, SearchStopped, Stage, stage_of
from programs.synthesis import DS2Instruct
from signatures.errors import ConfigError, StageError
from signatures.records import content_id

_DRAIN_S = 60.0  # the longest wait for calls under way when a compile ends


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be compiled.

    Args:
        program: the program as it is; it is not changed.
        stage: one of `STAGES`; `judge` wants a program with `ChainConfig(level_judge=True)`,
            `question-judge` and `keyword-judge` likewise, `answer-judge` one with
            `ChainConfig(merger="judge")`.
        optimizer: one of `OPTIMIZERS`.
        devset: the dev set; answers and all judges but that of keywords need one.
        seed: of examples, search and interval, 0 or more.
        budget_calls: most calls in all; None takes the ordinary width of each optimizer.
        cells: examples to make of the task's own keywords, where the dev set names none.
        repeats: draws of each held-out example, at least 1.
        threads: examples run at once.
        min_precision: the floor of the chain's precision, 0 to 1.
        metric: judges in place of the stage's own.
        judge_prompts: of judges that were compiled, for those inside the metric; None for the prompts
            as they are written.
    """

    program: DS2Instruct
    stage: str
    optimizer: str
    devset: DevSet | None = None
    seed: int = 0
    budget_calls: int | None = None
    cells: int = CELLS
    repeats: int = 3
    threads: int = 8
    min_precision: float = MIN_PRECISION
    metric: Metric | None = None
    judge_prompts: JudgePrompts | None = None

    @property
    def labelled(self) -> bool:
        """Return whether the dev set says what is right, or no such word is needed."""
        return is_labelled(self.stage, self.devset)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compile came to.

    Args:
        program: the program with its new prompts.
        before: the plain prompts on the held-out test side.
        after: the new prompts on it.
        gain: their difference with its interval; None where too little was scored.
        sizes: examples of the three sides.
        different: the same, those that ask nearly the same counted once.
        price: what it was to cost, in calls.
        metric: the metric's name.
        metric_id: the hash of what the metric is.
        diff: what changed in the prompts, for people.
        unscored: share of the outcomes in the search that could not be scored.
        candidates: prompts that the search tried, the plain ones among them.
        precision: right rows / accepted rows after, of the chain; else None.
        above_floor: whether that is at or above the floor (True for all other stages).
        notices: what a reader should know.
    """

    program: DS2Instruct
    before: Evaluation
    after: Evaluation
    gain: Interval | None
    sizes: tuple[int, int, int]
    different: tuple[int, int, int]
    price: Price
    metric: str
    metric_id: str
    diff: str
    unscored: float
    candidates: int
    precision: float | None
    above_floor: bool
    notices: tuple[str, ...]

    @property
    def gained(self) -> bool:
        """Return whether a gain was shown: the whole interval lies above 0, at the floor or above."""
        return self.above_floor and self.gain is not None and self.gain.is_gain


def check_names(stage: str, optimizer: str) -> Kind:
    """Return the optimizer of that name.

    Raises:
        ConfigError: there is no such stage or optimizer (the list).
    """
    for name, value, known in (("--stage", stage, STAGES), ("--optimizer", optimizer, OPTIMIZERS)):
        if value not in known:
            raise ConfigError.rule(
                "Compiling failed",
                name=name,
                rule=f"be one of {', '.join(known)}",
                value=value,
                todo="Choose one of them.",
            )
    return KINDS[optimizer]


def check_job(job: Job) -> Price:
    """Return what a job costs, after checking all that can be checked before the first call.

    Raises:
        ConfigError: no such stage or optimizer, no dev set where one is needed or one of another
            kind, too few examples, a budget that does not reach, or prompts of judges that judge
            nothing here.
    """
    kind = check_names(job.stage, job.optimizer)
    if job.stage in ON_ROWS and job.devset is None:
        raise ConfigError.rule(
            "Compiling failed",
            unit=job.stage,
            name="--devset",
            rule="be given for this stage",
            value=None,
            todo="Give a file, or make one of a run's own rows with `ds2 devset TASK`.",
        )
    if job.devset is not None and job.devset.listed and job.stage != "keyword-judge":
        raise ConfigError.rule(
            "Compiling failed",
            unit=job.devset.source,
            name="the dev set",
            rule=f"hold questions, for the stage {job.stage}",
            value="keyword lists with their faults",
            todo="Give another file, or compile --stage keyword-judge on this one.",
        )
    if job.judge_prompts is not None:
        judges = judged_by(job.stage, job.program, labelled=job.labelled)
        refuse_idle(job.judge_prompts, job.stage, judges)
    expected = expected_sizes(job.stage, job.devset, job.cells)
    refuse_small(kind, expected.different, _source(job), more=_more(job))
    return _price(job, kind, expected.sizes)


def idle_parts(job: Job) -> Iterator[tuple[str, str]]:
    """Yield each part, `judge` or `proposer`, whose model a job never asks, and why."""
    if not KINDS[job.optimizer].proposes:
        yield "proposer", f"{job.optimizer} writes no instructions"
    if job.labelled and not judged_by(job.stage, job.program, labelled=True):
        yield "judge", "the dev set says what is right"


def compile_stage(
    job: Job,
    models: Models,
    *,
    progress: Progress | None = None,
    told: Callable[[], None] = lambda: None,
    let_go: Callable[[], None] = lambda: None,
) -> Compiled:
    """Return what compiling came to.

    Args:
        job: what is to be compiled.
        models: the language models.
        progress: how far it is.
        told: called whenever `progress` has changed.
        let_go: called where it is interrupted, before calls under way are waited for: nobody is to
            wait for an endpoint that is down.

    Nothing is printed. A `BaseException` that an engine raises to stop (a budget that is spent, an
    endpoint that is gone) goes through at once, after calls under way have come home.

    Raises:
        ConfigError: see `check_job`; or the metric raises.
        StageError: more than a fifth of the outcomes could not be scored.
    """
    check_job(job)
    work = _Work(job, models, progress or Progress(), told)
    settings = {
        "lm": models.program.copy(rollout_id=OWN_ROLLOUT),
        "adapter": proposing(dspy.settings.adapter or dspy.ChatAdapter()),
        "disable_history": True,
        "trace": None,
        "max_errors": 1 << 40,  # a stage and a metric never raise what DSPy could count
        "num_threads": job.threads,
        "warn_on_type_mismatch": False,
    }
    with quiet(), dspy.context(**settings):
        try:
            return work.run()
        except SearchStopped as stopped:
            raise stopped.error from stopped.__cause__
        except AdapterParseError as error:  # of a proposer: a stage takes it as an outcome
            raise StageError.rule(
                "Compiling failed",
                unit=f"{job.stage} with {job.optimizer}",
                name="the proposer",
                rule="write instructions in the form asked for",
                value=error.lm_response,
                todo="Take another --proposer-model, or an optimizer that needs none (bootstrap, "
                "random-search, bootstrap-optuna).",
            ) from error
        except KeyboardInterrupt:
            let_go()
            raise
        finally:
            work.gate.close(RuntimeError("the compile has ended"), wait_s=_DRAIN_S)


class _Work:
    """One compile under way."""

    def __init__(
        self, job: Job, models: Models, progress: Progress, told: Callable[[], None]
    ) -> None:
        self.job, self.models = job, models
        self.kind = KINDS[job.optimizer]
        self.progress, self._told = progress, told
        self.gate = Gate()
        self.plain = _copy(job.program)
        self.stage = stage_of(self.plain, job.stage, self.gate)
        self.outcomes: list[Outcome] = []  # of the search

    def run(self) -> Compiled:
        """Make examples, judge the plain prompts, search, judge what was found."""
        self._phase("examples")
        job = self.job
        examples = self._examples()
        metric = job.metric or metric_for(
            job.stage,
            self.plain,
            self.models.judge,
            job.devset,
            min_precision=job.min_precision,
            prompts=job.judge_prompts,
        )
        self._phase("plain prompts")
        on_val = self._evaluate(self.stage, examples.val or examples.train, metric, 1)
        on_val.require_scored("the plain prompts")
        plain = on_val.score or 0.0
        if isinstance(metric, ChainMetric):
            metric.compare_with(on_val.part("right"), on_val.part("tokens"))
            plain = PLAIN_CHAIN if metric.plain_ratio else plain
        last = held_out(metric, job.devset)
        before = self._evaluate(self.stage, examples.test, last, job.repeats)
        before.require_scored("the plain prompts")
        cost = _price(job, self.kind, examples.sizes)
        parts = branches(self.stage, examples, self.kind)
        made = [
            self._search(part, cost.width, metric, plain, self._asked(part, examples, on_val))
            for part in parts
        ]
        found = together(self.stage, made)
        refuse_unscored(self.outcomes, "the candidates")
        self._phase("held-out score")
        after = self._evaluate(found, examples.test, last, job.repeats)
        after.require_scored("the compiled prompts")
        return self._compiled(examples, cost, metric, found, before, after)

    def _examples(self) -> Examples:
        job = self.job
        made = make_examples(
            job.stage,
            self.plain,
            job.devset,
            judge=self.models.judge,
            cells=job.cells,
            seed=job.seed,
            prompts=job.judge_prompts,
        )
        told = "; ".join((_source(job), *made.notices))  # what was left out says why they are few
        refuse_small(self.kind, made.different, told, more=_more(job))
        train = list(made.train)
        random.Random(f"{job.seed}/train").shuffle(train)
        return made._replace(train=tuple(train))

    def _evaluate(
        self, stage: Stage, examples: tuple[dspy.Example, ...], metric: Metric, repeats: int
    ) -> Evaluation:
        return evaluate(stage, examples, metric, threads=self.job.threads, repeats=repeats)

    def _asked(self, part: Branch, examples: Examples, on_val: Evaluation) -> Evaluation:
        """Return the outcomes of the plain prompts on the examples of one search."""
        asked = map(self.stage.asks, examples.val or examples.train)
        pairs = zip(asked, on_val.outcomes, strict=True)
        return Evaluation(tuple(draws for name, draws in pairs if part.predictor in {None, name}))

    def _search(
        self, part: Branch, width: int, metric: Metric, plain: float, asked: Evaluation
    ) -> Stage:
        student = student_of(self.stage, part)
        if part.predictor is not None and asked.score is not None:
            plain = asked.score
        train, val, _ = part.examples.sizes
        train, val = (train + val, 0) if self.kind.merged else (train, val)
        self.progress.begin(plain)
        self._phase(", ".join(filter(None, (self.kind.name, part.predictor))))
        scorer = Scorer(
            metric=metric,
            neutral=plain,
            feedback=self.kind.feedback,
            progress=self.progress,
            enough=max(4, val or train // 2),
            told=self._told,
        )
        given = Search(
            examples=part.examples,
            metric=scorer,
            proposer=self.models.proposer,
            lm=dspy.settings.lm,
            good=good_enough(asked.scored, train),
            sizing=Sizing(train, val, len(student.predictors()), width),
            seed=self.job.seed % MOST_SEEDS,
            threads=self.job.threads,
        )
        try:
            return run_search(self.kind, student, given)
        finally:
            self.outcomes += scorer.outcomes

    def _compiled(
        self,
        examples: Examples,
        cost: Price,
        metric: Metric,
        found: Stage,
        before: Evaluation,
        after: Evaluation,
    ) -> Compiled:
        compiled = _copy(self.job.program)
        _take_prompts(stage_of(compiled, self.job.stage), found)
        precision = _precision(after)
        floor = metric.min_precision if isinstance(metric, ChainMetric) else 0.0
        result = Compiled(
            program=compiled,
            before=before,
            after=after,
            gain=difference(before, after, alike=alike(examples.test), seed=self.job.seed),
            sizes=examples.sizes,
            different=examples.different,
            price=cost,
            metric=metric.name,
            metric_id=self._metric_id(metric, floor),
            diff=prompt_diff(self.job.program.prompts(), compiled.prompts()),
            unscored=Evaluation(tuple((outcome,) for outcome in self.outcomes)).unscored,
            candidates=max(1, self.progress.candidates),
            precision=precision,
            above_floor=precision is None or precision >= floor,
            notices=(),
        )
        return replace(result, notices=tuple(notices(result, self.job, examples)))

    def _metric_id(self, metric: Metric, floor: float) -> str:
        job = self.job
        names = judged_by(job.stage, self.plain, labelled=job.labelled)
        asked = Judges(self.plain, job.judge_prompts).prompts_of(names)
        return content_id([METRICS_VERSION, type(metric).__name__, metric.name, floor, asked])

    def _phase(self, name: str) -> None:
        self.progress.phase = name
        self._told()


def _price(job: Job, kind: Kind, sizes: tuple[int, int, int]) -> Price:
    stage = stage_of(job.program, job.stage)
    return price(
        job.stage,
        kind,
        job.program,
        sizes,
        predictors=len(stage.predictors()),
        searches=stage.searches,
        repeats=job.repeats,
        labelled=job.labelled,
        asked=sum(expected_sizes(job.stage, job.devset, job.cells).sizes),
        budget_calls=job.budget_calls,
    )


def _source(job: Job) -> str:
    if job.devset is not None and tried_on_rows(job.stage, job.devset):
        return job.devset.source
    return f"{job.cells} cells of the task"


def _more(job: Job) -> str:
    """Return how to come by `{n}` examples."""
    if not tried_on_rows(job.stage, job.devset):
        return "give --cells {n}"
    if job.stage == "keyword-judge":
        return "add lists up to {n}"
    return f"make {{n}} rows with `ds2 devset {job.program.task.name} --n {{n}}`, or add your own"


def _copy(program: DS2Instruct) -> DS2Instruct:
    """Return the program anew, with its prompts and without language models of its own."""
    fresh = DS2Instruct(program.task, program.config)
    _take_prompts(fresh, program)
    return fresh


def _take_prompts(into: dspy.Module, of: dspy.Module) -> None:
    found = dict(of.named_predictors())
    for name, predictor in into.named_predictors():
        predictor.signature, predictor.demos = found[name].signature, list(found[name].demos)


def _precision(after: Evaluation) -> float | None:
    accepted, right = after.part("accepted"), after.part("right")
    return right / accepted if accepted and right is not None else None
