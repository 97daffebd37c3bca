"""A run as its folder tells it: what was asked, which keywords, what each unit was for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ds2.config import RunConfig
from ds2.runtime.plan import Plan, make_plan
from ds2.store import STORE_NAME, RunStore
from signatures.errors import OutputError, StoreError
from signatures.records import Keyword
from signatures.task import TaskSpec


@dataclass(frozen=True, slots=True)
class PastRun:
    """What a run folder says beside its store.

    Args:
        folder: the run folder.
        task: the task as it was run.
        config: what determines its rows.
        settings: the whole of `config.json`: task, run, engine, budget, models.
        keywords: the bank with its lineage; empty where the run stopped before it was there.
        summary: `summary.json`; empty where the run has not ended yet.
        sources: the document of each passage of a corpus that keywords came from, by its id.
    """

    folder: Path
    task: TaskSpec
    config: RunConfig
    settings: dict[str, Any]
    keywords: tuple[Keyword, ...]
    summary: dict[str, Any]
    sources: dict[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Return the order of its units, which says what each place was asked for.

        Raises:
            OutputError: the run stopped before it had keywords.
        """
        if not self.keywords:
            raise unreadable(self.folder, "keywords.json", "it is missing or empty")
        return make_plan([keyword.text for keyword in self.keywords], self.config)

    @contextmanager
    def store(self) -> Iterator[RunStore]:
        """Open its store beside whatever process runs it; nothing is written."""
        with RunStore(self.folder, lock=False) as store:
            yield store


def read_run(folder: Path) -> PastRun:
    """Return what a run folder says of itself, of a run that goes on as of one that has ended.

    Raises:
        OutputError: it is no run folder, or one of its files is damaged.
        StoreError: it is that of a compile, or its store cannot be read.
    """
    if not (folder / STORE_NAME).is_file():
        raise OutputError.rule(
            "Reading the run failed",
            unit=str(folder),
            name="the folder",
            rule=f"be that of a run, with its {STORE_NAME}",
            value=f"no {STORE_NAME}",
            todo="Name the folder of a run, such as runs/gsm8k-60.",
        )
    if not (folder / "config.json").is_file():
        with RunStore(folder, lock=False) as store:
            refuse_compile(store)
    settings = _json(folder, "config.json")
    bank = _json(folder, "keywords.json", optional=True)
    try:
        return PastRun(
            folder=folder,
            task=TaskSpec.model_validate(settings["task"]),
            config=RunConfig.model_validate(settings["run"]),
            settings=settings,
            keywords=tuple(Keyword.model_validate(keyword) for keyword in bank.get("keywords", ())),
            summary=_json(folder, "summary.json", optional=True),
            sources={passage["id"]: passage["source"] for passage in bank.get("passages", ())},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable(folder, "config.json or keywords.json", str(error)[:200]) from error


def refuse_compile(store: RunStore) -> None:
    """Refuse the folder of a compile, which is no run.

    Raises:
        StoreError: it is one.
    """
    if "compile" in store.meta():
        raise StoreError.rule(
            "Opening the run failed",
            unit=str(store.folder),
            name="the folder",
            rule="be that of a run",
            value="a compile",
            todo="Its manifest.json says what it came to; `ds2 run TASK --program FOLDER/program.json` "
            "uses its prompts, with a folder of its own.",
        )


def _json(folder: Path, name: str, *, optional: bool = False) -> dict[str, Any]:
    path = folder / name
    if optional and not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(folder, name, f"{type(error).__name__}: {error}"[:200]) from error
    if not isinstance(value, dict):
        raise unreadable(folder, name, f"a JSON {type(value).__name__}")
    return value


def unreadable(folder: Path, name: str, why: str) -> OutputError:
    """Return the error of a file of a run folder that does not say what it should."""
    return OutputError.rule(
        "Reading the run failed",
        unit=str(folder),
        name=name,
        rule="be what `ds2 run` wrote",
        value=why,
        todo="Give the same `ds2 run` command again: it writes the file anew without new calls.",
    )
