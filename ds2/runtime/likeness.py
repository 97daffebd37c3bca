"""Which rows of a dataset belong on one side of a split: families, and what is nearly the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ds2.screen.near import NearScreen
from signatures.bloom import BloomLevel
from signatures.records import Instruction

Record = Mapping[str, Any]


def alike(records: Iterable[Record], *, near: bool = True) -> dict[str, str]:
    """Return the group of each row by its id: the rows of a family share one.

    With `near` so do near-duplicates (`ds2.screen.near`) of different families, and what is near to
    one of theirs; it compares all rows, some 2,000 a second. A group is named by the family of its
    first row.
    """
    families: list[tuple[str, str]] = []
    seen: dict[str, int] = {}  # where a family begins
    first: dict[str, str] = {}  # of a family that was joined to another: one that begins before it
    screen = NearScreen()
    for place, record in enumerate(records):
        family = str(record.get("family") or record["id"])
        families.append((record["id"], family))
        seen.setdefault(family, place)
        if near:
            instruction = _instruction(record)
            for earlier in list(screen.matches(instruction)):
                ends = {_root(first, families[earlier][1]), _root(first, family)}
                if len(ends) > 1:
                    begins, joined = sorted(ends, key=seen.__getitem__)
                    first[joined] = begins
            screen.add(place, instruction)
    return {row: _root(first, family) for row, family in families}


def _root(first: Mapping[str, str], family: str) -> str:
    while family in first:
        family = first[family]
    return family


def _instruction(record: Record) -> Instruction:
    """Return what the screen compares of a row: its text without the lines of its options."""
    options, context = tuple(record["options"]), record["context"]
    written = Instruction(
        keywords=("row",),
        level=BloomLevel(record["level"]),
        question="\0",
        options=options,
        context=context,
    )
    before, _, after = written.text.partition("\0")
    question = record["instruction"].removeprefix(before).removesuffix(after)
    return written.model_copy(update={"question": question})
