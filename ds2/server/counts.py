"""What the simulated server counted: how a test sees that nothing was asked twice."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Counts:
    """Counts requests and completions, and the calls by content and sample number."""

    def __init__(self) -> None:
        self.requests = 0
        self.completions = 0
        self.refused = 0
        self.in_flight = 0
        self.in_flight_max = 0
        self.calls: Counter[str] = Counter()
        self._unseeded: Counter[str] = Counter()

    def arrived(self) -> None:
        """Count a request that is now in flight."""
        self.requests += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)

    def left(self) -> None:
        """Count a request that is answered or gone."""
        self.in_flight -= 1

    def first_sample(self, content: str, n: int, seed: int | None) -> int:
        """Return the sample number of the first choice: the seed, else the next one of its content."""
        if seed is not None:
            return seed
        first = self._unseeded[content]
        self._unseeded[content] += n
        return first

    def answered(self, content: str, first: int, n: int) -> None:
        """Count `n` completions of one content from sample `first` on."""
        self.completions += n
        self.calls.update(f"{content}:{first + j}" for j in range(n))

    def as_dict(self, *, by_call: bool = False) -> dict[str, Any]:
        """Return the counts; `repeated` is the completions of calls that were answered before."""
        counts: dict[str, Any] = {
            "requests": self.requests,
            "completions": self.completions,
            "refused": self.refused,
            "in_flight": self.in_flight,
            "in_flight_max": self.in_flight_max,
            "distinct": len(self.calls),
            "repeated": self.completions - len(self.calls),
        }
        if by_call:
            counts["calls"] = dict(self.calls)
        return counts
