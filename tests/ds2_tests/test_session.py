"""What a run stands on is put back when it ends."""

from __future__ import annotations

import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import dspy
import pytest
from small_runs import Witness, go

from ds2.runtime.quiet import quiet_dspy


def process_wide() -> tuple[object, ...]:
    return gc.get_threshold(), gc.get_freeze_count(), logging.getLogger("dspy").level


def test_what_belongs_to_the_process_is_left_as_it_was_found() -> None:
    before = process_wide()

    def broken() -> None:
        with quiet_dspy("chat"):
            assert gc.get_threshold() != before[0]
            assert gc.get_freeze_count() > 0
            assert dspy.settings.disable_history
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert process_wide() == before
    assert not dspy.settings.disable_history


def test_of_runs_that_overlap_the_last_one_puts_it_back() -> None:
    before = process_wide()
    began, go_on = Event(), Event()

    def first() -> None:
        with quiet_dspy("chat"):
            began.set()
            go_on.wait(30)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(first)
        began.wait(30)
        with quiet_dspy("chat"):
            go_on.set()
            running.result(30)
            assert process_wide()[0] != before[0]
    assert process_wide() == before


@pytest.mark.parametrize(("coalesce", "told"), [("off", 0), ("on", 1), ("auto", 1)])
def test_it_is_said_that_coalescing_does_nothing(tmp_path: Path, coalesce: str, told: int) -> None:
    watching = Witness()
    summary = go(tmp_path, 2, coalesce=coalesce, observer=watching)
    assert sum("does nothing with" in words for words in watching.notices) == told
    assert sum("does nothing with" in words for words in summary.notices) == told
