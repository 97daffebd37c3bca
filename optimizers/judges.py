"""The judges inside the metrics, and the prompts that they judge with.

As a rule those are the prompts as they are written, whatever is being compiled: a judge that moved with
what it judges would measure nothing. Prompts of judges that were compiled before may be handed in
(`JudgePrompts`); they stay the same for the whole compile, and the name of the metric tells their hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from programs.judging import JUDGE_TEMPERATURE, KeywordJudge, LevelJudge, QuestionJudge
from programs.meaning import Judge
from programs.synthesis import DS2Instruct
from programs.voting import SelfConsistency
from signatures.errors import ConfigError
from signatures.records import content_id

ANSWER_JUDGE = "vote.judge"


@dataclass(frozen=True, slots=True)
class JudgePrompts:
    """Prompts of judges, out of a compiled program.

    Args:
        program: the program that has them.
        held: the judges that its file held, by their names in a program: `level_judge`,
            `question_judge`, `keyword_judge`, `vote.judge`.
    """

    program: DS2Instruct
    held: frozenset[str]

    @property
    def id(self) -> str:
        """Return the hash of the judges' prompts."""
        prompts = self.program.prompts()
        return content_id({n: prompts.get(f"{n}.predict") for n in sorted(self.held)})

    def give(self, name: str, judge: dspy.Module) -> None:
        """Give a judge the prompt of the one of that name, if it is held."""
        of = dict(self.program.named_predictors()).get(f"{name}.predict")
        if name in self.held and of is not None:
            judge.predict.signature, judge.predict.demos = of.signature, list(of.demos)


class Judges:
    """The judges of a metric, each of them with the prompt as it is written, or as it was handed in.

    Args:
        program: whose task it is, and whose temperatures say whether a model fixes its own.
        prompts: in place of those that are written, where it holds them.
    """

    def __init__(self, program: DS2Instruct, prompts: JudgePrompts | None = None) -> None:
        temperature = JUDGE_TEMPERATURE if program.config.temperatures.answers else None
        self.level = LevelJudge(temperature)
        self.question = QuestionJudge(temperature)
        self.keyword = KeywordJudge(temperature)
        self.answer = Judge(temperature)
        self._prompts = prompts
        if prompts is not None:
            prompts.give("level_judge", self.level)
            prompts.give("question_judge", self.question)
            prompts.give("keyword_judge", self.keyword)
            prompts.give(ANSWER_JUDGE, self.answer)

    @property
    def note(self) -> str:
        """Return what the name of a metric says of the prompts; empty for those that are written."""
        return "" if self._prompts is None else f", judges with the prompts {self._prompts.id}"

    def prompts_of(self, names: Sequence[str]) -> dict[str, Any]:
        """Return what the judges of these names are asked with, see `judged_by`, as JSON values."""
        judges: dict[str, dspy.Module] = {
            "level_judge": self.level,
            "question_judge": self.question,
            "keyword_judge": self.keyword,
            ANSWER_JUDGE: self.answer,
        }
        return {name: judges[name].dump_state() for name in sorted(names)}

    def in_vote(self, vote: SelfConsistency) -> SelfConsistency:
        """Return a vote whose own judge of answers, if it has one, judges as this one does."""
        if self._prompts is not None and isinstance(vote.judge, Judge):
            self._prompts.give(ANSWER_JUDGE, vote.judge)
        return vote


def judged_by(stage: str, program: DS2Instruct, *, labelled: bool) -> tuple[str, ...]:
    """Return the judges that say what is good in a stage, by their names in a program.

    Args:
        stage: one of `optimizers.stages.STAGES`.
        program: it says whether votes compare answers by a judge.
        labelled: whether the dev set says what is right; else a judge, or a vote, does.
    """
    compares = (ANSWER_JUDGE,) if program.config.merger == "judge" else ()
    unlabelled = {
        "answers": compares,
        "answer-judge": (ANSWER_JUDGE,),
        "question-judge": ("question_judge",),
        "keyword-judge": ("keyword_judge",),
    }
    always = {
        "keywords": ("keyword_judge",),
        "instructions": ("level_judge", "question_judge", *compares),
        "chain": compares,
    }
    return always.get(stage, () if labelled else unlabelled.get(stage, ()))


def refuse_idle(prompts: JudgePrompts, stage: str, judges: tuple[str, ...]) -> None:
    """Refuse prompts of judges that would judge nothing.

    Args:
        prompts: what was handed in.
        stage: what is compiled.
        judges: who judges it, see `judged_by`.

    Raises:
        ConfigError: none of the judges that it holds judges this stage.
    """
    if prompts.held & set(judges):
        return
    rule = f"hold one of {', '.join(judges)}, which judge this stage"
    raise ConfigError.rule(
        "Compiling failed",
        unit=stage,
        name="--judge-program",
        rule=rule if judges else "be left out here: no judge says what is right",
        value=", ".join(sorted(prompts.held)) or "a program without a judge",
        todo="Leave it out, or give a program of which that judge was compiled.",
    )
