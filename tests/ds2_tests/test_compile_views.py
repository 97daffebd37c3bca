"""The last sentence of a compile: whether a gain was shown, and what would show one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ds2.cli.compile_views import verdict
from optimizers.scores import Interval


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Interval(0.0, 0.0, 0.0), "no example came out otherwise"),
        (Interval(0.1, -0.1, 0.3), "A larger dev set makes it narrower"),
        (Interval(0.2, 0.1, 0.3), "A gain was shown"),
        (Interval(-0.2, -0.3, -0.1), "A loss was shown"),
        (None, "too little could be scored"),
    ],
    ids=["nothing changed", "holds 0", "gain", "loss", "none"],
)
def test_the_verdict_fits_the_interval(gain: Interval | None, said: str) -> None:
    gained = gain is not None and gain.is_gain
    found: Any = SimpleNamespace(gain=gain, gained=gained, above_floor=True)
    assert said in verdict(found)
