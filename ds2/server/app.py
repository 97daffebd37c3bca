"""The simulated teacher behind OpenAI's HTTP shape, so that every real path is tried on a socket."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from dspy import lm15

from ds2.server.counts import Counts
from ds2.server.protocol import BadRequest, ChatCall, error_body, read_call, reply_body

MODEL = "simulated"
_MOST_BYTES = 64 * 1024 * 1024

#: Called with every readable request before it is answered. It may wait (latency), and it may
#: return a response of its own (a fault), which is then sent in place of the answer.
Hook = Callable[[ChatCall], Awaitable[web.StreamResponse | None]]


class Replies(Protocol):
    """Whoever answers: the sample number is the seed of the request's configuration."""

    def reply(self, request: lm15.Request) -> lm15.Response: ...


def delay(latency_s: float, jitter_s: float = 0.0, *, seed: int = 0) -> Hook:
    """Return a hook that waits `latency_s` plus or minus at most `jitter_s`, evenly drawn.

    The draws follow `seed` and the order of arrival; they never touch what is answered.
    """
    rng = random.Random(seed)

    async def wait(_: ChatCall) -> None:
        seconds = latency_s + rng.uniform(-jitter_s, jitter_s) if jitter_s else latency_s
        if seconds > 0:
            await asyncio.sleep(seconds)

    return wait


class SimulatedServer:
    """The routes and their state; `app` is what an aiohttp runner or test server serves.

    Args:
        teacher: who answers.
        hook: latency and faults; None answers at once.
        models: the names it serves; any other is an unknown model, never another one's answer.
    """

    def __init__(
        self, teacher: Replies, *, hook: Hook | None = None, models: tuple[str, ...] = (MODEL,)
    ) -> None:
        self._teacher = teacher
        self._hook = hook
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
        return web.json_response(self.counts.as_dict(by_call=request.query.get("by") == "call"))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.counts.arrived()
        try:
            return await self._answer(await request.read())
        except BadRequest as error:
            self.counts.refused += 1
            return web.json_response(error_body(str(error), param=error.param), status=400)
        finally:
            self.counts.left()

    async def _answer(self, raw: bytes) -> web.StreamResponse:
        call = read_call(raw)
        if call.request.model not in self._models:
            self.counts.refused += 1
            message = f"The model `{call.request.model}` does not exist; there is {self._models}."
            body = error_body(message, param="model", code="model_not_found")
            return web.json_response(body, status=404)
        if self._hook is not None:
            instead = await self._hook(call)
            if instead is not None:
                return instead
        first = self.counts.first_sample(call.content, call.n, call.seed)
        replies = [self._teacher.reply(call.sample(first + j)) for j in range(call.n)]
        self.counts.answered(call.content, first, call.n)
        body = reply_body(call, replies, number=self.counts.completions, created=int(time.time()))
        return web.json_response(body)
