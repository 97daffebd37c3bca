"""The chain: keywords, instruction, vote; one unit of work at a time. What optimizers compile.

The order of units, the screens and the call log are the machine room's; this module only knows
what one unit means, so that a DSPy optimizer can take it as it is.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.adapters.utils import get_annotation_name

from programs.answers import AnswerDraw
from programs.instructions import InstructionWriter, bloom_level
from programs.judging import KeywordJudge, LevelJudge, QuestionJudge
from programs.keywords import ExpansionShape, KeywordExpansion
from programs.loop import run_sync
from programs.meaning import Equivalence, Judge, Merger, Verdicts
from programs.retrieval import Retriever, passage_for
from programs.sampling import Temperatures
from programs.stopping import Policy
from programs.voting import SelfConsistency
from signatures.bloom import BloomLevel
from signatures.errors import ProgramError, TaskError
from signatures.records import Instruction, Rejection, Vote, content_id, make_row
from signatures.task import AnswerFormat, AnswerKind, TaskSpec, load_task

SAVE_FORMAT = 1
NO_PASSAGE = "no_passage"


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """What shapes the chain besides its prompts.

    Args:
        policy: when a vote has seen enough; None takes the default of `SelfConsistency`.
        temperatures: with what each stage draws.
        shape: how the keyword bank is grown.
        thinking: the answering model reasons by itself.
        teacher: what stands behind the model; goes into every row.
        model: the name that goes into every row; None takes that of the language model in use.
        merger: what says that answers with different keys are the same, see `programs.meaning`;
            `judge` for one of the program's own, reachable as `vote.judge` and compiled with it.
            Needed for open tasks.
        verdicts: where a merger's verdicts are kept.
        max_tokens_cap: up to which limit a reply that was cut may grow, once; None for twice its
            limit.
        retriever: the corpus, see `programs.retrieval`; None for none.
        level_judge: the program has a blind judge of Bloom's levels, reachable as `level_judge` and
            compiled with it.
        question_judge: it has a judge of questions, likewise as `question_judge`.
        keyword_judge: it has a judge of keyword lists, likewise as `keyword_judge`.
    """

    policy: Policy | None = None
    temperatures: Temperatures = field(default_factory=Temperatures)
    shape: ExpansionShape = field(default_factory=ExpansionShape)
    thinking: bool = False
    teacher: str = "model"
    model: str | None = None
    merger: Merger | Literal["judge"] | None = None
    verdicts: Verdicts | None = None
    max_tokens_cap: int | None = None
    retriever: Retriever | None = None
    level_judge: bool = False
    question_judge: bool = False
    keyword_judge: bool = False


# The judges that a program may hold besides the one of its vote, by their names in it.
JUDGES: dict[str, type[LevelJudge | QuestionJudge | KeywordJudge]] = {
    "level_judge": LevelJudge,
    "question_judge": QuestionJudge,
    "keyword_judge": KeywordJudge,
}


class DS2Instruct(dspy.Module):
    """DS²-Instruct as one program: `program(keywords=[...], level="Apply")` gives a row or says why not.

    Stages are `program.keywords`, `program.writer` and `program.vote`; every predictor in them is
    reachable by `named_predictors()`, so each stage or the chain can be compiled.

    Args:
        task: a `TaskSpec`, the name of a built-in task, or the path of a YAML file.
        config: what shapes the chain besides its prompts.

    Returns (of a call): a `dspy.Prediction` with `row` (a validated `Row`, or None), `rejection`
    (why there is none, or None), `instruction` and `vote`.
    """

    def __init__(self, task: TaskSpec | str, config: ChainConfig | None = None) -> None:
        super().__init__()
        self.task = task if isinstance(task, TaskSpec) else load_task(task)
        self.config = config or ChainConfig()
        if self.task.answer.kind is AnswerKind.OPEN and self.config.merger is None:
            raise TaskError.rule(
                "Building the program failed",
                unit=self.task.name,
                name="answer.kind",
                rule="be a kind that can be voted on: number, expression, choice, label or text, "
                "or open with a merger that compares by meaning",
                value="open",
                todo="Give ChainConfig(merger='judge'), or give the task a short, checkable answer.",
            )
        temperatures, cap = self.config.temperatures, self.config.max_tokens_cap
        self.keywords = KeywordExpansion(
            self.task,
            self.config.shape,
            temperature=temperatures.keywords,
            max_tokens_cap=cap,
            retriever=self.config.retriever,
        )
        self.writer = InstructionWriter(
            self.task, temperature=temperatures.writer, max_tokens_cap=cap
        )
        self.vote = SelfConsistency(
            AnswerDraw(self.task, thinking=self.config.thinking),
            self.config.policy,
            equivalence=Equivalence(self.task.answer, self._merger(), self.config.verdicts),
            temperatures=temperatures,
            max_tokens_cap=cap,
        )
        fixed = not temperatures.answers
        for name, judge in JUDGES.items():
            if getattr(self.config, name):
                setattr(self, name, judge(temperature=None) if fixed else judge())

    def _merger(self) -> Merger | None:
        if self.config.merger == "judge":
            fixed = not self.config.temperatures.answers
            return Judge(temperature=None) if fixed else Judge()
        return self.config.merger

    async def aforward(
        self, keywords: Sequence[str], level: BloomLevel | str, visit: int = 0
    ) -> dspy.Prediction:
        """Return the row of one cell, or why there is none; `visit` counts earlier visits of the cell."""
        written = await self.write(keywords, level, visit)
        if written.instruction is None:
            return _outcome(rejection=written.rejection)
        vote = await self.ask(written.instruction)
        return self.conclude(written.instruction, vote)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Return the same as `aforward`, for callers without an event loop."""
        return run_sync(self.aforward(**inputs))

    async def write(
        self, keywords: Sequence[str], level: BloomLevel | str, visit: int = 0
    ) -> dspy.Prediction:
        """Return what the writer wrote, about a passage of the corpus where the task's context is one.

        Where no passage shares a word with the keywords, nothing is asked of the model: the rejection
        is `no_passage`.
        """
        if self.task.context != "passage" or self.config.retriever is None:
            return await self.writer.acall(keywords=keywords, level=level, visit=visit)
        passage = passage_for(
            self.config.retriever,
            keywords,
            bloom_level(level),
            visit,
            english=self.task.english,
        )
        if passage is None:
            detail = "No passage of the corpus shares a word with the keywords."
            rejection = Rejection(stage="writer", reason=NO_PASSAGE, detail=detail)
            return dspy.Prediction(instruction=None, rejection=rejection)
        return await self.writer.acall(keywords=keywords, level=level, visit=visit, passage=passage)

    async def ask(self, instruction: Instruction) -> Vote:
        """Return the vote on an instruction that is written."""
        return (await self.vote.acall(**vote_inputs(instruction))).vote

    def conclude(self, instruction: Instruction, vote: Vote) -> dspy.Prediction:
        """Return the row of an accepted vote, or the rejection of any other (pure)."""
        if vote.response is None or vote.winner is None:
            rejection = Rejection(
                stage="vote",
                reason=_common_cause(vote) or vote.reason,
                detail=f"{vote.agreement:.0%} of {vote.draws} draws agree.",
                instruction=instruction,
                vote=vote,
            )
            return _outcome(rejection=rejection, instruction=instruction, vote=vote)
        steps = vote.samples[vote.response].reasoning
        row = make_row(
            instruction,
            vote,
            response=respond(steps, vote.winner, self.task.answer),
            task=self.task.name,
            teacher=self.config.teacher,
            model=self.config.model or self._model(),
        )
        return _outcome(row=row, instruction=instruction, vote=vote)

    def _model(self) -> str:
        lm = next((p.lm for p in self.vote.predictors() if p.lm), None) or dspy.settings.lm
        return str(getattr(lm, "model", "unknown"))

    def expand(self, size: int = 24, seed: int = 0) -> dspy.Prediction:
        """Return the keyword bank; see `KeywordExpansion`."""
        return self.keywords(size=size, seed=seed)

    async def aexpand(self, size: int = 24, seed: int = 0) -> dspy.Prediction:
        """Return the same as `expand`, for callers with an event loop."""
        return await self.keywords.acall(size=size, seed=seed)

    def prompts(self) -> dict[str, Any]:
        """Return the words of every predictor: instructions, fields with their types, and demos."""
        state = {}
        for name, predictor in self.named_predictors():
            dumped = _unplugged(predictor).dump_state()
            types = {
                field: get_annotation_name(info.annotation)
                for field, info in predictor.signature.fields.items()
            }
            state[name] = {
                "signature": dumped["signature"],
                "types": types,
                "demos": dumped["demos"],
            }
        return json.loads(json.dumps(state, ensure_ascii=False, default=str))

    def fingerprint(self) -> str:
        """Return the hash of all prompts as they stand, compiled ones included."""
        return content_id(self.prompts())

    def signatures_hash(self) -> str:
        """Return the hash of the signatures as they are written, before any compiling."""
        return content_id(DS2Instruct(self.task, self.config).prompts())

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """Return the state of every predictor, without its language model: an engine is no prompt."""
        return {
            name: _unplugged(predictor).dump_state(json_mode=json_mode)
            for name, predictor in self.named_parameters()
        }

    def save(self, path: str | Path, **_: Any) -> None:
        """Write prompts and demos as JSON, with the hash of the signatures they were made for."""
        document = {
            "format": SAVE_FORMAT,
            "task": self.task.name,
            "signatures": self.signatures_hash(),
            "program": self.dump_state(),
        }
        text = json.dumps(document, ensure_ascii=False, indent=1, default=str)
        Path(path).write_text(text + "\n", encoding="utf-8", newline="\n")

    def _judged_as(self, names: Iterable[str]) -> ChainConfig:
        """Return the configuration with the judges whose predictors have these names."""
        there = {name.rpartition(".")[0] for name in names}
        held: dict[str, Any] = {name: name in there for name in JUDGES}
        config = replace(self.config, **held)
        if config.merger in (None, "judge") and self.task.answer.kind is not AnswerKind.OPEN:
            config = replace(config, merger="judge" if "vote.judge" in there else None)
        return config

    def load(self, path: str | Path, **_: Any) -> None:
        """Take prompts and demos from a file that `save` wrote; language models stay as they are.

        The program's own judges, of answers and those of `JUDGES`, are optional on both sides: one
        that the file lacks keeps its own prompt, one that this program lacks is left out.

        Raises:
            ProgramError: the file cannot be read, is of another task, or was made for signatures
                that have changed since.
        """
        document = _read_program(Path(path))
        fresh = DS2Instruct(self.task, self._judged_as(_states_in(document)))
        for name, ours in (("task", self.task.name), ("signatures", fresh.signatures_hash())):
            if document.get(name) != ours:
                raise ProgramError.rule(
                    "Loading a program failed",
                    unit=str(path),
                    name=name,
                    rule=f"be {ours!r}, as in this program",
                    value=document.get(name),
                    todo="Compile it again for this task and version.",
                )
        try:
            states = document["program"].items()
            fresh.load_state({name: _state(state) for name, state in states})
        except (KeyError, TypeError, AttributeError, ValueError, NotImplementedError) as error:
            raise ProgramError.rule(
                "Loading a program failed",
                unit=str(path),
                name="program",
                rule="hold the state of every predictor",
                value=f"{type(error).__name__}: {error}",
                todo="The file is damaged: save or compile it again.",
            ) from error
        loaded = dict(fresh.named_predictors())
        for name, predictor in self.named_predictors():
            if name in loaded:
                predictor.signature, predictor.demos = loaded[name].signature, loaded[name].demos


