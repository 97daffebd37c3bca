"""The lock of a run folder: one process at a time, on every system that SQLite knows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from signatures.errors import StoreError

LOCK_NAME = "lock.sqlite"
LOCK_WAIT_S = 1.0  # longer than a look at whether a run is under way holds the lock's file


class RunLock:
    """The lock of a run folder: held by one process, released when that process ends in any way."""

    def __init__(self, folder: Path) -> None:
        try:
            self._connection = sqlite3.connect(
                folder / LOCK_NAME, isolation_level=None, timeout=LOCK_WAIT_S
            )
        except sqlite3.Error as error:
            raise damaged(folder, error, LOCK_NAME) from error
        try:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self._connection.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise damaged(folder, error, LOCK_NAME) from error
            raise StoreError.rule(
                "Opening the run failed",
                unit=str(folder),
                name="the run folder",
                rule="be used by one process at a time",
                value=str(error),
                todo="Wait for the other run to end, or choose another --out.",
            ) from error

    def close(self) -> None:
        """Release the lock."""
        self._connection.close()


def is_running(folder: Path) -> bool:
    """Return whether a process holds the lock of a run folder; the folder is only looked at."""
    path = folder / LOCK_NAME
    if not path.is_file():
        return False
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            return True
        raise damaged(folder, error, LOCK_NAME) from error
    finally:
        connection.close()
    return False


def damaged(folder: Path, error: Exception, name: str) -> StoreError:
    """Return the error of a file of a run folder that SQLite cannot read or write."""
    return StoreError.rule(
        "Using the run store failed",
        unit=str(folder),
        name=name,
        rule="be a readable and writable SQLite file on a disk with room",
        value=f"{type(error).__name__}: {error}",
        todo="Free space or mend the folder, then give the same command again: what was committed is kept.",
    )
