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
        thinking: the model's own reasoning, where it was given.
        model: the name that the server says answered.
        input_tokens: tokens of the prompt; None where the server does not say.
        output_tokens: tokens of the reply, thinking included; None where the server does not say.
        reasoning_tokens: tokens of the thinking alone; None where the server does not say.
    """

    call: str
    text: str
    finish_reason: str
    thinking: str = ""
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


_collectors: ContextVar[tuple[list[Receipt], ...]] = ContextVar("ds2_receipts", default=())


@contextmanager
def collect() -> Iterator[list[Receipt]]:
    """Collect the receipts of all calls made in this block, in the order of their replies."""
    receipts: list[Receipt] = []
    token = _collectors.set((*_collectors.get(), receipts))
    try:
        yield receipts
    finally:
        _collectors.reset(token)


def report(receipt: Receipt) -> None:
    """Hand a receipt to every collector around the current context."""
    for receipts in _collectors.get():
        receipts.append(receipt)
