"""A chat server on loopback that answers as a test tells it to, and keeps what it was sent."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from dspy import lm15

from ds2.engines.base import Backend
from ds2.server.counts import Counts
from ds2.server.serve import served

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Sent:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Odd:
    """A server whose replies a test writes; it quacks like the simulated one."""

    handler: Handler
    models: Any = ("m",)
    sent: list[Sent] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.app = web.Application()
        self.app.router.add_post("/{path:.*}", self._post)
        self.app.router.add_get("/v1/models", self._models)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.sent.append(Sent(request.path, headers, json.loads(raw)))
        self.counts.arrived()
        try:
            return await self.handler(request)
        finally:
            self.counts.left()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if callable(self.models):
            return await self.models(request)
        data = [{"id": name, "object": "model"} for name in self.models]
        return web.json_response({"object": "list", "data": data})


def replying(**given: Any) -> Handler:
    """Return a handler that sends `aiohttp.web.Response(**given)`."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(**given)

    return handle


def saying(content: Any = "hello", *, model: str = "m", **message: Any) -> Handler:
    """Return a handler that answers with this message."""
    usage = message.pop("usage", {"prompt_tokens": 3, "completion_tokens": 10})
    finish = message.pop("finish_reason", "stop")
    body = {
        "id": "c-1",
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": usage,
    }
    return replying(text=json.dumps(body), content_type="application/json")


@contextmanager
def odd_server(handler: Handler, models: Any = ("m",)) -> Iterator[tuple[str, Odd]]:
    """Serve `handler` for chat completions while the block runs."""
    odd = Odd(handler, models)
    with served(odd) as running:  # type: ignore[arg-type]
        yield running.url, odd


async def ask(backend: Backend, request: lm15.Request | None = None) -> lm15.Response:
    """Return the backend's reply to one request, through an engine of its own."""
    engine = backend.open()
    try:
        return await engine.complete(request or asked())
    finally:
        await engine.aclose()  # type: ignore[attr-defined]


def asked(text: str = "hi", **config: Any) -> lm15.Request:
    """Return a request as `dspy.LM` makes it."""
    options = {"temperature": 0.7, "max_tokens": 50, "seed": 4} | config
    return lm15.Request(
        model="ds2/neutral",
        system="Be brief.",
        messages=(lm15.Message.user(text),),
        config=lm15.Config(**options),
    )
