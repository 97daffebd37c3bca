"""Runs in processes of their own that start at once: forks of a parent that has imported everything.

As a script it is that parent. The first line of its input is a request to warm up with. Each line
after it is one to fork for: it prints the process id, and `ended CODE` when that is over (a signal
as its negative number).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 60.0  # a guard against a fork that hangs, far from any real one


class Forks:
    """The parent, from the outside; a context manager.

    Args:
        request: the run whose first call the parent makes itself, so that its forks start at once.
    """

    def __init__(self, **request: Any) -> None:
        self._first = request
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the parent

    def __enter__(self) -> Self:
        """Start the parent and wait until it has imported everything."""
        self._parent = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        assert self._parent.stdin is not None
        print(json.dumps(self._first), file=self._parent.stdin, flush=True)
        assert self._line() == "ready"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the parent."""
        self._parent.kill()
        self._parent.communicate()
        self._errors.close()

    def start(self, out: Path, **request: Any) -> int:
        """Start a run and return its process id; `request` as `small_runs.asked`, and `most_bytes`.

        `most_bytes` is the largest file that the process may write: the disk of a small machine.
        """
        assert self._parent.stdin is not None
        print(json.dumps({"out": str(out), **request}), file=self._parent.stdin, flush=True)
        return int(self._line())

    def wait(self) -> int:
        """Return the exit code of the run that was started last."""
        word, code = self._line().split()
        assert word == "ended"
        return int(code)

    @property
    def errors(self) -> str:
        """Return what all runs so far have said on stderr."""
        self._errors.seek(0)
        return self._errors.read()

    def kill(self, pid: int, when: Callable[[], bool], wait_s: float = 0.0) -> None:
        """Kill the run that was started last `wait_s` after `when` holds; it must be under way then."""
        until_s = time.monotonic() + PATIENCE_S
        while not when():
            assert time.monotonic() < until_s, "the run came to a halt"
            time.sleep(0.001)
        time.sleep(wait_s)
        os.kill(pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def _line(self) -> str:
        assert self._parent.stdout is not None
        return self._parent.stdout.readline().strip()


def _serve() -> None:
    import small_runs  # noqa: F401 - what a run needs is imported once, before the forks

    # A first run imports the rest; it ends before it writes rows, which would start threads.
    with tempfile.TemporaryDirectory() as out:
        _run({"out": out, **json.loads(sys.stdin.readline()), "budget_calls": 1})
    assert threading.active_count() == 1, "a fork would inherit locks that nobody holds"
    _say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_run(json.loads(line)))
        _say(str(pid))
        _, status = os.waitpid(pid, 0)
        _say(f"ended {os.waitstatus_to_exitcode(status)}")


def _run(request: dict[str, Any]) -> int:
    import resource

    from small_runs import go

    from signatures.errors import DS2Error

    most_bytes = request.pop("most_bytes", None)
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        return go(Path(request.pop("out")), **request).exit_code
    except DS2Error as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        return error.exit_code


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
