"""How many calls an endpoint can take at once, found out while it works (pure: no clock, no loop).

The rule is that of TCP: slow start, then additive increase, one multiplicative cut for a burst of
overload. Two signals end the growth. *Overload*: a 429, 503 or the like. *Saturation*, for servers
that never say so: more calls in flight bring no more replies a second, only longer waits.

Source: Jacobson (1988), Congestion Avoidance and Control; the test for saturation by throughput
follows Little's law (in flight = throughput x latency).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["slow start", "growing", "saturated", "at the ceiling"]


@dataclass(frozen=True, slots=True)
class CongestionConfig:
    """The constants of the rule.

    Args:
        start: calls in flight at first, at least 1.
        ceiling: most calls in flight, at least 1.
        cut: what a burst of overload leaves of the limit, 0 to 1.
        gain: smallest growth of throughput, for each growth of the limit, that counts as more, 0 to 1.
        patience: epochs without gain after which the endpoint is taken as saturated.
        probe: epochs after which a saturated endpoint is tried with more again.
    """

    start: int = 8
    ceiling: int = 64
    cut: float = 0.7
    gain: float = 0.25
    patience: int = 2
    probe: int = 20


@dataclass(slots=True)
class _Epoch:
    began_s: float
    limit: float
    replies: int = 0


class Congestion:
    """The limit on calls in flight for one (endpoint, model), as a function of what was observed.

    Times are seconds on any steady clock, handed in by the caller. An epoch is as many replies as
    the limit allowed at its start, and at least eight. At its end its throughput is compared with
    that of the best epoch so far at a lower limit.
    """

    def __init__(self, config: CongestionConfig) -> None:
        self.config = config
        self.state: State = "slow start"
        self.cuts = 0
        self._limit = float(min(config.start, config.ceiling))
        self._cut_s = float("-inf")
        self._epoch: _Epoch | None = None
        self._best: tuple[float, float] | None = None  # limit and throughput of the last real gain
        self._flat = 0
        self._rested = 0

    @property
    def limit(self) -> int:
        """Return how many calls may be in flight now, at least 1."""
        return max(1, int(self._limit))

    def replied(self, now_s: float, in_flight: int) -> None:
        """Take in a reply; `in_flight` counted it.

        The limit grows only while it is used: by one a reply in slow start, by 1/limit after. Nor is
        it judged otherwise: where there was less to ask, that set the pace, and not the endpoint.
        """
        if in_flight < self.limit - 1:
            self._epoch = None
            return
        self._count(now_s)
        if self.state in {"saturated", "at the ceiling"}:
            return
        self._limit += 1.0 if self.state == "slow start" else 1.0 / self._limit
        if self._limit >= self.config.ceiling:
            self._limit = float(self.config.ceiling)
            self.state = "at the ceiling"

    def overloaded(self, now_s: float, sent_s: float) -> bool:
        """Take in a call that the endpoint turned away; return whether the limit was cut for it.

        A call that was sent before the last cut belongs to the burst that caused it.
        """
        if sent_s <= self._cut_s:
            return False
        self._limit = max(1.0, self._limit * self.config.cut)
        self._cut_s = now_s
        self._epoch, self._best, self._flat = None, None, 0
        self.state = "growing"
        self.cuts += 1
        return True

    def _count(self, now_s: float) -> None:
        epoch = self._epoch
        if epoch is None:
            self._epoch = _Epoch(now_s, self._limit)
            return
        epoch.replies += 1
        if epoch.replies < max(8, int(epoch.limit)):
            return
        if now_s > epoch.began_s:
            self._judge(epoch.limit, epoch.replies / (now_s - epoch.began_s))
        self._epoch = _Epoch(now_s, self._limit)

    def _judge(self, limit: float, rate: float) -> None:
        if self.state == "saturated":
            self._rested += 1
            if self._rested >= self.config.probe:
                self.state, self._flat, self._best = "growing", 0, (limit, rate)
            return
        if self._best is None or limit <= self._best[0]:
            self._best = (limit, rate)
            return
        best_limit, best_rate = self._best
        # Of the growth in the limit, what share came back as throughput?
        if rate / best_rate - 1 >= self.config.gain * (limit / best_limit - 1):
            self._best, self._flat = (limit, rate), 0
            return
        self._flat += 1
        if self._flat >= self.config.patience:
            # Back to where more was last more: the rest was only waiting.
            self._limit = best_limit
            self.state, self._rested = "saturated", 0
