"""The live view of a run: its report, served on loopback, read only, to this machine's browser alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from signatures.errors import DS2Error

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Drawing takes at most this share of the time, however large the run has become.
_SHARE = 0.2


class Drawing:
    """The page as it was drawn last; drawn anew when asked for, but never all of the time.

    Args:
        draw: draws the page; it may take long and runs in a thread.
        clock: a steady clock, seconds.
    """

    def __init__(
        self, draw: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._draw, self._clock = draw, clock
        self._lock = asyncio.Lock()
        self._page = ""
        self._good_until_s = float("-inf")

    async def page(self) -> str:
        """Return the page, drawn anew where the last one is old for what it took."""
        async with self._lock:
            began_s = self._clock()
            if began_s >= self._good_until_s:
                self._page = await asyncio.to_thread(self._draw)
                now_s = self._clock()
                self._good_until_s = now_s + (now_s - began_s) * (1 / _SHARE - 1)
            return self._page


def watch_app(draw: Callable[[], str], port: int) -> web.Application:
    """Return the application that shows what `draw` returns, at `/`, to loopback names only.

    A request whose `Host` is another name than loopback's is refused: a foreign page may have its
    own name point at this machine (DNS rebinding). So is every method but GET and HEAD.

    Args:
        draw: gives the page; what it raises of ours is shown as text.
        port: where it is served.
    """
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    drawing = Drawing(draw)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Host", "") not in hosts:
            return _told(403, "This page is for the browser of this machine: open it at 127.0.0.1.")
        if request.method not in {"GET", "HEAD"}:
            return _told(405, "This page can only be read.", Allow="GET, HEAD")
        if request.path != "/":
            return _told(404, "There is one page: /")
        return await handler(request)

    async def show(_: web.Request) -> web.Response:
        try:
            text = await drawing.page()
        except DS2Error as error:
            return _told(503, f"{error}\n\nReload this page in a moment.")
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    app = web.Application(middlewares=[guard])
    app.router.add_route("*", "/{path:.*}", show)
    return app


def _told(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=text + "\n", headers={**_HEADERS, **headers})
