"""What a unit of work means in a real run: the program's stages, with their failures sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from dspy import lm15
from dspy.utils.exceptions import LMError

from ds2.engines.base import Backend
from ds2.engines.explain import explain
from ds2.engines.limiter import place
from ds2.runtime.plan import Unit
from ds2.screen.own import OwnScreens
from ds2.screen.verdicts import off_level
from programs.synthesis import NO_PASSAGE, DS2Instruct
from signatures.bloom import BloomLevel
from signatures.errors import (
    DS2Error,
    EndpointError,
    RunStoppedError,
    StageError,
    rule_message,
)
from signatures.records import Instruction, Rejection, Row

FIRST_REPLIES = 20
SHOWN = 1200  # characters of the reply that is shown


class ProgramWork:
    """The writer and the vote of a program, as the scheduler wants them.

    Args:
        program: the chain.
        backends: the backend of each stage.
        answered: says whether any call of this run was ever answered.
        screens: what an instruction goes through as soon as it is written; None for nothing.
    """

    def __init__(
        self,
        program: DS2Instruct,
        backends: Mapping[str, Backend],
        *,
        answered: Callable[[], bool],
        screens: OwnScreens | None = None,
    ) -> None:
        self._program = program
        self._backends = backends
        self._answered = answered
        self._screens = screens

    async def write(self, unit: Unit) -> Instruction | Rejection:
        """Return the instruction of a unit, or why there is none."""
        place.set(unit.place)
        with self.failures("writer"):
            written = await self._program.write(list(unit.keywords), unit.level, unit.visit)
        if written.instruction is None or self._screens is None:
            return written.instruction or written.rejection
        return self._screens.take(written.instruction, unit.place)

    async def vote(self, unit: Unit, instruction: Instruction) -> Row | Rejection:
        """Return the row of a unit, or why there is none."""
        place.set(unit.place)
        judged = None
        if self._program.config.level_judge:
            with self.failures("judge"):
                judged = (await self._program.level_judge.acall(question=instruction.text)).level
            off = off_level(instruction, judged)
            if off is not None:
                return off
        with self.failures("answers"):
            vote = await self._program.ask(instruction)
        concluded = self._program.conclude(instruction, vote)
        if concluded.row is None:
            return concluded.rejection
        return self._row(concluded.row, judged)

    def _row(self, row: Row, judged: BloomLevel | None) -> Row | Rejection:
        refused = None if self._screens is None else self._screens.conclude(row)
        return refused or row.model_copy(update={"judged_level": judged})

    @contextmanager
    def failures(self, stage: str) -> Iterator[None]:
        """Turn what the endpoint did wrong in this block into an error of ours.

        `dspy.LM` wraps whatever an engine raises: a full disk comes out as the store's own error,
        and a bug stays one.
        """
        try:
            yield
        except LMError as error:
            ours = self._ours(error, self._backends[stage])
            if ours is None:
                raise
            raise ours from error

    def _ours(self, error: LMError, backend: Backend) -> DS2Error | None:
        causes = _causes(error)
        for cause in causes:
            if isinstance(cause, DS2Error):
                return cause
        if not any(isinstance(cause, lm15.LM15Error) for cause in causes):
            return None
        explained = explain(error, backend)
        if explained is not None:
            return explained
        # A 429 is the word of a living endpoint: nothing to start or to check, only to wait for.
        full = any(isinstance(cause, lm15.RateLimitError) for cause in causes)
        answered = full or self._answered()
        kind = RunStoppedError if answered else EndpointError
        # What follows the first paragraph is advice about another library.
        said = str(error.__cause__ or error).partition("\n\n")[0]
        todo = (
            "Give the same command again once it does: the run goes on where it is."
            if answered
            else "Start the server, or check --model and --api-base with `ds2 check`."
        )
        return kind.rule(
            "Asking the model failed",
            unit=backend.model,
            name="the endpoint",
            rule="answer",
            value=f"{backend.dialect}: {said}",
            todo=todo,
        )


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__
    return causes


class StageCheck:
    """Stops a run whose stage gives mostly unusable replies, before it costs more.

    A stage is stopped when more than half of its first 20 replies, in the global order, are
    unusable: for the writer those that do not parse or break a rule, for the answers those in which
    no answer can be read.

    Args:
        enabled: False lets everything pass.
        reply_at: gives the raw text of a reply by place and stage, to show one.
    """

    def __init__(self, *, enabled: bool, reply_at: Callable[[int, str], str | None]) -> None:
        self._enabled = enabled
        self._reply_at = reply_at
        self._seen: dict[str, list[bool]] = {"writer": [], "answers": []}
        self._bad: dict[str, str] = {}

    def note(self, place: int, outcome: Row | Rejection) -> None:
        """Take in the unit decided at a place.

        Raises:
            StageError: a stage's first replies are mostly unusable.
        """
        if not self._enabled or (isinstance(outcome, Rejection) and outcome.reason == NO_PASSAGE):
            return  # no reply: no model was asked
        if isinstance(outcome, Rejection) and outcome.stage == "writer":
            self._take("writer", usable=False, reply=self._raw(place, outcome))
        else:
            self._take("writer", usable=True, reply="")
        if outcome.vote is not None:
            for sample in outcome.vote.samples:
                self._take("answers", usable=sample.answer is not None, reply=sample.reasoning)

    def _raw(self, place: int, rejection: Rejection) -> str:
        if len(self._seen["writer"]) >= FIRST_REPLIES:
            return ""
        return self._reply_at(place, "writer") or rejection.detail

    def _take(self, stage: str, *, usable: bool, reply: str) -> None:
        seen = self._seen[stage]
        if len(seen) >= FIRST_REPLIES:
            return
        seen.append(usable)
        if not usable:
            self._bad.setdefault(stage, reply)
        if len(seen) == FIRST_REPLIES and seen.count(False) * 2 > FIRST_REPLIES:
            bad = seen.count(False)
            stopped = rule_message(
                f"The stage {stage!r} was stopped",
                name=f"its first {FIRST_REPLIES} replies",
                rule="be usable, at least half of them",
                value=f"{bad} unusable",
                todo="Try another --adapter (`ds2 check` finds the one that parses), a longer "
                "--max-tokens or a stronger --model, in a new --out; --no-stage-check goes on "
                "regardless.",
            )
            raise StageError(f"{stopped}\nOne of them reads:\n{_shown(self._bad[stage])}")


def _shown(reply: str) -> str:
    text = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in reply
    )
    text = text.strip() or "(nothing)"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters in all)"
