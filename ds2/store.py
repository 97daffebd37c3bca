"""The run store: the call log and the ledger of one run, in SQLite.

One thread commits whatever waits (`ds2.commits`), with `synchronous=FULL`, because replies cost
money. Readers have a connection of their own. A second file holds the lock of the run; it dies with
its process, on every system that SQLite knows. Who opens a store without the lock can only read, and
neither waits for the run nor makes it wait.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from ds2.commits import RECEIPT, SCHEMA, Committer, Reply, reply_of
from ds2.lock import RunLock, damaged
from signatures.errors import StoreError
from signatures.receipts import Receipt

SCHEMA_VERSION = 1
STORE_NAME = "store.sqlite"

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}

_USAGE = (
    "SELECT stage, count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"
    " coalesce(sum(reasoning_tokens), 0), sum(input_tokens IS NULL OR output_tokens IS NULL)"
    " FROM calls GROUP BY 1"
)


class UnitRecord(NamedTuple):
    """One decided unit of the ledger.

    Args:
        place: its index in the global order.
        state: accepted, rejected or surplus.
        reason: why it was rejected; empty otherwise.
        record: the whole of it as JSON (a `Row`, a `Rejection`, or what is known of a surplus unit).
    """

    place: int
    state: str
    reason: str
    record: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stage has cost so far; tokens count only replies that reported them."""

    calls: int
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    unreported: int


