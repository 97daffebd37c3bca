"""An endpoint and the calls to it, event by event: seconds pass only on paper.

python tests/ds2_tests/endpoint_events.py prints the table of docs/benchmarks.md.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import NamedTuple

from ds2.engines.congestion import Congestion, CongestionConfig

Moment = tuple[float, int, str]  # the time, the limit, the state of its control
Latency = Callable[[random.Random], float]
MEAN_S = 0.5


def even(rng: random.Random) -> float:
    """Draw a latency evenly from 0.25 to 0.75 s."""
    return rng.uniform(0.25, 0.75)


def long_tailed(rng: random.Random) -> float:
    """Draw a lognormal latency of mean 0.5 s, sigma 1."""
    return MEAN_S * rng.lognormvariate(-0.5, 1)


@dataclass
class Endpoint:
    """What an endpoint does with a call; limits may be functions of the time, in seconds.

    Args:
        latency: of a call that is worked on.
        refuses: share of the calls that are refused whatever the load.
        hangs: share of the calls that bring nothing until the client gives up, after `timeout_s`.
        slow: share of the replies that come `slow_s` later.
        most: calls at once, refused above it.
        workers: calls worked on at once; those above it wait in line.
        a_minute: calls accepted in a minute that slides, refused above it with `Retry-After`.
        retry_after: share of the calls refused whatever the load with `Retry-After: 1`.
        refusal_s: how long a refusal takes; None for as long as a reply.
    """

    latency: Latency = even
    refuses: float = 0.0
    hangs: float = 0.0
    timeout_s: float = 5.0
    slow: float = 0.0
    slow_s: float = 5.0
    most: Callable[[float], float] = lambda _: inf
    workers: Callable[[float], float] = lambda _: inf
    a_minute: float = inf
    retry_after: float = 0.0
    refusal_s: float | None = 0.01
    busy: int = field(default=0, init=False)
    _free_s: list[float] = field(default_factory=list, init=False)
    _accepted: deque[float] = field(default_factory=deque, init=False)

    def takes(self, now_s: float, rng: random.Random) -> tuple[float, str, float]:
        """Return when a call comes back, what it is then, and how long everyone is asked to wait."""
        worked_s = self.latency(rng)
        refused_s = now_s + (worked_s if self.refusal_s is None else self.refusal_s)
        while self._accepted and self._accepted[0] <= now_s - 60:
            self._accepted.popleft()
        if len(self._accepted) >= self.a_minute:
            return refused_s, "refused", self._accepted[0] + 60 - now_s
        if self.busy >= self.most(now_s) or rng.random() < self.refuses:
            return refused_s, "refused", 0.0
        if rng.random() < self.retry_after:
            return refused_s, "refused", 1.0
        if self.a_minute < inf:
            self._accepted.append(now_s)
        self.busy += 1
        if rng.random() < self.hangs:
            return now_s + self.timeout_s, "lost", 0.0
        if rng.random() < self.slow:
            worked_s += self.slow_s
        return self._begins_s(now_s, worked_s) + worked_s, "reply", 0.0

    def _begins_s(self, now_s: float, worked_s: float) -> float:
        """Return when work on a call begins: at once, or when a worker is free (first come)."""
        workers = self.workers(now_s)
        if workers == inf:
            return now_s
        while self._free_s and (self._free_s[0] <= now_s or len(self._free_s) > workers):
            heapq.heappop(self._free_s)
        begins_s = now_s
        if len(self._free_s) >= workers:
            begins_s = heapq.heappop(self._free_s)
        heapq.heappush(self._free_s, begins_s + worked_s)
        return begins_s


class Seen(NamedTuple):
    """What came of a drive, after its warm-up."""

    limit: float  # mean over time
    replies_s: float
    refused: float  # share of the calls that came back
    limits: list[Moment]

    def between(self, first_s: float, last_s: float) -> float:
        """Return the mean limit over a stretch of time."""
        return _mean_over_time(self.limits, first_s, last_s)


def drive(
    control: Congestion, endpoint: Endpoint, *, seconds: float, warm_s: float = 0.0, seed: int = 0
) -> Seen:
    """Keep the endpoint as busy as allowed for so long, with always more to ask."""
    rng = random.Random(seed)
    now_s, paused_s, number, in_flight = 0.0, 0.0, 0, 0
    flights: list[tuple[float, int, float, str, int, float]] = []
    limits: list[Moment] = [(0.0, control.limit, control.state)]
    replies = refused = 0
    while now_s < seconds:
        while in_flight < control.limit and now_s >= paused_s:
            in_flight, number = in_flight + 1, number + 1
            limit = control.sent(now_s, in_flight)
            back_s, what, wait_s = endpoint.takes(now_s, rng)
            heapq.heappush(flights, (back_s, number, now_s, what, limit, wait_s))
        if now_s < paused_s and (not flights or flights[0][0] > paused_s):
            now_s = paused_s
            continue
        now_s, _, sent_s, what, limit, wait_s = heapq.heappop(flights)
        in_flight -= 1
        if what == "reply":
            control.replied(now_s, sent_s, limit)
        elif what == "refused":
            control.overloaded(now_s, sent_s)
            if wait_s:
                paused_s = max(paused_s, now_s + wait_s)
        endpoint.busy -= what != "refused"
        if now_s >= warm_s:
            replies, refused = replies + (what == "reply"), refused + (what == "refused")
        limits.append((now_s, control.limit, control.state))
    return Seen(
        _mean_over_time(limits, warm_s, now_s),
        replies / (now_s - warm_s),
        refused / max(1, refused + replies),
        limits,
    )


def _mean_over_time(limits: list[Moment], first_s: float, last_s: float) -> float:
    area = 0.0
    for (begin_s, limit, _), (end_s, _, _) in pairwise(limits):
        area += limit * max(0.0, min(end_s, last_s) - max(begin_s, first_s))
    return area / (last_s - first_s)


ENDPOINTS: dict[str, Callable[[Latency], Endpoint]] = {
    "no limit": lambda latency: Endpoint(latency),
    "refuses 0.001 of the calls": lambda latency: Endpoint(latency, refuses=0.001),
    "refuses 0.01": lambda latency: Endpoint(latency, refuses=0.01),
    "refuses 0.02": lambda latency: Endpoint(latency, refuses=0.02),
    "refuses 0.05": lambda latency: Endpoint(latency, refuses=0.05),
    "refuses 0.1": lambda latency: Endpoint(latency, refuses=0.1),
    "0.01 hang for 5 s, 0.02 are 5 s late": lambda latency: Endpoint(
        latency, hangs=0.01, slow=0.02
    ),
    "that, 0.04 refused, 0.02 more with a pause of 1 s": lambda latency: Endpoint(
        latency, hangs=0.01, slow=0.02, refuses=0.04, retry_after=0.02
    ),
    "8 at once, 429 above": lambda latency: Endpoint(latency, most=lambda _: 8),
    "50 at once": lambda latency: Endpoint(latency, most=lambda _: 50),
    "200 at once": lambda latency: Endpoint(latency, most=lambda _: 200),
    "50 at once, 429 as late as a reply": lambda latency: Endpoint(
        latency, most=lambda _: 50, refusal_s=None
    ),
    "3,000 a minute, 429 above": lambda latency: Endpoint(latency, a_minute=3000),
    "16 workers, the rest wait in line": lambda latency: Endpoint(latency, workers=lambda _: 16),
    "64 workers": lambda latency: Endpoint(latency, workers=lambda _: 64),
}


def main() -> None:
    """Print limit, replies a second and share refused on each endpoint, means of two drives."""
    for name, endpoint in ENDPOINTS.items():
        cells = []
        for latency in (even, long_tailed):
            drives = [
                drive(
                    Congestion(CongestionConfig(ceiling=256)),
                    endpoint(latency),
                    seconds=180,
                    warm_s=30,
                    seed=seed,
                )
                for seed in (0, 1)
            ]
            of = [sum(figures) / 2 for figures in zip(*[seen[:3] for seen in drives], strict=True)]
            cells.append(f"{of[0]:.0f}, {of[1]:.0f}, {of[2]:.3f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)  # noqa: T201 - what it is run for


if __name__ == "__main__":
    main()
