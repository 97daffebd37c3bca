"""Sampling extras: options such as `min_p` that DS2 passes through and does not set itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from signatures.errors import ConfigError

# What a run, the call log or the connection decides; an extra of this name would override it.
_OWNED = frozenset(
    {"n", "seed", "model", "messages", "stream", "stream_options", "temperature", "max_tokens"}
    | {"max_completion_tokens", "response_format", "api_key", "api_base", "base_url", "headers"}
    | {"extra_headers", "extra_body", "timeout", "cache", "rollout_id", "num_retries", "tools"}
)
#: Extras that are fields of a request in every dialect.
FIELDS = frozenset({"top_p", "frequency_penalty", "presence_penalty", "stop"})


def parse_sampling(text: str | None) -> dict[str, Any] | None:
    """Return the object that `--sampling` holds as JSON; None where it was not given.

    Raises:
        ConfigError: it is not a JSON object.
    """
    if text is None:
        return None
    try:
        extras = json.loads(text)
    except ValueError:
        extras = None
    if not isinstance(extras, dict):
        raise ConfigError.rule(
            "Reading the sampling options failed",
            name="--sampling",
            rule="be a JSON object",
            value=text,
            todo="Quote it for the shell: --sampling '{\"min_p\": 0.05}'.",
        )
    return extras


def checked_sampling(extras: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the extras, empty where there are none.

    Raises:
        ConfigError: one of them is what DS2 sets itself (n, seed, temperature, limits, messages),
            or a value is not JSON.
    """
    given = dict(extras or {})
    owned = sorted(_OWNED & given.keys())
    if owned:
        raise ConfigError.rule(
            "Reading the sampling options failed",
            name="--sampling",
            rule="hold extras only, nothing that DS2 sets itself",
            value=", ".join(owned),
            todo="Leave it out; temperatures, limits and samples have options of their own.",
        )
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError.rule(
            "Reading the sampling options failed",
            name="--sampling",
            rule="hold JSON values only",
            value=given,
            todo="Use numbers, texts, lists and objects.",
        ) from error
    return given
