"""What compiling changed, kept in the run's own folder: a program's file may move or be made anew."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ds2.output.files import replacing

DIFF_NAME = "prompts.diff"


def keep_changes(program: Path | None, folder: Path) -> None:
    """Copy what `ds2 compile` wrote beside a program into a run's folder; nothing where it did not."""
    source = None if program is None else program.with_name(DIFF_NAME)
    if source is None or not source.is_file():
        return
    # It is for the report only: a run need not fail for a file that cannot be read.
    with suppress(OSError), replacing(folder / DIFF_NAME) as temp:
        shutil.copyfile(source, temp)
