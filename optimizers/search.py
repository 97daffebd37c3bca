"""DSPy's optimizers, each made to fit the examples and the calls that there are.

What is set here and why (pitfalls of DSPy 3.4 that were run into):

- No `log_dir`: DSPy checks a state that it finds there against nothing. The call log is what a
  compile continues from.
- MIPROv2 never uses minibatches, which want 35 examples and more, and gets its trials named.
- GEPA gets a number of metric calls, and a metric of five arguments with defaults.
- SIMBA gets a batch no larger than its examples; SIMBA, COPRO and bootstrap have no validation side
  and get both.
- Labelled demos are off: an example of ours is no demo of a predictor.
- `BootstrapFewShotWithOptuna` seeds no sampler and fails where a predictor has no demo: see
  `SeededOptuna`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import dspy

from optimizers.devsets import TRAIN, VAL
from optimizers.sides import Examples
from signatures.errors import ConfigError

MAX_DEMOS = 3
MOST_SEEDS = 2**32 - 1  # NumPy's generators take seeds below 2^32; MIPROv2 is given one more
_BATCH = 16  # examples of one step of SIMBA
GOOD = 0.8  # an outcome of at least this score is taken as a demo
_UPPER = 0.25  # or one as good as the best quarter of the plain prompts' at least


class Needs(NamedTuple):
    """How many examples of each side an optimizer needs."""

    train: int
    val: int
    test: int


class Sizing(NamedTuple):
    """What an optimizer is given: examples of the sides it uses, and how wide it searches.

    Args:
        train: examples that it learns from.
        val: examples that it chooses by; 0 where it has no such side.
        predictors: how many prompts it works on at once.
        width: how wide it searches, in its own unit (candidates, trials, full evaluations, steps).
        searches: in how many searches the examples are used up, each of them by one.
    """

    train: int
    val: int
    predictors: int
    width: int
    searches: int = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """One optimizer.

    Args:
        name: as on the command line.
        needs: the fewest examples it works on; `train` is of both sides where it merges them.
        merged: it has no validation side of its own, so it learns from both.
        widths: the narrowest, the ordinary and the widest search.
        runs: how many times a program is run on an example at most, for a sizing.
        proposes: it has new instructions written.
        feedback: its metric returns a `dspy.Prediction` with words; else a number.
    """

    name: str
    needs: Needs
    merged: bool
    widths: tuple[int, int, int]
    runs: Callable[[Sizing], int]
    proposes: bool = False
    feedback: bool = False


def _bootstraps(sets: int, train: int) -> int:
    return sets * train


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bootstrap", Needs(5, 0, 5), True, (1, 1, 1), lambda s: s.train),
        Kind(
            "random-search",
            Needs(4, 4, 6),
            False,
            (2, 6, 24),
            lambda s: (s.width + 3) * s.val + _bootstraps(s.width + 1, s.train),
        ),
        Kind(
            "bootstrap-optuna",
            Needs(4, 4, 6),
            False,
            (3, 8, 32),
            lambda s: s.width * s.val + _bootstraps(1, s.train),
        ),
        Kind(
            "mipro",
            Needs(4, 4, 6),
            False,
            (4, 12, 60),
            lambda s: (s.width + 1) * s.val + _bootstraps(_sets(s.width), s.train),
            proposes=True,
        ),
        Kind(
            "gepa",
            Needs(4, 4, 6),
            False,
            (5, 10, 60),
            lambda s: (s.width + 1) * s.val + 6 * s.searches,  # it may begin one iteration more
            proposes=True,
            feedback=True,
        ),
        Kind(
            "simba",
            Needs(8, 0, 6),
            True,
            (1, 4, 16),
            lambda s: s.width * min(_BATCH * s.searches, s.train) * 9 + 5 * s.train,
            proposes=True,
            feedback=True,
        ),
        Kind(
            "copro",
            Needs(6, 0, 6),
            True,
            (2, 4, 12),
            lambda s: s.predictors * (3 * s.width if s.predictors > 1 else 2 * s.width) * s.train,
            proposes=True,
        ),
    )
}
OPTIMIZERS = tuple(KINDS)


def most_runs(
    kind: Kind, sizes: tuple[int, int, int], *, predictors: int, searches: int, width: int
) -> int:
    """Return the program runs at most, whether a stage is searched whole or prompt by prompt."""
    train, val, _ = sizes
    train, val = (train + val, 0) if kind.merged else (train, val)
    whole = kind.runs(Sizing(train, val, predictors, width))
    return max(whole, kind.runs(Sizing(train, val, 1, width, searches))) if searches > 1 else whole


def refuse_small(kind: Kind, sizes: tuple[int, int, int], source: str, *, more: str) -> None:
    """Refuse examples that are too few for an optimizer.

    Args:
        kind: the optimizer.
        sizes: of train, val and test.
        source: where they come from.
        more: what makes them `{n}`.

    Raises:
        ConfigError: they are; how many are needed, and what to use instead.
    """
    if suffices(sizes, kind):
        return
    needs = kind.needs
    short = " and ".join(_short(sizes, kind))
    sides = (
        f"{needs.train} for train and val together"
        if kind.merged
        else f"{needs.train} for train, {needs.val} for val"
    )
    raise ConfigError.rule(
        "Compiling failed",
        unit=source,
        name="the examples",
        rule=f"be at least {sides} and {needs.test} for test, which {kind.name} needs "
        f"(some {rows_for(kind)} rows)",
        value="train {}, val {}, test {}: too few for {}".format(*sizes, short),
        todo=_instead(kind, sizes, more),
    )


def _instead(kind: Kind, sizes: tuple[int, int, int], more: str) -> str:
    """Return what to do about examples that are too few for `kind`."""
    enough = more.format(n=rows_for(kind))
    fits = [other.name for other in KINDS.values() if suffices(sizes, other)]
    if fits:
        return f"Use --optimizer {' or '.join(fits)}, for which they suffice; or {enough}."
    least = min(KINDS.values(), key=rows_for)
    if least is kind:
        return f"No optimizer does with fewer: {enough}."
    return (
        f"No optimizer does with so few ({least.name} needs the fewest, some {rows_for(least)} rows): "
        f"{enough}."
    )


def suffices(sizes: tuple[int, int, int], kind: Kind) -> bool:
    """Return whether examples are enough for an optimizer."""
    return not _short(sizes, kind)


def _short(sizes: tuple[int, int, int], kind: Kind) -> list[str]:
    """Return the sides that hold fewer examples than an optimizer needs."""
    train, val, test = sizes
    have = (train + val, 0, test) if kind.merged else sizes
    names = ("train and val together" if kind.merged else "train", "val", "test")
    sides = zip(names, have, kind.needs, strict=True)
    return [name for name, given, need in sides if given < need]


def rows_for(kind: Kind) -> int:
    """Return how many rows mostly give each side what an optimizer needs."""
    needs = kind.needs
    train = TRAIN + VAL if kind.merged else TRAIN
    wanted = max(needs.train / train, needs.val / VAL, needs.test / (1 - TRAIN - VAL))
    return 5 * ceil(1.5 * wanted / 5)


class Models(NamedTuple):
    """The language models of a compile: of the program, of judges and checks, of new instructions."""

    program: dspy.LM
    judge: dspy.LM
    proposer: dspy.LM


class Search(NamedTuple):
    """What one search is run with.

    Args:
        examples: its three sides; the test side is not looked at.
        metric: called as DSPy calls a metric.
        proposer: the language model that writes new instructions.
        lm: the language model of the program.
        good: the score from which an outcome is taken as a demo.
        sizing: how wide.
        seed: of the optimizer's own choices, below `MOST_SEEDS`.
        threads: how many examples are run at once.
    """

    examples: Examples
    metric: Callable[..., Any]
    proposer: dspy.LM
    lm: dspy.LM
    good: float
    sizing: Sizing
    seed: int
    threads: int

    @property
    def both(self) -> list[dspy.Example]:
        """Return train and val together."""
        return [*self.examples.train, *self.examples.val]


def search(kind: Kind, student: dspy.Module, given: Search) -> dspy.Module:
    """Return the program that an optimizer makes of `student`; the context holds the language model."""
    return _SEARCHES[kind.name](student, given)


def _bootstrap(student: dspy.Module, given: Search) -> dspy.Module:
    optimizer = dspy.BootstrapFewShot(**_demos(given))
    return optimizer.compile(student, trainset=given.both)


def _random_search(student: dspy.Module, given: Search) -> dspy.Module:
    optimizer = dspy.BootstrapFewShotWithRandomSearch(
        **_demos(given), num_candidate_programs=given.sizing.width, num_threads=given.threads
    )
    train, val = list(given.examples.train), list(given.examples.val)
    return optimizer.compile(student, trainset=train, valset=val)


def _optuna(student: dspy.Module, given: Search) -> dspy.Module:
    optimizer = SeededOptuna(given)
    train, val = list(given.examples.train), list(given.examples.val)
    return optimizer.compile(student, max_demos=MAX_DEMOS, trainset=train, valset=val)


def _mipro(student: dspy.Module, given: Search) -> dspy.Module:
    width = given.sizing.width
    optimizer = dspy.MIPROv2(
        metric=given.metric,
        prompt_model=given.proposer,
        task_model=given.lm,
        auto=None,
        num_candidates=_sets(width),
        num_threads=given.threads,
        max_bootstrapped_demos=MAX_DEMOS,
        max_labeled_demos=0,
        metric_threshold=given.good,
        seed=given.seed + 1,  # 0 is taken as none
        track_stats=False,
        log_dir=None,
    )
    return optimizer.compile(
        student,
        trainset=list(given.examples.train),
        valset=list(given.examples.val),
        num_trials=width,
        minibatch=False,
        program_aware_proposer=False,  # the code of a stage says no more than its instruction
    )


def _gepa(student: dspy.Module, given: Search) -> dspy.Module:
    optimizer = dspy.GEPA(
        metric=given.metric,
        max_metric_calls=given.sizing.width * given.sizing.val,
        reflection_lm=given.proposer,
        num_threads=given.threads,
        skip_perfect_score=False,  # three good outcomes in a row are luck, not a perfect prompt
        track_stats=True,
        log_dir=None,
        seed=given.seed,
    )
    train, val = list(given.examples.train), list(given.examples.val)
    return optimizer.compile(student, trainset=train, valset=val)


def _simba(student: dspy.Module, given: Search) -> dspy.Module:
    optimizer = dspy.SIMBA(
        metric=given.metric,
        bsize=_batch(given.sizing.train),
        num_candidates=4,
        max_steps=given.sizing.width,
        max_demos=MAX_DEMOS,
        prompt_model=given.proposer,
        num_threads=given.threads,
    )
    return optimizer.compile(student, trainset=given.both, seed=given.seed)


def _copro(student: dspy.Module, given: Search) -> dspy.Module:
    optimizer = dspy.COPRO(
        prompt_model=given.proposer,
        metric=given.metric,
        breadth=given.sizing.width,
        depth=2,
    )
    options = {"num_threads": given.threads, "display_progress": False}
    return optimizer.compile(student, trainset=given.both, eval_kwargs=options)


_SEARCHES: dict[str, Callable[[dspy.Module, Search], dspy.Module]] = {
    "bootstrap": _bootstrap,
    "random-search": _random_search,
    "bootstrap-optuna": _optuna,
    "mipro": _mipro,
    "gepa": _gepa,
    "simba": _simba,
    "copro": _copro,
}


class SeededOptuna(dspy.BootstrapFewShotWithOptuna):
    """`BootstrapFewShotWithOptuna` with a seeded sampler, for predictors that may have no demo.

    Deviation: DSPy's own leaves the sampler to chance, so that a compile that died would choose
    otherwise when it is continued, and it raises where bootstrapping found no demo for a predictor.
    The first trial takes no demo at all, so that the plain prompt is among the candidates.
    """

    def __init__(self, given: Search) -> None:
        super().__init__(
            metric=given.metric,
            max_bootstrapped_demos=MAX_DEMOS,
            max_labeled_demos=0,
            num_candidate_programs=given.sizing.width,
            num_threads=given.threads,
        )
        self.given = given

    def objective(self, trial: Any) -> float:
        """Return the score of the student with one demo, or none, for each predictor."""
        candidate = self.student.reset_copy()
        for (name, found), (_, predictor) in zip(
            self.compiled_teleprompter.named_predictors(), candidate.named_predictors(), strict=True
        ):
            if found.demos:
                place = trial.suggest_int(f"demo of {name}", -1, len(found.demos) - 1)
                predictor.demos = [found.demos[place]] if place >= 0 else []
        trial.set_user_attr("program", candidate)
        evaluate = dspy.Evaluate(
            devset=self.valset, metric=self.metric, num_threads=self.num_threads
        )
        return float(evaluate(candidate).score)

    def compile(
        self,
        student: dspy.Module,
        *,
        teacher: dspy.Module | None = None,
        max_demos: int,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
    ) -> dspy.Module:
        """Return the best program of the study."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.trainset, self.valset = list(trainset), list(valset or trainset)
        self.student = student.reset_copy()
        demos = {**_demos(self.given), "max_bootstrapped_demos": max_demos}
        self.compiled_teleprompter = dspy.BootstrapFewShot(**demos).compile(
            self.student, teacher=teacher, trainset=self.trainset
        )
        sampler = optuna.samplers.TPESampler(seed=self.given.seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        names = [name for name, p in self.compiled_teleprompter.named_predictors() if p.demos]
        study.enqueue_trial({f"demo of {name}": -1 for name in names})
        study.optimize(self.objective, n_trials=self.num_candidate_sets)
        return study.best_trial.user_attrs["program"]


def _demos(given: Search) -> dict[str, Any]:
    return {
        "metric": given.metric,
        "metric_threshold": given.good,
        "max_bootstrapped_demos": MAX_DEMOS,
        "max_labeled_demos": 0,
    }


def good_enough(plain: Sequence[float], train: int) -> float:
    """Return the score from which an outcome is taken as a demo.

    Rule: 0.8, or less where the plain prompts reach that too seldom: the least score among the best
    min(1/4, 2 x 3 / train) of their outcomes (at least one), so that some six of the examples that are
    learnt from give a demo, of which three are wanted.

    Args:
        plain: scores of outcomes of the plain prompts; without any it is 0.8.
        train: examples that are learnt from, 1 or more.
    """
    ranked = sorted(plain, reverse=True)
    count = int(min(_UPPER, 2 * MAX_DEMOS / train) * len(ranked))
    return min(GOOD, ranked[max(0, count - 1)]) if ranked else GOOD


def _sets(width: int) -> int:
    """Return how many instructions and demo sets MIPROv2 makes for so many trials."""
    return max(3, min(8, width // 2))


def _batch(train: int) -> int:
    return min(_BATCH, train)
