"""OpenAI's chat completions: the native engine's attempt with less work, and several choices at once.

DSPy's native engine refuses `n` and checks every request and reply from the ground up, which costs
as much as the HTTP exchange itself. Here a prompt of text is written once for all its draws, and a
reply of text is read directly. Connections, the guard on the origin, credentials and errors stay
those of the native engine, and so does whatever is not plain text.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any, NamedTuple

from dspy import lm15
from dspy._vendor.lm15.transports import TransportRequest

from ds2.engines.choices import Came, Choice, read_choices
from ds2.engines.memo import Memo
from ds2.engines.native import NativeEngine, Route, Shape, about_seed, moderated_reply

_REMEMBERED = 64
# Options of a request that a plain body holds; the others are written by the native engine.
_WRITTEN = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_OTHERS = tuple(
    field.name
    for field in fields(lm15.Config)
    if field.name not in {*_WRITTEN, "max_tokens", "stop", "seed", "extensions"}
)


class _Letter(NamedTuple):
    """A request ready to be sent, but for seed and number of choices; `text` lacks the last brace."""

    request: lm15.Request
    envelope: TransportRequest
    text: bytes


class ChatEngine(NativeEngine):
    """One attempt at a time at a chat completions endpoint; belongs to one event loop.

    Args:
        route: how the model is reached.
        shape: what every request looks like when it leaves.
    """

    def __init__(self, route: Route, shape: Shape) -> None:
        super().__init__(route, shape)
        self._letters: Memo[_Letter] = Memo(_REMEMBERED)
        self._envelope: TransportRequest | None = None

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the reply to `request`, sent once; see `NativeEngine.complete`."""
        return (await self.draw_one(request, seed=request.config.seed)).response()

    async def draw_one(self, request: lm15.Request, *, seed: int | None) -> Choice:
        """Return one reply to `request`, under this seed where the server gets one.

        Raises:
            lm15.LM15Error: as `NativeEngine.complete`.
        """
        if self._plain(request) is None:
            seeded = replace(request, config=replace(request.config, seed=seed))
            return Choice.of(await super().complete(seeded))
        (choice,) = await self.draw(request, seed=seed, n=1)
        if not isinstance(choice, Choice):
            raise lm15.ServerError("the reply holds no choice with a message")
        return choice

    async def draw(self, request: lm15.Request, *, seed: int | None, n: int) -> list[Came]:
        """Return what came of `n` replies to `request` from one exchange, see `read_choices`.

        The seed goes out where this server gets one. Choice j of a request with seed s is sample
        s + j, as vLLM counts them.

        Raises:
            lm15.LM15Error: as `NativeEngine.complete`; `InvalidRequestError` too where the server
                does not take `n`.
        """
        choices: list[Came] = await self._attempt(lambda lm: self._draw(lm, request, seed, n))
        return choices

    async def _draw(self, lm: Any, request: lm15.Request, seed: int | None, n: int) -> list[Came]:
        if self.refuses_seed or not self._shape.send_seed:
            seed = None
        letter = self._letter(lm, request)
        answered = await lm._send(_sealed(letter, seed, n))
        if answered.status < 400:
            provider = "" if self._route.own_server else self._route.provider
            return read_choices(answered.json(), n, model=self._shape.model, provider=provider)
        error = lm._inner._http_error(answered)
        if not isinstance(error, lm15.InvalidRequestError):
            raise error
        moderated = moderated_reply(error, request)
        if moderated is not None:
            return [Choice.of(moderated)] * n
        if seed is None or not about_seed(error):
            raise error
        self.refuses_seed = True
        return await self._draw(lm, request, None, n)

    def _letter(self, lm: Any, request: lm15.Request) -> _Letter:
        known = self._letters.get(id(request))
        if known is not None and known.request is request:
            return known
        body = self._plain(request)
        if body is None or self._envelope is None:
            wire = self._shape.of(replace(request, config=replace(request.config, seed=None)))
            envelope = lm._inner.build_request(wire, stream=False)
            # A static key makes the same headers for every request.
            if not callable(lm._inner.api_key):
                self._envelope = envelope
        else:
            envelope = self._envelope
        text = envelope.body if body is None else _json(body)
        return self._letters.put(id(request), _Letter(request, envelope, text[:-1]))

    def _plain(self, request: lm15.Request) -> dict[str, Any] | None:
        """Return the body of a request of plain text; None for any other one."""
        limit = self._route.limit_field
        if limit is None or request.tools:
            return None
        if self._shape.fixed_temperature or self._shape.extensions:
            request = self._shape.of(request)
        config = request.config
        if any(getattr(config, name) is not None for name in _OTHERS):
            return None
        turns = _turns(request)
        if turns is None:
            return None
        body: dict[str, Any] = {"model": self._shape.model, "messages": turns}
        if config.max_tokens is not None:
            body[limit] = config.max_tokens
        body |= {name: value for name in _WRITTEN if (value := getattr(config, name)) is not None}
        if config.stop:
            body["stop"] = list(config.stop)
        return body | dict(config.extensions or {})


def _turns(request: lm15.Request) -> list[dict[str, str]] | None:
    system = request.system
    if not (system is None or isinstance(system, str)):
        return None
    turns = [{"role": "system", "content": system}] if system else []
    for message in request.messages:
        part = message.parts[0] if len(message.parts) == 1 else None
        if message.role not in {"user", "assistant"} or not isinstance(part, lm15.TextPart):
            return None
        turns.append({"role": message.role, "content": part.text})
    return turns


def _sealed(letter: _Letter, seed: int | None, n: int) -> TransportRequest:
    text = letter.text
    if seed is not None:
        text += b',"seed":%d' % seed
    if n > 1:
        text += b',"n":%d' % n
    envelope = letter.envelope
    return TransportRequest(envelope.method, envelope.url, envelope.headers, text + b"}")


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
