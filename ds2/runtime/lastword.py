"""The last word of a run whose disk is full: a small file, made beforehand and overwritten in place.

A store on a full disk takes no more commits, so it cannot say how its run ended. Bytes that a file has
already can be written over without room for new ones (not on a file system that copies on write).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

LAST_WORD_NAME = "last-word.json"
_SIZE = 4096
_MOST_WORDS = 600  # characters, of which JSON makes six bytes at most


class LastWord:
    """The file beside the store of one run. What cannot be written is left unsaid.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LAST_WORD_NAME

    def reserve(self) -> None:
        """Make the file, blank, on the disk; what another process said last is gone."""
        with suppress(OSError):
            self._overwrite(b"")

    def say(self, *, status: str, why: str, pid: int, beat_s: float) -> None:
        """Write how the run ended; the fields are those of a heartbeat."""
        facts = {"status": status, "why": why[:_MOST_WORDS], "pid": pid, "beat_s": beat_s}
        with suppress(OSError):
            self._overwrite(json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace"))

    def drop(self) -> None:
        """Remove the file: the store has said it."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def read(self, heartbeat: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was said after a heartbeat of the store; empty where nothing was."""
        try:
            said = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(said, dict) or "beat_s" not in said:
            return {}
        return said if said["beat_s"] >= heartbeat.get("beat_s", 0.0) else {}

    def _overwrite(self, text: bytes) -> None:
        there = self._path.is_file() and self._path.stat().st_size == _SIZE
        with self._path.open("r+b" if there else "wb") as file:
            file.write(text.ljust(_SIZE))
            file.flush()
            os.fsync(file.fileno())
