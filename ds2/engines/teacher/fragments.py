"""Questions of the teacher's that have lost their facts, known by the sentence that they end with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from ds2.engines.teacher import catalog
from ds2.engines.teacher.frame import Wording
from ds2.engines.teacher.slots import Slot
from ds2.engines.teacher.wording import CLOSINGS, PAIR_CLOSINGS
from signatures.task import BUILT_IN

_SENTENCES = re.compile(r"(?<=[.!?])\s+")


@lru_cache(maxsize=8192)
def torn(question: str) -> bool:
    """Return whether a text that is no question of the teacher's ends as one of them does."""
    last = _SENTENCES.split(question.strip())[-1]
    return any(wording.read(last) is not None for wording in _asks()) or any(
        closing.fullmatch(last) for closing in _closings()
    )


@cache
def _asks() -> tuple[Wording, ...]:
    """Return the last sentence of every wording that asks."""
    return tuple(
        Wording(_SENTENCES.split(wording.template)[-1], slots) for wording, slots in _wordings()
    )


def _wordings() -> Iterator[tuple[Wording, dict[str, Slot]]]:
    for task in BUILT_IN:
        for family in catalog.domain(task).families:
            for wordings in family.ask_wordings.values():
                for wording in wordings:
                    yield wording, dict(family.slots)


@cache
def _closings() -> tuple[re.Pattern[str], ...]:
    """Return the sentences that name the keywords at the end."""
    patterns = []
    for template in (*CLOSINGS, *PAIR_CLOSINGS):
        fixed = Wording(template, {}).pattern.pattern
        patterns.append(re.compile(fixed.replace(r"\{first\}", ".+").replace(r"\{second\}", ".+")))
    return tuple(patterns)
