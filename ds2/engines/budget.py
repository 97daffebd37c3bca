"""A hard limit on paid calls: what is in flight is reserved, so the line is never crossed."""

from __future__ import annotations

import threading


class BudgetSpent(BaseException):
    """The budget allows no further call.

    A `BaseException`, so that neither DSPy nor an optimizer mistakes it for a bad reply.
    """


class CallBudget:
    """At most `limit` calls, counted over the life of a run; it fails closed.

    Args:
        limit: calls allowed in all; None for no limit.
        spent: calls that the log already holds.
    """

    def __init__(self, limit: int | None = None, *, spent: int = 0) -> None:
        self.limit = limit
        self._taken = spent
        self.lost = 0
        self._lock = threading.Lock()

    @property
    def left(self) -> int | None:
        """Return how many calls may still be made; None without a limit."""
        return None if self.limit is None else max(0, self.limit - self._taken)

    def take(self) -> None:
        """Reserve one call.

        Raises:
            BudgetSpent: the limit is reached.
        """
        with self._lock:
            if self.limit is not None and self._taken >= self.limit:
                raise BudgetSpent
            self._taken += 1

    def lose(self) -> None:
        """Note that a call was cancelled on the wire: it brought no reply and may be billed."""
        with self._lock:
            self.lost += 1

    def give_back(self) -> None:
        """Free the reservation of a call that brought no reply and cannot have been billed."""
        with self._lock:
            self._taken -= 1
