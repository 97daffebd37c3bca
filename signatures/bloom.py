"""Bloom's six cognitive levels, and what each one asks of an instruction.

Source: Anderson and Krathwohl (2001), A Taxonomy for Learning, Teaching, and Assessing.
"""

from __future__ import annotations

from enum import StrEnum


class BloomLevel(StrEnum):
    """A cognitive level; the order of definition is the order of the taxonomy, lowest first."""

    REMEMBER = "Remember"
    UNDERSTAND = "Understand"
    APPLY = "Apply"
    ANALYZE = "Analyze"
    EVALUATE = "Evaluate"
    CREATE = "Create"

    @property
    def rank(self) -> int:
        """Return the position in the taxonomy, 0 (Remember) to 5 (Create)."""
        return LEVELS.index(self)

    @property
    def demand(self) -> str:
        """Return what an instruction at this level must make its reader do (shown to the model)."""
        return _DEMANDS[self]


LEVELS: tuple[BloomLevel, ...] = tuple(BloomLevel)

# Each line names the verb and the mental step, and rules out the level it is most often mistaken for.
_DEMANDS: dict[BloomLevel, str] = {
    BloomLevel.REMEMBER: "recall one fact, definition or formula and use it as it stands",
    BloomLevel.UNDERSTAND: "explain, classify or translate an idea into another form, beyond recall",
    BloomLevel.APPLY: "carry out a known procedure on a new, concrete case",
    BloomLevel.ANALYZE: "break a situation into parts and work out how they relate before answering",
    BloomLevel.EVALUATE: "judge between claims, methods or solutions against a stated criterion",
    BloomLevel.CREATE: "put parts together into something new that meets the stated conditions",
}
