"""Dev metrics: what is good about the outcome of a stage, from 0 to 1, with feedback in words.

- keywords: the share of the keywords asked for that are new (in no demo that was shown either), on the
  task, of the right direction and of the right grain; where dev questions are known, a tenth of the
  score is how many of them the list touches.
- instructions: the product of these, for a question must meet all demands at once: the level that a
  blind judge reads is the one asked for; the keywords are used (half for one of two); self-contained;
  answerable (agreement of a small vote); new; and where there are options, that the vote finds one
  right.
- answers: 1 where the answer equals the one of the dev set, else 0.
- judge, answer-judge, question-judge, keyword-judge: see `judge_metrics.py`.
- chain: rows for tokens, see `ChainMetric`.

A metric returns a `Score`, or `Unscored` with the reason: an error of a language model, and a judge
that gives no verdict, say nothing of the prompt. Judges and votes of a metric run on a language
model of their own with the prompts as they are written, whatever is being compiled; prompts for the
judges may be handed in (`judges.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from math import prod
from typing import Any, Protocol

import dspy

from optimizers.devsets import DevRow, DevSet, split_devset
from optimizers.judge_metrics import JudgeMetric, list_metric, pair_metric, question_metric
from optimizers.judges import JudgePrompts, Judges
from optimizers.reference import REFERENCE_DRAWS
from optimizers.scores import Outcome, Score, Unscored
from optimizers.similarity import NearIndex, folded
from programs.judging import wanted_line
from programs.loop import run_sync
from programs.stopping import fixed
from programs.synthesis import ChainConfig, DS2Instruct, vote_inputs
from programs.voting import SelfConsistency
from programs.wording import clean_keyword, keyword_key
from signatures.keywords import task_line
from signatures.records import Instruction, KeywordOrigin, Vote
from signatures.task import AnswerKind

# Part of a compiled program's manifest: raise it when a metric would score an outcome otherwise.
METRICS_VERSION = 2

SMALL_VOTE = 3
CHECK_DRAWS = 5
MIN_PRECISION = 0.9
PLAIN_CHAIN = 2 / 3  # what the plain prompts have, by the rule of the chain's metric
_COVERAGE = 0.1
_CHECKS = 97  # the rollout of judges and checks, which no optimizer uses
_USED = {"all": 1.0, "some": 0.5, "none": 0.0}


class Metric(Protocol):
    """Judges the outcomes of one stage.

    `name` says what is measured, and stands in the manifest; `calls` is how many calls one judgement
    may make. `score` may be called from any thread; the judges' language model is the one that the
    metric was given.
    """

    name: str
    calls: int

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome: ...


class KeywordMetric:
    """Judge one keyword list.

    Args:
        program: whose task it is.
        lm: the judge's language model.
        questions: dev questions that the keywords should touch; none where there is no dev set.
        judges: who judges; None for the judges as they are written.
    """

    calls = 2

    def __init__(
        self,
        program: DS2Instruct,
        lm: dspy.LM,
        questions: Sequence[str] = (),
        judges: Judges | None = None,
    ) -> None:
        judges = judges or Judges(program)
        self.task = program.task
        self.lm = _apart(lm)
        self.judge = judges.keyword
        self._know(questions)
        coverage = ", and coverage" if questions else ""
        self.name = f"good keywords of those asked for{coverage}{judges.note}"

    def of_questions(self, questions: Sequence[str]) -> KeywordMetric:
        """Return this metric with other dev questions."""
        other = copy(self)
        other._know(questions)
        return other

    def _know(self, questions: Sequence[str]) -> None:
        self.questions = tuple(questions)
        self._words = [set(folded(question).split()) for question in questions]

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:
        """Return the score of one list."""
        if outcome.failed:
            return Unscored(outcome.failed)
        cleaned = [clean_keyword(text) for text in outcome.texts]
        listed = [text for text in cleaned if text]
        if not listed:
            return Score(0.0, "The reply held no list of keywords in the form asked for.")
        english = self.task.english
        # What a demo says is no find of the prompt that shows it.
        known = (*example.known, *example.seeds, *outcome.shown)
        seen = {keyword_key(text, english=english) for text in known}
        new = []
        for text in listed:
            key = keyword_key(text, english=english)
            if key not in seen:
                seen.add(key)
                new.append(text)
        if not new:
            return Score(0.0, "All of them were known already or stood in a demo.", {"new": 0.0})
        wanted = wanted_line(KeywordOrigin(example.origin), example.seeds)
        with dspy.context(lm=self.lm):
            verdict = self.judge(task=task_line(self.task), wanted=wanted, keywords=new)
        if verdict.unscored:
            return Unscored(verdict.unscored)
        return self._scored(example, len(listed), new, verdict)

    def _scored(
        self, example: dspy.Example, listed: int, new: list[str], verdict: dspy.Prediction
    ) -> Score:
        faults = {
            "off the task": verdict.off_task,
            "in the wrong direction": verdict.wrong_direction,
            "too general or too narrow": verdict.wrong_grain,
        }
        bad = {str(text).casefold() for texts in faults.values() for text in texts}
        good = [text for text in new if text.casefold() not in bad]
        share = min(1.0, len(good) / example.count)
        # What is listed beyond the number asked for does not make up for what is wrong in it.
        share *= len(good) / listed if listed > example.count else 1.0
        parts = {"good": share, "new": len(new) / listed}
        value = share
        if self.questions:
            parts["coverage"] = self._coverage(good)
            value = (1 - _COVERAGE) * share + _COVERAGE * parts["coverage"]
        said = [f"{', '.join(map(str, texts))}: {why}." for why, texts in faults.items() if texts]
        if len(new) < listed:
            said.append(f"{listed - len(new)} were known already, stood in a demo or stood twice.")
        if len(new) < example.count:
            said.append(f"{example.count} were asked for, {len(new)} were new.")
        return Score(value, " ".join(said) or "All keywords are new and fit.", parts)

    def _coverage(self, keywords: Sequence[str]) -> float:
        words = {word for text in keywords for word in folded(text).split() if len(word) > 3}
        return sum(bool(words & question) for question in self._words) / len(self._words)


class InstructionMetric:
    """Judge one instruction.

    Args:
        program: whose task it is; its votes are taken with the prompts as they are written.
        lm: the language model of judges and votes.
        known: questions that a new one must not repeat, such as those of the dev set.
        judges: who judges; None for the judges as they are written.
    """

    calls = 4 + SMALL_VOTE

    def __init__(
        self,
        program: DS2Instruct,
        lm: dspy.LM,
        known: Sequence[str] = (),
        judges: Judges | None = None,
    ) -> None:
        judges = judges or Judges(program)
        self.task = program.task
        self.lm = _apart(lm)
        self.levels = judges.level
        self.questions = judges.question
        self.vote = judges.in_vote(plain_vote(program, SMALL_VOTE))
        self._know(known)
        self.name = f"level by a blind judge, demands, agreement of {SMALL_VOTE} draws{judges.note}"

    def of_questions(self, known: Sequence[str]) -> InstructionMetric:
        """Return this metric with other known questions."""
        other = copy(self)
        other._know(known)
        return other

    def _know(self, questions: Sequence[str]) -> None:
        self.known = tuple(questions)
        self._known = NearIndex(questions)

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:  # noqa: ARG002
        """Return the score of one instruction; an unusable one is 0."""
        if outcome.failed:
            return Unscored(outcome.failed)
        made = outcome.instruction
        if made is None:
            rejection = outcome.rejection
            return Score(0.0, f"Unusable, {rejection.reason}: {rejection.detail}")
        with dspy.context(lm=self.lm):
            level = self.levels(question=made.text)
            checked = self.questions(question=made.text, keywords=made.keywords)
            vote = self.vote(**vote_inputs(made)).vote
        if level.unscored or checked.unscored:
            return Unscored(level.unscored or checked.unscored)
        new = not self._known.near(made.question) and not _copied(made, outcome.shown)
        parts = {
            "level": float(level.level is made.level),
            "keywords": _USED[checked.keywords_used],
            "self-contained": float(checked.self_contained == "yes"),
            "answerable": vote.agreement,
            "new": float(new),
        }
        if self.task.answer.kind is AnswerKind.CHOICE:
            parts["one right answer"] = float(vote.accepted)
        return Score(
            prod(parts.values()), _said_of(made, parts, str(level.level), checked, vote), parts
        )


class AnswerMetric:
    """Judge one answer against the one of the dev set.

    Args:
        name: who says what is right: a dev set, the same model before, or a larger vote.
    """

    calls = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:
        """Return 1 for the right answer, else 0."""
        if outcome.failed:
            return Unscored(outcome.failed)
        if outcome.key is None:
            return Score(0.0, f"No answer could be read: {outcome.problem}.")
        if outcome.key == example.key:
            return Score(1.0, "The answer is right.")
        return Score(
            0.0, f"The answer given was {outcome.answer!r}; the right one is {example.gold!r}."
        )


class ChainMetric:
    """Accepted rows for tokens, at a floor of precision.

    What counts is the ratio R = right rows / tokens over all units. One unit is judged by what it
    adds to it: with a for an accepted row (1, or 0) and t for the tokens of the unit, and R0 the
    ratio of the plain prompts, a - R0 t is above 0 on average exactly where R is above R0
    (Dinkelbach 1967). The score is (a - R0 t + 2) / 3, cut to 0 to 1, so that the plain prompts have
    2/3. A row is right when a check agrees: a vote of five further draws with the prompts as they
    are written. A row that the check contradicts scores 0, so that nothing is won by accepting more
    of them; whether the precision stays above the floor is told beside the score.

    Args:
        program: whose task it is.
        lm: the language model of the check.
        min_precision: the floor, 0 to 1.
        judges: who compares answers, where a judge does; None for the judge as it is written.
    """

    calls = CHECK_DRAWS

    def __init__(
        self,
        program: DS2Instruct,
        lm: dspy.LM,
        *,
        min_precision: float = MIN_PRECISION,
        judges: Judges | None = None,
    ) -> None:
        judges = judges or Judges(program)
        self.lm = _apart(lm)
        self.check = judges.in_vote(plain_vote(program, CHECK_DRAWS))
        self.min_precision = min_precision
        self.plain_ratio: float | None = None
        self.name = f"rows for tokens, checked by {CHECK_DRAWS} draws{judges.note}"

    def score(self, example: dspy.Example, outcome: dspy.Prediction) -> Outcome:  # noqa: ARG002
        """Return the score of one unit; `parts` holds `accepted`, `right` and `tokens`."""
        if outcome.failed:
            return Unscored(outcome.failed)
        if outcome.tokens is None:
            return Unscored("the endpoint does not report tokens")
        vote = outcome.vote
        accepted = vote is not None and vote.response is not None
        right = accepted and self._agrees(outcome.instruction, vote)
        parts = {
            "accepted": float(accepted), "right": float(right), "tokens": float(outcome.tokens),
        }  # fmt: skip
        return Score(self._value(parts), _said_of_unit(outcome, accepted, right), parts)

    def compare_with(self, accepted: float | None, tokens: float | None) -> None:
        """Take the ratio of the plain prompts, from the sums over their units."""
        self.plain_ratio = accepted / tokens if accepted and tokens else None

    def _value(self, parts: dict[str, float]) -> float:
        if parts["accepted"] > parts["right"]:
            return 0.0
        if self.plain_ratio is None:
            return parts["right"]
        gain = parts["right"] - self.plain_ratio * parts["tokens"]
        return min(1.0, max(0.0, (gain + 2) / 3))

    def _agrees(self, made: Instruction, vote: Vote) -> bool:
        with dspy.context(lm=self.lm):
            check = self.check(**vote_inputs(made)).vote
        ours, theirs = _winner(vote), _winner(check)
        if ours is None or theirs is None or ours[0] == theirs[0]:
            return ours is not None and theirs is not None
        with dspy.context(lm=self.lm):
            same = self.check.equivalence.merge(dict((ours, theirs)), made.question, {})
            return bool(run_sync(same))


def plain_vote(program: DS2Instruct, draws: int) -> SelfConsistency:
    """Return a vote of so many draws with the prompts as they are written."""
    config = program.config
    plain = DS2Instruct(
        program.task,
        ChainConfig(
            policy=fixed(draws, 0.5),
            temperatures=config.temperatures,
            thinking=config.thinking,
            merger=config.merger,
        ),
    )
    return plain.vote


def reference_answers(
    program: DS2Instruct, lm: dspy.LM, rows: Sequence[DevRow], judges: Judges | None = None
) -> list[tuple[str, str] | None]:
    """Return answer and key of the majority of fifteen draws for each row; None without one."""
    vote = (judges or Judges(program)).in_vote(plain_vote(program, REFERENCE_DRAWS))
    found: list[tuple[str, str] | None] = []
    with dspy.context(lm=_apart(lm)):
        for row in rows:
            inputs: dict[str, Any] = {"question": row.question, "context": row.context}
            outcome = vote(**inputs, options=list(row.options)).vote
            won = _winner(outcome) if outcome.accepted else None
            found.append(None if won is None else (won[1], won[0]))
    return found


def metric_for(
    stage: str,
    program: DS2Instruct,
    judge: dspy.LM,
    devset: DevSet | None,
    *,
    min_precision: float = MIN_PRECISION,
    prompts: JudgePrompts | None = None,
) -> Metric:
    """Return the metric that a stage is searched by; its judges and checks use the model `judge`.

    Of the dev questions it knows those of train and val; `held_out` returns the one of the test side.

    Args:
        stage: one of `optimizers.stages.STAGES`.
        program: whose task and temperatures it is.
        judge: the language model.
        devset: the dev set, where there is one.
        min_precision: the floor of the chain's precision.
        prompts: of judges that were compiled; None for those that are written.
    """
    judges = Judges(program, prompts)
    questions = _questions_of(devset, "train", "val")
    match stage:
        case "keywords":
            return KeywordMetric(program, judge, questions, judges)
        case "instructions":
            return InstructionMetric(program, judge, questions, judges)
        case "answers" if devset is not None:
            return answer_metric(devset, judges.note if program.config.merger == "judge" else "")
        case "judge":
            return JudgeMetric()
        case "answer-judge" if devset is not None:
            return pair_metric(devset, judges)
        case "question-judge" if devset is not None:
            return question_metric(devset, judges)
        case "keyword-judge":
            return list_metric(devset, judges)
        case "chain":
            return ChainMetric(program, judge, min_precision=min_precision, judges=judges)
    raise ValueError(f"no metric for {stage!r}")


def held_out(metric: Metric, devset: DevSet | None) -> Metric:
    """Return a metric as it judges the test side.

    A keyword list is to touch questions of the test side, which no search has climbed by; an
    instruction is to repeat no dev question at all.
    """
    if isinstance(metric, KeywordMetric):
        return metric.of_questions(_questions_of(devset, "test"))
    if isinstance(metric, InstructionMetric):
        return metric.of_questions(_questions_of(devset, "train", "val", "test"))
    return metric


def _questions_of(devset: DevSet | None, *sides: str) -> list[str]:
    split = split_devset(() if devset is None else devset.rows)
    return [row.question for side in sides for row in getattr(split, side) if row.question]


def answer_metric(devset: DevSet, note: str = "") -> AnswerMetric:
    """Return the metric of answers for a dev set; its name says how far it can be believed."""
    if not devset.labelled:
        return AnswerMetric(
            f"agreement with the majority of {REFERENCE_DRAWS} draws of the same model "
            f"(self-consistency, not accuracy){note}"
        )
    if devset.labelled_by:
        return AnswerMetric("agreement with self-labels (not accuracy)")
    return AnswerMetric("accuracy")


def _winner(vote: Vote) -> tuple[str, str] | None:
    """Return key and answer of the winner of a vote."""
    sample = next((s for s in vote.samples if s.number == vote.response), None)
    return None if sample is None or sample.key is None else (sample.key, sample.answer or "")


def _apart(lm: dspy.LM) -> dspy.LM:
    """Return the language model with sample numbers of its own: a check repeats no draw it checks."""
    return lm.copy(rollout_id=_CHECKS)


def _copied(made: Instruction, shown: Sequence[str]) -> bool:
    return any(folded(made.question) == folded(text) for text in shown)


def _said_of(
    made: Instruction, parts: dict[str, float], level: str, checked: dspy.Prediction, vote: Vote
) -> str:
    said = []
    if not parts["level"]:
        said.append(f"The level is {level}; {made.level} was asked for: {made.level.demand}.")
    if parts["keywords"] < 1:
        said.append(f"Not all of the keywords {', '.join(made.keywords)} are needed to answer.")
    if not parts["self-contained"]:
        said.append(f"It is not self-contained: {checked.reason}")
    if vote.agreement < 1:
        said.append(f"{vote.agreement:.0%} of {vote.draws} draws agree on one answer.")
    if parts.get("one right answer") == 0:
        said.append("No single option was found right.")
    if not parts["new"]:
        said.append("It repeats a question that is known.")
    return " ".join(said) or "The question meets every demand."


def _said_of_unit(outcome: dspy.Prediction, accepted: bool, right: bool) -> str:
    if outcome.rejection is not None:
        return f"No usable question, {outcome.rejection.reason}: {outcome.rejection.detail}"
    if not accepted:
        share = f"{outcome.vote.agreement:.0%} of {outcome.vote.draws} draws agree"
        return f"The question gave no row: {outcome.vote.reason}, {share}."
    return "A row that the check confirms." if right else "A row that the check contradicts."
