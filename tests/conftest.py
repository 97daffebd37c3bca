"""What all tests share: a home of their own, and no network but loopback (engines: `scripted`)."""

from __future__ import annotations

import atexit
import gc
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# DSPy and datasets fix their cache folders when they are imported.
_HOME = tempfile.mkdtemp(prefix="ds2-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["DSPY_CACHEDIR"] = os.path.join(_HOME, "dspy")  # noqa: PTH118
os.environ["HF_HOME"] = os.path.join(_HOME, "hf")  # noqa: PTH118
os.environ["HF_HUB_OFFLINE"] = "1"

# Where Python may not keep what it compiled, each process that a test starts compiles it all anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each worker imports and makes far more than it drops: to look for cycles less often saves a twentieth.
gc.set_threshold(50_000, 20, 20)

# Whoever runs the tests in the background has SIGINT ignored, and so would the commands they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import settings  # noqa: E402

# No deadline: a busy machine is no bug. Derandomized: a commit that was green stays green.
settings.register_profile("ds2", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("ds2")


def pytest_xdist_auto_num_workers() -> int:
    """Return half as many workers again as there are cores: a third of the time is waiting."""
    return max(2, 3 * (os.cpu_count() or 1) // 2)


def pytest_sessionfinish() -> None:
    """Collect what the tests have left; pytest and Python then need not go through all libraries again.

    Each of them does so several times at the end, which takes 3 s of each worker.
    """
    gc.collect()
    gc.collect()
    gc.freeze()


class NetworkForbiddenError(AssertionError):
    """A test tried to leave this machine."""


def _refuse_beyond_loopback(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name in {"", "localhost"}:
        return
    try:
        local = ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        local = False
    if not local:
        raise NetworkForbiddenError(f"tests may reach loopback only, not {name!r}")


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """Forbid every connection and every look-up of a name beyond loopback."""
    patch = pytest.MonkeyPatch()

    def guard(owner: Any, name: str, host_of: Callable[[tuple[Any, ...]], object]) -> None:
        real = getattr(owner, name)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            _refuse_beyond_loopback(host_of(args))
            return real(*args, **kwargs)

        patch.setattr(owner, name, guarded)

    def address_host(args: tuple[Any, ...]) -> object:
        return args[-1][0] if isinstance(args[-1], tuple) else None

    for name in ("connect", "connect_ex", "sendto"):
        guard(socket.socket, name, address_host)
    guard(socket, "getaddrinfo", lambda args: args[0] if args else None)
    yield
    patch.undo()


@pytest.fixture
def one_adapter() -> Iterator[None]:
    """Hold a test to the adapter of a run: a reply that does not parse costs one call."""
    import dspy

    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    with dspy.context(adapter=adapter, warn_on_type_mismatch=False):
        yield
