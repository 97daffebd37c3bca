"""Standard output that is full, closed or gone: told as a mistake that a person can mend."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signatures.errors import OutputError


@contextmanager
def checked_stdout() -> Iterator[None]:
    """Hand on all that the block prints; what stdout says of itself is an `OutputError`.

    A reader that has gone, as `head` does, is no mistake. What another file says passes through.

    Raises:
        OutputError: stdout does not take what is printed.
    """
    try:
        try:
            yield
        finally:
            _flush()
    except OSError as error:
        if _takes_all(error):
            raise
        to_nowhere()
        raise untaken(error) from error


def untaken(error: OSError) -> OutputError:
    """Return the error of a stdout that does not take what is printed."""
    from signatures.errors import OutputError

    return OutputError.rule(
        "Printing failed",
        name="stdout",
        rule="take all that is printed",
        value=error.strerror or type(error).__name__,
        todo="Free space, or send it to another file.",
    )


def to_nowhere() -> None:
    """Let all that stdout still holds, and what comes, go nowhere: Python writes it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        to_nowhere()


def _takes_all(error: OSError) -> bool:
    """Return whether stdout is not what failed: it would fail again.

    Where it is buffered it keeps what it could not write; else an empty line tells. An error about a
    file by its name is that file's.
    """
    if error.filename is not None:
        return True
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True
