"""Serving on a socket: until a signal, or in a thread for as long as a block runs."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from ds2.server.app import SimulatedServer
from ds2.server.counts import Counts
from signatures.errors import EndpointError

_BACKLOG = 4096


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to `host`; port 0 takes a free one.

    Raises:
        EndpointError: the address is taken, or cannot be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _not_bound(host, port, error) from error
    try:
        # On Windows this option would share a port that is taken.
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _not_bound(host, port, error) from error
    return sock


def url_of(sock: socket.socket) -> str:
    """Return the root that clients are given for a bound socket, ending in `/v1`."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def serve(server: SimulatedServer, sock: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve on `sock` until SIGINT or SIGTERM; `ready` is called with the URL once it listens."""
    serve_app(server.app, sock, lambda: ready(url_of(sock)))


def serve_app(app: web.Application, sock: socket.socket, ready: Callable[[], None]) -> None:
    """Serve an application on `sock` until SIGINT or SIGTERM; `ready` is called once it listens."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(app, sock, ready, None))


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs: its URL and what it counts."""

    url: str
    counts: Counts


@contextmanager
def served(server: SimulatedServer, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[Served]:
    """Serve in a thread of its own while the block runs."""
    sock = listen(host, port)
    url = url_of(sock)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    up = threading.Event()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(_serve(server.app, sock, up.set, stop))
        finally:
            up.set()

    thread = threading.Thread(target=run, name="ds2-server", daemon=True)
    thread.start()
    up.wait()
    try:
        yield Served(url, server.counts)
    finally:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _serve(
    app: web.Application,
    sock: socket.socket,
    ready: Callable[[], None],
    stop: asyncio.Event | None,
) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, sock, backlog=_BACKLOG).start()
        if stop is None:
            stop = asyncio.Event()
            _on_signals(stop)
        ready()
        await stop.wait()
    finally:
        await runner.cleanup()


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Event loops on Windows take no handlers; Ctrl-C arrives there as KeyboardInterrupt.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)


def _not_bound(host: str, port: int, error: OSError) -> EndpointError:
    return EndpointError.rule(
        "Starting the server failed",
        name="--host and --port",
        rule="be an address of this machine that is free",
        value=f"{host}:{port} ({error.strerror or type(error).__name__})",
        todo="Choose another port; --port 0 takes a free one.",
    )
