"""What a unit of work means in a real run: the program's stages, with their failures sorted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dspy.utils.exceptions import LMError

from ds2.engines.base import Backend
from ds2.engines.explain import explain
from ds2.engines.limiter import place
from ds2.runtime.plan import Unit
from programs.synthesis import DS2Instruct
from signatures.errors import DS2Error, EndpointError, RunStoppedError, StageError
from signatures.records import Instruction, Rejection, Row

FIRST_REPLIES = 20


class ProgramWork:
    """The writer and the vote of a program, as the scheduler wants them."""

    def __init__(self, program: DS2Instruct, backends: Mapping[str, Backend]) -> None:
        self._program = program
        self._backends = backends
        self.answered = False

    async def write(self, unit: Unit) -> Instruction | Rejection:
        """Return the instruction of a unit, or why there is none."""
        place.set(unit.place)
        with self.failures("writer"):
            written = await self._program.writer.acall(
                keywords=list(unit.keywords), level=unit.level, visit=unit.visit
            )
        self.answered = True
        return written.instruction or written.rejection

    async def vote(self, unit: Unit, instruction: Instruction) -> Row | Rejection:
        """Return the row of a unit, or why there is none."""
        place.set(unit.place)
        with self.failures("answers"):
            vote = await self._program.ask(instruction)
        self.answered = True
        concluded = self._program.conclude(instruction, vote)
        return concluded.row or concluded.rejection

    @contextmanager
    def failures(self, stage: str) -> Iterator[None]:
        """Turn what the endpoint did wrong in this block into an error of ours."""
        try:
            yield
        except LMError as error:
            raise self._ours(error, self._backends[stage]) from error

    def _ours(self, error: LMError, backend: Backend) -> DS2Error:
        explained = explain(error, backend)
        if explained is not None:
            return explained
        kind = RunStoppedError if self.answered else EndpointError
        todo = (
            "Give the same command again once it does: the run goes on where it is."
            if self.answered
            else "Start the server, or check --model and --api-base with `ds2 check`."
        )
        return kind.rule(
            "Asking the model failed",
            unit=backend.model,
            name="the endpoint",
            rule="answer",
            value=f"{backend.dialect}: {error.__cause__ or error}",
            todo=todo,
        )


class StageCheck:
    """Stops a run whose stage gives mostly unusable replies, before it costs more.

    A stage is stopped when more than half of its first 20 replies, in the global order, are
    unusable: for the writer those that do not parse or break a rule, for the answers those in which
    no answer can be read.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._seen: dict[str, list[bool]] = {"writer": [], "answers": []}
        self._bad: dict[str, str] = {}

    def note(self, outcome: Row | Rejection) -> None:
        """Take in one decided unit.

        Raises:
            StageError: a stage's first replies are mostly unusable.
        """
        if not self._enabled:
            return
        if isinstance(outcome, Rejection) and outcome.stage == "writer":
            self._take("writer", usable=False, reply=outcome.detail)
        else:
            self._take("writer", usable=True, reply="")
        if outcome.vote is not None:
            for sample in outcome.vote.samples:
                self._take("answers", usable=sample.answer is not None, reply=sample.reasoning)

    def _take(self, stage: str, *, usable: bool, reply: str) -> None:
        seen = self._seen[stage]
        if len(seen) >= FIRST_REPLIES:
            return
        seen.append(usable)
        if not usable:
            self._bad.setdefault(stage, reply)
        if len(seen) == FIRST_REPLIES and seen.count(False) * 2 > FIRST_REPLIES:
            raise StageError.rule(
                f"The stage {stage!r} was stopped",
                name=f"its first {FIRST_REPLIES} replies",
                rule="be usable, at least half of them",
                value=f"{seen.count(False)} were not; one reads: {self._bad[stage]}",
                todo="Try another --adapter (`ds2 check` finds the one that parses), a longer "
                "--max-tokens or a stronger --model; --no-stage-check goes on regardless.",
            )
