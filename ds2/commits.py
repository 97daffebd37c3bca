"""Group commit: one thread that writes, and makes whatever waits one transaction.

A commit costs the same for one reply as for ten, so replies wait for company, but only for as long
as does not count: a fiftieth of the time that they took. What took no time is written at once.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from signatures.receipts import Receipt
from signatures.records import content_id, valid_text

BATCH = 1000
PATIENCE_S = 0.01  # longest wait for company
_SHARE = 0.02  # of the time that a reply took
# Rows of one statement: few sizes, so that each is prepared once.
_CHUNKS = (64, 32, 16, 8, 4, 2, 1)
_COLUMNS = 13

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prompts (id TEXT PRIMARY KEY, prompt TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
  key TEXT PRIMARY KEY,
  stage TEXT NOT NULL,
  place INTEGER NOT NULL,
  prompt_id TEXT NOT NULL,
  options TEXT NOT NULL,
  text TEXT NOT NULL,
  finish_reason TEXT NOT NULL,
  thinking TEXT NOT NULL,
  model TEXT NOT NULL,
  input_tokens INTEGER,
  output_tokens INTEGER,
  reasoning_tokens INTEGER,
  latency_s REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_cost
  ON calls (stage, place, input_tokens, output_tokens, reasoning_tokens);
CREATE TABLE IF NOT EXISTS units (
  place INTEGER PRIMARY KEY,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  record TEXT NOT NULL
);
"""
RECEIPT = "key, text, finish_reason, thinking, model, input_tokens, output_tokens, reasoning_tokens"
_FIND = f"SELECT {RECEIPT} FROM calls WHERE key = ?"  # noqa: S608
_ADD = "INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Work: TypeAlias = "Callable[[sqlite3.Connection], Any] | Reply"


class Reply(NamedTuple):
    """A reply to be kept.

    Args:
        stage: who asked.
        receipt: the reply as it is kept.
        prompt: the row of its prompt.
        call: the row of its call, which the prompt's id stands in.
    """

    stage: str
    receipt: Receipt
    prompt: tuple[str, str]
    call: tuple[Any, ...]


def reply_of(
    receipt: Receipt, *, stage: str, place: int, prompt: str, options: str, latency_s: float
) -> Reply:
    """Return a reply as it is kept: halves of surrogate pairs, which no file can hold, are U+FFFD."""
    prompt_row = _prompt(prompt)
    kept = Receipt(
        receipt.call,
        valid_text(receipt.text),
        receipt.finish_reason,
        valid_text(receipt.thinking),
        valid_text(receipt.model),
        receipt.input_tokens,
        receipt.output_tokens,
        receipt.reasoning_tokens,
    )
    said = (kept.text, kept.finish_reason, kept.thinking, kept.model)
    tokens = (kept.input_tokens, kept.output_tokens, kept.reasoning_tokens)
    call = (kept.call, stage, place, prompt_row[0], options, *said, *tokens, latency_s)
    return Reply(stage, kept, prompt_row, call)


@lru_cache(maxsize=64)
def _prompt(prompt: str) -> tuple[str, str]:
    """Return a prompt's id and its text as a file can hold it; the draws of one come together."""
    prompt = valid_text(prompt)
    return content_id(prompt), prompt


class _Write(NamedTuple):
    work: Work
    future: Future[Any]
    patience_s: float


