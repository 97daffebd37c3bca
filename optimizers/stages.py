"""The stages as programs that an optimizer can run: one example in, one outcome out.

A stage never raises for what a model says: a reply that does not parse is an outcome, which the
metric scores. What the endpoint does wrong to one request alone, such as a prompt that is too long,
is an outcome with `failed`, which is unscored. Anything else stops the search (`SearchStopped`):
an outage must not look like a bad prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, ContextWindowExceededError, LMError

from programs.answers import AnswerDraw
from programs.equivalence import read_answer
from programs.instructions import InstructionWriter
from programs.judging import KeywordJudge, LevelJudge, QuestionJudge, faults_of
from programs.keywords import Ask, KeywordExpansion
from programs.loop import run_sync
from programs.meaning import Judge
from programs.sampling import Temperatures, call_config
from programs.synthesis import DS2Instruct, vote_inputs
from programs.voting import SelfConsistency
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError, DS2Error
from signatures.keywords import task_line
from signatures.receipts import collect
from signatures.records import KeywordOrigin, content_id
from signatures.task import AnswerFormat, TaskSpec

STAGES = (
    "keywords", "instructions", "answers", "judge", "answer-judge", "question-judge",
    "keyword-judge", "chain",
)  # fmt: skip


class SearchStopped(BaseException):
    """The search cannot go on; `error` is what to tell. DSPy catches every `Exception`, not this."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Gate:
    """Lets work in until it is closed, and waits for what is inside.

    DSPy leaves its threads behind when a search is stopped; what they have asked and paid for is
    to come home before the call log closes, and nothing more is to be asked.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed: BaseException | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Gate:
        return self

    def __enter__(self) -> None:
        with self._changed:
            if self._closed is not None:
                raise SearchStopped(self._closed)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self, reason: BaseException, *, wait_s: float) -> None:
        """Let no more work in, and wait for what is inside, `wait_s` seconds at most."""
        with self._changed:
            self._closed = self._closed or reason
            self._changed.wait_for(lambda: self._inside == 0, timeout=wait_s)


class StageOutcome(dspy.Prediction):
    """The fields that a stage made; what is about the call is beside them, not among them.

    DSPy shows a proposer all fields of an outcome: what changes from process to process, or says
    nothing of the work, would make another prompt of it.

    Args:
        failed: why there is no outcome; None where there is one.
        tokens: read and written for it; None where they are not known.
        candidate: the id of the prompts that made it.
    """

    failed: str | None = None
    tokens: int | None = None
    candidate: str = ""


class Stage(dspy.Module):
    """One stage as a program; `work` is what it does. Copies share the gate.

    `searches` is how many prompts its examples ask, if each asks one alone; else 1.
    """

    searches = 1

    def __init__(self, gate: Gate | None = None) -> None:
        super().__init__()
        self.gate = gate or Gate()
        self.only: str | None = None  # the one predictor that is shown; None for all

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Return the predictors that are shown, with their names."""
        found = super().named_parameters()
        return [(name, p) for name, p in found if self.only in {None, name}]

    def asks(self, example: dspy.Example) -> str | None:  # noqa: ARG002
        """Return the name of the one predictor that an example asks; None where it may ask several."""
        return None

    async def work(self, *args: Any, **inputs: Any) -> dict[str, Any]:
        """Return the fields of the outcome of one example, given by name."""
        raise NotImplementedError

    def forward(self, **inputs: Any) -> StageOutcome:
        """Return the outcome of one example, with `failed` (None, or why there is none)."""
        with self.gate:
            return run_sync(self.aforward(**inputs))

    @property
    def candidate(self) -> str:
        """Return the id of these prompts, the same in every process."""
        shown = [[p.signature.instructions, str(p.demos)] for _, p in self.named_predictors()]
        return content_id(shown)

    async def aforward(self, **inputs: Any) -> StageOutcome:
        """Return the same as `forward`."""
        with collect() as receipts:
            try:
                outcome = StageOutcome(**await self.work(**inputs))
            except LMError as error:
                outcome = StageOutcome()
                outcome.failed = failure(error)
        outcome.candidate = self.candidate
        counts = [(r.input_tokens, r.output_tokens) for r in receipts]
        known = [sum(pair) for pair in counts if None not in pair]  # type: ignore[arg-type]
        whole = outcome.failed is None and receipts and len(known) == len(counts)
        outcome.tokens = sum(known) if whole else None
        return outcome


