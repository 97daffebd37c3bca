"""The language model of DS2 for any DSPy program, without the rest of DS2."""

from __future__ import annotations

import os
from typing import Any, Literal, TypeAlias, get_args

import dspy

from ds2.engines.hedging import Hedge
from ds2.engines.lm import limiter_for, logged_lm
from ds2.engines.resolve import resolve_backend
from signatures.errors import ConfigError

# Options of `dspy.LM` that have a field of their own in a request; others are extras of the server.
_OPTIONS = frozenset(
    {"temperature", "top_p", "top_k", "stop", "presence_penalty", "frequency_penalty"}
    | {"logprobs", "top_logprobs", "logit_bias", "reasoning_effort", "response_format"}
    | {"rollout_id", "user"}
)

Coalesce: TypeAlias = Literal["auto", "on", "off"]


def make_lm(
    model: str,
    *,
    api_base: str | None = None,
    api_key: str | None = None,
    concurrency: int = 64,
    coalesce: Coalesce = "off",
    hedge: bool = False,
    **sampling: Any,
) -> dspy.LM:
    """Return a `dspy.LM` for any DSPy program: as many calls in flight as you say, each paid once.

    It works wherever a `dspy.LM` does: `dspy.configure`, optimizers, threads, any number of event
    loops. What is different from `dspy.LM(model)`:

    - the pool of connections is as wide as `concurrency`, and the number of calls in flight adapts
      to what the endpoint can take (slow start, one cut for a burst of 429s, `Retry-After`);
    - the same call under way is asked once, and a call that was answered is not asked again while
      the process lives; `rollout_id` makes another draw of it. Nothing is kept on disk;
    - the weather (transport, timeout, 429, 5xx) is retried with back-off and jitter;
    - no price table is scanned, and nothing is sent anywhere but to the chosen endpoint.

    Args:
        model: `PROVIDER/NAME`; with `api_base` the server's own name; `simulated` for the teacher
            in this process, which needs no network.
        api_base: root of an OpenAI-compatible server, such as `http://localhost:8000/v1`.
        api_key: the key; None takes the provider's own variable, or `DS2_API_KEY` for a server.
        concurrency: most calls in flight, at least 1.
        coalesce: draws of one prompt (same options, other `rollout_id`) that start together go out as
            one request with `n`: `on` where the endpoint is known to take it, `auto` to find out;
            nothing changes where it is not of OpenAI's chat completions shape.
        hedge: ask a straggler a second time; the reply that comes first stands, the other may be billed.
        sampling: `temperature` and other options of `dspy.LM` for every call; `max_tokens` (the
            limit on a reply, thinking included) and `timeout_s` (one attempt, seconds, 600);
            anything else, such as `min_p`, goes to the server as it is.

    Raises:
        EndpointError: the name, the address or the key is wrong or missing.
        ConfigError: an option (`coalesce` too) is out of its range, or one that is decided here (`n`, `seed`,
            `cache`, `num_retries`).

    Example:
        >>> import asyncio, dspy
        >>> from ds2.engines import make_lm
        >>> lm = make_lm("simulated", concurrency=256, temperature=0.7)
        >>> solve = dspy.ChainOfThought("question -> answer")
        >>> async def many() -> list[dspy.Prediction]:
        ...     asked = (f"A box holds 12 pens. How many pens do {i} boxes hold?" for i in range(100))
        ...     with dspy.context(lm=lm, disable_history=True, trace=None):
        ...         return await asyncio.gather(*(solve.acall(question=q) for q in asked))
        >>> len(asyncio.run(many()))
        100
    """
    if coalesce not in get_args(Coalesce):
        raise ConfigError.rule(
            "Making the language model failed",
            unit=model,
            name="coalesce",
            rule=f"be one of {', '.join(get_args(Coalesce))}",
            value=coalesce,
            todo="Leave it out to ask for one reply a request.",
        )
    options = {name: sampling.pop(name) for name in list(sampling) if name in _OPTIONS}
    environ = dict(os.environ) if api_key is None else {**os.environ, "api_key": api_key}
    backend = resolve_backend(
        model,
        api_base=api_base,
        api_key_env=None if api_key is None else "api_key",
        max_tokens=sampling.pop("max_tokens", None),
        timeout_s=sampling.pop("timeout_s", 600),
        sampling=sampling,
        concurrency=concurrency,
        environ=environ,
    )
    if backend.fixed_temperature:
        options.pop("temperature", None)
    return logged_lm(
        backend,
        limiter=limiter_for(backend, concurrency),
        coalesce=coalesce,
        hedge=Hedge() if hedge else None,
        **options,
    )
