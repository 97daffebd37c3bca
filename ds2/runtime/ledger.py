"""The ledger of a run: planned = accepted + rejected (by reason) + surplus + pending (by cause)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """Counts of units; `planned` is counted when a unit is started, the rest when it ends.

    Args:
        planned: units started.
        accepted: units that gave a row.
        rejected: units turned down, by reason; all reasons are of content.
        surplus: units whose quota was full when their turn came.
        pending: units started and not decided when the run stopped, by cause.
    """

    planned: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    surplus: int = 0
    pending: Counter[str] = field(default_factory=Counter)

    @property
    def decided(self) -> int:
        """Return how many units were accepted or rejected."""
        return self.accepted + self.rejected.total()

    @property
    def balanced(self) -> bool:
        """Return whether the ledger adds up."""
        return self.planned == self.decided + self.surplus + self.pending.total()

    def as_dict(self) -> dict[str, object]:
        """Return the ledger as plain data."""
        return {
            "planned": self.planned,
            "accepted": self.accepted,
            "rejected": dict(sorted(self.rejected.items())),
            "surplus": self.surplus,
            "pending": dict(sorted(self.pending.items())),
        }
