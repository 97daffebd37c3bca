"""What a run stands on is put back when it ends."""

from __future__ import annotations

import gc
from pathlib import Path

import dspy
import pytest
from small_runs import Witness, go

from ds2.runtime.session import quiet_dspy


def test_the_garbage_collector_is_left_as_it_was_found() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()

    def broken() -> None:
        with quiet_dspy("chat"):
            assert gc.get_threshold()[0] > before[0][0]
            assert gc.get_freeze_count() > before[1]
            assert dspy.settings.disable_history
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
    assert not dspy.settings.disable_history


@pytest.mark.parametrize(("coalesce", "told"), [("off", 0), ("on", 1), ("auto", 1)])
def test_it_is_said_that_coalescing_does_nothing(tmp_path: Path, coalesce: str, told: int) -> None:
    watching = Witness()
    summary = go(tmp_path, 2, coalesce=coalesce, observer=watching)
    assert sum("does nothing with" in words for words in watching.notices) == told
    assert sum("does nothing with" in words for words in summary.notices) == told
