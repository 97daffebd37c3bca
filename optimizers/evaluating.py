"""Judging a stage: on examples of our own accord, and as the metric that an optimizer calls."""

from __future__ import annotations

import contextvars
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import dspy
from dspy.utils.exceptions import LMError

from optimizers.metrics import Metric
from optimizers.scores import Evaluation, Outcome, Score, Unscored, refuse_unscored
from optimizers.stages import SearchStopped, Stage, failure
from signatures.errors import ConfigError, StageError

OWN_ROLLOUT = (
    1000  # of all that a compile draws: a dev set of a run's rows must not meet its own draws
)
REPEAT_ROLLOUT = 1001  # repeats of a draw are rollouts from here on, which no optimizer uses
_ENOUGH = 20  # outcomes after which the share that is unscored is looked at


@dataclass(slots=True)
class Progress:
    """How far a compile is; read it at any time, it changes under way.

    Args:
        phase: what is being done.
        judged: outcomes judged in the search.
        candidates: prompts seen in the search, the plain ones counted once.
        best: the best mean score of a candidate, over enough examples; None before there is one.
        plain: the score of the plain prompts on the validation side; None before it is known.
        earlier: candidates of the searches before this one.
    """

    phase: str = "examples"
    judged: int = 0
    candidates: int = 0
    best: float | None = None
    plain: float | None = None
    earlier: int = 0

    def begin(self, plain: float) -> None:
        """Begin a search, of which the plain prompts have this score."""
        self.best, self.plain = None, plain
        self.earlier = max(0, self.candidates - 1)


def evaluate(
    stage: Stage,
    examples: Sequence[dspy.Example],
    metric: Metric,
    *,
    threads: int,
    repeats: int = 1,
) -> Evaluation:
    """Return the outcomes of a stage on examples, each drawn `repeats` times.

    The language model is that of the context. A repeat is a rollout of its own.

    Raises:
        SearchStopped: the endpoint, or the metric, is broken.
    """
    lm = dspy.settings.lm

    def one(example: dspy.Example, repeat: int) -> Outcome:
        asked = lm if repeat == 0 else lm.copy(rollout_id=REPEAT_ROLLOUT + repeat)
        with dspy.context(lm=asked):
            return judged(metric, example, stage(**example.inputs()))

    with ThreadPoolExecutor(threads) as pool:
        drawn = [
            [
                pool.submit(contextvars.copy_context().run, one, example, repeat)
                for repeat in range(repeats)
            ]
            for example in examples
        ]
        try:
            found = [tuple(future.result() for future in draws) for draws in drawn]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Evaluation(tuple(found))


def judged(metric: Metric, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:
    """Return the outcome of a metric; what a judge's endpoint refuses is unscored.

    Raises:
        SearchStopped: the endpoint of a judge is broken, or the metric itself raises: no score
            stands for that.
    """
    try:
        return metric.score(example, outcome)
    except LMError as error:
        return Unscored(f"of a judge, {failure(error)}")
    except Exception as error:
        raise SearchStopped(
            ConfigError.rule(
                "Judging an outcome failed",
                unit=metric.name,
                name="the metric",
                rule="return a score for every outcome",
                value=f"{type(error).__name__}: {error}",
                todo=f"Mend it; the example was {str(dict(example.inputs()))[:160]}.",
            )
        ) from error


@dataclass
class Scorer:
    """A metric in the form that DSPy's optimizers call, all five arguments with defaults.

    An unscored outcome must not move a comparison: an optimizer is told the mean of the plain
    prompts (`neutral`), and while demos are chosen, 0, so that it becomes none. More than a fifth of
    them stop the search.

    Args:
        metric: judges an outcome.
        neutral: what stands for an unscored outcome, 0 to 1.
        feedback: return a `dspy.Prediction` with words (GEPA, SIMBA); else a number.
        progress: is told of every outcome.
        enough: examples after which the mean of a candidate counts as its score.
    """

    metric: Metric
    neutral: float
    feedback: bool
    progress: Progress
    enough: int
    told: Callable[[], None] = lambda: None
    outcomes: list[Outcome] = field(default_factory=list)
    _by_candidate: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __deepcopy__(self, memo: dict[int, Any]) -> Scorer:
        return self

    def __call__(
        self,
        example: dspy.Example,
        prediction: dspy.Prediction,
        trace: Any = None,
        pred_name: str | None = None,  # noqa: ARG002
        pred_trace: Any = None,  # noqa: ARG002
    ) -> Any:
        """Return what an optimizer is told of one outcome."""
        outcome = judged(self.metric, example, prediction)
        self._note(example, prediction, outcome)
        if isinstance(outcome, Score):
            value, words = outcome.value, outcome.feedback
        else:
            choosing_demos = trace is not None and not self.feedback
            value = 0.0 if choosing_demos else self.neutral
            words = f"This outcome could not be judged ({outcome.reason}); draw nothing from it."
        return dspy.Prediction(score=value, feedback=words) if self.feedback else value

    def _note(self, example: dspy.Example, prediction: dspy.Prediction, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)
            self.progress.judged += 1
            if isinstance(outcome, Score):
                of_candidate = self._by_candidate[getattr(prediction, "candidate", "")]
                of_candidate[str(example.inputs().toDict())] = outcome.value
                self.progress.candidates = self.progress.earlier + len(self._by_candidate)
                tried = self._by_candidate.values()
                means = [fmean(s.values()) for s in tried if len(s) >= self.enough]
                self.progress.best = max(means, default=None)
            enough = len(self.outcomes) >= _ENOUGH
        if enough and isinstance(outcome, Unscored):
            try:
                refuse_unscored(self.outcomes, "the candidates")
            except StageError as error:
                raise SearchStopped(error) from None
        self.told()
