"""The weather at the simulated server: what comes in place of an answer, or of a part of it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from aiohttp import web

from ds2.server.faults import WEATHER, Draw, Faults, chance
from ds2.server.protocol import ChatCall, error_body

_POLL_S = 0.05
_OTHER_MODEL = "another-model-0613"
_PAGE = "<html><body><h1>500 Internal Server Error</h1><hr>gateway/1.0</body></html>"


class Answer(Protocol):
    """Makes the body that answers a call. A reply that is lost on its way counts for nobody."""

    def __call__(self, call: ChatCall, *, lost: bool = False) -> dict[str, Any]: ...


class Weather:
    """Stands between a request and its answer.

    What an attempt meets is a function of (seed, request, number of the attempt), whatever else is
    under way; only the two limits look at that, and an attempt they turn away is not counted as
    one. A request is told from others by its content, its seed and its `n`.

    Args:
        faults: the rates and limits; those of content are not looked at.
        seed: of the draws.
        clock: seconds that never go back, for `max_rpm`.
    """

    def __init__(
        self, faults: Faults, *, seed: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.faults = faults
        self.met: Counter[str] = Counter()
        self._draw = Draw(faults, WEATHER, seed)
        self._seed, self._clock = seed, clock
        self._attempts: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._under_way = 0
        self._accepted: deque[float] = deque()

    async def through(
        self,
        http: web.Request,
        call: ChatCall,
        answer: Answer,
        wait: Callable[[ChatCall], Awaitable[web.StreamResponse | None]] | None = None,
    ) -> web.StreamResponse:
        """Return what this attempt brings; `wait` is the server's latency, or answers in its place."""
        refused = self._over_a_limit()
        if refused is not None:
            return refused
        fault, number = self._meet(call)
        with self._one_more():
            refused = self._refusal(fault)
            if refused is not None:
                return refused
            if fault == "hang":
                return await _hang(http)
            if fault == "slow_first_byte":
                await asyncio.sleep(self.faults.slow_s)
            instead = None if wait is None else await wait(call)
            if instead is not None:
                return instead
            return await self._answered(http, call, answer, fault, number)

    def _meet(self, call: ChatCall) -> tuple[str | None, int]:
        """Return what this attempt of a request meets, and the number of the attempt from 0."""
        request = f"{call.content}:{call.seed}:{call.n}"
        number = self._attempts[request]
        self._attempts[request] += 1
        fault = self._draw.fault(request, number)
        most = self.faults.most_in_a_row
        if fault is None or (most is not None and self._in_a_row[request] >= most):
            self._in_a_row[request] = 0
            return None, number
        self._in_a_row[request] += 1
        self.met[fault] += 1
        return fault, number

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _over_a_limit(self) -> web.Response | None:
        most = self.faults.max_in_flight
        if most is not None and self._under_way >= most:
            self.met["max_in_flight"] += 1
            return _error(429, f"Too many concurrent requests; there may be {most}.")
        if self.faults.max_rpm is None:
            return None
        now, minute_s = self._clock(), self.faults.minute_s
        while self._accepted and self._accepted[0] <= now - minute_s:
            self._accepted.popleft()
        if len(self._accepted) < self.faults.max_rpm:
            self._accepted.append(now)
            return None
        self.met["max_rpm"] += 1
        wait_s = self._accepted[0] + minute_s - now
        message = f"Rate limit reached: {self.faults.max_rpm} requests a minute."
        return _error(429, message, retry_after_s=wait_s)

    def _refusal(self, fault: str | None) -> web.Response | None:
        if fault == "http_429":
            return _error(429, "Too many requests.")
        if fault == "http_429_after":
            wait_s = self.faults.retry_after_s
            return _error(429, "Too many requests.", retry_after_s=wait_s)
        if fault == "http_500":
            return web.Response(status=500, text=_PAGE, content_type="text/html")
        if fault == "http_503":
            return _error(503, "The server is overloaded. Try again later.")
        return None

    async def _answered(
        self, http: web.Request, call: ChatCall, answer: Answer, fault: str | None, number: int
    ) -> web.StreamResponse:
        if fault == "wrong_shape":
            shapes = _shapes(answer(call, lost=True))
            part = chance(self._seed, "shape", call.content, call.seed, number)
            return web.json_response(shapes[int(part * len(shapes))])
        if fault == "fewer_choices":
            return web.json_response(_fewer(call, answer))
        if fault == "more_choices":
            body = answer(call, lost=True)
            return web.json_response(body | {"choices": [*body["choices"], body["choices"][-1]]})
        if fault in {"reset", "truncated_json", "invalid_utf8"}:
            raw = json.dumps(answer(call, lost=True)).encode()
            if fault == "reset":
                return await _reset(http, raw)
            spoiled = raw[: len(raw) // 2] if fault == "truncated_json" else _not_utf8(raw)
            return web.Response(body=spoiled, content_type="application/json")
        body = answer(call)
        if fault == "wrong_model":
            body["model"] = _OTHER_MODEL
        elif fault == "huge_body":
            body["debug"] = "0" * self.faults.huge_bytes
        return web.json_response(body)


async def _hang(http: web.Request) -> web.Response:
    """Wait until the client has gone; what is returned then reaches nobody."""
    # aiohttp tells a handler of a client that has gone by cancelling it, where a server chooses so,
    # and then for every request; this one choice is no reason for that.
    while http.transport is not None and not http.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)
    return web.Response(status=500)


async def _reset(http: web.Request, raw: bytes) -> web.StreamResponse:
    """Send half of a body under the length of all of it, then reset the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(raw)
    await response.prepare(http)
    await response.write(raw[: len(raw) // 2])
    if http.transport is not None:
        http.transport.abort()
    return response


def _fewer(call: ChatCall, answer: Answer) -> dict[str, Any]:
    if call.n > 1:
        return answer(replace(call, n=call.n // 2))
    return answer(call, lost=True) | {"choices": []}


def _shapes(body: dict[str, Any]) -> list[Any]:
    """Return JSON that is no chat completion, in the ways that servers and gateways have."""
    choice = body["choices"][0]
    said = choice["message"]["content"]
    return [
        [],
        None,
        said,
        {},
        {"choices": None},
        body | {"choices": [None]},
        body | {"choices": {"0": choice}},
        body | {"choices": [choice | {"message": None}]},
        body | {"choices": [{"index": 0, "text": said, "finish_reason": "stop"}]},
        body
        | {"choices": [choice | {"message": {"role": "assistant", "content": {"text": said}}}]},
        body | {"choices": [choice | {"message": {"role": "assistant", "content": [7]}}]},
        body | {"choices": [choice | {"finish_reason": "error"}]},
        error_body("upstream connect error", code="502"),
        {"error": "overloaded"},
        {"detail": "Not ready"},
    ]


def _not_utf8(raw: bytes) -> bytes:
    """Return JSON whose text holds a byte that starts no character, in its first string."""
    at = raw.index(b'"content": "') + len(b'"content": "')
    return raw[:at] + b"\xff\xc3\x28\xed\xa0\x80" + raw[at:]


def _error(status: int, message: str, *, retry_after_s: float | None = None) -> web.Response:
    headers = None
    if retry_after_s is not None:
        # Whole seconds, rounded up, as the header has them; below one a decimal, as some servers do.
        wait = f"{retry_after_s:.3f}" if retry_after_s < 1 else str(math.ceil(retry_after_s))
        headers = {"Retry-After": wait}
    code = "rate_limit_exceeded" if status == 429 else "server_error"
    return web.json_response(error_body(message, code=code), status=status, headers=headers)