def failure(error: LMError) -> str:
    """Return why one request could not be answered.

    Raises:
        SearchStopped: it is no matter of this request alone.
    """
    if isinstance(error, ContextWindowExceededError):
        return "the prompt does not fit the model's context window"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DS2Error):
            raise SearchStopped(cause) from error
        cause = cause.__cause__
    raise SearchStopped(error) from error


class KeywordStage(Stage):
    """One keyword list: `origin`, `seeds`, `known`, `count` and the `number` of the call."""

    searches = 3

    def __init__(self, keywords: KeywordExpansion, gate: Gate | None = None) -> None:
        super().__init__(gate)
        self.keywords = keywords

    def asks(self, example: dspy.Example) -> str | None:
        """Return the predictor of the kind of list."""
        predictors = {"prerequisite": "prerequisites", "retrieved": "extract"}
        return f"keywords.{predictors.get(example.origin, example.origin)}"

    async def work(
        self, *, origin: str, seeds: Sequence[str], known: Sequence[str], count: int, number: int
    ) -> dict[str, Any]:
        """Return `texts`, the list as it was drawn, and the keywords of the demos that were `shown`."""
        ask = Ask(KeywordOrigin(origin), tuple(seeds), 0, 0)
        temperature = self.keywords.temperature
        config = call_config(self.keywords, sample=number, temperature=temperature)
        _, texts = await self.keywords.draw(ask, count, ", ".join(known), config)
        predictor = self.keywords.predictor_of(ask)
        shown = [text for demo in predictor.demos for text in demo.get("keywords") or ()]
        return {"texts": tuple(texts), "shown": tuple(map(str, shown))}


class InstructionStage(Stage):
    """One instruction: `keywords`, `level` and the `visit` of the cell."""

    searches = 2

    def __init__(self, writer: InstructionWriter, gate: Gate | None = None) -> None:
        super().__init__(gate)
        self.writer = writer

    def asks(self, example: dspy.Example) -> str | None:
        """Return the predictor for one keyword, or for a pair."""
        return "writer.single" if len(example.keywords) == 1 else "writer.pair"

    async def work(self, *, keywords: Sequence[str], level: str, visit: int = 0) -> dict[str, Any]:
        """Return `instruction` or `rejection`, and the questions of the demos that were `shown`."""
        written = await self.writer.acall(
            keywords=list(keywords), level=BloomLevel(level), visit=visit
        )
        demos = [demo for p in self.writer.predictors() for demo in p.demos]
        shown = tuple(str(demo.get("question") or "") for demo in demos)
        return {
            "instruction": written.instruction,
            "rejection": written.rejection,
            "shown": shown,
        }


