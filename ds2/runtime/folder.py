"""What a run leaves in its folder beside the store: configuration, dataset and card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ds2.config import RunConfig
from ds2.engines.base import Backend
from ds2.output.card import CardFacts, write_card, write_run_part
from ds2.output.dataset import DatasetFiles, write_dataset
from ds2.output.files import replacing
from ds2.runtime.decisions import accepted_rows
from ds2.runtime.ledger import Ledger
from ds2.runtime.screening import described
from ds2.runtime.session import RunRequest
from ds2.runtime.summary import RunSummary
from ds2.store import RunStore
from signatures.task import TaskSpec


def resolved(request: RunRequest, backends: Mapping[str, Backend]) -> dict[str, Any]:
    """Return a request as plain data, with the models that its names came to; no secret is in it."""
    return {
        "task": json.loads(request.task.model_dump_json()),
        "run": json.loads(request.config.model_dump_json()),
        "engine": json.loads(request.engine.model_dump_json()),
        "budget": json.loads(request.budget.model_dump_json()),
        "models": {stage: [b.model, b.dialect] for stage, b in backends.items()},
        "teacher": backends["answers"].teacher,
        "fixed_temperature": backends["answers"].fixed_temperature,
        "corpus": request.corpus.facts if request.corpus else None,
        "program": None if request.program is None else str(request.program),
    }


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file as a whole or not at all."""
    with replacing(path) as temp:
        text = json.dumps(value, ensure_ascii=False, indent=2)
        temp.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_rows(
    request: RunRequest,
    store: RunStore,
    backends: Mapping[str, Backend],
    identity: Mapping[str, Any],
    ledger: Ledger,
) -> int:
    """Write `dataset/` and return its rows: the accepted ones, in the global order, and the card."""
    folder = request.out / "dataset"
    folder.mkdir(exist_ok=True)
    files = write_dataset(accepted_rows(store), folder)
    settings = resolved(request, backends)
    write_card(card_facts(request.task, settings, identity, files, ledger.rejected), folder)
    return files.counts.rows


def card_facts(
    task: TaskSpec,
    settings: Mapping[str, Any],
    identity: Mapping[str, Any],
    files: DatasetFiles,
    rejected: Mapping[str, int],
) -> CardFacts:
    """Return what the card of a run says.

    Args:
        task: the task as it was run.
        settings: as `resolved` gives them and `config.json` keeps them.
        identity: of the run, as its store keeps it.
        files: what was written of its rows.
        rejected: units turned down, by reason.
    """
    config = RunConfig.model_validate(settings["run"])
    return CardFacts(
        task=task,
        configuration=identity["config"],
        prompts=identity["prompts"],
        teacher=settings["teacher"],
        models={stage: model for stage, (model, _) in settings["models"].items()},
        files=files.files,
        counts=files.counts,
        digest=files.digest(),
        corpus=settings["corpus"],
        fixed_temperature=settings["fixed_temperature"],
        rejections=dict(sorted(rejected.items())),
        screens=described(config, identity["config"]["avoid"], rejected),
        seeds={"run": config.seed},
    )


def write_making(folder: Path, summary: RunSummary) -> None:
    """Write into the card of a run what timing may change: cost, calls, surplus, time, versions."""
    cost = "unknown" if summary.cost_usd is None else f"{summary.cost_usd:.6g} USD"
    each = "unknown" if summary.row_usd is None else f"{summary.row_usd:.6g} USD"
    names = ("ds2-instruct", "dspy", "pyarrow")
    facts = {
        "cost": cost,
        "cost of an accepted row": each,
        "calls": f"{summary.calls:,}",
        "of them for surplus units": f"{summary.surplus_calls:,}",
        "surplus units": f"{summary.ledger['surplus']:,}",
        "time of the last process": f"{summary.wall_s:g} s",
        "versions": ", ".join(f"{name} {version(name)}" for name in names),
    }
    write_run_part(folder / "dataset", facts)
