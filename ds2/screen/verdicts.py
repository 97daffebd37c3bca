"""Why a screen turns a unit down, with its evidence: one function a screen."""

from __future__ import annotations

from collections.abc import Sequence

from ds2.screen.benchmark import Hit
from ds2.screen.checks import Fault
from ds2.screen.exact import Match
from ds2.screen.family import Family
from signatures.bloom import BloomLevel
from signatures.records import Evidence, Instruction, Rejection, Row

_SHOWN = 1_000  # characters of a span
LEVELS_OFF = 1


def repeated(instruction: Instruction, match: Match) -> Rejection:
    """Return why an instruction that repeats an earlier one gives no row: a duplicate keeps no vote.

    Whether a vote was under way when the repeat was found depends on timing.
    """
    exact = match.similarity >= 1
    says = "the same as" if exact else "nearly the same as"
    return _rejection(
        "duplicate" if exact else "near_duplicate",
        f"It says {says} unit {match.place}.",
        instruction,
        Evidence(
            screen="duplicates", place=match.place, similarity=round(min(match.similarity, 1.0), 4)
        ),
    )


def crowded(instruction: Instruction, family: Family, similarity: float) -> Rejection:
    """Return why one more of a family that is full gives no row."""
    return _rejection(
        "family",
        f"With other numbers it is unit {family.place}, of which there are {family.rows} rows.",
        instruction,
        Evidence(
            screen="families",
            place=family.place,
            other=family.id,
            similarity=round(similarity, 4),
        ),
    )


def collapsed(keywords: Sequence[str], why: str) -> Rejection:
    """Return why a unit whose keywords the collapse alarm has ended gives no row.

    It holds nothing of what the unit may have written: whether it had begun depends on timing.
    """
    return Rejection(
        stage="screen",
        reason="collapsed",
        detail=f"The collapse alarm has ended {why}.",
        evidence=Evidence(screen="collapse", span=" + ".join(keywords)),
    )


def faulty(instruction: Instruction, fault: Fault) -> Rejection:
    """Return why an instruction with a fault of its own gives no row."""
    return _rejection(
        fault.reason, fault.detail, instruction, Evidence(screen="checks", span=fault.span)
    )


def contaminated(instruction: Instruction, hit: Hit) -> Rejection:
    """Return why an instruction that repeats a benchmark gives no row."""
    item = hit.item
    return _rejection(
        "benchmark",
        f"It shares text with row {item.row} of {item.source} ({hit.rule}).",
        instruction,
        Evidence(
            screen="benchmarks",
            span=hit.span[:_SHOWN],
            similarity=hit.coverage,
            benchmark=item.source,
            benchmark_row=item.row,
            benchmark_id=item.id or None,
        ),
    )


def no_option(row: Row) -> Rejection:
    """Return why a row whose answer is none of its options is none; it keeps its vote."""
    return _rejection(
        "no_option",
        f"The answer {row.answer!r} is none of the options.",
        row.instruction,
        Evidence(screen="checks", span=row.answer),
    ).model_copy(update={"vote": row.vote})


def given_away(row: Row, fault: Fault) -> Rejection:
    """Return why a row whose question gives its answer away is none; it keeps its vote."""
    return faulty(row.instruction, fault).model_copy(update={"vote": row.vote})


def off_level(instruction: Instruction, judged: BloomLevel | None) -> Rejection | None:
    """Return why an instruction more than one level off gives no row; None lets it pass.

    One level off passes, and is noted in the row; no verdict is no reason.
    """
    asked = instruction.level
    if judged is None or abs(asked.rank - judged.rank) <= LEVELS_OFF:
        return None
    return _rejection(
        "level",
        f"It was asked for at {asked}, and works at {judged}.",
        instruction,
        Evidence(screen="levels", span=judged.value),
    )


def _rejection(reason: str, detail: str, instruction: Instruction, evidence: Evidence) -> Rejection:
    return Rejection(
        stage="screen", reason=reason, detail=detail, instruction=instruction, evidence=evidence
    )
