"""One background event loop, so that `forward` is `aforward` seen from a thread.

Every module of DS2 writes its logic once, in `aforward`. Optimizers, `dspy.Evaluate` and notebooks
call `forward`, often from many threads, sometimes with a loop already running: they all share this
loop. Context variables cross over, so `dspy.context`, traces and usage stay right.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, run on the background loop; the calling thread waits.

    A Ctrl-C while waiting cancels the work before it goes on up.

    Raises:
        RuntimeError: called from the background loop itself, which would wait for itself for ever.
    """
    loop = _running_loop()
    if threading.current_thread() is _thread:
        work.close()
        raise RuntimeError(
            "call acall() instead of the module itself inside a coroutine of DS2's loop"
        )
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop, _thread
    with _lock:
        # A forked child inherits the objects but not the thread.
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="ds2-programs", daemon=True)
            _thread.start()
        return _loop
