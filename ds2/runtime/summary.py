"""What a run came to, for people and machines: the part that may depend on timing and cost."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ds2.output.files import replacing
from ds2.runtime.costs import run_cost
from ds2.runtime.ledger import Ledger
from ds2.store import RunStore

SUMMARY_NAME = "summary.json"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The end of a run.

    Args:
        status: complete, exhausted, candidates, collapsed (no keyword is left), budget, endpoint,
            interrupted, pilot, or unbalanced where the ledger does not add up.
        task, model, teacher: what was run.
        target: rows wanted.
        out: the run folder.
        ledger: planned = accepted + rejected + surplus + pending.
        keywords: size of the keyword bank and why it stopped growing.
        stages: calls, tokens and cost by stage, over the life of the run.
        calls: all calls in the log.
        new_calls: calls made by this process.
        requests: what this process sent for them: retries and stragglers asked twice are counted
            each time, draws that share a request once.
        cancelled_calls: calls that were cancelled on the wire (their unit had become surplus, or the
            run ended): they brought no reply and may be billed.
        failed_calls: calls that timed out, broke off, or brought what cannot be read, choices of a
            shared request among them: as much.
        killed_calls: at most so many were in flight when a process of the run ended without a word.
        surplus_calls: calls for units whose quota was full when their turn came.
        samples_per_row: answers drawn for each accepted row, those of rejected units counted.
        mean_agreement: over the accepted rows; None with none.
        fingerprint: the hash of all that determines the rows.
        wall_s: seconds this process took.
        cost_usd: what all calls in the log cost; None where that is not known.
        cost_at_least_usd: the part of it that is known.
        row_usd: the cost of an accepted row; None where it is not known or there is none.
        stopped_by: which budget ended it: calls, tokens, usd or minutes; None for any other end.
        notices: what a reader should know.
        examples: for each reason of the ledger's rejections the first unit that met it, in one line.
        retired: the keywords that the collapse alarm retired, each with why.
    """

    status: str
    task: str
    model: str
    teacher: str
    target: int
    out: str
    ledger: dict[str, Any]
    keywords: dict[str, Any]
    stages: dict[str, dict[str, Any]]
    calls: int
    new_calls: int
    requests: int
    cancelled_calls: int
    failed_calls: int
    killed_calls: int
    surplus_calls: int
    samples_per_row: float | None
    mean_agreement: float | None
    fingerprint: str
    wall_s: float
    cost_usd: float | None = None
    cost_at_least_usd: float = 0.0
    row_usd: float | None = None
    stopped_by: str | None = None
    notices: tuple[str, ...] = field(default=())
    examples: dict[str, str] = field(default_factory=dict)
    retired: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return what the command line leaves with: 0 complete, 3 stopped, 130 interrupted, 1 a bug."""
        return {"complete": 0, "interrupted": 130, "unbalanced": 1}.get(self.status, 3)

    def as_json(self) -> str:
        """Return the summary as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    def write(self, folder: Path) -> None:
        """Write `summary.json`."""
        with replacing(folder / SUMMARY_NAME) as temp:
            temp.write_text(self.as_json(), encoding="utf-8", newline="\n")


def stage_usage(store: RunStore) -> dict[str, dict[str, Any]]:
    """Return calls, tokens and cost by stage as plain data."""
    costs = run_cost(store)
    return {
        stage: {**asdict(usage), "cost_usd": costs[stage].usd}
        for stage, usage in store.usage().items()
    }


def surplus_calls(store: RunStore, ledger: Ledger) -> int:
    """Return how many logged calls were for surplus units.

    A unit that was in flight when an earlier process ended and never came again has no decision;
    once nothing is pending its calls are surplus too.
    """
    calls = store.calls_by_state()
    left_over = 0 if ledger.pending.total() else calls.get("undecided", 0)
    return calls.get("surplus", 0) + left_over
