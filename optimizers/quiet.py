"""Silence around DSPy: its optimizers print, draw bars and log while they work."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

_LOGGERS = ("dspy", "gepa", "optuna")


@contextmanager
def quiet() -> Iterator[None]:
    """Run a block with all that is printed, drawn or logged put aside.

    Both streams of the process are redirected: whoever reports progress in the meantime writes to a
    stream that was taken before.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with (
        Path(os.devnull).open("w", encoding="utf-8") as sink,
        redirect_stdout(sink),
        redirect_stderr(sink),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