class RunStore:
    """The open store of one run: a call log (see `ds2.engines.logged.CallLog`) and a ledger.

    Thread-safe. Use it as a context manager; leaving it writes out whatever waits.

    Args:
        folder: the run folder; it must exist.
        lock: take the lock of the run; False to read only, beside a running process or without one.

    Raises:
        StoreError: the folder is locked by another process, unwritable, or written by a version
            with another schema; without the lock also where it holds no run.
    """

    def __init__(self, folder: Path, *, lock: bool = True) -> None:
        self.folder = folder
        self.added = 0
        self._writes = lock
        self._lock = RunLock(folder) if lock else None
        self._read_lock = threading.Lock()
        self._usage: dict[str, list[int]] = {}
        self._connections: list[sqlite3.Connection] = []
        self._committer: Committer | None = None
        self._lasts: list[Callable[[], object]] = []
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._release()
            raise damaged(folder, error, STORE_NAME) from error
        except StoreError:
            self._release()
            raise
        if lock:
            self._committer = Committer(
                self._writer_connection,
                added=self._count,
                failed=lambda error: damaged(folder, error, STORE_NAME),
            )

    def _prepare(self) -> None:
        if self._writes:
            self._writer_connection = self._open()
            self._writer_connection.executescript(SCHEMA)
        elif not (self.folder / STORE_NAME).is_file():
            raise _no_run(self.folder, f"no {STORE_NAME}")
        self._reader = self._open()
        self._check_schema()
        if self._writes:
            self._usage = {stage: numbers for stage, *numbers in self._all(_USAGE)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: str) -> Receipt | None:
        """Return the stored reply of a call, or None."""
        row = self._one(f"SELECT {RECEIPT} FROM calls WHERE key = ?", (key,))  # noqa: S608
        return Receipt(*row) if row else None

    def put(
        self,
        receipt: Receipt,
        *,
        stage: str,
        place: int,
        prompt: str,
        options: str,
        latency_s: float,
    ) -> Future[Receipt]:
        """Queue a reply; the future gives, once it is committed, the reply that stands for its key.

        Halves of surrogate pairs, which no file can hold, become U+FFFD.
        """
        reply = reply_of(
            receipt,
            stage=stage,
            place=place,
            prompt=prompt,
            options=options,
            latency_s=latency_s,
        )
        return self._writing().keep(reply, latency_s=latency_s)

    def record_unit(self, unit: UnitRecord) -> Future[None]:
        """Queue the decision on a unit; the same unit decided again overwrites itself."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?)", unit)

        return self._submit(write, hurry=False)

    def forget_units(self, *, state: str | None = None, after: int = -1) -> None:
        """Forget decisions, all or those of one state, at places above `after`."""
        which = "" if state is None else " AND state = :state"
        values = {"after": after, "state": state}
        sql = f"DELETE FROM units WHERE place > :after{which}"  # noqa: S608
        self._submit(lambda c: c.execute(sql, values) and None).result()

    def units_after(self, place: int, limit: int) -> list[UnitRecord]:
        """Return the next decided units above a place, in the global order, no more than `limit`."""
        rows = self._all(
            "SELECT place, state, reason, record FROM units WHERE place > ? ORDER BY place LIMIT ?",
            (place, limit),
        )
        return [UnitRecord(*row) for row in rows]

    def units(self, state: str | None = None) -> Iterator[UnitRecord]:
        """Yield decided units in the global order, all or those of one state."""
        condition = "" if state is None else "WHERE state = :state"
        sql = f"SELECT place, state, reason, record FROM units {condition} ORDER BY place"  # noqa: S608
        with self._reading(), closing(self._connected()) as connection:
            for row in connection.execute(sql, {"state": state}):
                yield UnitRecord(*row)

    def units_digest(self) -> str:
        """Return 16 hexadecimal digits of all decided units, as they stand."""
        state = hashlib.blake2b(digest_size=8)
        for unit in self.units():
            # With its length before it, no part can pass for the beginning of the next.
            whole = "".join(f"{len(part)} {part}" for part in map(str, unit))
            state.update(whole.encode("utf-8", "surrogatepass"))
        return state.hexdigest()

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many units are decided, by (state, reason)."""
        rows = self._all("SELECT state, reason, count(*) FROM units GROUP BY 1, 2 ORDER BY 1, 2")
        return {(state, reason): number for state, reason, number in rows}

    @property
    def calls(self) -> int:
        """Return how many replies are in the log."""
        return sum(usage.calls for usage in self.usage().values())

    def usage(self) -> dict[str, Usage]:
        """Return what each stage has cost, over all processes that worked on this run."""
        # Counted along while writing: a run asks for it often, and a log of a million calls is long.
        rows = self._usage.items() if self._writes else ((s, n) for s, *n in self._all(_USAGE))
        return {stage: Usage(*numbers) for stage, numbers in sorted(rows)}

    def usage_by_unit(self) -> Iterator[tuple[int, str, Usage, float]]:
        """Yield (place, stage, usage, seconds of its calls one after the other), units in order.

        Calls before the first unit have place -1.
        """
        connection = self._connected()
        try:
            for place, stage, *numbers, seconds in connection.execute(
                "SELECT place, stage, count(*), coalesce(sum(input_tokens), 0),"
                " coalesce(sum(output_tokens), 0), coalesce(sum(reasoning_tokens), 0),"
                " sum(input_tokens IS NULL OR output_tokens IS NULL), sum(latency_s)"
                " FROM calls GROUP BY 1, 2 ORDER BY 1, 2"
            ):
                yield place, stage, Usage(*numbers), seconds
        finally:
            connection.close()

    def unreported(self) -> dict[str, tuple[int, int, int, int]]:
        """Return the calls that did not report their tokens: number, bytes sent and said, limits.

        By stage; the limits on their replies, in tokens, are summed.
        """
        rows = self._all(
            "SELECT c.stage, count(*),"
            " sum(length(CAST(p.prompt AS BLOB)) + length(CAST(c.options AS BLOB))),"
            " sum(length(CAST(c.text AS BLOB)) + length(CAST(c.thinking AS BLOB))),"
            " sum(coalesce(json_extract(c.options, '$.max_tokens'), 0))"
            " FROM calls c JOIN prompts p ON p.id = c.prompt_id"
            " WHERE c.input_tokens IS NULL OR c.output_tokens IS NULL GROUP BY 1"
        )
        return {stage: (calls, sent, said, limit) for stage, calls, sent, said, limit in rows}

    def calls_by_state(self) -> dict[str, int]:
        """Return how many logged calls were made for units of each state.

        Calls before the first unit count as `keywords`; those of units without a decision as
        `undecided`.
        """
        rows = self._all(
            "SELECT CASE WHEN c.place < 0 THEN 'keywords' ELSE coalesce(u.state, 'undecided') END,"
            " count(*) FROM calls c LEFT JOIN units u ON u.place = c.place GROUP BY 1"
        )
        return dict(rows)

    def reply_at(self, place: int, stage: str) -> str | None:
        """Return the text of a reply that was logged for a unit by a stage, or None."""
        row = self._one(
            "SELECT text FROM calls WHERE stage = ? AND place = ? ORDER BY key LIMIT 1",
            (stage, place),
        )
        return None if row is None else str(row[0])

    def example_prompts(self) -> dict[str, str]:
        """Return one prompt of each stage, that of its lowest place, as the call log keeps it."""
        rows = self._all(
            "SELECT c.stage, p.prompt, min(c.place) FROM calls c JOIN prompts p ON p.id = c.prompt_id"
            " GROUP BY c.stage ORDER BY c.stage"
        )
        return {stage: prompt for stage, prompt, _ in rows}

    def meta(self) -> dict[str, Any]:
        """Return what the run says of itself.

        Raises:
            StoreError: it is damaged.
        """
        try:
            return {name: json.loads(value) for name, value in self._all("SELECT * FROM meta")}
        except ValueError as error:
            raise damaged(self.folder, error, f"{STORE_NAME}, its table meta,") from error

    def set_meta(self, values: Mapping[str, Any]) -> None:
        """Write what the run says of itself, and wait until it is committed."""
        self.note_meta(values).result()

    def note_meta(self, values: Mapping[str, Any]) -> Future[None]:
        """Queue what the run says of itself."""
        rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in values.items()]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

        return self._submit(write)

    def flush(self) -> None:
        """Wait until everything queued so far is committed."""
        self._submit(lambda _: None).result()

    def with_replies(self, work: Callable[[], object]) -> None:
        """Have `work` done before replies are committed: what it queues goes with them."""
        self._writing().with_replies = work

    def at_close(self, work: Callable[[], object]) -> None:
        """Have `work` done before the store is closed, which may still queue what there is to write."""
        self._lasts.append(work)

    def close(self) -> None:
        """Write out whatever waits, then let go of the files and the lock."""
        if self._committer is not None:
            while self._lasts and self._committer.alive:
                self._lasts.pop()()
            self._committer.close()
        self._release()

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return what a reading statement gives, for questions that only one reader asks.

        The tables are `meta`, `prompts`, `calls` and `units`.
        """
        return self._all(sql, parameters)

    def _open(self) -> sqlite3.Connection:
        connection = self._connected()
        self._connections.append(connection)
        return connection

    def _connected(self) -> sqlite3.Connection:
        path = self.folder / STORE_NAME
        return _connect(path) if self._writes else _connect_to_read(path)

    def _count(self, reply: Reply) -> None:
        """Take a reply that was added into the usage of its stage; on the writer's thread."""
        self.added += 1
        receipt = reply.receipt
        tokens = (receipt.input_tokens, receipt.output_tokens, receipt.reasoning_tokens)
        more = (1, *(n or 0 for n in tokens), int(None in tokens[:2]))
        before = self._usage.get(reply.stage, (0, 0, 0, 0, 0))
        self._usage[reply.stage] = [a + b for a, b in zip(before, more, strict=True)]

    def _release(self) -> None:
        for connection in self._connections:
            connection.close()
        if self._lock is not None:
            self._lock.close()

    def _submit(
        self, work: Callable[[sqlite3.Connection], Any], *, hurry: bool = True
    ) -> Future[Any]:
        return self._writing().submit(work, hurry=hurry)

    def _writing(self) -> Committer:
        if self._committer is None or not self._committer.alive:
            raise RuntimeError("the run store is closed, or was opened to read only")
        return self._committer

    def _check_schema(self) -> None:
        tables = self._all("SELECT name FROM sqlite_master WHERE name = 'meta'")
        row = self._one("SELECT value FROM meta WHERE name = 'schema'", ()) if tables else None
        if row is None:
            if not self._writes:
                raise _no_run(self.folder, f"an empty {STORE_NAME}")
            self._writer_connection.execute(
                "INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),)
            )
        elif row[0] != str(SCHEMA_VERSION):
            raise StoreError.rule(
                "Opening the run failed",
                unit=str(self.folder),
                name="the store's schema",
                rule=f"be version {SCHEMA_VERSION}",
                value=row[0],
                todo="Use the version of DS2 that began this run"
                + (", or choose another --out." if self._writes else "."),
            )

    def _one(self, sql: str, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        with self._read_lock, self._reading():
            return self._reader.execute(sql, parameters).fetchone()

    def _all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._read_lock, self._reading():
            return self._reader.execute(sql, parameters).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Map what SQLite says of a file that it cannot read; what else it says is a bug."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                raise
            raise damaged(self.folder, error, STORE_NAME) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # On macOS a plain fsync stops at the drive's own cache; elsewhere these two change nothing.
        connection.execute("PRAGMA fullfsync=ON")
        connection.execute("PRAGMA checkpoint_fullfsync=ON")
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA temp_store=MEMORY")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that changes nothing, on a disk that cannot be written too."""
    address = path.absolute().as_uri()
    # Beside a writer a reader needs the log's index (-shm), which SQLite makes where it may.
    modes = ("mode=rw", "mode=ro&immutable=1")
    for mode in modes:
        connection = sqlite3.connect(
            f"{address}?{mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA busy_timeout=5000")
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            closed = error.sqlite_errorcode & 0xFF in {
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            }
            if mode == modes[-1] or not closed or path.with_name(f"{path.name}-wal").exists():
                raise
        except sqlite3.Error:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("a mode returns or raises")


def _no_run(folder: Path, value: str) -> StoreError:
    return StoreError.rule(
        "Reading the run failed",
        unit=str(folder),
        name="the folder",
        rule=f"be that of a run, with its {STORE_NAME}",
        value=value,
        todo="Name the folder of a run, such as runs/gsm8k-60.",
    )
