"""What the machine room tells a stage about the calls made for it.

DSPy's prediction drops the finish reason and the raw text of a reply. An engine that knows them
hands a `Receipt` to whoever collects; a stage that runs on a foreign `dspy.LM` collects nothing
and does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Receipt:
    """One reply as it stands in the call log.

    Args:
        call: the key of the call.
        text: what the model said, thinking kept apart.
        finish_reason: stop, length, content_filter, error or tool_call.
    """

    call: str
    text: str
    finish_reason: str


_collector: ContextVar[list[Receipt] | None] = ContextVar("ds2_receipts", default=None)


@contextmanager
def collect() -> Iterator[list[Receipt]]:
    """Collect the receipts of all calls made in this block, in the order of their replies."""
    receipts: list[Receipt] = []
    token = _collector.set(receipts)
    try:
        yield receipts
    finally:
        _collector.reset(token)


def report(receipt: Receipt) -> None:
    """Hand a receipt to the collector of the current context, if there is one."""
    receipts = _collector.get()
    if receipts is not None:
        receipts.append(receipt)
