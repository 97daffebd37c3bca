"""A dev set out of a run's own rows: self-labelled, and saying so."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ds2.output.files import replacing
from ds2.runtime.decisions import accepted_rows
from ds2.store import STORE_NAME, RunStore
from signatures.bloom import LEVELS
from signatures.errors import ConfigError, StoreError
from signatures.records import Row
from signatures.task import TaskSpec

MIN_AGREEMENT = 0.8
MIN_DRAWS = 3


class SelfLabelled(NamedTuple):
    """What was written: the file, its note, its rows, and how many could have been taken."""

    file: Path
    meta: Path
    rows: int
    eligible: int
    labelled_by: str


def write_devset(
    task: TaskSpec, run: Path, file: Path, *, rows: int, min_agreement: float = MIN_AGREEMENT
) -> SelfLabelled:
    """Write a dev set of a run's rows on which its own vote agreed, and a note beside it.

    Rows need at least three draws and the agreement asked for; levels take turns, within a level
    the order is that of the row's id, which is a hash. Every row says who labelled it, and
    `FILE.meta.json` says the same of the whole: such answers are what the model said most often, not
    what is right, so a score on them is agreement.

    Raises:
        StoreError: the folder is no run of this task.
        ConfigError: the run has too few such rows.
    """
    with RunStore(_checked(run), lock=False) as store:
        named = store.meta().get("identity", {}).get("task", {}).get("name")
        if named != task.name:
            raise StoreError.rule(
                "Making a dev set failed",
                unit=str(run),
                name="its task",
                rule=f"be {task.name!r}",
                value=named,
                todo="Name a run of this task with --run.",
            )
        found = [
            row
            for row in accepted_rows(store)
            if row.vote.draws >= MIN_DRAWS and row.vote.agreement >= min_agreement
        ]
    if len(found) < rows:
        raise ConfigError.rule(
            "Making a dev set failed",
            unit=str(run),
            name=f"rows of agreement {min_agreement:g} and more",
            rule=f"be at least {rows}",
            value=len(found),
            todo="Give a larger run, a smaller --n or a lower --min-agreement.",
        )
    chosen = list(_in_turn(found))[:rows]
    models = sorted({row.model for row in chosen})
    by = f"self-consistency of {', '.join(models)}, agreement {min_agreement:g} and more"
    with replacing(file) as temp:
        lines = (json.dumps(_values(row, by), ensure_ascii=False) + "\n" for row in chosen)
        temp.write_text("".join(lines), encoding="utf-8", newline="\n")
    meta = file.with_name(file.name + ".meta.json")
    note = {
        "self_labelled": True,
        "labelled_by": by,
        "task": task.name,
        "run": str(run),
        "rows": len(chosen),
        "eligible": len(found),
    }
    with replacing(meta) as temp:
        temp.write_text(json.dumps(note, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return SelfLabelled(file, meta, len(chosen), len(found), by)


def _checked(run: Path) -> Path:
    if not (run / STORE_NAME).is_file():
        raise StoreError.rule(
            "Making a dev set failed",
            unit=str(run),
            name="the run folder",
            rule="hold a run",
            value="no store",
            todo="Make one first, such as `ds2 run TASK --target 120`, or name one with --run.",
        )
    return run


def _in_turn(rows: Sequence[Row]) -> Iterator[Row]:
    by_level: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        by_level[row.instruction.level].append(row)
    for place in range(max(map(len, by_level.values()), default=0)):
        for level in LEVELS:
            if place < len(by_level[level]):
                yield by_level[level][place]


def _values(row: Row, by: str) -> dict[str, Any]:
    made = row.instruction
    values: dict[str, Any] = {"question": made.question, "answer": row.answer}
    if made.context:
        values["context"] = made.context
    if made.options:
        values["options"] = list(made.options)
    return values | {
        "keywords": list(made.keywords),
        "level": made.level.value,
        "agreement": row.vote.agreement,
        "labelled_by": by,
    }
