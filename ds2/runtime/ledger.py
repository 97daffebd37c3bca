"""The ledger of a run: planned = accepted + rejected (by reason) + surplus + pending (by cause)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from signatures.errors import LedgerError


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

    def imbalance(self, stored: Mapping[tuple[str, str], int] | None = None) -> str | None:
        """Return why the ledger does not add up, or None where it does.

        Args:
            stored: units by (state, reason) as the store has them, which must be the same; None
                where the store is not to be read, as after an error of the disk.
        """
        if not self.balanced:
            pending = self.pending.total()
            return (
                f"planned {self.planned} is not accepted {self.accepted} + rejected "
                f"{self.rejected.total()} + surplus {self.surplus} + pending {pending}"
            )
        if stored is None or +Counter(stored) == self._by_state():
            return None
        ours, theirs = self._by_state(), +Counter(stored)
        differing = sorted(key for key in {*ours, *theirs} if ours[key] != theirs[key])
        return "; ".join(
            f"{' '.join(filter(None, key))} {ours[key]}, but {theirs[key]} in the store"
            for key in differing
        )

    def _by_state(self) -> Counter[tuple[str, str]]:
        counts = Counter({("rejected", reason): n for reason, n in self.rejected.items()})
        counts["accepted", ""], counts["surplus", ""] = self.accepted, self.surplus
        return +counts

    def as_dict(self) -> dict[str, object]:
        """Return the ledger as plain data."""
        return {
            "planned": self.planned,
            "accepted": self.accepted,
            "rejected": dict(sorted(self.rejected.items())),
            "surplus": self.surplus,
            "pending": dict(sorted(self.pending.items())),
        }

    def under_way(self) -> dict[str, object]:
        """Return the ledger of a run that goes on: what is not decided is pending, in flight."""
        flying = self.planned - self.decided - self.surplus - self.pending.total()
        plain = self.as_dict()
        if flying > 0:
            plain["pending"] = {**dict(sorted(self.pending.items())), "in flight": flying}
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the ledger that `as_dict` wrote down."""
        return cls(
            planned=plain["planned"],
            accepted=plain["accepted"],
            rejected=Counter(plain["rejected"]),
            surplus=plain["surplus"],
            pending=Counter(plain["pending"]),
        )


def unbalanced(folder: Path, problem: str) -> LedgerError:
    """Return the error of a run whose ledger does not add up."""
    return LedgerError.rule(
        "Checking the ledger failed",
        unit=str(folder),
        name="planned units",
        rule="be accepted + rejected + surplus + pending, as the store has them",
        value=problem,
        todo="This is a bug of DS2: please report it with summary.json, and do not use the dataset "
        "before it is found. Every reply is kept in the store.",
    )
