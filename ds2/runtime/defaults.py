"""Where a run goes when nobody says so."""

from __future__ import annotations

from pathlib import Path

from ds2.config import RunConfig
from signatures.task import TaskSpec


def default_out(task: TaskSpec, config: RunConfig) -> Path:
    """Return `runs/TASK-TARGET`, with the preset and the seed where they are not the default."""
    parts = [task.name, str(config.target)]
    if config.preset != "default":
        parts.append(config.preset)
    if config.seed:
        parts.append(f"seed{config.seed}")
    return Path("runs") / "-".join(parts)
