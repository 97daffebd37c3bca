"""Which provider a model name means: DSPy's native engine first, then LiteLLM, else nearest names."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# The tables of DSPy's bundled engine; `dspy.lm15` exports their types but not the tables.
from dspy._vendor.lm15.registry import PROVIDERS, canonical_provider
from dspy._vendor.lm15.router import LITELLM_PROVIDER_PREFIXES
from dspy.lm15 import ProviderDefinition

from ds2.engines.address import Address, Origin, origin_of
from signatures.errors import DS2Error, EndpointError

#: Servers that run on one's own machine, and where they listen when nothing else is said.
LOCAL_SERVERS: Mapping[str, str] = {
    "ollama": "http://localhost:11434/v1",
    "ollama_chat": "http://localhost:11434/v1",
    "hosted_vllm": "http://localhost:8000/v1",
    "vllm": "http://localhost:8000/v1",
    "sglang": "http://localhost:30000/v1",
    "lm_studio": "http://localhost:1234/v1",
    "llamafile": "http://localhost:8080/v1",
}
# Prefixes that name a kind of server and no publisher, so that `--api-base` makes them redundant.
_KINDS = frozenset({*LOCAL_SERVERS, "openai", "openai_like", "custom_openai", "litellm_proxy"})
# Published under this name by their maker: the prefix is part of what a server calls them.
_PUBLISHED = ("openai/gpt-oss",)
_DEFAULT_SCHEMES = {"o1": "openai", "o3": "openai", "o4": "openai", "gpt-": "openai"} | {
    "claude-": "anthropic",
    "gemini-": "gemini",
    "grok-": "xai",
    "deepseek-": "deepseek",
}


@dataclass(frozen=True, slots=True)
class Named:
    """What a model name means.

    Args:
        by: who speaks to it: DSPy's native engine, a local server's default address, or LiteLLM.
        provider: the provider as `by` calls it.
        model: the name that goes on the wire (for LiteLLM with its prefix, as it wants it).
    """

    by: Literal["native", "local", "litellm"]
    provider: str
    model: str


def name_on_server(model: str, address: Address) -> str:
    """Return what the server at `address` calls `model`.

    A prefix that names a kind of server (`openai/`, `hosted_vllm/`, `ollama/`, ...) is cut off,
    once; so is a provider's prefix when the address is that provider's own. Any other slash is
    part of the name: `Qwen/Qwen3-8B` stays, and so does `openai/gpt-oss-20b`, the published name.
    """
    prefix, separator, rest = model.partition("/")
    if not (separator and rest) or model.startswith(_PUBLISHED):
        return model
    if prefix in _KINDS or _own_origin(prefix) == address.origin:
        return rest
    return model


def spelled(served: str, address: Address) -> str:
    """Return what to write after `--model` so that the server at `address` is asked for `served`."""
    return served if name_on_server(served, address) == served else f"openai/{served}"


def read_name(model: str) -> Named:
    """Return what `PROVIDER/NAME` means where no address is given.

    Raises:
        EndpointError: no provider is named, or neither engine knows it; the nearest are named.
    """
    prefix, separator, rest = model.partition("/")
    if not (separator and rest and prefix):
        raise _unknown(model, "be PROVIDER/NAME, or `simulated`", _guess(model))
    if prefix in LOCAL_SERVERS:
        return Named("local", prefix, rest)
    if native := _native_id(prefix):
        return Named("native", native, rest)
    known = litellm_providers()
    if prefix in known:
        return Named("litellm", prefix, model)
    near = difflib.get_close_matches(prefix, sorted({*native_prefixes(), *known}), n=3, cutoff=0.6)
    raise _unknown(
        model, "name a provider that DSPy or LiteLLM knows", [f"{name}/{rest}" for name in near]
    )


def _native_id(prefix: str) -> str | None:
    """Return the native engine's id: `openai` means its chat API, as everywhere in DSPy."""
    if prefix in LITELLM_PROVIDER_PREFIXES:
        return LITELLM_PROVIDER_PREFIXES[prefix]
    name = canonical_provider(prefix)
    return name if name in PROVIDERS else None


def native_prefixes() -> tuple[str, ...]:
    """Return the prefixes that DSPy's native engine and the local servers answer to, sorted."""
    return tuple(sorted({*LITELLM_PROVIDER_PREFIXES, *PROVIDERS, *LOCAL_SERVERS}))


def definition(provider: str) -> ProviderDefinition:
    """Return the native engine's definition of a provider it knows."""
    return PROVIDERS[provider]


def own_url(provider: str) -> str | None:
    """Return the address of a native provider's own host; None for a cloud that has many."""
    found = PROVIDERS[provider]
    if found.hosted:
        return None
    return found.base_url or found.adapter.__dataclass_fields__["base_url"].default


def _own_origin(prefix: str) -> Origin | None:
    provider = _native_id(prefix)
    url = own_url(provider) if provider and prefix not in LOCAL_SERVERS else None
    return origin_of(url) if url else None


def own_key_variables(address: Address) -> tuple[str, ...]:
    """Return the variables with the key of the provider whose own host `address` is, if any."""
    for provider, found in PROVIDERS.items():
        if found.env_keys and address.origin == _own_origin(provider):
            return found.env_keys
    return ()


def provider_at(address: Address) -> str | None:
    """Return the provider whose own host `address` is; None for any other host."""
    return next((name for name in PROVIDERS if address.origin == _own_origin(name)), None)


def stay_offline() -> None:
    """Let DSPy and LiteLLM read their bundled model tables instead of fetching newer ones.

    Both fetch a table from the network on first use unless this variable is set; a value that is
    already there is the user's and stays.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


def litellm_providers() -> frozenset[str]:
    """Return the providers that LiteLLM knows; nothing where LiteLLM is not installed."""
    stay_offline()
    try:
        import litellm
    except ImportError:
        return frozenset()
    return frozenset(str(getattr(p, "value", p)) for p in litellm.provider_list)


def _guess(model: str) -> list[str]:
    for start, provider in _DEFAULT_SCHEMES.items():
        if model.startswith(start):
            return [f"{provider}/{model}"]
    near = difflib.get_close_matches(model, ["simulated", *native_prefixes()], n=2, cutoff=0.7)
    return [name if name == "simulated" else f"{name}/..." for name in near]


def _unknown(model: str, rule: str, near: list[str]) -> DS2Error:
    todo = "For a server of your own add --api-base URL."
    if near:
        todo = f"Did you mean {' or '.join(near)}? {todo}"
    return EndpointError.rule(
        "Choosing the model failed", name="--model", rule=rule, value=model, todo=todo
    )
