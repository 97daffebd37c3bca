"""A process while runs go on in it: DSPy keeps quiet, and the garbage collector out of the way."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dspy

from ds2.runtime.session import make_adapter

# New objects between two rounds of the garbage collector, some 4 MB, and rounds between those that look
# at older ones and at all: what a failed call leaves in a cycle, its long reply perhaps, goes soon.
_COLLECTED = (20_000, 10, 5)


class _Process:
    """What belongs to the whole process: changed by the first run that begins, put back by the last.

    The garbage collector need not look at what is in memory before a run: with DSPy loaded that is some
    70,000 objects, of which each of its full rounds would take a look. Its rounds are made rarer, too:
    with hundreds of calls in flight, each round finds all of them alive, and at Python's own pace the
    rounds took a fifth of the time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._pace = gc.get_threshold()
        self._level = logging.NOTSET

    @contextmanager
    def of_a_run(self) -> Iterator[None]:
        logger = logging.getLogger("dspy")
        with self._lock:
            self._runs += 1
            if self._runs == 1:
                self._pace, self._level = gc.get_threshold(), logger.level
                logger.setLevel(logging.ERROR)
                gc.freeze()
                gc.set_threshold(*_COLLECTED)
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if self._runs == 0:
                    gc.set_threshold(*self._pace)
                    gc.unfreeze()
                    logger.setLevel(self._level)


_PROCESS = _Process()


@contextmanager
def quiet_dspy(adapter: str) -> Iterator[None]:
    """Run a block with this adapter, without history, trace and DSPy's own messages.

    Blocks may overlap in any way, in several threads too.
    """
    with (
        _PROCESS.of_a_run(),
        dspy.context(
            adapter=make_adapter(adapter),
            disable_history=True,
            trace=None,
            warn_on_type_mismatch=False,
        ),
    ):
        yield
