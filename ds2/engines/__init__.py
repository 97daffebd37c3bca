"""Everything between a DSPy program and a model: one attempt at a call, and what stands around it.

    >>> from ds2.engines import make_lm
    >>> lm = make_lm("simulated", concurrency=256)

`make_lm` is imported when it is first used, so that importing this package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ds2.engines.factory import make_lm as make_lm

__all__ = ["make_lm"]


def __getattr__(name: str) -> Any:
    if name != "make_lm":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("ds2.engines.factory").make_lm
