"""The three kinds of backend: a server named by its address, a provider, one behind LiteLLM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dspy import lm15
from dspy.lm15 import (
    AccessPolicy,
    EndpointSupport,
    OpenAIChatCompat,
    ProviderDefinition,
    RouterConfig,
)

from ds2.engines.address import Address, origin_of
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.chat import ChatEngine
from ds2.engines.native import NativeEngine, Route, Shape
from ds2.engines.prices import FREE, Price, table_price
from ds2.engines.providers import (
    Named,
    definition,
    own_key_variables,
    own_url,
    provider_at,
    stay_offline,
)
from ds2.engines.redact import Redactor
from ds2.engines.sampling import FIELDS
from ds2.engines.thinking import Thinker, thinker
from ds2.engines.wire import GuardedTransport, check_origin
from signatures.errors import EndpointError

SIMULATED = "simulated"
MAX_TOKENS = 2048
MAX_TOKENS_THINKING = 16_384

_SERVER = "ds2-server"
# The native engine wants some key; the guarded transport takes it off again before the wire.
_NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of one model, read and checked (see `ds2.engines.resolve.resolve_backend`)."""

    model: str
    api_key_env: str | None
    sampling: Mapping[str, Any]
    max_tokens: int | None
    concurrency: int
    timeout_s: float
    # A key must not show in the repr of an error's traceback.
    environ: Mapping[str, str] = field(repr=False)

    @property
    def chosen_key(self) -> str | None:
        """Return the key that was chosen by its variable, if one was named.

        Raises:
            EndpointError: the variable is not set.
        """
        if self.api_key_env is None:
            return None
        key = self.key(self.api_key_env)
        if key is None:
            raise _no_key(self.model, self.api_key_env, "--api-key-env names it")
        return key

    def key(self, *variables: str) -> str | None:
        """Return the key in the first of `variables` that is set, without spaces around it.

        Raises:
            EndpointError: it holds what no header can carry; the message does not repeat it.
        """
        for variable in variables:
            key = self.environ.get(variable, "").strip()
            if key and not (key.isascii() and key.isprintable() and " " not in key):
                raise EndpointError.rule(
                    "Choosing the model failed",
                    unit=self.model,
                    name=variable,
                    rule="be one word of printable ASCII characters",
                    value=f"{len(key)} characters with others among them",
                    todo="Set it again, without quotes, spaces and line ends.",
                )
            if key:
                return key
        return None

    def limit(self, thinks: Thinker | None) -> int:
        """Return the limit on a reply, tokens."""
        if self.max_tokens is not None:
            return self.max_tokens
        return MAX_TOKENS if thinks is None else MAX_TOKENS_THINKING


def server_backend(asked: Asked, name: str, address: Address) -> Backend:
    """Return the backend of an OpenAI-compatible server at `address`."""
    key = asked.chosen_key or asked.key("DS2_API_KEY", *own_key_variables(address))
    thinks = thinker(name)
    tokens = "max_completion_tokens" if thinks and thinks.completion_tokens else "max_tokens"
    server = _server_definition(address, tokens)

    def configure(transport: GuardedTransport | None) -> RouterConfig:
        return RouterConfig(
            providers=(server,),
            api_keys={_SERVER: key or _NO_KEY},
            env={},
            transport=transport,
        )

    route = Route(
        provider=_SERVER,
        configure=configure,
        origin=address.origin,
        anonymous=not key,
        chat=True,
        connections=asked.concurrency,
        timeout_s=asked.timeout_s,
        redactor=Redactor.of(asked.environ, key),
        own_server=True,
        limit_field=tokens,
    )
    _refuse_other_host(route, address)
    shape = _shape(asked, name, thinks, send_seed=True, chat=True)
    return _backend(
        asked,
        shape,
        thinks,
        dialect=f"openai-chat {address.url}",
        open_engine=lambda: ChatEngine(route, shape),
        several=True,
        teacher="simulated" if name == SIMULATED else "model",
        price=server_price(name, address),
    )


def server_price(name: str, address: Address) -> Price | None:
    """Return the price of a model at an address: a provider's on its own host, else unknown.

    The simulated teacher is free wherever it is served.
    """
    if name == SIMULATED:
        return FREE
    provider = provider_at(address)
    if provider is None:
        return None
    stay_offline()
    return table_price(provider, name)


def _server_definition(address: Address, tokens: str) -> ProviderDefinition:
    access = AccessPolicy(
        provider=_SERVER,
        supports=EndpointSupport(complete=True, models=True),
        auth_modes=("bearer",),
        base_url=address.url,
    )
    compat = OpenAIChatCompat(
        instruction_role="system",
        max_tokens_field=tokens,
        cache_control="none",
        strict_tools="omit",
        tool_result_name="omit",
        tool_result_media="reject",
    )
    return ProviderDefinition.chat(access, compat=compat)