def judges_in(path: str | Path) -> frozenset[str]:
    """Return which judges a file that `save` wrote holds: of `JUDGES`, and `vote.judge`.

    Raises:
        ProgramError: it cannot be read.
    """
    names = {name.rpartition(".")[0] for name in _states_in(_read_program(Path(path)))}
    return frozenset(names & {*JUDGES, "vote.judge"})


def vote_inputs(instruction: Instruction) -> dict[str, Any]:
    """Return what a vote on an instruction is given."""
    inputs: dict[str, Any] = {"question": instruction.question}
    if instruction.context:
        inputs["context"] = instruction.context
    if instruction.options:
        inputs["options"] = instruction.options
    return inputs


def _outcome(**parts: Any) -> dspy.Prediction:
    return dspy.Prediction(
        **{"row": None, "rejection": None, "instruction": None, "vote": None, **parts}
    )


def _common_cause(vote: Vote) -> str | None:
    """Return why nothing could be read, where it is the same for all draws and not of their form."""
    causes = {sample.unreadable for sample in vote.samples}
    cause = causes.pop() if len(causes) == 1 else None
    return cause if cause in {"truncated", "moderated", "refused"} else None


def respond(steps: str, answer: str, fmt: AnswerFormat) -> str:
    """Return the steps and the closing line, which stands once even where the steps gave it already.

    What is taken off is a last line or sentence that opens as the closing line does, for its answer
    may be spelled otherwise; where the closing line is the bare answer, only that answer itself.
    """
    steps, closing = steps.strip(), fmt.close(answer)
    opening = fmt.close("\0").partition("\0")[0].strip()
    rest = rf"{re.escape(opening)}[^\n]{{0,{len(answer) + 12}}}" if opening else re.escape(closing)
    given = re.search(
        rf"(?:\A|\n|(?<=[.!?])\s+|(?<=[。！？]))[ \t*_`]*{rest}[ \t*_`.。]*\Z",
        steps,
        re.IGNORECASE,
    )
    steps = steps[: given.start()].rstrip() if given else steps
    return f"{steps}\n\n{closing}" if steps else closing


