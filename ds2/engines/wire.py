"""The guarded transport: DSPy's own HTTP transport, held to one origin.

Every request of a run passes here as it was built, so the promise that it goes to the chosen host
does not hang on how a provider table is keyed.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple

from dspy import lm15

# `dspy.lm15` does not export the transport; the dependency's upper bound guards this import.
from dspy._vendor.lm15.transports import StdlibAsyncTransport, TransportRequest

from ds2.engines.address import Origin, origin_of

_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})

_MOST_WORDS = 16_384  # bytes of an error that are read as words
# Bytes of a reply that are read. The longest text that is kept is 1,000,000 characters, which JSON
# may write in 12 bytes each; what is beyond that is no reply of a model.
MOST_BYTES = 32_000_000


class Reply(NamedTuple):
    """What came back: the status and, where it is an error, how the body begins."""

    status: int
    words: str


#: The replies that arrived in the current call.
replies: ContextVar[list[Reply] | None] = ContextVar("ds2_replies", default=None)


class GuardedTransport:
    """Sends what goes to `allowed`, and raises before a connection for anything else.

    Args:
        inner: the transport that does the work.
        allowed: the one origin that may be reached.
        anonymous: no key belongs to this host: credential headers are taken off.
    """

    def __init__(self, inner: StdlibAsyncTransport, allowed: Origin, *, anonymous: bool) -> None:
        self._inner = inner
        self._allowed = allowed
        self._anonymous = anonymous
        self._checked = ""

    def stream(self, request: TransportRequest) -> _Watched:
        """Return the context manager of one exchange.

        Raises:
            lm15.ConfigurationError: the request points at another origin.
        """
        if request.url != self._checked:
            check_origin(request.url, self._allowed)
            self._checked = request.url
        if self._anonymous:
            kept = [(k, v) for k, v in request.headers if k.lower() not in _CREDENTIALS]
            if len(kept) < len(request.headers):
                request = replace(request, headers=kept)
        return _Watched(self._inner.stream(request))

    async def aclose(self) -> None:
        """Close all connections; call it on the loop that used them."""
        await self._inner.aclose()


class _Watched:
    """One exchange; notes its reply for the engine that waits for it."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    async def __aenter__(self) -> Any:
        response = _Bounded(await self._exchange.__aenter__())
        words = ""
        if response.status >= 400:
            try:
                response.body = await response.read()
            except BaseException as error:
                # Nobody leaves a block that was never entered: the connection is let go of here.
                await self._exchange.__aexit__(type(error), error, error.__traceback__)
                raise
            words = response.body[:_MOST_WORDS].decode("utf-8", errors="replace").strip()
        seen = replies.get()
        if seen is not None:
            seen.append(Reply(response.status, words))
        return response

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)


class _Bounded:
    """A reply of which no more than `MOST_BYTES` are read; a body that was read is kept.

    Whether an error's body came as JSON or not, its words are then there.
    """

    __slots__ = ("_chunks", "body", "headers", "http_version", "reason", "status")

    def __init__(self, response: Any) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.http_version = response.http_version
        self.body: bytes | None = None
        self._chunks = response

    async def read(self) -> bytes:
        """Return the body.

        Raises:
            lm15.ServerError: it is longer than that. That is the weather, for no limit on tokens lets
                a model write so much.
        """
        if self.body is not None:
            return self.body
        body = bytearray()
        async with aclosing(aiter(self._chunks)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > MOST_BYTES:
                    raise lm15.ServerError(f"the reply is longer than {MOST_BYTES:,} bytes")
        return bytes(body)


class _Transport(StdlibAsyncTransport):
    """DSPy's transport, sending head and body of a request together.

    Apart they are two calls of the system and two packets, for the connections wait for nothing
    (TCP_NODELAY), at both ends.
    """

    async def _open(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super()._open(*args, **kwargs)
        connection.writer = _Together(connection.writer)
        return connection


class _Together:
    """A stream's writer that holds back what is written until it is asked to drain."""

    __slots__ = ("_parts", "_writer")

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    async def drain(self) -> None:
        if self._parts:
            self._writer.write(b"".join(self._parts))
            self._parts.clear()
        await self._writer.drain()


def check_origin(url: str, allowed: Origin) -> None:
    """Raise `lm15.ConfigurationError` unless `url` is of the origin `allowed`."""
    try:
        origin = origin_of(url)
    except ValueError:
        origin = None
    if origin != allowed:
        host = "an unreadable address" if origin is None else origin.host
        raise lm15.ConfigurationError(
            f"refused to send a request to {host}: this run may only reach {allowed.host}"
        )


def open_transport(
    allowed: Origin, *, connections: int, timeout_s: float, anonymous: bool
) -> GuardedTransport:
    """Return a transport as wide as `connections`, for the loop that runs.

    A proxy from the environment is used for https only, where it sees an encrypted tunnel; a plain
    http server and this machine are always reached directly.
    """
    inner = _Transport(
        connect_timeout=min(10.0, timeout_s),
        # The engine bounds a whole attempt; a bound on each read would cost two tasks a call.
        read_timeout=None,
        write_timeout=None,
        pool_timeout=None,
        max_connections=connections,
        user_agent="ds2-instruct",
        trust_env=allowed.scheme == "https" and not allowed.loopback,
    )
    return GuardedTransport(inner, allowed, anonymous=anonymous)
