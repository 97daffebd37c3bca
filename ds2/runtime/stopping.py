"""How a command ends on a signal: in order when asked, at once when asked again, and never not at all.

A `KeyboardInterrupt` inside an event loop may fall between two steps of the loop itself: what was due
next is then lost, and whoever waits for it waits for ever. So while a loop runs a signal only cancels
its work; elsewhere it is raised as ever.
"""

from __future__ import annotations

import atexit
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

SAME_S = 1.0  # a terminal and a wrapper such as `timeout` both send the signal: it is one
PATIENCE_S = 30.0  # for what is in flight; writing files is not limited
LAST_S = 3.0  # for the last words of a command that is ended at once

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interrupt by another name."""


class Stop:
    """What signals have asked of a command.

    The first one stops it in order; others within `SAME_S` of it are the same one again. A later one
    ends the process at once, and so does `PATIENCE_S` of waiting: `at_last` says what is still done.

    Args:
        leave: ends the process with an exit code; it is called from a thread.
    """

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self._leave = leave
        self._signal = 0
        self._asked_s = 0.0
        self._works = False
        self._work: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._unhurried = 0
        self._lasts: list[Callable[[], None]] = []
        # Its `put` may be called within itself, as a signal handler must be.
        self._mail: queue.SimpleQueue[bool | None] = queue.SimpleQueue()

    @property
    def asked(self) -> bool:
        """Return whether a signal has asked the command to stop."""
        return self._signal != 0

    @property
    def code(self) -> int:
        """Return the exit code of a command that was stopped: 130, or 143 by SIGTERM."""
        return 128 + (self._signal or signal.SIGINT)

    @property
    def words(self) -> str:
        """Return which signal it was, as a sentence; nothing before one came."""
        return f"Interrupted by {signal.Signals(self._signal).name}." if self._signal else ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, run as `asyncio.run` does; a signal cancels it.

        Raises:
            KeyboardInterrupt: it was cancelled by a signal, after it has ended in order.
        """
        import asyncio

        async def main() -> T:
            task = asyncio.current_task()
            if task is not None:
                self._work = (asyncio.get_running_loop(), task)
            if self.asked:  # before there was anything to cancel
                work.close()
                raise asyncio.CancelledError
            return await work

        self._works = True
        try:
            return asyncio.run(main())
        except asyncio.CancelledError:
            if self.asked:
                raise self._error() from None
            raise
        finally:
            self._works, self._work = False, None

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Let the block take its time after a signal: it waits for nobody."""
        self._unhurried += 1
        try:
            yield
        finally:
            self._unhurried -= 1

    @contextmanager
    def at_last(self, work: Callable[[], None]) -> Iterator[None]:
        """Have `work` done where the process is ended at once within the block.

        It is called from a thread, beside whatever goes on; the latest first, `LAST_S` for all.
        """
        self._lasts.append(work)
        try:
            yield
        finally:
            self._lasts.remove(work)

    def handle(self, number: int, frame: FrameType | None = None) -> None:
        """Take in a signal, on the main thread.

        Raises:
            KeyboardInterrupt: it is the first one, and no event loop runs.
        """
        del frame
        now_s = time.monotonic()
        if self.asked:
            if now_s - self._asked_s > SAME_S:
                self._mail.put(True)
            return
        self._signal, self._asked_s = number, now_s
        self._mail.put(False)
        self._interrupt()

    def _interrupt(self) -> None:
        running = sys.modules.get("asyncio")
        if self._works:
            if self._work is not None:
                own, task = self._work
                with suppress(RuntimeError):  # it has just been closed: the work is done
                    own.call_soon_threadsafe(task.cancel)
            return
        loop = running._get_running_loop() if running is not None else None
        if running is None or loop is None:
            raise self._error()
        all_tasks = running.all_tasks
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in all_tasks(loop)])

    def _error(self) -> KeyboardInterrupt:
        return Terminated() if self._signal == signal.SIGTERM else KeyboardInterrupt()

    def rest(self) -> None:
        """End the watch of a command that no signal has asked to stop."""
        self._mail.put(None)

    def watch(self) -> None:
        """Wait for signals until `rest`, and end the process where it must be ended at once."""
        if self._mail.get() is None:
            return
        self._end("once more" if self._asked_again() else f"and not done within {PATIENCE_S:g} s")

    def _asked_again(self) -> bool:
        """Wait until one more signal comes, or for the longest time; return which it was."""
        since_s = time.monotonic()
        while time.monotonic() - since_s <= PATIENCE_S:
            with suppress(queue.Empty):
                self._mail.get(timeout=0.25)
                return True
            if self._unhurried:
                since_s = time.monotonic()
        return False

    def _end(self, why: str) -> None:
        words = f"Interrupted {why}: ended at once. What was answered is kept.\n"
        lasts = threading.Thread(target=self._say_last, name="ds2-last", daemon=True)
        lasts.start()
        lasts.join(LAST_S)
        with suppress(OSError):
            os.write(2, words.encode())
        self._leave(self.code)

    def _say_last(self) -> None:
        for work in reversed(self._lasts):
            # What it needs may be in the middle of something: then the end is without that.
            with suppress(Exception):
                work()


_current: ContextVar[Stop | None] = ContextVar("ds2_stop", default=None)


def current() -> Stop:
    """Return what signals have asked of the running command; outside `signals` none ever does."""
    return _current.get() or Stop()


@contextmanager
def signals() -> Iterator[Stop]:
    """Take SIGINT and SIGTERM for the block, where it runs on the main thread.

    Where one came they are taken to the end of the process: one more, in its last moments, must not
    change how it ends. A signal that is ignored from the start stays ignored.
    """
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    stop = Stop()
    token = _current.set(stop)
    earlier = _take(stop)
    try:
        yield stop
    finally:
        _current.reset(token)
        if stop.asked:
            atexit.register(_ignore, tuple(earlier))
        else:
            stop.rest()
            for number, handler in earlier.items():
                signal.signal(number, handler)


def _take(stop: Stop) -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    earlier = {n: signal.getsignal(n) for n in _SIGNALS}
    taken: dict[int, Any] = {
        n: handler for n, handler in earlier.items() if handler not in (signal.SIG_IGN, None)
    }
    threading.Thread(target=stop.watch, name="ds2-signals", daemon=True).start()
    for number in taken:
        signal.signal(number, stop.handle)
    return taken


def _ignore(numbers: tuple[int, ...]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
