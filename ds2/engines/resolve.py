"""From `--model` and its options to a `Backend`: who is asked, where, with which key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ds2.engines.address import parse_address
from ds2.engines.backends import (
    SIMULATED,
    Asked,
    litellm_backend,
    native_backend,
    server_backend,
    server_price,
)
from ds2.engines.base import Backend
from ds2.engines.prices import FREE, Price, table_price
from ds2.engines.providers import LOCAL_SERVERS, name_on_server, read_name, stay_offline
from ds2.engines.sampling import checked_sampling, parse_sampling
from signatures.errors import ConfigError, EndpointError


def resolve_backend(
    model: str | None,
    *,
    api_base: str | None = None,
    api_key_env: str | None = None,
    sampling: Mapping[str, Any] | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    concurrency: int = 64,
    timeout_s: float = 600,
    sensitivity: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Backend:
    """Return the backend that these options mean; no connection is made.

    - None or `simulated`, without an address: the simulated teacher in this process.
    - with `api_base`: that OpenAI-compatible server and no other host. `model` is the server's own
      name for it, with or without a prefix (see `name_on_server`).
    - `PROVIDER/NAME`: that provider through DSPy's native engine, or through its LiteLLM engine
      where only LiteLLM knows it; `ollama/NAME`, `hosted_vllm/NAME`, `lm_studio/NAME` and their
      like without an address mean that server's default one on this machine.

    A provider's key goes to that provider's own host. Any other host gets the key named by
    `api_key_env`, else `DS2_API_KEY`, else no key: no `Authorization` header is sent at all.

    Args:
        model: see above; None means the simulated teacher.
        api_base: root of an OpenAI-compatible server.
        api_key_env: name of the variable that holds the key.
        sampling: extras that are passed through as they are, such as `{"min_p": 0.05}`; what DS2
            sets itself (n, seed, temperature, limits, messages) is refused.
        max_tokens: limit on a reply, thinking included; None means 2,048, and 16,384 for a model
            that thinks by itself.
        seed: of the simulated teacher.
        concurrency: width of the connection pool, at least 1.
        timeout_s: longest time one attempt may take, seconds, above 0.
        sensitivity: of the simulated teacher in this process, 0 to 1; 0 for all other models.
        environ: where keys are looked up; None means the environment of this process.

    Raises:
        EndpointError: the name, the address or the key is wrong or missing.
        ConfigError: an option is out of its range.
    """
    if model is not None and not model.strip():
        raise EndpointError.rule(
            "Choosing the model failed",
            name="--model",
            rule="be a model's name, or be left out for the simulated teacher",
            value=model,
            todo="Is the variable that it comes from empty? Write PROVIDER/NAME.",
        )
    asked = Asked(
        model=(model or SIMULATED).strip(),
        api_key_env=api_key_env,
        sampling=checked_sampling(sampling),
        max_tokens=_positive("--max-tokens", max_tokens),
        concurrency=_positive("--concurrency", concurrency) or 1,
        timeout_s=_positive("the timeout", timeout_s) or 1.0,
        environ=os.environ if environ is None else environ,
    )
    if sensitivity and (api_base is not None or asked.model != SIMULATED):
        raise ConfigError.rule(
            "Choosing the model failed",
            unit=asked.model,
            name="--sensitivity",
            rule="be given for the simulated teacher in this process only",
            value=sensitivity,
            todo="Leave it out; a served teacher takes `ds2 simulate --sensitivity`.",
        )
    if api_base is not None:
        if model is None:
            raise EndpointError.rule(
                "Choosing the model failed",
                name="--model",
                rule="be given with --api-base",
                value=None,
                todo="Name a model of that server; `ds2 check --model x --api-base URL` lists them.",
            )
        address = parse_address(api_base)
        return server_backend(asked, name_on_server(asked.model, address), address)
    if asked.model == SIMULATED:
        from ds2.engines.teacher import simulated_backend

        simulated = simulated_backend(seed, sensitivity=sensitivity)
        limit = simulated.max_tokens if asked.max_tokens is None else asked.max_tokens
        return replace(simulated, max_tokens=limit, extensions=asked.sampling)
    stay_offline()
    named = read_name(asked.model)
    if named.by == "local":
        return server_backend(asked, named.model, parse_address(LOCAL_SERVERS[named.provider]))
    return native_backend(asked, named) if named.by == "native" else litellm_backend(asked, named)


def listed_price(model: str, *, api_base: str | None = None) -> Price | None:
    """Return the price that is known of a model by its name alone; no key is looked for.

    Args:
        model: as `resolve_backend` takes it.
        api_base: root of an OpenAI-compatible server.

    Raises:
        EndpointError: the name or the address is wrong.
    """
    if api_base is not None:
        address = parse_address(api_base)
        return server_price(name_on_server(model, address), address)
    if model == SIMULATED:
        return FREE
    stay_offline()
    named = read_name(model)
    if named.by == "local":
        return server_price(named.model, parse_address(LOCAL_SERVERS[named.provider]))
    prefix = "" if named.by == "native" else f"{named.provider}/"
    return table_price(named.provider, named.model.removeprefix(prefix))


def _positive(name: str, value: float | None) -> Any:
    if value is not None and (isinstance(value, bool) or not value > 0):
        raise ConfigError.rule(
            "Choosing the model failed", name=name, rule="be above 0", value=value, todo="Raise it."
        )
    return value


__all__ = ["listed_price", "parse_sampling", "resolve_backend"]
