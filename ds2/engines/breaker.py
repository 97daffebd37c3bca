"""When an endpoint is down, and when to look again (pure: no clock, no loop).

One call that fails is the weather, and is tried again by itself (`ds2.engines.retry`). When nothing
but failures comes back, trying hundreds of calls again and again helps nobody: the breaker opens,
no call leaves, and after a pause one alone looks whether the endpoint is back. A reply to any call
closes it again; an outage that outlasts the patience ends the run, which can be continued.

Source: Nygard (2007), Release It!, the circuit breaker; the pauses double, as in RFC 9110's advice
for a client that is not told when to come back. Deviation: it opens on failures in a row without
any reply between them, not on a rate, so a bad day of an endpoint that works never opens it for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PATIENCE_S = 300.0  # of a run, where nobody says
State = Literal["closed", "open", "probing", "given up"]


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """The constants of the rule.

    Args:
        burst: failures in a row that open it, however fast they come, at least 1.
        few: failures in a row that open it once no reply has come for `lasting_s`, at least 1: a
            lone call, whose tries take their time, never makes a burst.
        lasting_s: how long nothing but failures must have come for that, seconds.
        first_s: the first pause, seconds; it doubles with every probe that fails.
        longest_s: the longest pause, seconds.
        patience_s: an outage that lasts longer is given up, seconds; 0 gives up at the first probe.
    """

    burst: int = 10
    few: int = 3
    lasting_s: float = 3.0
    first_s: float = 1.0
    longest_s: float = 60.0
    patience_s: float = PATIENCE_S


class Breaker:
    """The breaker of one (endpoint, model), as a function of what came back.

    Times are seconds on any steady clock, handed in by the caller, as is the jitter. Transport,
    timeout and 5xx are failures. A 429 is the word of an endpoint that works and counts as a reply,
    and so does a 4xx. Until the endpoint has answered for the first time nothing opens it: one that
    was never there is told at once.
    """

    def __init__(self, config: BreakerConfig | None = None) -> None:
        self.config = config or BreakerConfig()
        self.state: State = "closed"
        self.words = ""  # what the endpoint said last when it failed
        self.opened = 0  # how often
        self.until_s = float("-inf")  # no probe before
        self._heard = False
        self._row = 0
        self._row_since_s = 0.0
        self._opened_s = 0.0
        self._pause_s = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether calls are held back."""
        return self.state in {"open", "probing"}

    def admits(self, now_s: float) -> bool:
        """Return whether a call may leave now: any while closed, after the pause one, the probe.

        Once given up nothing is held back any more, for nothing is worth waiting for.
        """
        if self.state == "closed":
            return True
        return self.state == "given up" or (self.state == "open" and now_s >= self.until_s)

    def left(self) -> bool:
        """Note that a call leaves; return whether it is the probe."""
        if self.state != "open":
            return False
        self.state = "probing"
        return True

    def replied(self) -> bool:
        """Take in a word of a living endpoint; return whether the breaker closed for it."""
        self._heard, self._row = True, 0
        if self.state == "closed":
            return False
        self.state = "closed"
        return True

    def failed(self, now_s: float, words: str, *, probe: bool, full: bool, jitter: float) -> bool:
        """Take in a failure; return whether a pause began, its first or its next.

        Args:
            now_s: when it came back.
            words: what the endpoint, or the network, said.
            probe: it was the call that looked whether the endpoint is back.
            full: the endpoint said itself that it cannot take the call now (503, 529), so it is there.
            jitter: a number from 0 to 1; the pause is between 0.75 and 1 of its length.
        """
        self._heard = self._heard or full
        if self.state == "given up" or not self._heard:
            return False
        self.words = words
        if self.is_open:
            # Stragglers from before the pause say nothing new.
            return probe and self._again(now_s, jitter)
        if self._row == 0:
            self._row_since_s = now_s
        self._row += 1
        config = self.config
        lasting = self._row >= config.few and now_s - self._row_since_s >= config.lasting_s
        if self._row < config.burst and not lasting:
            return False
        self._opened_s, self._pause_s = now_s, config.first_s
        self.opened += 1
        self._pause(now_s, jitter)
        return True

    def abandoned(self) -> None:
        """Note that the probe was cancelled: another one may go at once."""
        if self.state == "probing":
            self.state = "open"

    def give_up(self) -> None:
        """Hold nothing back any more: nobody wants to wait."""
        self.state = "given up"

    def outage_s(self, now_s: float) -> float:
        """Return for how long it has been open, seconds; 0 while it is not."""
        return 0.0 if self.state == "closed" else now_s - self._opened_s

    def _again(self, now_s: float, jitter: float) -> bool:
        if now_s - self._opened_s >= self.config.patience_s:
            self.state = "given up"
            return False
        self._pause_s = min(self.config.longest_s, 2 * self._pause_s)
        self._pause(now_s, jitter)
        return True

    def _pause(self, now_s: float, jitter: float) -> None:
        self.state = "open"
        # The last look comes when the patience ends, not a pause later.
        end_s = self._opened_s + self.config.patience_s
        pause_s = self._pause_s * (0.75 + 0.25 * jitter)
        self.until_s = min(now_s + pause_s, max(now_s, end_s))
