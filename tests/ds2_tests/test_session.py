"""What a run stands on is put back when it ends."""

from __future__ import annotations

import gc

import dspy
import pytest

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