class AnswerStage(Stage):
    """One drawn answer to `question` (with `context` and `options` where the task has them)."""

    def __init__(
        self,
        draw: AnswerDraw,
        fmt: AnswerFormat,
        temperatures: Temperatures,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(gate)
        self.draw = draw
        self.fmt = fmt
        self.temperatures = temperatures

    async def work(
        self, *, question: str, context: str = "", options: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return `answer` and `key` as the answer was read, or the `problem` in reading it."""
        temperature = self.temperatures.answer(wave=0, draw=0)
        config = call_config(self, sample=0, temperature=temperature)
        typed, text = None, ""
        with collect() as receipts:
            try:
                drawn = await self.draw.acall(
                    question=question, context=context, options=list(options), config=config
                )
                typed = None if drawn["answer"] is None else str(drawn["answer"])
            except AdapterParseError as error:
                text = error.lm_response or ""
        cut = bool(receipts) and receipts[-1].finish_reason in {"length", "content_filter"}
        asked = f"{context}\n{question}".strip()
        read = read_answer(self.fmt, typed=typed, text=text, options=list(options), question=asked)
        if cut:
            return {"answer": None, "key": None, "problem": "the reply was cut or withheld"}
        return {"answer": read.answer, "key": read.key, "problem": read.problem}


class JudgeStage(Stage):
    """The level of one `question`, as the judge reads it."""

    def __init__(self, judge: LevelJudge, gate: Gate | None = None) -> None:
        super().__init__(gate)
        self.judge = judge

    async def work(self, *, question: str) -> dict[str, Any]:
        """Return the `read` level, None where the reply gave none, and the judge's `reason`."""
        verdict = await self.judge.acall(question=question)
        return {"read": verdict.level, "reason": verdict.reason}


class AnswerJudgeStage(Stage):
    """Whether two answers, `first` and `second`, to one `question` say the same, as the judge reads it."""

    def __init__(self, judge: Judge, gate: Gate | None = None) -> None:
        super().__init__(gate)
        self.judge = judge

    async def work(self, *, question: str, first: str, second: str) -> dict[str, Any]:
        """Return the verdict as `read` (yes or no), None where the reply gave none, and its `reason`."""
        verdict = await self.judge.acall(question=question, first=first, second=second)
        return {"read": verdict.read, "reason": verdict.reason}


class QuestionJudgeStage(Stage):
    """Whether a `question` uses its `keywords` and is self-contained, as the judge reads it."""

    def __init__(self, judge: QuestionJudge, gate: Gate | None = None) -> None:
        super().__init__(gate)
        self.judge = judge

    async def work(self, *, question: str, keywords: Sequence[str]) -> dict[str, Any]:
        """Return `keywords_used` and `self_contained`, None where the reply gave none, and `reason`."""
        verdict = await self.judge.acall(question=question, keywords=list(keywords))
        return {
            "keywords_used": verdict.keywords_used,
            "self_contained": verdict.self_contained,
            "reason": verdict.reason,
        }


class KeywordJudgeStage(Stage):
    """The faults of a list of `keywords`, of which `wanted` says what was asked for."""

    def __init__(self, judge: KeywordJudge, task: TaskSpec, gate: Gate | None = None) -> None:
        super().__init__(gate)
        self.judge = judge
        self.task = task

    async def work(self, *, wanted: str, keywords: Sequence[str]) -> dict[str, Any]:
        """Return what was `read` of each keyword, see `faults_of`; None where the reply gave nothing."""
        asked = list(keywords)
        verdict = await self.judge.acall(task=task_line(self.task), wanted=wanted, keywords=asked)
        return {"read": None if verdict.unscored else faults_of(asked, verdict)}


class ChainStage(Stage):
    """One row: an instruction is written and voted on."""

    def __init__(
        self, writer: InstructionWriter, vote: SelfConsistency, gate: Gate | None = None
    ) -> None:
        super().__init__(gate)
        self.writer = writer
        self.vote = vote

    async def work(self, *, keywords: Sequence[str], level: str, visit: int = 0) -> dict[str, Any]:
        """Return `instruction` and `vote`, or the `rejection` of what was written."""
        written = await self.writer.acall(
            keywords=list(keywords), level=BloomLevel(level), visit=visit
        )
        if written.instruction is None:
            return {"instruction": None, "vote": None, "rejection": written.rejection}
        made = written.instruction
        outcome = await self.vote.acall(**vote_inputs(made))
        return {"instruction": made, "vote": outcome.vote, "rejection": None}


def stage_of(program: DS2Instruct, name: str, gate: Gate | None = None) -> Stage:
    """Return a stage of a program as a program of its own; it shares the program's predictors."""
    match name:
        case "keywords":
            return KeywordStage(program.keywords, gate)
        case "instructions":
            return InstructionStage(program.writer, gate)
        case "answers":
            draw = program.vote.draw
            return AnswerStage(draw, program.task.answer, program.config.temperatures, gate)
        case "judge":
            return JudgeStage(_held(program, "level_judge"), gate)
        case "answer-judge":
            return AnswerJudgeStage(_answer_judge(program), gate)
        case "question-judge":
            return QuestionJudgeStage(_held(program, "question_judge"), gate)
        case "keyword-judge":
            return KeywordJudgeStage(_held(program, "keyword_judge"), program.task, gate)
        case "chain":
            return ChainStage(program.writer, program.vote, gate)
        case _:
            raise ValueError(name)


def _held(program: DS2Instruct, name: str) -> Any:
    """Return a judge that a program holds by that name."""
    if not getattr(program.config, name):
        raise _lacking(program, name.replace("_", " "), None, f"ChainConfig({name}=True)")
    return getattr(program, name)


def _answer_judge(program: DS2Instruct) -> Judge:
    judge = program.vote.judge
    if not isinstance(judge, Judge):
        value = None if judge is None else type(judge).__name__
        raise _lacking(program, "judge of answers", value, "ChainConfig(merger='judge')")
    return judge


def _lacking(program: DS2Instruct, what: str, value: object, config: str) -> ConfigError:
    return ConfigError.rule(
        "Compiling failed",
        unit=program.task.name,
        name="the program",
        rule=f"hold the {what}",
        value=value,
        todo=f"Build it with {config}.",
    )
