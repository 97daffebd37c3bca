"""The adapter of a compile: a proposal that cannot be read is asked for again.

DSPy lets one reply of a proposer that does not parse end a whole search. Stages and judges, which
score such a reply, work asynchronously; whoever calls synchronously in a compile is a proposer.
"""

from __future__ import annotations

import copy
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

TRIES = 4
_STEP = 500_009  # of the rollout, from try to try


def proposing(adapter: dspy.Adapter) -> dspy.Adapter:
    """Return an adapter like this one, which asks a proposer up to four times for what can be read.

    It is of a class derived from that of `adapter`, so that whoever copies and changes it (as
    `programs.redraw` does) still changes what is rendered.
    """
    kind: Any = type(adapter)

    class Proposing(kind):
        def __call__(
            self, lm: Any, lm_kwargs: dict[str, Any], signature: Any, demos: Any, inputs: Any
        ) -> Any:
            """Return what a proposer says; a repeat is a rollout of its own."""
            ask = super().__call__
            first = lm_kwargs.get("rollout_id", getattr(lm, "kwargs", {}).get("rollout_id")) or 0
            for attempt in range(TRIES - 1):
                rollout = {"rollout_id": first + attempt * _STEP} if attempt else {}
                try:
                    return ask(lm, {**lm_kwargs, **rollout}, signature, demos, inputs)
                except AdapterParseError:
                    continue
            last = {**lm_kwargs, "rollout_id": first + (TRIES - 1) * _STEP}
            return ask(lm, last, signature, demos, inputs)

    twin = copy.copy(adapter)
    twin.__class__ = Proposing
    return twin
