"""How many calls an endpoint can take at once, found out while it works (pure: no clock, no loop).

The rule is that of TCP, told apart by what refusals and latency say of the load:

- *Slow start* until the first sign that the endpoint is full: one more for each reply.
- *Overload* is a burst of 429, 503 or the like: more than a tolerated share of a round of calls. It
  cuts the limit once. Refusals below that share have another cause than the calls in flight, such as
  a sick replica or somebody else's load, and cost nothing but themselves.
- *Growth* after a cut is a cubic in rounds: fast back to near where the burst came, slow around it,
  then faster and faster, so that a cap that moved up is found.
- *Saturation*, for servers that never refuse: where latency surely grows with the limit, more calls
  only wait. The limit goes back to where that began, rests there, and tries again.

Source: Jacobson (1988), Congestion Avoidance and Control; Ha, Rhee, Xu (2008), CUBIC (RFC 9438), for
growth; Cardwell and others, BBR (draft-ietf-ccwg-bbr), for a share of losses that is not congestion;
RFC 7661 for growth only while the limit is in use. Deviation: rounds instead of seconds in the
cubic, for a call takes from tenths of a second to minutes; its plateau is the tolerated share below
the limit of the burst; saturation is tested by regression (`ds2.engines.elasticity`), not against a
smallest latency as in TCP Vegas, because latencies of one model vary by far more than those of a wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from ds2.engines.elasticity import Elasticity

State = Literal["slow start", "growing", "saturated", "at the ceiling"]


@dataclass(frozen=True, slots=True)
class CongestionConfig:
    """The constants of the rule.

    Args:
        start: calls in flight at first, at least 1.
        ceiling: most calls in flight, at least 1.
        least: calls of a round, at least; a round is otherwise as many as the limit.
        tolerance: share of a round that may be refused before it is a burst, 0 to 1.
        doubt: by how many standard deviations more refusals are still taken for chance.
        cut: what a burst of overload leaves of the limit, 0 to 1.
        plateau: rounds after a cut until the limit is back at the level that was not refused.
        waits: elasticity of latency to load above which more load only waits, 0 to 1.
        sure: by how many standard errors.
        memory: rounds of replies that the elasticity is taken over.
        back: share of the load at which waiting began that a saturated endpoint is left with.
        rest: rounds that it is left there.
    """

    start: int = 8
    ceiling: int = 64
    least: int = 40
    tolerance: float = 0.1
    doubt: float = 1.5
    cut: float = 0.75
    plateau: float = 6.0
    waits: float = 0.5
    sure: float = 2.0
    memory: float = 8.0
    back: float = 0.9
    rest: float = 6.0


class Congestion:
    """The limit on calls in flight for one (endpoint, model), as a function of what was observed.

    Times are seconds on any steady clock, handed in by the caller. Calls that left before the last
    change downwards say nothing of the limit since, and are left aside. What brings neither a reply
    nor a refusal (a timeout, a broken connection) says nothing of the load.
    """

    def __init__(self, config: CongestionConfig) -> None:
        self.config = config
        self.state: State = "slow start"
        self.cuts = 0
        self._limit = float(min(config.start, config.ceiling))
        self._since_s = float("-inf")  # of the last change downwards
        self._full_s = float("-inf")  # when the limit was last in use to its full
        self._refused = self._returned = 0  # in the round so far
        self._low = self._aim = self._limit  # of the cubic: where it begins, and its plateau
        self._rounds = 0.0  # since it began
        self._trying = False  # again, after a rest
        self._elasticity = Elasticity()
        if self._limit >= config.ceiling:
            self.state = "at the ceiling"

    @property
    def limit(self) -> int:
        """Return how many calls may be in flight now, at least 1."""
        return max(1, int(self._limit))

    def sent(self, now_s: float, in_flight: int) -> int:
        """Take in that a call leaves, counted in `in_flight`; return the limit it leaves under."""
        if in_flight >= self.limit:
            self._full_s = now_s
        return self.limit

    def replied(self, now_s: float, sent_s: float, limit: int) -> None:
        """Take in a reply to a call that left at `sent_s` under `limit`.

        Where the limit was not in use to its full since then, there was less to ask, and nothing is
        learnt about more.
        """
        if sent_s <= self._since_s:
            return
        self._count(refused=False)
        if sent_s > self._full_s:
            return
        config = self.config
        self._rounds += 1 / self._limit
        self._elasticity.add(limit, now_s - sent_s, config.memory * max(config.least, self._limit))
        if self.state == "saturated":
            if self._rounds >= config.rest:
                # A few more at the least: at a low limit a share is no growth to judge by.
                self._grow_from(self._limit, max(self._limit / config.back, self._limit + 4))
                self._trying = True
        elif self._elasticity.surely_above(config.waits, config.sure):
            self._settle(now_s)
        elif self.state != "at the ceiling":
            if self._trying and self._elasticity.surely_below(config.waits, config.sure):
                self.state = "slow start"
            self._grow()

    def overloaded(self, now_s: float, sent_s: float) -> bool:
        """Take in a call that the endpoint turned away; return whether the limit was cut for it.

        A call that was sent before the last cut belongs to the burst that caused it.
        """
        if sent_s <= self._since_s or not self._count(refused=True):
            return False
        burst, (length, tolerated) = self._limit, self._round()
        low = max(1.0, burst * self.config.cut)
        self._since_s = now_s
        self._grow_from(low, max(burst * (1 - tolerated / length), low + 0.5))
        self.cuts += 1
        return True

    def _count(self, *, refused: bool) -> bool:
        """Count a call that came back; return whether it makes the refusals a burst."""
        self._refused += refused
        self._returned += 1
        length, tolerated = self._round()
        burst = self._refused > tolerated
        if burst or self._returned >= length:
            self._refused = self._returned = 0
        return burst

    def _round(self) -> tuple[float, float]:
        """Return the calls of a round, and how many of them may be refused."""
        length = max(self.config.least, self._limit)
        expected = self.config.tolerance * length
        return length, expected + self.config.doubt * sqrt(expected)

    def _grow_from(self, low: float, aim: float) -> None:
        self._limit = self._low = low
        self._aim, self._rounds = aim, 0.0
        self._elasticity = Elasticity()
        self.state, self._trying = "growing", False

    def _grow(self) -> None:
        if self.state == "slow start":
            self._limit += 1
        else:
            left = 1 - self._rounds / self.config.plateau
            self._limit = self._aim - (self._aim - self._low) * left**3
        if self._limit >= self.config.ceiling:
            self._limit = float(self.config.ceiling)
            self.state = "at the ceiling"

    def _settle(self, now_s: float) -> None:
        knee = min(self._limit, self._elasticity.knee())
        self._since_s = now_s
        self._grow_from(max(1.0, self.config.back * knee), knee)
        self.state = "saturated"
