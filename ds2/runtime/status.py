"""How a run is doing, read from its folder: under way, ended or killed; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ds2.config import preset
from ds2.lock import is_running
from ds2.runtime.budgets import killed_calls
from ds2.runtime.costs import Cost, run_cost, total
from ds2.runtime.heartbeat import CUT_SHORT, HISTORY, META
from ds2.runtime.lastword import LastWord
from ds2.runtime.ledger import Ledger
from ds2.runtime.past import refuse_compile
from ds2.runtime.summary import stage_usage
from ds2.store import RunStore

SILENT_S = 30.0  # a run that lives beats every two seconds


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What is known of a run from its folder.

    Args:
        folder: the run folder.
        state: `running`, or how it ended: as in `summary.json`, or `error`, `killed` (it ended
            without a word), `unknown` (written by a version that did not say).
        phase: of a running one: starting, keywords, rows or writing.
        why: what the run said when it ended, where it said something.
        task, model: what is run.
        target: rows wanted; None before the run has said.
        levels: for each level, rows accepted and rows wanted (None without quotas).
        ledger: planned = accepted + rejected + surplus + pending.
        problem: why the ledger does not add up; None where it does.
        stages: calls, tokens and cost by stage, over the life of the run.
        cost: of all calls so far.
        row_usd: the price of an accepted row; None where it is not known.
        new_calls: calls made by the process that works on it, or worked on it last.
        rate: calls and rows a minute over that process's last minutes; None before new calls.
        time_left_s: seconds until the target at that rate; None where it cannot be told.
        limits: by model: calls in flight, the most there may be, and what holds them there.
        pid, began_s, beat_s: that process, when it began and last gave a sign, in Unix time.
        silent_s: seconds without a sign from a process that holds the run; None within the usual.
        stopped_by: the budget that ended it: calls, tokens, usd or minutes.
        worked_s: seconds that all its processes worked, together; None where none has said.
        cancelled_calls, failed_calls, killed_calls: calls that brought no reply and may be billed, as
            in its summary; of one that was killed with those it may have had in flight.
    """

    folder: str
    state: str
    phase: str | None
    why: str
    task: str | None
    model: str | None
    target: int | None
    levels: dict[str, tuple[int, int | None]]
    ledger: Ledger
    problem: str | None
    stages: dict[str, dict[str, Any]]
    cost: Cost
    row_usd: float | None
    new_calls: int | None
    rate: dict[str, float] | None
    time_left_s: float | None
    limits: list[dict[str, Any]]
    pid: int | None
    began_s: float | None
    beat_s: float | None
    silent_s: float | None = None
    stopped_by: str | None = None
    worked_s: float | None = None
    cancelled_calls: int = 0
    failed_calls: int = 0
    killed_calls: int = 0

    @property
    def calls(self) -> int:
        """Return all calls in the log."""
        return sum(stage["calls"] for stage in self.stages.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the status as plain data."""
        plain = asdict(replace(self, ledger=Ledger()))
        levels = {
            level: {"accepted": accepted, "wanted": wanted}
            for level, (accepted, wanted) in self.levels.items()
        }
        return {**plain, "levels": levels, "ledger": self.ledger.as_dict(), "calls": self.calls}


def read_status(folder: Path, *, calendar_s: Callable[[], float] = time.time) -> RunStatus:
    """Return the status of the run in a folder, whether a process works on it or not.

    Args:
        folder: the run folder; it is only read.
        calendar_s: what tells the Unix time.

    Raises:
        StoreError: it holds no run, a compile, an empty store, or one of another schema.
    """
    with RunStore(folder, lock=False) as store:
        # Before the rest is read: a run that ends meanwhile is then seen as running, never as killed.
        running = is_running(folder)
        refuse_compile(store)
        meta = store.meta()
        beat = meta.get(META) or {}
        if not running:
            said = LastWord(folder).read(beat)
            beat = {**beat, **said, CUT_SHORT: True} if said else beat
        state, phase = _state(running, beat)
        ledger = _ledger(store, beat, state)
        counts = None if running else store.counts()
        cost = total(run_cost(store))
        identity = meta.get("identity", {})
        model = identity.get("models", {}).get("answers", "").partition(" (")[0]
        silent_s = calendar_s() - beat["beat_s"] if running and beat else 0.0
        return RunStatus(
            folder=str(folder),
            state=state,
            phase=phase,
            why=beat.get("why", ""),
            task=identity.get("task", {}).get("name"),
            model=model or None,
            target=identity.get("config", {}).get("target"),
            levels=_levels(store, beat, state, identity.get("config", {})),
            ledger=ledger,
            problem=ledger.imbalance(counts),
            stages=stage_usage(store),
            cost=cost,
            row_usd=cost.each_usd(ledger.accepted),
            new_calls=beat.get("new_calls"),
            rate=beat.get("rate"),
            time_left_s=None
            if state == "killed" or beat.get(CUT_SHORT)
            else beat.get("time_left_s"),
            limits=beat.get("limits", []) if running else [],
            pid=beat.get("pid"),
            began_s=beat.get("began_s"),
            beat_s=beat.get("beat_s"),
            silent_s=round(silent_s, 1) if silent_s > SILENT_S else None,
            stopped_by=beat.get("stopped_by"),
            worked_s=_worked_s(meta, beat),
            cancelled_calls=beat.get("cancelled_calls", 0),
            failed_calls=beat.get("failed_calls", 0),
            killed_calls=killed_calls(store, running=running),
        )


def _worked_s(meta: Mapping[str, Any], beat: Mapping[str, Any]) -> float | None:
    history = meta.get(HISTORY) or [[None]]
    worked_s: float | None = beat.get("worked_s", history[-1][0])
    return worked_s


def _state(running: bool, beat: Mapping[str, Any]) -> tuple[str, str | None]:
    ended = beat.get("status")
    if running:
        # What ended is the process before this one, or this one in its last moment.
        return "running", "starting" if ended or not beat else str(beat["phase"])
    if not beat:
        return "unknown", None
    return (str(ended) if ended else "killed"), None


def _told(beat: Mapping[str, Any], state: str) -> bool:
    """Return whether the ledger in a heartbeat is that of now, or of the end."""
    return bool(beat) and state not in {"killed", "unknown"} and not beat.get(CUT_SHORT)


def _ledger(store: RunStore, beat: Mapping[str, Any], state: str) -> Ledger:
    """Return the ledger as the run told it, or as the store shows it where it could not.

    Of a run that was killed, or cut short, a unit with calls and no decision is pending; one that
    was begun and had no reply yet left no trace.
    """
    if _told(beat, state):
        return Ledger.from_dict(beat["ledger"])
    ledger = Ledger()
    for (state_of, reason), number in store.counts().items():
        if state_of == "accepted":
            ledger.accepted = number
        elif state_of == "surplus":
            ledger.surplus = number
        else:
            ledger.rejected[reason] = number
    [[begun]] = store.rows(
        "SELECT count(DISTINCT place) FROM calls"
        " WHERE place >= 0 AND place NOT IN (SELECT place FROM units)"
    )
    if begun:
        ledger.pending[state] = begun
    ledger.planned = ledger.decided + ledger.surplus + begun
    return ledger


def _levels(
    store: RunStore, beat: Mapping[str, Any], state: str, config: Mapping[str, Any]
) -> dict[str, tuple[int, int | None]]:
    if not config:
        return {}
    accepted = beat.get("by_level", {})
    if not _told(beat, state):
        accepted = dict(
            store.rows(
                "SELECT json_extract(record, '$.instruction.level'), count(*) FROM units"
                " WHERE state = 'accepted' GROUP BY 1"
            )
        )
    quotas = preset("default", config["target"]).level_quotas
    return {
        str(level): (accepted.get(str(level), 0), wanted if config["quotas"] else None)
        for level, wanted in sorted(quotas.items(), key=lambda item: item[0].rank)
    }
