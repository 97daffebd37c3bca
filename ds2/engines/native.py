"""One model through DSPy's native engine: one attempt, typed errors, thinking kept apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dspy import lm15
from dspy.lm15 import AsyncLMRouter, RouterConfig

from ds2.engines.address import Origin, origin_of
from ds2.engines.redact import Redactor
from ds2.engines.retry import UnreachedError, never_sent, passing
from ds2.engines.thinking import keep_apart
from ds2.engines.usage import whole_usage
from ds2.engines.wire import GuardedTransport, Reply, check_origin, open_transport, replies

# What a reader of foreign JSON raises on a shape it did not expect.
_WRONG_SHAPE = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)
# Why a reply ended that its server broke off: DeepSeek, vLLM and SGLang, OpenRouter. The native
# engine reads a reason that it does not know as `stop`.
BROKEN_OFF = frozenset({"abort", "error", "insufficient_system_resource"})
# A prompt or reply that the host's moderation turned down, by the codes the hosts document.
_MODERATED = frozenset({"content_filter", "content_policy_violation", "data_inspection_failed"})
_MOST_WORDS = 600  # characters of an error that is no JSON


@dataclass(frozen=True, slots=True)
class Shape:
    """What a request looks like when it leaves, whatever the caller put in it.

    Args:
        model: the name the server knows.
        fixed_temperature: take the temperature off.
        send_seed: leave the seed on.
        fields: extras that are fields of a request in this dialect, and are set as such.
        extensions: sampling extras that go out as they are.
    """

    model: str
    fixed_temperature: bool = False
    send_seed: bool = False
    fields: frozenset[str] = frozenset()
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def of(self, request: lm15.Request) -> lm15.Request:
        """Return `request` in this shape; what the caller set itself stands before an extra."""
        config = request.config
        changes: dict[str, Any] = {}
        if self.fixed_temperature and config.temperature is not None:
            changes["temperature"] = None
        if not self.send_seed and config.seed is not None:
            changes["seed"] = None
        extras = {**self.extensions, **(config.extensions or {})}
        for name in self.fields & extras.keys():
            value = extras.pop(name)
            if getattr(config, name) in (None, ()):
                changes[name] = value
        if extras != (config.extensions or {}):
            changes["extensions"] = extras or None
        if changes:
            config = replace(config, **changes)
        return replace(request, model=self.model, config=config)


@dataclass(frozen=True, slots=True)
class Route:
    """How a model is reached.

    Args:
        provider: the native engine's id of the provider.
        configure: makes the router's configuration around a transport; the only holder of a key.
        origin: the one origin that may be reached; None lets the provider's cloud settings say.
        anonymous: send no key at all.
        chat: the dialect is OpenAI's chat completions, whose reply must hold a choice.
        connections: width of the pool.
        timeout_s: longest time one attempt may take, seconds.
        redactor: hides what must not be shown.
        own_server: the server was named by its address.
        limit_field: what the limit on a reply is called in a chat completions request; None leaves
            the writing of all requests to the native engine.
    """

    provider: str
    configure: Callable[[GuardedTransport | None], RouterConfig]
    origin: Origin | None
    anonymous: bool
    chat: bool
    connections: int
    timeout_s: float
    redactor: Redactor
    own_server: bool = False
    limit_field: str | None = None

    def provider_lm(self) -> Any:
        """Return the native engine's model object behind a guarded transport.

        Raises:
            lm15.LM15Error: no credential, or the object points at another origin than it may.
        """
        origin = self.origin
        if origin is None:
            unguarded = AsyncLMRouter(self.configure(None)).lm(f"{self.provider}:any")
            origin = origin_of(unguarded.base_url)
        transport = open_transport(
            origin,
            connections=self.connections,
            timeout_s=self.timeout_s,
            anonymous=self.anonymous,
        )
        model = AsyncLMRouter(self.configure(transport)).lm(f"{self.provider}:any")
        check_origin(model.base_url, origin)
        return model


class NativeEngine:
    """One attempt at a time through DSPy's native engine; belongs to one event loop.

    The engine under DSPy's `AsyncLM15Engine` is used without its thread hop and routing per call:
    the provider's object is built once, then asked directly.
    """

    def __init__(self, route: Route, shape: Shape) -> None:
        self._route = route
        self._shape = shape
        self._lm: Any = None
        self.refuses_seed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shape.model!r} by {self._route.provider})"

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the reply to `request`, sent once.

        A prompt that the host's moderation refuses gives a reply without text that ended with
        `content_filter`: that is about the content, not about the endpoint. A server that refuses
        a seed is asked again without one, and from then on never gets one: nothing relies on it.

        Raises:
            lm15.TransportError, lm15.TimeoutError, lm15.RateLimitError, lm15.ServerError: the
                weather, worth another attempt; a reply that is not JSON, or JSON of another shape,
                is among them.
            lm15.LM15Error: any other one cannot heal by trying again (see `explain`).
        """
        wire = self._shape.of(request)
        if self.refuses_seed:
            wire = _seedless(wire)
        return await self._attempt(lambda lm: self._complete(lm, wire))

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models that the endpoint says it serves."""
        infos = await self._attempt(lambda lm: lm.list_models())
        return tuple(info.id for info in infos)

    @property
    def own_server(self) -> bool:
        """Return whether this is a server that was named by its address, not a provider."""
        return self._route.own_server

    async def aclose(self) -> None:
        """Close the connections."""
        if self._lm is not None:
            await self._lm.transport.aclose()
            self._lm = None

    async def _complete(self, lm: Any, wire: lm15.Request) -> lm15.Response:
        try:
            response: lm15.Response = await lm.complete(wire)
        except lm15.InvalidRequestError as error:
            moderated = moderated_reply(error, wire)
            if moderated is not None:
                return moderated
            if wire.config.seed is None or not about_seed(error):
                raise
            self.refuses_seed = True
            return await self._complete(lm, _seedless(wire))
        except lm15.UnsupportedFeatureError as error:
            # Of what is sent nothing is about `n`: the server has sent more than was asked for.
            if error.feature != "n":
                raise
            raise lm15.ServerError("the reply holds more choices than were asked for") from None
        response = replace(response, usage=whole_usage(response.usage, self._route.provider))
        return read_reply(response) if self._route.chat else tidy(response)

    async def _attempt(self, send: Callable[[Any], Any]) -> Any:
        seen: list[Reply] = []
        token = replies.set(seen)
        try:
            async with asyncio.timeout(self._route.timeout_s):
                return await send(await self._model())
        except lm15.LM15Error as error:
            raise self._typed(error, seen) from None
        except TimeoutError:
            raise lm15.TimeoutError(f"no reply within {self._route.timeout_s:g} s") from None
        except OSError as error:
            kind = UnreachedError if never_sent(error) else lm15.TransportError
            raise kind(self._scrub(f"{type(error).__name__}: {error}")) from None
        except _WRONG_SHAPE as error:
            # Before a reply arrived this is our own mistake, and stays one.
            if not seen:
                raise
            words = f"the reply has another shape than expected ({type(error).__name__}: {error})"
            raise lm15.ServerError(self._scrub(words), status=seen[-1].status) from None
        finally:
            replies.reset(token)

    async def _model(self) -> Any:
        if self._lm is None:
            # Cloud credentials may be read or refreshed here, synchronously.
            built = await asyncio.to_thread(self._route.provider_lm)
            if self._lm is None:
                self._lm = built
        return self._lm

    def _scrub(self, text: str) -> str:
        return self._route.redactor.scrub(text)

    def _typed(self, error: lm15.LM15Error, seen: list[Reply]) -> lm15.LM15Error:
        """Return `error` without secrets, as the weather where it is no verdict on the request."""
        status = seen[-1].status if seen else error.status
        if seen and seen[-1].words and _is_bare(error):
            # Cut short only without secrets: half of one would not be known for what it is.
            error.message = self._scrub(seen[-1].words)[:_MOST_WORDS]
        error.message = self._scrub(error.message)
        error.args = (error.message,)
        if error.request_id is not None:  # a header, shown beside the words
            error.request_id = self._scrub(error.request_id)
        if status is not None and 300 <= status < 400:
            return lm15.InvalidRequestError("the address redirects to another one", status=status)
        if type(error) is lm15.TransportError and never_sent(error):
            return UnreachedError(error.message)
        # The bare class says that a reply could not be read, not what the server meant.
        if type(error) is lm15.ProviderError and status is not None and 200 <= status < 300:
            return lm15.ServerError(error.message, status=status, request_id=error.request_id)
        return passing(error)


def read_reply(response: lm15.Response) -> lm15.Response:
    """Return a reply of the chat completions dialect with its thinking apart, without the raw body.

    Raises:
        lm15.ServerError: it holds no choice with a message that can be read, or one that the server
            broke off: what the model had to say is not known.
    """
    choices = (response.provider_data or {}).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        raise lm15.ServerError("the reply holds no choice with a message")
    if not is_readable(first):
        raise lm15.ServerError("the reply holds a message whose content is no text")
    if first.get("finish_reason") in BROKEN_OFF:
        raise lm15.ServerError(f"the server broke the reply off ({first['finish_reason']})")
    return tidy(response)


def moderated_reply(error: lm15.LM15Error, request: lm15.Request) -> lm15.Response | None:
    """Return a reply without text where the host's moderation turned the prompt down, else None."""
    if error.provider_code not in _MODERATED:
        return None
    return lm15.Response(
        id=None,
        model=request.model,
        message=lm15.Message.assistant([lm15.TextPart(text="")]),
        finish_reason="content_filter",
        usage=lm15.Usage(),
    )


def is_readable(choice: object) -> bool:
    """Return whether a choice holds a message of text, of parts, or of nothing."""
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return False
    content = choice["message"].get("content")
    if isinstance(content, list):
        return all(isinstance(part, dict) for part in content)
    return content is None or isinstance(content, str)


def tidy(response: lm15.Response) -> lm15.Response:
    """Return a reply with its thinking apart, without the raw body."""
    return keep_apart(replace(response, provider_data=None))


def about_seed(error: lm15.LM15Error) -> bool:
    """Return whether a refusal names the seed."""
    seen = replies.get() or [Reply(0, "")]
    return "seed" in f"{error.message} {seen[-1].words}".casefold()


def _is_bare(error: lm15.LM15Error) -> bool:
    """Return whether the native engine found no words of the server in the error's body."""
    said = error.message.split("\n\n", 1)[0].strip()
    return said in {"", error.code} or (
        error.status is not None and said.startswith(str(error.status))
    )


def _seedless(request: lm15.Request) -> lm15.Request:
    return replace(request, config=replace(request.config, seed=None))
