"""A row against the call log: does all that it says follow from the replies that were logged for it?

What a unit came to is kept beside the calls that it came of. Here the way is gone again, backwards and
without asking anything: the vote is counted from its draws, each draw is read from the reply under its
key, that key is made anew from the prompt and options beside the reply, and the prompt must hold what
the row asks. The written instruction and a judged level have no key in the row: they are looked for
among the calls of its unit.

Not gone again: what a judge said of answers that are worded differently (that its groups are groups is),
and how the corpus ranked a passage.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from ds2.commits import RECEIPT
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.question import call_key
from ds2.runtime.past import PastRun, unreadable
from ds2.runtime.plan import Plan
from ds2.runtime.session import make_adapter
from ds2.screen.options import shuffle_options
from ds2.store import RunStore
from programs.instructions import DRAWS_A_VISIT
from programs.judging import TRIES
from programs.redraw import REDRAW, reread
from programs.stopping import Policy, fixed, parse_policy
from programs.synthesis import ChainConfig, DS2Instruct, vote_inputs
from signatures.answers import lettered
from signatures.errors import DS2Error
from signatures.receipts import Receipt
from signatures.records import Instruction, Row, Sample, Vote
from signatures.task import AnswerKind

_CALLS = (
    f"SELECT p.prompt, c.options, {', '.join(f'c.{name}' for name in RECEIPT.split(', '))}"  # noqa: S608
    " FROM calls c JOIN prompts p ON p.id = c.prompt_id"
)


class _Call(NamedTuple):
    prompt: str
    options: str
    receipt: Receipt

    def holds(self, texts: Iterable[str]) -> bool:
        """Return whether its prompt holds these texts."""
        return all(encode_basestring(text)[1:-1] in self.prompt for text in texts)


class Rereading:
    """Reads the rows of a run again from its call log.

    Args:
        past: the run.
        store: its store, open.

    Attributes:
        calls: logged replies that were read again.

    Raises:
        OutputError: `config.json` or `keywords.json` does not say what the run was.
    """

    def __init__(self, past: PastRun, store: RunStore) -> None:
        self.calls = 0
        self._policy_lost = ""
        self._past, self._store = past, store
        self._adapter = make_adapter(past.config.adapter)
        self._program = self._built()
        self._backends = _backends(past)
        self._plan: Plan | None = past.plan() if past.keywords else None

    @property
    def problem(self) -> str | None:
        """Return what could not be gone through again in any row; None where all could."""
        lost = self._policy_lost
        return f"Votes were counted without their policy, which is lost: {lost}" if lost else None

    def faults(self, row: Row, place: int) -> Iterator[str]:
        """Yield what does not follow from the log, each as half a sentence.

        Args:
            row: as the store holds it.
            place: of its unit.
        """
        faults = list(self._counted(row)) or [*self._drawn(row), *self._written(row, place)]
        yield from faults
        if self._past.config.verify_level and not faults:
            yield from self._judged(row, place)

    def _built(self) -> DS2Instruct:
        config, answers = self._past.config, self._past.task.answer
        merged = config.merger == "judge" or answers.kind is AnswerKind.OPEN
        return DS2Instruct(
            self._past.task,
            ChainConfig(
                policy=self._policy(),
                thinking=self._thinking(),
                teacher=self._past.settings.get("teacher", ""),
                model=_named(self._past, "answers")[0],
                merger="judge" if merged else None,
                level_judge=True,
            ),
        )

    def _policy(self) -> Policy | None:
        try:
            return parse_policy(self._past.config.policy)
        except DS2Error as error:
            self._policy_lost = str(error)
            return None

    def _thinking(self) -> bool:
        """Return whether answers were asked for a solution, as of a model that thinks by itself."""
        found = self._store.rows(
            "SELECT p.prompt FROM calls c JOIN prompts p ON p.id = c.prompt_id"
            " WHERE c.stage = 'answers' ORDER BY c.place LIMIT 1"
        )
        return any("`solution`" in prompt for (prompt,) in found)

    def _counted(self, row: Row) -> Iterator[str]:
        """Yield where the vote is not that of its draws, or the row not that of its vote."""
        if not self._is_counted(row.vote):
            yield "its vote is not what its draws give"
        elif row.vote.response is None or not 0 <= row.vote.response < len(row.vote.samples):
            yield "its vote has no response"
        else:
            made = self._program.conclude(row.instruction, row.vote).row
            names = ("id", "answer", "response", "task", "teacher", "model")
            wrong = [n for n in names if made is None or getattr(made, n) != getattr(row, n)]
            if wrong:
                yield f"its {' and '.join(wrong)} {_is(wrong)} not what its vote gives"

    def _is_counted(self, vote: Vote) -> bool:
        counting = self._program.vote
        if not self._policy_lost:
            return counting.count(vote.samples) == vote
        # Any policy counts alike; what this one made of the counts is taken from the row.
        counting.policy = fixed(max(1, len(vote.samples)), 0.01)
        found = counting.count(vote.samples)
        said = {"reason": vote.reason, "confidence": vote.confidence}
        return isinstance(found, Vote) and found.model_copy(update=said) == vote

    def _drawn(self, row: Row) -> Iterator[str]:
        """Yield each draw that is not what its call in the log says."""
        instruction = row.instruction
        inputs = vote_inputs(instruction)
        shown = [instruction.question]
        shown += [instruction.context] if instruction.context else []
        shown += [lettered(instruction.options)] if instruction.options else []
        logged = self._by_key([s.call for s in row.vote.samples if s.call])
        keys: dict[str | None, str | None] = {}
        for at, sample in enumerate(row.vote.samples):
            call = logged.get(sample.call or "")
            if call is None:
                yield f"the call of its draw {sample.number} is missing from the log"
                continue
            asked = self._is_of(call, "answers", (at, at + REDRAW)) and call.holds(shown)
            read = self._read(call, inputs, sample)
            if not (asked and read.model_copy(update={"key": sample.key}) == sample):
                yield f"its draw {sample.number} is not what its call in the log says"
            elif keys.setdefault(read.key, sample.key) != sample.key:
                yield f"the answer of its draw {sample.number} stands in two groups"
        merges = self._program.vote.equivalence.merger is not None
        if any(own != key and not (merges and key in keys) for own, key in keys.items()):
            yield "its answers are grouped otherwise than they read"

    def _read(self, call: _Call, inputs: dict[str, Any], sample: Sample) -> Sample:
        self.calls += 1
        draw = self._program.vote.draw
        signature = draw.predictors()[0].signature
        drawn = reread(self._adapter, signature, call.receipt)
        heat = json.loads(call.options).get("temperature")
        return self._program.vote.sample_of(drawn, inputs, number=sample.number, temperature=heat)

    def _written(self, row: Row, place: int) -> Iterator[str]:
        """Yield where the instruction is not what the writer's reply for this unit says."""
        unit = None if self._plan is None else self._plan.unit(place)
        asked = (row.instruction.keywords, row.instruction.level)
        if unit is None or asked != (unit.keywords, unit.level):
            yield "its keywords and level are not those of its unit in the plan"
            return
        first = unit.visit * DRAWS_A_VISIT
        logged = [
            call
            for call in self._of_unit("writer", place)
            if self._is_of(call, "writer", (first, first + 1))
        ]
        if not logged:
            yield "the call of its instruction is missing from the log"
        elif not any(self._says(call, row.instruction, place) for call in logged):
            yield "its instruction is not what the writer's reply in the log says"

    def _says(self, call: _Call, instruction: Instruction, place: int) -> bool:
        self.calls += 1
        predict = self._program.writer.pair if len(instruction.keywords) > 1 else None
        signature = (predict or self._program.writer.single).signature
        drawn = reread(self._adapter, signature, call.receipt)
        found = self._program.writer.read(instruction.keywords, instruction.level, drawn)
        if not isinstance(found, Instruction):
            return False
        if instruction.passage_id is not None and call.holds([instruction.context]):
            grounds = {"context": instruction.context, "passage_id": instruction.passage_id}
            found = found.model_copy(update=grounds)
        if self._past.config.shuffle_options:
            found = shuffle_options(found, self._past.config.seed, place)
        return found == instruction

    def _judged(self, row: Row, place: int) -> Iterator[str]:
        """Yield where the judged level is not what the judge's reply says."""
        text = row.instruction.text
        logged = [call for call in self._of_unit("judge", place) if call.holds([text])]
        # Units that say the same share a call, which stands at the place of the first that asked.
        logged = logged or self._of_text("judge", text)
        logged = [c for c in logged if self._is_of(c, "judge", range(TRIES))]
        signature = self._program.level_judge.predict.signature
        read = [reread(self._adapter, signature, call.receipt).prediction for call in logged]
        self.calls += len(logged)
        levels = [prediction["level"] for prediction in read if prediction is not None]
        if not logged:
            yield "the call that judged its level is missing from the log"
        elif levels[:1] != [level for level in (row.judged_level,) if level is not None]:
            yield "its judged level is not what the judge's reply in the log says"

    def _is_of(self, call: _Call, stage: str, samples: Iterable[int]) -> bool:
        """Return whether a call has the key of one of these samples of its prompt and options."""
        backend = self._backends[stage]
        return any(
            call_key(backend, call.prompt, call.options, sample) == call.receipt.call
            for sample in samples
        )

    def _by_key(self, keys: Sequence[str]) -> dict[str, _Call]:
        marks = ", ".join("?" * len(keys))
        rows = self._store.rows(f"{_CALLS} WHERE c.key IN ({marks})", tuple(keys))
        return {call.receipt.call: call for call in map(_call, rows)}

    def _of_unit(self, stage: str, place: int) -> list[_Call]:
        sql = f"{_CALLS} WHERE c.stage = ? AND c.place = ? ORDER BY c.rowid"
        return [_call(row) for row in self._store.rows(sql, (stage, place))]

    def _of_text(self, stage: str, text: str) -> list[_Call]:
        sql = f"{_CALLS} WHERE c.stage = ? AND instr(p.prompt, ?) ORDER BY c.rowid"
        quoted = encode_basestring(text)[1:-1]
        return [_call(row) for row in self._store.rows(sql, (stage, quoted))]


def _call(row: tuple[Any, ...]) -> _Call:
    prompt, options, *receipt = row
    return _Call(prompt, options, Receipt(*receipt))


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _named(past: PastRun, stage: str) -> tuple[str, str]:
    """Return model and dialect of a stage."""
    try:
        model, dialect = past.settings["models"][stage]
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(past.folder, "config.json", f"no model of the stage {stage}") from error
    return str(model), str(dialect)


def _backends(past: PastRun) -> dict[str, Backend]:
    """Return as much of each stage's backend as the keys of its calls are made of."""
    extras = (past.settings.get("engine") or {}).get("sampling") or {}
    stages = ("writer", "answers", "judge") if past.config.verify_level else ("writer", "answers")
    return {
        stage: Backend(*_named(past, stage), open=_asks_nothing, extensions=extras)
        for stage in stages
    }


def _asks_nothing() -> AsyncEngine:
    raise AssertionError("a row is read again from the log alone")
