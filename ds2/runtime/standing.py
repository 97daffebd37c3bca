"""How a run stands, for its report: one account of it, whether it goes on, has ended or was killed.

Rows and units are counted in the store, which the page shows too; the heartbeat says what is in
work and how the run ended. `summary.json` is of the last process that came to an orderly end, so
only what it says of this very end is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ds2.report.facts import Figure, Stage
from ds2.report.figures import Figures
from ds2.runtime.ledger import Ledger
from ds2.runtime.past import PastRun
from ds2.runtime.status import RunStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """A run as its report tells it.

    Args:
        past: what its folder says.
        status: how it is doing.
        figures: what its store holds.
    """

    past: PastRun
    status: RunStatus
    figures: Figures

    @property
    def words(self) -> str:
        """Return the status: `running` and at what, or how it ended."""
        status = self.status
        if status.state == "unknown":
            return str(self.past.summary.get("status", status.state))
        return status.state if status.phase is None else f"{status.state}, at {status.phase}"

    @property
    def simulated(self) -> bool:
        """Return whether the simulated teacher answers, in its process or over HTTP."""
        dialect = str(self.past.settings["models"]["answers"][1])
        teachers = (self.past.settings.get("teacher"), self.past.summary.get("teacher"))
        return dialect.startswith("simulated-teacher/") or "simulated" in teachers

    @property
    def ledger(self) -> Ledger:
        """Return the units of the store, and with them those that are in work or were left."""
        figures, summary = self.figures, self.past.summary
        pending = self.status.ledger.pending
        if self.status.state == "unknown" and summary:
            pending = Counter(summary["ledger"]["pending"])
        ledger = Ledger(
            accepted=figures.accepted,
            rejected=Counter(figures.rejected),
            surplus=figures.surplus,
            pending=pending,
        )
        ledger.planned = ledger.decided + ledger.surplus + pending.total()
        return ledger

    def stages(self) -> Iterator[Stage]:
        """Yield calls, tokens and cost of each stage, over the life of the run."""
        for name, used in self.status.stages.items():
            told = used["calls"] > used["unreported"]
            yield Stage(
                name=name,
                calls=used["calls"],
                input_tokens=used["input_tokens"] if told else None,
                output_tokens=used["output_tokens"] if told else None,
                cost_usd=used["cost_usd"],
            )

    def notices(self) -> Iterator[str]:
        """Yield what a reader should know."""
        status, summary = self.status, self.past.summary
        if _tells_of(summary, status):
            yield from (n for n in summary["notices"] if not (self.simulated and "simulated" in n))
        elif status.state != "running" and status.why:
            yield status.why
        if status.state == "killed":
            yield "The process ended without a word; what was answered is kept."
        if status.silent_s is not None:
            yield f"No sign of the process for {status.silent_s:.0f} s."
        if status.problem is not None:
            yield f"The ledger does not add up: {status.problem}."

    def headline(self) -> Iterator[Figure]:
        """Yield the figures on top."""
        figures, target = self.figures, self.past.config.target
        share = f"{figures.accepted / target:.0%} of the target" if target else ""
        yield Figure("accepted", f"{figures.accepted:,} of {target:,}", share)
        yield from _agreement(figures)
        yield from self._cost()
        if self.status.calls:
            draws = self.status.stages.get("answers", {}).get("calls", 0)
            rows = figures.accepted
            note = f"{draws / rows:.1f} samples an accepted row" if rows else ""
            yield Figure("calls", f"{self.status.calls:,}", note)
        yield from self._time()

    def _cost(self) -> Iterator[Figure]:
        cost = self.status.cost
        note = "all calls, surplus included"
        if cost.usd is None:
            known = cost.at_least_usd
            note = f"at least {known:,.2f} USD" if known else "no price is known"
        yield Figure("cost", "unknown" if cost.usd is None else f"{cost.usd:,.4g} USD", note)
        each = cost.each_usd(self.figures.accepted)
        if each is not None:
            yield Figure("an accepted row", f"{each:,.4g} USD")

    def _time(self) -> Iterator[Figure]:
        status = self.status
        if status.worked_s is not None:
            yield Figure("time", _time(status.worked_s), "of work, over all its processes")
        elif (wall_s := self.past.summary.get("wall_s")) is not None:
            yield Figure("time", _time(float(wall_s)), "of the last process")
        if status.state == "running" and status.time_left_s:
            yield Figure("time left", _time(status.time_left_s), "at the rate of the last minutes")


def _tells_of(summary: Mapping[str, Any], status: RunStatus) -> bool:
    """Return whether a summary is of the end that the status tells of, not of an earlier one."""
    if not summary or status.state == "unknown":
        return bool(summary)
    return bool(summary["status"] == status.state and summary["ledger"] == status.ledger.as_dict())


def _agreement(figures: Figures) -> Iterator[Figure]:
    agreed = figures.mean_agreement
    if figures.mean_confidence is not None:
        note = "mean probability of being right, by the calibrated policy"
        yield Figure("estimated precision", f"{figures.mean_confidence:.3f}", note)
    if agreed is not None:
        note = f"95 % interval of the mean {agreed.low:.3f} to {agreed.high:.3f}"
        yield Figure("mean agreement", f"{agreed.mean:.3f}", note)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
