"""Where a study is kept: Optuna's journal file, or any database that SQLAlchemy reaches.

Who works in a study's folder holds a shared lock there, so that a worker that begins knows whether it is
alone: only then are the trials that a dead process left running asked for again, on a journal all of
them, in a database those of this folder. Those of another folder's worker are when its heartbeats stop.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

from signatures.errors import StoreError

if TYPE_CHECKING:
    import optuna

JOURNAL_NAME = "study.log"
WORKERS_NAME = "workers.sqlite"
DOOR_NAME = "door.sqlite"
HEARTBEAT_S = 30
GRACE_S = 90
_CLEANING_S = 60.0  # the longest that others wait for one who opens and cleans up
_AGAIN_S = 0.02
_TRIES, _WAIT_S = 8, 0.25
_MEANWHILE = ("already exists", "duplicate key", "unique constraint")
_DRIVERS = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "PyMySQL",
}


class Worker:
    """A process at work on a study.

    Args:
        connection: to the file of locks in the study's folder.
        alone: no other works in that folder; until `share` none can begin.
        name: stands for whoever works in that folder, now and after a kill.
    """

    def __init__(self, connection: sqlite3.Connection, *, alone: bool, name: str) -> None:
        self._connection = connection
        self.alone, self.name = alone, name

    def share(self) -> None:
        """Let others begin in the folder."""
        if self.alone:
            self._connection.execute("COMMIT")
            self._connection.execute(f"PRAGMA busy_timeout = {int(_CLEANING_S * 1000)}")
            _take_shared(self._connection)


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
    for left in reversed(range(_TRIES)):
        try:
            return optuna.storages.RDBStorage(
                url,
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
            )
        except Exception as error:  # noqa: BLE001 - SQLAlchemy, its drivers and Optuna each have theirs
            said = str(error).lower()
            if not left or not any(sign in said for sign in _MEANWHILE):
                _refuse_url(url, error)
        time.sleep(_WAIT_S)  # another worker is making the tables just now
    raise AssertionError


def close_storage(storage: optuna.storages.BaseStorage) -> None:
    """Let go of the connections to a database."""
    import optuna

    if isinstance(storage, optuna.storages.RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def _refuse_url(url: str, error: Exception) -> NoReturn:
    said = without_password(str(error).strip().splitlines()[0] if str(error) else "")
    driver = _missing(error)
    todo = "Write for example sqlite:///study.db, or leave it out for a journal file."
    if driver is not None:
        said, todo = f"no module named {driver!r}", f"pip install '{_DRIVERS.get(driver, driver)}'."
    raise StoreError.rule(
        "Opening the study failed",
        unit=without_password(url),
        name="--storage",
        rule="be the URL of a database that can be reached, with its driver installed",
        value=f"{type(error).__name__}: {said}",
        todo=todo,
    ) from None


def _missing(error: BaseException | None) -> str | None:
    """Return the module that a driver lacks, from the error or what it came from."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__ or error.__context__
    return None


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
def working(folder: Path) -> Iterator[Worker]:
    """Count as a worker in the study's folder while the block runs; see `Worker.share`.

    SQLite's own file locks hold it: whoever is alone for a moment had them exclusively, and they end
    with their process, however it ends.
    """
    with ExitStack() as open_files:
        try:
            connection = _opened(folder / WORKERS_NAME, open_files)
            with closing(sqlite3.connect(folder / DOOR_NAME, timeout=_CLEANING_S)) as door:
                door.execute("BEGIN IMMEDIATE")  # or two who try at once keep each other from it
                worker = _begun(connection)
        except sqlite3.Error as error:
            refuse_journal(folder / WORKERS_NAME, error)
        yield worker


def _opened(path: Path, open_files: ExitStack) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    return open_files.enter_context(closing(connection))


def _begun(connection: sqlite3.Connection) -> Worker:
    """Return the worker on this connection: alone, or beside others that have cleaned up.

    One who cleans up keeps out everybody until it is done, or dead with nothing of its own left.
    """
    until_s = time.monotonic() + _CLEANING_S
    while True:
        for take in (_take_alone, _take_shared):
            try:
                return take(connection)
            except sqlite3.OperationalError:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if time.monotonic() > until_s:
                    raise
        time.sleep(_AGAIN_S)


def _take_alone(connection: sqlite3.Connection) -> Worker:
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("CREATE TABLE IF NOT EXISTS workers (one)")
    connection.execute(
        "INSERT INTO workers SELECT ? WHERE NOT EXISTS (SELECT * FROM workers)", (uuid4().hex,)
    )
    return Worker(connection, alone=True, name=_id(connection))


def _take_shared(connection: sqlite3.Connection) -> Worker:
    connection.execute("BEGIN")
    return Worker(connection, alone=False, name=_id(connection))  # reading takes the lock


def _id(connection: sqlite3.Connection) -> str:
    return str(connection.execute("SELECT one FROM workers").fetchone()[0])


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
