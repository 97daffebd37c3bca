"""What can be told of a run under way: one snapshot, read from its progress and its store."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ds2.runtime.costs import Cost
    from ds2.runtime.runner import Progress
    from ds2.store import RunStore

SPEED_WINDOW_S = 30.0


class Speed(NamedTuple):
    """How fast new calls come back; those that the log answered do not count."""

    calls_per_s: float
    tokens_per_s: float


class Speedometer:
    """The speed over the last `SPEED_WINDOW_S`, from readings handed in (pure: no clock)."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int, int]] = deque()

    def note(self, now_s: float, calls: int, tokens: int) -> None:
        """Take in what the log holds at a moment; earlier moments first."""
        self._readings.append((now_s, calls, tokens))
        # One reading at or before the window's beginning stays, so that the window is whole.
        while len(self._readings) > 2 and self._readings[1][0] <= now_s - SPEED_WINDOW_S:
            self._readings.popleft()

    @property
    def speed(self) -> Speed | None:
        """Return the speed, or None before two moments are known."""
        if len(self._readings) < 2:
            return None
        (from_s, calls, tokens), (to_s, more_calls, more_tokens) = (
            self._readings[0],
            self._readings[-1],
        )
        took_s = to_s - from_s
        if took_s <= 0:
            return None
        return Speed((more_calls - calls) / took_s, (more_tokens - tokens) / took_s)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment.

    Args:
        target: rows wanted.
        ledger: planned, accepted, rejected by reason, surplus, pending by cause.
        by_level: accepted rows and the quota of each level, None where levels have none.
        mean_agreement: over the accepted rows; None with none.
        stages: calls and tokens of each stage, over the life of the run.
        cost: of all its calls.
        speed: of the last half minute; None where it is not known yet.
        rows_per_min: over the last minutes; None where it is not known yet.
        time_left_s: until the target is met; None where that cannot be told yet.
        limits: of each endpoint: model, in_flight, limit, most, waiting, and what holds it.
    """

    target: int
    ledger: Mapping[str, Any]
    by_level: Mapping[str, tuple[int, int | None]]
    mean_agreement: float | None
    stages: Mapping[str, Mapping[str, int]]
    cost: Cost
    speed: Speed | None
    rows_per_min: float | None
    time_left_s: float | None
    limits: tuple[Mapping[str, Any], ...]

    @property
    def accepted(self) -> int:
        """Return the rows so far."""
        return int(self.ledger["accepted"])

    @property
    def yielded(self) -> float | None:
        """Return accepted / decided units, None before one is decided."""
        decided = self.accepted + sum(self.ledger["rejected"].values())
        return self.accepted / decided if decided else None

    @property
    def calls(self) -> int:
        """Return all calls in the log."""
        return sum(stage["calls"] for stage in self.stages.values())

    @property
    def tokens(self) -> int:
        """Return all tokens in the log, in and out."""
        return sum(s["input_tokens"] + s["output_tokens"] for s in self.stages.values())

    def as_event(self) -> dict[str, Any]:
        """Return it as the plain data of a `progress` event."""
        speed = self.speed
        return {
            "target": self.target,
            **self.ledger,
            "by_level": {level: rows for level, (rows, _) in self.by_level.items()},
            "yield": _rounded(self.yielded),
            "mean_agreement": _rounded(self.mean_agreement),
            "calls": self.calls,
            "tokens": self.tokens,
            "stages": {name: dict(stage) for name, stage in self.stages.items()},
            "calls_per_s": None if speed is None else round(speed.calls_per_s, 2),
            "tokens_per_s": None if speed is None else round(speed.tokens_per_s, 1),
            "rows_per_min": self.rows_per_min,
            "time_left_s": _rounded(self.time_left_s),
            "cost_usd": self.cost.usd,
            "cost_at_least_usd": self.cost.at_least_usd,
            "row_usd": self.cost.each_usd(self.accepted),
            "limits": [dict(limit) for limit in self.limits],
        }


class Gauge:
    """Reads snapshots of a run, one after the other, from any one thread.

    Args:
        progress: how far the run is.
        store: its open store.
        quotas: rows wanted of each level, None where levels have no quota; levels in their order.
    """

    def __init__(
        self, progress: Progress, store: RunStore, quotas: Mapping[str, int | None]
    ) -> None:
        self._progress, self._store, self._quotas = progress, store, quotas
        self._speedometer = Speedometer()

    def read(self, now_s: float) -> Snapshot:
        """Return the run as it is now; `now_s` is a steady clock's."""
        from ds2.runtime.costs import run_cost, total
        from ds2.runtime.heartbeat import META

        progress, ledger = self._progress, self._progress.ledger
        stages = {
            name: {
                "calls": used.calls,
                "input_tokens": used.input_tokens,
                "output_tokens": used.output_tokens,
            }
            for name, used in self._store.usage().items()
        }
        calls = sum(stage["calls"] for stage in stages.values())
        tokens = sum(s["input_tokens"] + s["output_tokens"] for s in stages.values())
        self._speedometer.note(now_s, calls, tokens)
        beat = self._store.meta().get(META) or {}
        rows = dict(progress.by_level)
        accepted = ledger.accepted
        return Snapshot(
            target=progress.target,
            ledger=ledger.under_way(),
            by_level={level: (rows.get(level, 0), of) for level, of in self._quotas.items()},
            mean_agreement=progress.agreement_sum / accepted if accepted else None,
            stages=stages,
            cost=total(run_cost(self._store)),
            speed=self._speedometer.speed,
            rows_per_min=(beat.get("rate") or {}).get("rows_per_min"),
            time_left_s=beat.get("time_left_s"),
            limits=tuple(beat.get("limits", ())),
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
