"""Whole runs for tests: small, in this process, in a folder of the test's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from ds2.config import BudgetConfig, EngineConfig, preset
from ds2.corpus.corpus import Corpus
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.retry import UnreachedError
from ds2.engines.teacher import Teacher, simulated_backend
from ds2.output.card import END
from ds2.output.dataset import dataset_shards
from ds2.runtime.runner import Observer, Progress, run
from ds2.runtime.session import Resolver, RunRequest
from ds2.runtime.summary import RunSummary
from ds2.server.app import SimulatedServer, delay
from ds2.server.serve import Served, served
from ds2.store import RunStore
from signatures.records import Keyword
from signatures.task import TaskSpec, load_task

ENGINE = frozenset(EngineConfig.model_fields)
BUDGET = frozenset(BudgetConfig.model_fields)


def asked(
    out: Path,
    target: int | None = 12,
    task: str | TaskSpec = "gsm8k",
    *,
    preset_name: str = "default",
    program: Path | None = None,
    accept_new_prompts: bool = False,
    corpus: Corpus | None = None,
    **settings: Any,
) -> RunRequest:
    """Return a request; `settings` are fields of the three configurations."""
    engine = {name: settings.pop(name) for name in list(settings) if name in ENGINE}
    budget = {name: settings.pop(name) for name in list(settings) if name in BUDGET}
    return RunRequest(
        task=task if isinstance(task, TaskSpec) else load_task(task),
        config=preset(preset_name, target, **settings),
        engine=EngineConfig.build(**{"concurrency": 16, **engine}),
        budget=BudgetConfig.build(**budget),
        out=out,
        program=program,
        accept_new_prompts=accept_new_prompts,
        corpus=corpus,
    )


def go(
    out: Path,
    target: int | None = 12,
    task: str | TaskSpec = "gsm8k",
    *,
    observer: Observer | None = None,
    resolve: Resolver | None = None,
    **settings: Any,
) -> RunSummary:
    """Run to the end and return the summary; the ledger must add up, whatever the end."""
    request = asked(out, target, task, **settings)
    summary = asyncio.run(run(request, observer, resolve=resolve))
    assert adds_up(summary.ledger)
    return summary


def adds_up(ledger: dict[str, Any]) -> bool:
    """Return whether planned = accepted + rejected + surplus + pending."""
    parts = ledger["accepted"] + ledger["surplus"]
    parts += sum(ledger["rejected"].values()) + sum(ledger["pending"].values())
    return bool(ledger["planned"] == parts)


def dataset_bytes(out: Path) -> dict[str, bytes]:
    """Return what RUN.md calls the bytes of a run: the Parquet files and the card's machine part."""
    folder = out / "dataset"
    return {
        str(path.relative_to(folder)): path.read_bytes().partition(END.encode())[0]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return the rows of a run, in their order."""
    return [
        row for path in dataset_shards(out / "dataset") for row in pq.read_table(path).to_pylist()
    ]


def summary_of(out: Path) -> dict[str, Any]:
    """Return `summary.json`."""
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, the lock aside (reading it would set it free)."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("lock.sqlite")
    }


@contextmanager
def teacher_server(
    *, latency_s: float = 0.0, jitter_s: float = 0.0, seed: int = 0
) -> Iterator[Served]:
    """Serve the simulated teacher over HTTP while the block runs."""
    server = SimulatedServer(Teacher(seed), hook=delay(latency_s, jitter_s, seed=seed))
    with served(server) as running:
        yield running


Reply = Callable[[Request, int], Awaitable[Response | None]]


@dataclass
class Meddler:
    """The simulated teacher, with someone who may answer or raise in its place.

    Args:
        meddle: given the request and its number (from 1), returns a reply, raises, or returns None
            to let the teacher answer.
    """

    meddle: Reply
    calls: int = 0
    open: int = 0
    requests: list[Request] = field(default_factory=list)

    def backend(self, **changes: Any) -> Backend:
        """Return it as a backend."""
        inner = simulated_backend(0)
        return replace(inner, open=lambda: _Engine(self, inner.open()), **changes)

    def resolve(self, *_: object) -> Backend:
        """Stand in for the ordinary way from a model's name to its backend."""
        return self.backend()


class _Engine:
    def __init__(self, owner: Meddler, inner: AsyncEngine) -> None:
        self._owner, self._inner = owner, inner
        owner.open += 1

    async def complete(self, request: Request) -> Response:
        self._owner.calls += 1
        self._owner.requests.append(request)
        instead = await self._owner.meddle(request, self._owner.calls)
        return instead if instead is not None else await self._inner.complete(request)

    async def aclose(self) -> None:
        self._owner.open -= 1


def saying(text: str) -> Response:
    """Return a reply with this text."""
    return Response(
        id=None,
        model="scripted",
        message=Message.assistant([TextPart(text)]),
        finish_reason="stop",
        usage=Usage(input_tokens=10, output_tokens=5),
    )


def asks_for(request: Request) -> str:
    """Return the stage that a prompt is of: keywords, writer or answers."""
    system = str(request.system)
    outputs = system.partition("Your output fields are:")[2].partition("All interactions")[0]
    if "`keywords`" in outputs:
        return "keywords"
    return "writer" if "`question`" in outputs else "answers"


def failing_after(number: int, error: Callable[[], BaseException]) -> Meddler:
    """Return a teacher that answers so many calls and then raises for ever."""

    async def meddle(_: Request, call: int) -> Response | None:
        if call > number:
            raise error()
        return None

    return Meddler(meddle)


def gone() -> UnreachedError:
    """Return what a client sees of a server that has gone."""
    return UnreachedError("failed to connect: connection refused")


class Witness:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.notices: list[str] = []
        self.worst = 0
        self.bank: tuple[Keyword, ...] = ()
        self.progress: Progress | None = None

    def began(self, request: RunRequest, backends: Mapping[str, Backend], worst_calls: int) -> None:
        self.told.append("began")
        self.worst = worst_calls

    def grew(self, bank: tuple[Keyword, ...], stopped: str) -> None:
        self.told.append(f"grew {stopped}")
        self.bank = bank

    def started(self, progress: Progress, store: RunStore) -> None:
        self.told.append("started")
        self.progress = progress

    def noticed(self, words: str) -> None:
        self.notices.append(words)

    def ended(self) -> None:
        self.told.append("ended")
