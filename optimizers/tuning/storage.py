"""Where a study is kept: Optuna's journal file, or any database that SQLAlchemy reaches.

Who works on a journal holds a shared lock beside it, so that a worker that begins knows whether it is
alone: only then are the trials that a dead process left running cleaned up. A database has heartbeats
for that.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from signatures.errors import StoreError

if TYPE_CHECKING:
    import optuna

JOURNAL_NAME = "study.log"
WORKERS_NAME = "workers.sqlite"
HEARTBEAT_S = 30
GRACE_S = 90
_CLEANING_S = 10.0


def open_storage(url: str | None, folder: Path) -> optuna.storages.BaseStorage:
    """Return the storage of a study.

    Args:
        url: of a database, such as `sqlite:///study.db` or `postgresql://host/name`; None for a
            journal file in the folder.
        folder: the study's folder; it is made where it is missing.

    Raises:
        StoreError: the folder cannot be written, the journal cannot be read, or the database cannot
            be reached; a password in the URL is not shown.
    """
    import optuna

    if url is None:
        try:
            return optuna.storages.JournalStorage(_journal(folder))
        except (ValueError, KeyError) as error:
            refuse_journal(folder / JOURNAL_NAME, error)
    try:
        return optuna.storages.RDBStorage(
            url,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )
    except Exception as error:  # noqa: BLE001 - see below
        # SQLAlchemy, its drivers and Optuna each have errors of their own, a missing driver is an
        # ImportError; whatever it is, the URL cannot be used.
        said = without_password(str(error).strip().splitlines()[0] if str(error) else "")
        raise StoreError.rule(
            "Opening the study failed",
            unit=without_password(url),
            name="--storage",
            rule="be the URL of a database that can be reached, with its driver installed",
            value=f"{type(error).__name__}: {said}",
            todo="Write for example sqlite:///study.db, or leave it out for a journal file.",
        ) from None


def without_password(text: str) -> str:
    """Return a text with the password of each URL in it hidden.

    Example:
        >>> without_password("postgresql://ann:secret@db/tune")
        'postgresql://ann:***@db/tune'
    """
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)


def refuse_journal(path: Path, error: Exception) -> NoReturn:
    """Raise a `StoreError` about a journal that cannot be used."""
    raise StoreError.rule(
        "Opening the study failed",
        unit=str(path),
        name="the journal",
        rule="be a file that Optuna wrote, in a folder that can be written",
        value=f"{type(error).__name__}: {error}",
        todo="Choose another --out; nothing was changed.",
    ) from error


@contextmanager
def working(folder: Path) -> Iterator[bool]:
    """Count as a worker on the folder's study while the block runs; give whether no other does.

    SQLite's own file locks hold it: whoever is alone for a moment had them exclusively, and they end
    with their process, however it ends.
    """
    try:
        connection = sqlite3.connect(folder / WORKERS_NAME, isolation_level=None, timeout=0)
    except sqlite3.Error as error:
        refuse_journal(folder / WORKERS_NAME, error)
    try:
        alone = _alone(connection)
        connection.execute(f"PRAGMA busy_timeout = {int(_CLEANING_S * 1000)}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield alone
    finally:
        connection.close()


def _alone(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("CREATE TABLE IF NOT EXISTS workers (one)")
        connection.execute("COMMIT")
    except sqlite3.OperationalError:
        return False
    return True


def _journal(folder: Path) -> optuna.storages.journal.JournalFileBackend:
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = folder / JOURNAL_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cut_torn_line(path)
        # Making a symbolic link, Optuna's own lock, wants a privilege on Windows.
        lock = JournalFileOpenLock(str(path)) if os.name == "nt" else None
        return JournalFileBackend(str(path), lock_obj=lock)
    except OSError as error:
        refuse_journal(path, error)


def cut_torn_line(path: Path) -> None:
    """Cut off a last line without its end, which a kill in the middle of a write leaves.

    Optuna would put the next entry behind it and then refuse the file.
    """
    if not path.is_file():
        return
    with path.open("rb+") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            file.truncate(whole)
