"""The one owner of retries: which errors are the weather, and how long to wait for it to pass."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dspy import lm15

# `dspy.lm15` does not export the transport; the dependency's upper bound guards this import.
from dspy._vendor.lm15.transports import ConnectError

from ds2.engines.breaker import Breaker

T = TypeVar("T")

# Transport, timeout, 429 and 5xx heal by themselves; everything else does not.
WEATHER = (
    lm15.RateLimitError,
    lm15.TimeoutError,
    lm15.ServerError,
    lm15.TransportError,
    lm15.LockTimeoutError,
)


# A conflict with another request, and one that came too early: both pass by themselves.
_PASSING = frozenset({409, 425})
# Statuses of a server that is there and is full, or is loading its model.
_FULL = frozenset({429, 503, 529})
_MOST_DOUBLINGS = 64  # of a wait: any cap is reached before, and a float holds it
_TURNED_AWAY = 300  # and above: statuses of a call that was not worked for
_NO_CONNECTION = (ConnectionRefusedError, socket.gaierror, ConnectError)


def is_full(error: Exception) -> bool:
    """Return whether a status says that a server is there and cannot take the call now."""
    return getattr(error, "status", None) in _FULL


def is_overload(error: Exception) -> bool:
    """Return whether an endpoint turned a call away because it has too much to do."""
    return isinstance(error, lm15.RateLimitError) or is_full(error)


class UnreachedError(lm15.TransportError):
    """No connection came about, so that nothing was sent: it was refused, or no address was found."""


def never_sent(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that no connection came about."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, _NO_CONNECTION):
            return True
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return False


def may_be_billed(error: Exception) -> bool:
    """Return whether an endpoint may have worked for a call that met this error.

    It may where the call was sent and then timed out, broke off, or brought what cannot be read. A
    status that turns the call away says that it did not; so does a connection that never came about.
    """
    if isinstance(error, UnreachedError | lm15.RateLimitError | lm15.LockTimeoutError):
        return False
    status = getattr(error, "status", None)
    return isinstance(error, WEATHER) and (status is None or status < _TURNED_AWAY)


def passing(error: lm15.LM15Error) -> lm15.LM15Error:
    """Return an error as the weather where its status says that the call may do later."""
    if error.status not in _PASSING or type(error) not in (
        lm15.ProviderError,
        lm15.InvalidRequestError,
    ):
        return error
    return lm15.ServerError(
        error.message,
        status=error.status,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )


@dataclass(slots=True)
class RetryPolicy:
    """Exponential back-off, half of it random, and a cap on what a server may ask us to wait.

    Being turned away with 429 is counted apart from failures, and from anew whenever the endpoint
    has answered anyone in the meantime: a server that is full is waited for as long as it works.
    While the breaker holds calls back no failure counts: how long an outage may last is its matter.

    Args:
        attempts: tries that may fail, at least 1.
        first_attempts: the same while nothing has ever come from the endpoint, neither a reply nor
            word that it is full, so that one that is down is reported within seconds.
        limited_attempts: tries that may be turned away while nobody is answered; at the default the
            waits between them sum to more than the minute that limits are mostly counted by.
        base_s: upper end of the first wait, doubled each time, seconds.
        cap_s: longest wait, `Retry-After` included, seconds.
        answered: whether anything has ever come from the endpoint.
        answers: replies so far, to anyone who shares this policy.
        breaker: of the limiter that the same calls pass through, where it has one.
    """

    attempts: int = 6
    first_attempts: int = 3
    limited_attempts: int = 10
    base_s: float = 0.5
    cap_s: float = 30.0
    answered: bool = False
    answers: int = 0
    breaker: Breaker | None = None

    async def run(self, attempt: Callable[[], Awaitable[T]], *, once: bool = False) -> T:
        """Return the result of `attempt`, tried again while the weather is bad, but for `once`.

        Raises:
            lm15.LM15Error: the last error, when the tries are used up or it cannot heal.
        """
        failed = turned_away = tries = 0
        answers = self.answers
        while True:
            tries += 1
            try:
                result = await attempt()
            except WEATHER as error:
                self.answered = self.answered or is_full(error)
                if self.breaker is not None and self.breaker.state == "given up":
                    raise
                if isinstance(error, lm15.RateLimitError):
                    turned_away = 1 + (turned_away if answers == self.answers else 0)
                    answers = self.answers
                elif self.breaker is not None and self.breaker.is_open:
                    failed = 0
                else:
                    failed += 1
                most = self.attempts if self.answered else self.first_attempts
                if once or failed >= most or turned_away >= self.limited_attempts:
                    raise
                await asyncio.sleep(self._wait_s(error, tries, turned_away))
            else:
                self.answered = True
                self.answers += 1
                return result

    def _wait_s(self, error: Exception, tries: int, turned_away: int = 0) -> float:
        hint = getattr(error, "retry_after", None)
        jitter = random.random()  # waiting decides nothing about the data
        if isinstance(hint, int | float) and hint >= 0:
            asked_s = min(self.cap_s, float(hint) + jitter * self.base_s)
            # A wish is not believed while nobody is answered: it may be 0, or a date by another clock.
            return (
                max(asked_s, self._doubled_s(turned_away, jitter)) if turned_away > 1 else asked_s
            )
        return self._doubled_s(tries, jitter)

    def _doubled_s(self, tries: int, jitter: float) -> float:
        doubled = self.base_s * 2.0 ** min(tries - 1, _MOST_DOUBLINGS)
        return min(self.cap_s, doubled) * (0.5 + jitter / 2)
