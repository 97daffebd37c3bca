"""One line for people about a unit that was turned down: what it was, and what was wrong with it."""

from __future__ import annotations

from signatures.records import Rejection

SHOWN = 200  # characters of an example
_ASKED = 90  # of its question


def example_of(place: int, rejection: Rejection) -> str:
    """Return what a rejected unit looks like, in one line of printable characters.

    It holds what a model wrote: whoever shows it in a page or a terminal's markup escapes it there.
    """
    parts = [f"unit {place}, {rejection.stage}:"]
    if rejection.instruction is not None:
        parts.append(f"{_short(_line(rejection.instruction.question), _ASKED)!r}:")
    vote = rejection.vote
    if vote is None or not vote.samples:
        parts.append(rejection.detail)
    elif vote.counts:
        parts.append(", ".join(f"{answer!r} x {number}" for answer, number in vote.counts))
    else:
        first = vote.samples[0]
        parts.append(f"{first.unreadable or 'unreadable'}: {first.reasoning[:SHOWN]!r}")
    return _short(_line(" ".join(parts)), SHOWN)


def _line(text: str) -> str:
    shown = "".join(
        c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return " ".join(shown.split())


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