def _unplugged(predictor: Any) -> Any:
    """Return a shallow copy of a predictor without its language model, as it is written to a file."""
    bare = copy.copy(predictor)
    bare.lm = None
    return bare


def _states_in(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the states of the predictors in a file; none where it is damaged."""
    states = document.get("program")
    return states if isinstance(states, dict) else {}


def _state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of one predictor without a language model.

    Raises:
        KeyError, TypeError: it holds no words; DSPy would find out in the middle of a call.
    """
    if not isinstance(state["signature"]["instructions"], str):
        raise TypeError("its instructions are no text")
    if not all(isinstance(demo, dict) for demo in state["demos"]):
        raise TypeError("a demo is no mapping")
    return {**state, "lm": None}


def _read_program(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ProgramError.rule(
            "Loading a program failed",
            name="program file",
            rule="be readable JSON that `save` wrote",
            value=str(path),
            todo=f"Check the path ({type(error).__name__}).",
        ) from error
    if not isinstance(document, dict) or document.get("format") != SAVE_FORMAT:
        raise ProgramError.rule(
            "Loading a program failed",
            unit=str(path),
            name="format",
            rule=f"be {SAVE_FORMAT}",
            value=document.get("format") if isinstance(document, dict) else type(document).__name__,
            todo="Save it again with this version.",
        )
    return document
