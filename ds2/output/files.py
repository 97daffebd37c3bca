"""Files that are whole or not there: written beside their place, synced, then moved into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from signatures.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; the block's end puts that file in `path`'s place.

    A reader sees the old file or the new one, after a crash too. If the block fails, `path` is as
    it was. The folder is made if needed.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    temp = path.with_name(f".{path.name}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield temp
        with writing(path):
            publish(temp, path)
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Map what the file system says in this block to an `OutputError` about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError.rule(
            "Writing failed",
            name="the file",
            rule="be writable, with room on the disk",
            value=str(path),
            todo=f"{error.strerror or type(error).__name__}. Choose another place or free this one.",
        ) from error


def publish(temp: Path, path: Path) -> None:
    """Sync `temp` to the disk and move it to `path`, over what is there."""
    with temp.open("rb+") as file:
        os.fsync(file.fileno())
    temp.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` last through a power loss, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