class Committer:
    """The thread that writes to a store: whatever waits, in one transaction, or none of it.

    Of what goes together replies are written first; everything else is done in its order.

    Args:
        connection: used by this thread alone from now on.
        added: told of each reply that was new, once it is committed.
        failed: makes the error that everyone who waits gets, now and from then on, of one of SQLite.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        added: Callable[[Reply], None],
        failed: Callable[[sqlite3.Error], Exception],
    ) -> None:
        self._connection = connection
        self._added, self._failed = added, failed
        #: Called, on the thread, before replies are committed; what it queues goes with them.
        self.with_replies: Callable[[], object] = lambda: None
        self._failure: Exception | None = None
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._due_s = 0.0
        self._thread = threading.Thread(target=self._write_on, name="ds2-store", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Return whether it still takes what there is to write."""
        return self._thread.is_alive()

    def keep(self, reply: Reply, *, latency_s: float) -> Future[Receipt]:
        """Queue a reply; the future gives, once it is committed, the one that stands for its key.

        Args:
            reply: the reply.
            latency_s: how long it took, seconds; a fiftieth of that it may wait for company.
        """
        return self._put(reply, min(PATIENCE_S, _SHARE * latency_s))

    def submit(
        self, work: Callable[[sqlite3.Connection], Any], *, hurry: bool = True
    ) -> Future[Any]:
        """Queue a piece of work on the connection; the future gives, committed, what it returned.

        Args:
            work: called inside a transaction.
            hurry: somebody waits for it.
        """
        return self._put(work, 0.0 if hurry else PATIENCE_S)

    def close(self) -> None:
        """Write out whatever waits, and end."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._hurry.set()
            self._thread.join()

    def _put(self, work: Work, patience_s: float) -> Future[Any]:
        future: Future[Any] = Future()
        self._queue.put(_Write(work, future, patience_s))
        # Looked at after the write is in, as the thread sets it before it waits: one sees the other.
        if time.monotonic() + patience_s < self._due_s:
            self._hurry.set()
        return future

    def _write_on(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get()]
            self._gather(batch)
            if any(write is not None and isinstance(write.work, Reply) for write in batch):
                self.with_replies()
                self._drain(batch)
            closing = None in batch
            self._commit([write for write in batch if write is not None])

    def _gather(self, batch: list[_Write | None]) -> None:
        """Take what waits into the batch, and what comes until the most impatient has waited enough."""
        self._drain(batch)
        patience_s = min(0.0 if write is None else write.patience_s for write in batch)
        if patience_s <= 0 or len(batch) >= BATCH:
            return
        self._hurry.clear()
        self._due_s = time.monotonic() + patience_s
        arrived = len(batch)
        self._drain(batch)
        if all(write is not None and write.patience_s for write in batch[arrived:]):
            self._hurry.wait(patience_s)
        self._due_s = 0.0
        self._drain(batch)

    def _drain(self, batch: list[_Write | None]) -> None:
        while len(batch) < BATCH and not self._queue.empty():
            batch.append(self._queue.get())

    def _commit(self, batch: list[_Write]) -> None:
        if not batch:
            return
        results: list[Any] = []
        if self._failure is None:
            try:
                results = transact(self._connection, [write.work for write in batch])
            except sqlite3.Error as error:
                # Disk full, torn file: nothing of this batch stands, and nothing after it may.
                self._failure = self._failed(error)
                self._failure.__cause__ = error
            except Exception as error:  # noqa: BLE001 - a bug; whoever waits raises it
                self._failure = error
        if self._failure is not None:
            for write in batch:
                _settle(write.future, error=self._failure)
            return
        for write, result in zip(batch, results, strict=True):
            if isinstance(write.work, Reply) and result is write.work.receipt:
                self._added(write.work)
            _settle(write.future, result)


def transact(connection: sqlite3.Connection, work: Sequence[Work]) -> list[Any]:
    """Do pieces of work in one transaction, replies first; return their results in their order."""
    replies = [item for item in work if isinstance(item, Reply)]
    connection.execute("BEGIN IMMEDIATE")
    try:
        standing = iter(_kept(connection, replies))
        results = [next(standing) if isinstance(item, Reply) else item(connection) for item in work]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def _kept(connection: sqlite3.Connection, replies: Sequence[Reply]) -> list[Receipt]:
    """Write replies; return those that stand: a reply itself where it was new."""
    prompts = list(dict(reply.prompt for reply in replies).items())
    for chunk in _chunks(prompts):
        marks = ", ".join(["(?, ?)"] * len(chunk))
        connection.execute(
            f"INSERT OR IGNORE INTO prompts VALUES {marks}",  # noqa: S608
            [value for row in chunk for value in row],
        )
    standing: list[Receipt] = []
    for part in _chunks(replies):
        standing += _kept_at_once(connection, part) or [_kept_alone(connection, r) for r in part]
    return standing


def _kept_at_once(connection: sqlite3.Connection, replies: Sequence[Reply]) -> list[Receipt] | None:
    """Write replies by one statement; None, and nothing is written, where one is there already.

    Each statement lets go of the interpreter and has to wait for it again, which in a busy process
    costs more than the writing.
    """
    row = f"({', '.join('?' * _COLUMNS)})"
    try:
        connection.execute(
            f"INSERT INTO calls VALUES {', '.join([row] * len(replies))}",  # noqa: S608
            [value for reply in replies for value in reply.call],
        )
    except sqlite3.IntegrityError:
        return None
    return [reply.receipt for reply in replies]


def _kept_alone(connection: sqlite3.Connection, reply: Reply) -> Receipt:
    if connection.execute(_ADD, reply.call).rowcount:
        return reply.receipt
    return Receipt(*connection.execute(_FIND, (reply.receipt.call,)).fetchone())


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    at = 0
    for size in _CHUNKS:
        while len(items) - at >= size:
            yield items[at : at + size]
            at += size


def _settle(future: Future[Any], result: Any = None, error: Exception | None = None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
