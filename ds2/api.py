"""The Python API: one call from a task to a `datasets.Dataset`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2.config import BudgetConfig, CorpusConfig, EngineConfig, preset
from ds2.corpus.corpus import open_corpus
from ds2.runtime.defaults import default_out
from ds2.runtime.session import RunRequest
from signatures.errors import RunStoppedError
from signatures.task import TaskSpec, load_task

if TYPE_CHECKING:
    from datasets import Dataset

    from ds2.runtime.summary import RunSummary

_ENGINE = frozenset(EngineConfig.model_fields) - {"model"}
_BUDGET = frozenset(BudgetConfig.model_fields)


def synthesize(
    task: TaskSpec | str | os.PathLike[str],
    target: int | None = None,
    *,
    model: str | None = None,
    out: str | os.PathLike[str] | None = None,
    preset: str = "default",
    corpus: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Dataset:
    """Make a dataset and return it; the same call on the same folder continues or reads it again.

    Works in scripts, threads and notebooks, a running event loop or not.

    Args:
        task: a built-in task's name, the path of a YAML file, or a `TaskSpec`.
        target: rows wanted, at least 1; None for the preset's own.
        model: `PROVIDER/NAME`; None for the built-in simulated teacher.
        out: run folder; None for `runs/TASK-TARGET`.
        preset: `default` or `paper`.
        corpus: a file or folder of documents to take keywords and contexts from; `corpus_column` and
            `corpus_index` as for `ds2 run`.
        settings: any field of `RunConfig`, `EngineConfig` or `BudgetConfig`, such as `seed`,
            `policy`, `concurrency`, `api_base`, `price`, `budget_usd`.

    Raises:
        DS2Error: something you can mend; what was answered is kept in the run folder.
        RunStoppedError: the run ended before its target (a budget or a cap).

    Example:
        >>> import tempfile
        >>> rows = synthesize("gsm8k", target=6, out=tempfile.mkdtemp())
        >>> rows.num_rows, rows.column_names[:3]
        (6, ['id', 'messages', 'instruction'])
    """
    work = asynthesize(task, target, model=model, out=out, preset=preset, corpus=corpus, **settings)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return _in_thread(work)


async def asynthesize(
    task: TaskSpec | str | os.PathLike[str],
    target: int | None = None,
    *,
    model: str | None = None,
    out: str | os.PathLike[str] | None = None,
    preset: str = "default",
    corpus: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Dataset:
    """Make a dataset and return it: `synthesize` for callers with an event loop."""
    from ds2.runtime.runner import run

    asked = settings | {"model": model, "corpus": corpus}
    # Indexing a corpus takes its time; the caller's loop goes on.
    request = await asyncio.to_thread(_request, task, target, preset, asked, out)
    summary = await run(request)
    if summary.exit_code != 0:
        raise _stopped(summary)
    return await asyncio.to_thread(read_dataset, request.out)


def read_dataset(out: str | os.PathLike[str]) -> Dataset:
    """Return the rows of a finished run, in their order; no cache is written."""
    import pyarrow.parquet as pq
    from datasets import Dataset, concatenate_datasets

    from ds2.output.dataset import dataset_shards

    # The reader of `datasets` would copy every file into its cache and draw a bar.
    shards = [pq.read_table(path) for path in dataset_shards(Path(out) / "dataset")]
    return concatenate_datasets([Dataset(table) for table in shards])


def _request(
    task: TaskSpec | str | os.PathLike[str],
    target: int | None,
    name: str,
    settings: dict[str, Any],
    out: str | os.PathLike[str] | None,
) -> RunRequest:
    documents = _corpus_config(settings)
    spec = task if isinstance(task, TaskSpec) else load_task(task)
    engine = {k: settings.pop(k) for k in list(settings) if k in _ENGINE | {"model"}}
    budget = {k: settings.pop(k) for k in list(settings) if k in _BUDGET}
    config = preset(name, target, **settings)
    engine_config = EngineConfig.build(**engine)
    return RunRequest(
        task=spec,
        config=config,
        engine=engine_config,
        budget=BudgetConfig.build(**budget),
        out=default_out(spec, config, engine_config, documents) if out is None else Path(out),
        corpus=None if documents is None else open_corpus(documents),
    )


def _corpus_config(settings: dict[str, Any]) -> CorpusConfig | None:
    """Take what is about the corpus out of `settings`."""
    path = settings.pop("corpus")
    column, index = (settings.pop(f"corpus_{name}", None) for name in ("column", "index"))
    if path is None:
        return None
    kept_in = None if index is None else os.fspath(index)
    return CorpusConfig.build(path=os.fspath(path), column=column, index=kept_in)


def _stopped(summary: RunSummary) -> RunStoppedError:
    return RunStoppedError.rule(
        "The run stopped",
        unit=summary.out,
        name="accepted rows",
        rule=f"reach the target of {summary.target}",
        value=f"{summary.ledger['accepted']}, stopped by {summary.status}",
        todo="Call again with a larger budget to continue; nothing is asked twice.",
    )


def _in_thread(work: Coroutine[Any, Any, Dataset]) -> Dataset:
    """Return the result of `work`, run on a loop of its own beside the one that runs here.

    A Ctrl-C while waiting cancels the work, and goes on up once its writes are done.
    """
    outcome: Future[Dataset] = Future()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    async def main() -> Dataset:
        started.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await work

    def target() -> None:
        try:
            outcome.set_result(asyncio.run(main()))
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            outcome.set_exception(error)

    thread = threading.Thread(target=target, name="ds2-synthesize")
    thread.start()
    try:
        return outcome.result()
    except KeyboardInterrupt:
        loop, task = started.result()
        if task is not None and thread.is_alive():
            loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()
