"""Where a run goes when nobody says so."""

from __future__ import annotations

import re
from pathlib import Path

from ds2.config import CorpusConfig, EngineConfig, RunConfig
from signatures.task import TaskSpec

PROGRAM_NAME = "program.json"  # what every compile calls its program


def default_out(
    task: TaskSpec,
    config: RunConfig,
    engine: EngineConfig,
    corpus: CorpusConfig | None = None,
    program: Path | None = None,
) -> Path:
    """Return `runs/TASK-TARGET`, with preset, models, corpus, program and seed where they are chosen.

    So the trial run on the simulated teacher and the run on a real model do not share a folder,
    nor do two runs whose answers come from different models or prompts.
    """
    parts = [task.name, str(config.target)]
    if config.preset != "default":
        parts.append(config.preset)
    if engine.model is not None:
        parts.append(_named(engine.model) or "model")
    for stage, model in sorted(engine.model_for.items()):
        parts.append(f"{stage}-{_named(model) or 'model'}")
    if corpus is not None:
        parts.append(_named(Path(corpus.path).name.partition(".")[0]) or "corpus")
    if program is not None:
        name = program.stem if program.name != PROGRAM_NAME else program.absolute().parent.name
        parts.append(f"by-{_named(name) or 'program'}")
    if config.seed:
        parts.append(f"seed{config.seed}")
    return Path("runs") / "-".join(parts)


def _named(text: str) -> str:
    """Return the last part of a name or path as a part of a folder's name."""
    last = text.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.")[:40]
