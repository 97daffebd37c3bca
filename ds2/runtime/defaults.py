"""Where a run goes when nobody says so."""

from __future__ import annotations

import re
from pathlib import Path

from ds2.config import EngineConfig, RunConfig
from signatures.task import TaskSpec


def default_out(task: TaskSpec, config: RunConfig, engine: EngineConfig) -> Path:
    """Return `runs/TASK-TARGET`, with the preset, the model and the seed where they are chosen.

    So the trial run on the simulated teacher and the run on a real model do not share a folder.
    """
    parts = [task.name, str(config.target)]
    if config.preset != "default":
        parts.append(config.preset)
    if engine.model is not None:
        last = engine.model.rstrip("/").rsplit("/", 1)[-1]
        parts.append(re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.")[:40] or "model")
    if config.seed:
        parts.append(f"seed{config.seed}")
    return Path("runs") / "-".join(parts)