def _refuse_other_host(route: Route, address: Address) -> None:
    """Build the provider once, so that a wrong address shows before the first call."""
    try:
        check_origin(route.provider_lm().base_url, address.origin)
    except lm15.ConfigurationError as error:
        raise EndpointError.rule(
            "Choosing the server failed",
            name="every request",
            rule=f"go to {address.url}",
            value=error.message,
            todo="Report this with the version of dspy that is installed.",
        ) from error


def native_backend(asked: Asked, named: Named) -> Backend:
    """Return the backend of a provider that DSPy's native engine knows."""
    found = definition(named.provider)
    key = asked.chosen_key
    if key is None and not found.hosted:
        # Named outright, so that a login stored by another program never comes before it.
        key = asked.key(*found.env_keys)
        if key is None and found.credential_policy == "key":
            raise _no_key(asked.model, " or ".join(found.env_keys), "the provider wants it")
    url = own_url(named.provider)
    environ = asked.environ

    def configure(transport: GuardedTransport | None) -> RouterConfig:
        keys = None if key is None else {named.provider: key}
        return RouterConfig(api_keys=keys, env=environ, transport=transport)

    chat = found.dialect == "openai-chat"
    route = Route(
        provider=named.provider,
        configure=configure,
        origin=origin_of(url) if url else None,
        anonymous=False,
        chat=chat,
        connections=asked.concurrency,
        timeout_s=asked.timeout_s,
        redactor=Redactor.of(environ, key),
    )
    thinks = thinker(named.model)
    shape = _shape(asked, named.model, thinks, send_seed=False, chat=chat)
    return _backend(
        asked,
        shape,
        thinks,
        dialect=f"{found.dialect} {url or named.provider}",
        open_engine=lambda: ChatEngine(route, shape) if chat else NativeEngine(route, shape),
        several=chat,
        schema=_takes_schema(f"{named.provider}:{named.model}"),
        price=table_price(named.provider, named.model),
    )


def litellm_backend(asked: Asked, named: Named) -> Backend:
    """Return the backend of a provider that only LiteLLM knows."""
    import litellm

    for suffix in ("_API_BASE", "_BASE_URL", "_ENDPOINT"):
        variable = named.provider.upper().replace("-", "_") + suffix
        if asked.environ.get(variable):
            raise EndpointError.rule(
                "Choosing the model failed",
                unit=asked.model,
                name=variable,
                rule="be unset, because it would send the provider's key to another host",
                value="an address",
                todo="Unset it, or give the address with --api-base.",
            )
    key = asked.chosen_key
    if key is None:
        missing = litellm.validate_environment(model=named.model).get("missing_keys") or []
        if missing:
            raise _no_key(asked.model, " and ".join(missing), "the provider wants it")
    thinks = thinker(named.model)
    shape = _shape(asked, named.model, thinks, send_seed=False, chat=True)
    redactor = Redactor.of(asked.environ, key)
    client = {} if key is None else {"api_key": key}

    def open_engine() -> AsyncEngine:
        from ds2.engines.litellm import LiteLLMBackedEngine

        return LiteLLMBackedEngine(shape, timeout_s=asked.timeout_s, redactor=redactor, **client)

    return _backend(
        asked,
        shape,
        thinks,
        dialect=f"litellm {named.provider}",
        open_engine=open_engine,
        schema=_takes_schema(asked.model),
        price=table_price(named.provider, named.model.partition("/")[2]),
    )


def _shape(
    asked: Asked, name: str, thinks: Thinker | None, *, send_seed: bool, chat: bool
) -> Shape:
    return Shape(
        model=name,
        fixed_temperature=thinks is not None and thinks.fixed_temperature,
        send_seed=send_seed,
        fields=FIELDS if chat else FIELDS | {"top_k"},
        extensions=asked.sampling,
    )


def _backend(
    asked: Asked,
    shape: Shape,
    thinks: Thinker | None,
    *,
    dialect: str,
    open_engine: Callable[[], AsyncEngine],
    schema: bool = False,
    several: bool = False,
    teacher: Literal["simulated", "model"] = "model",
    price: Price | None = None,
) -> Backend:
    return Backend(
        model=shape.model,
        dialect=dialect,
        open=open_engine,
        teacher=teacher,
        thinking=thinks is not None,
        fixed_temperature=shape.fixed_temperature,
        max_tokens=asked.limit(thinks),
        send_seed=shape.send_seed,
        response_schema=schema,
        several=several,
        extensions=dict(asked.sampling),
        price=price,
    )


def _takes_schema(model: str) -> bool:
    """Return whether DSPy knows that `model` takes a JSON schema; unknown is no."""
    import dspy

    try:
        return bool(dspy.LM(model, temperature=None, max_tokens=None).supports_response_schema)
    except dspy.utils.exceptions.LMError:
        return False


def _no_key(model: str, variable: str, why: str) -> EndpointError:
    return EndpointError.rule(
        "Choosing the model failed",
        unit=model,
        name=variable,
        rule=f"hold the key ({why})",
        value="nothing",
        todo=f"Run `export {variable.split(' ')[0]}=...`, or name another variable with "
        "--api-key-env.",
    )
