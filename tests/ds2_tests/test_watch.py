"""`ds2 watch`: a page that can only be read, from this machine, and is not drawn all of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from small_runs import go

from ds2.runtime.reporting import ReportRequest, report_page
from ds2.server.watch import Drawing, watch_app
from signatures.errors import OutputError


def ask(draw: Callable[[], str], method: str = "GET", path: str = "/", **headers: str) -> Any:
    """Return status, text and headers of one request to the page."""

    async def go_on() -> Any:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        await runner.cleanup()
        runner = web.AppRunner(watch_app(draw, port))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        told = {name: value.replace("PORT", str(port)) for name, value in headers.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://127.0.0.1:{port}{path}", headers=told) as reply,
        ):
            found = reply.status, await reply.text(), reply.headers
        await runner.cleanup()
        return found

    return asyncio.run(go_on())


def test_the_page_is_shown_and_may_not_be_framed_or_kept() -> None:
    status, text, headers = ask(lambda: "<!doctype html>x")
    assert (status, text) == (200, "<!doctype html>x")
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("host", ["localhost:PORT", "[::1]:PORT", "127.0.0.1:PORT"])
def test_every_name_of_loopback_is_served(host: str) -> None:
    assert ask(lambda: "x", Host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example:PORT", "evil.example", "127.0.0.1:1", "localhost"])
def test_another_hosts_name_is_refused(host: str) -> None:
    status, text, _ = ask(lambda: "secret", Host=host)
    assert status == 403
    assert "secret" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_but_reading_is_refused(method: str) -> None:
    status, text, headers = ask(lambda: "secret", method)
    assert status == 405
    assert "secret" not in text
    assert headers["Allow"] == "GET, HEAD"


def test_a_head_request_and_another_path_show_nothing() -> None:
    assert ask(lambda: "secret", "HEAD")[:2] == (200, "")
    assert ask(lambda: "secret", path="/../../etc/passwd")[0] == 404


def test_a_run_that_cannot_be_read_now_is_told_as_text() -> None:
    def torn() -> str:
        raise OutputError("keywords.json <b>is being written</b>")

    status, text, headers = ask(torn)
    assert status == 503
    assert "<b>is being written</b>" in text
    assert headers["Content-Type"].startswith("text/plain")


def test_drawing_takes_a_fifth_of_the_time_at_most() -> None:
    now, drawn = [0.0], []

    def draw() -> str:
        drawn.append(now[0])
        now[0] += 2.0  # it takes two seconds
        return f"page {len(drawn)}"

    async def look() -> list[str]:
        drawing = Drawing(draw, lambda: now[0])
        pages = []
        for wait_s in (0.0, 1.0, 6.9, 0.2):
            now[0] += wait_s
            pages.append(await drawing.page())
        return pages

    assert asyncio.run(look()) == ["page 1", "page 1", "page 1", "page 2"]
    assert drawn == [0.0, 10.1]


def test_the_live_page_is_the_report_and_looks_again(tmp_path: Path) -> None:
    go(tmp_path, 6)
    live = report_page(ReportRequest((tmp_path,)), refresh_s=7)
    assert '<body data-refresh="7">' in live
    assert "connect-src &#39;self&#39;" in live
    file = report_page(ReportRequest((tmp_path,)))
    assert "data-refresh" not in file.split("<script")[0]
    assert "connect-src" not in file
