"""The one owner of retries: which errors are the weather, and how long to wait for it to pass."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dspy import lm15

T = TypeVar("T")

# Transport, timeout, 429 and 5xx heal by themselves; everything else does not.
WEATHER = (
    lm15.RateLimitError,
    lm15.TimeoutError,
    lm15.ServerError,
    lm15.TransportError,
    lm15.LockTimeoutError,
)


@dataclass(slots=True)
class RetryPolicy:
    """Exponential back-off, half of it random, and a cap on what a server may ask us to wait.

    Args:
        attempts: tries in all, at least 1.
        first_attempts: tries while nothing has ever been answered, so that an endpoint that is
            down is reported within seconds.
        base_s: upper end of the first wait, doubled each time, seconds.
        cap_s: longest wait, `Retry-After` included, seconds.
    """

    attempts: int = 6
    first_attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 30.0
    answered: bool = False

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `attempt`, tried again while the weather is bad.

        Raises:
            lm15.LM15Error: the last error, when the tries are used up or it cannot heal.
        """
        tries = 0
        while True:
            tries += 1
            try:
                result = await attempt()
            except WEATHER as error:
                if tries >= (self.attempts if self.answered else self.first_attempts):
                    raise
                await asyncio.sleep(self._wait_s(error, tries))
            else:
                self.answered = True
                return result

    def _wait_s(self, error: Exception, tries: int) -> float:
        hint = getattr(error, "retry_after", None)
        jitter = random.random()  # waiting decides nothing about the data
        if isinstance(hint, int | float) and hint >= 0:
            return min(self.cap_s, float(hint) + jitter * self.base_s)
        return min(self.cap_s, self.base_s * 2 ** (tries - 1)) * (0.5 + jitter / 2)
