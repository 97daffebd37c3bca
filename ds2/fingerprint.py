"""What determines the rows of a run, and what does not.

| part | where it is |
| --- | --- |
| task, configuration (seed, target, policy, ...) | `task`, `config`: never mixed in one folder |
| the passages of the corpus, and the index that ranks them | `corpus`: likewise |
| prompts (compiled ones included), adapter | `prompts`, `config.adapter` |
| models and their endpoints' dialects | `models` |
| limits on replies, and extras of sampling such as `min_p` | `sampling` |
| DSPy, the reading of answers, the screens | `dspy`, `equivalence`, `screens` |
| not: concurrency, timeouts, retries, `coalesce`, `hedge`, budgets, keys, the machine, the clock | nowhere |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ds2.config import RunConfig
from signatures.errors import StoreError
from signatures.records import content_id
from signatures.task import TaskSpec

VERSION = 1

# What a user may knowingly change in the middle of a run; logged calls of the old kind stay unused.
CHANGEABLE = ("prompts", "models", "sampling", "dspy", "equivalence", "screens")


def identity(
    task: TaskSpec,
    config: RunConfig,
    *,
    prompts: str,
    models: Mapping[str, str],
    sampling: Mapping[str, Mapping[str, Any]],
    dspy: str,
    equivalence: str,
    screens: str,
    corpus: str | None = None,
) -> dict[str, Any]:
    """Return all that determines the rows, as plain data.

    Args:
        task: the task.
        config: the settings.
        prompts: the fingerprint of the program's prompts.
        models: for each stage, model and dialect.
        sampling: for each stage, the limit on a reply, up to where it may grow, and extras.
        dspy: DSPy's version.
        equivalence: the version of the reading and comparing of answers.
        corpus: the hash of the passages and of what ranks them; None without a corpus.
        screens: the version of the screens, and of what proposes duplicates to them.
    """
    return {
        "version": VERSION,
        "task": json.loads(task.model_dump_json()),
        "config": json.loads(config.model_dump_json()),
        "prompts": prompts,
        "models": dict(models),
        "sampling": json.loads(json.dumps({name: dict(each) for name, each in sampling.items()})),
        "dspy": dspy,
        "equivalence": equivalence,
        "corpus": corpus,
        "screens": screens,
    }


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Return the hash of an identity."""
    return content_id(dict(identity))


def check_same(
    stored: Mapping[str, Any],
    ours: Mapping[str, Any],
    *,
    folder: Path,
    logged_calls: int,
    accept_new_prompts: bool,
) -> None:
    """Refuse to continue a run with another identity.

    A larger cap on candidates is no other run: all that was decided stays as it is.

    Raises:
        StoreError: what differs, and what going on would cost. Any other change of task or
            configuration is refused; of prompts, models or versions it may be accepted with
            `--accept-new-prompts`.
    """
    stored = _with_larger_cap(stored, ours)
    names = [name for name in ours if stored.get(name) != ours[name]]
    if not names or (accept_new_prompts and set(names) <= set(CHANGEABLE)):
        return
    changes = "; ".join(_change(name, stored.get(name), ours[name]) for name in names)
    changeable = set(names) <= set(CHANGEABLE)
    todo = (
        f"Going on asks anew what differs: up to {logged_calls} logged calls would not be used. "
        "Give --accept-new-prompts to do so, or choose another --out."
        if changeable
        else "Choose another --out, or give the same task and settings again."
    )
    raise StoreError.rule(
        "Continuing the run failed",
        unit=str(folder),
        name=" and ".join(names),
        rule="be the same as when the run began",
        value=changes,
        todo=todo,
    )


def _with_larger_cap(stored: Mapping[str, Any], ours: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `stored` with our cap on candidates where ours is larger: it only goes on further."""
    theirs = stored.get("config", {})
    cap = ours["config"]["candidates"]
    if not theirs.get("quotas") or theirs.get("candidates", cap) >= cap:
        return stored
    return {**stored, "config": {**theirs, "candidates": cap}}


def _change(name: str, old: object, new: object) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        changes = {key: (old.get(key), new.get(key)) for key in keys}
        if len(keys) > 1 and len(set(map(repr, changes.values()))) == 1:
            return f"{name} were {old[keys[0]]!r}, are {new[keys[0]]!r}"
        return ", ".join(f"{name}.{key} was {a!r}, is {b!r}" for key, (a, b) in changes.items())
    return f"{name} was {old!r}, is {new!r}"
