"""The simulated teacher behind OpenAI's HTTP shape, so that every real path is tried on a socket."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ds2.server.content import Replies
from ds2.server.counts import Counts
from ds2.server.latency import delay
from ds2.server.protocol import BadRequest, ChatCall, error_body, read_call, reply_body
from ds2.server.weather import Weather

MODEL = "simulated"
_MOST_BYTES = 64 * 1024 * 1024

#: Called with every readable request before it is answered. It may wait (latency), and it may
#: return a response of its own (a fault), which is then sent in place of the answer.
Hook = Callable[[ChatCall], Awaitable[web.StreamResponse | None]]


class SimulatedServer:
    """The routes and their state; `app` is what an aiohttp runner or test server serves.

    Args:
        teacher: who answers.
        hook: latency; None answers at once.
        weather: what comes in place of answers; None is always calm.
        models: the names it serves; any other is an unknown model, never another one's answer.
    """

    def __init__(
        self,
        teacher: Replies,
        *,
        hook: Hook | None = None,
        weather: Weather | None = None,
        models: tuple[str, ...] = (MODEL,),
    ) -> None:
        self._teacher = teacher
        self._hook = hook
        self.weather = weather
        self._models = models
        self._started = int(time.time())
        self.counts = Counts()
        self.app = web.Application(client_max_size=_MOST_BYTES)
        self.app.add_routes(
            [
                web.get("/v1/models", self._list_models),
                web.post("/v1/chat/completions", self._complete),
                web.get("/stats", self._stats),
            ]
        )

    async def _list_models(self, _: web.Request) -> web.Response:
        entries = [
            {"id": name, "object": "model", "created": self._started, "owned_by": "ds2"}
            for name in self._models
        ]
        return web.json_response({"object": "list", "data": entries})

    async def _stats(self, request: web.Request) -> web.Response:
        counts = self.counts.as_dict(by_call=request.query.get("by") == "call")
        if self.weather is not None:
            counts["weather"] = dict(sorted(self.weather.met.items()))
        return web.json_response(counts)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.counts.arrived()
        try:
            return await self._answer(request, await request.read())
        except BadRequest as error:
            self.counts.refused += 1
            return web.json_response(error_body(str(error), param=error.param), status=400)
        finally:
            self.counts.left()

    async def _answer(self, request: web.Request, raw: bytes) -> web.StreamResponse:
        call = read_call(raw)
        if call.request.model not in self._models:
            self.counts.refused += 1
            message = f"The model `{call.request.model}` does not exist; there is {', '.join(self._models)}."
            body = error_body(message, param="model", code="model_not_found")
            return web.json_response(body, status=404)
        if self.weather is not None:
            return await self.weather.through(request, call, self._body, self._hook)
        instead = None if self._hook is None else await self._hook(call)
        return web.json_response(self._body(call)) if instead is None else instead

    def _body(self, call: ChatCall, *, lost: bool = False) -> dict[str, Any]:
        """Return the body that answers a call; one that is lost on its way is not counted."""
        if lost:
            first = call.seed or 0
        else:
            first = self.counts.first_sample(call.content, call.n, call.seed)
            self.counts.answered(call.content, first, call.n)
        replies = [self._teacher.reply(call.sample(first + j)) for j in range(call.n)]
        return reply_body(call, replies, number=self.counts.completions, created=int(time.time()))


__all__ = ["MODEL", "Hook", "SimulatedServer", "delay"]
