"""The language model of DS2 for any DSPy program, without the rest of DS2."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

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


class _Rule(NamedTuple):
    """What an option must be: one of some types, and of a value that `fits`."""

    says: str
    types: tuple[type, ...]
    fits: Callable[[Any], bool] = lambda _: True


_NUMBER = (int, float)
_RULES = {
    "model": _Rule(
        "be a model's name, such as openai/gpt-4.1-mini, or simulated",
        (str,),
        lambda name: bool(name.strip()),
    ),
    "concurrency": _Rule("be a whole number of 1 or more", (int,), lambda n: n >= 1),
    "coalesce": _Rule(
        f"be one of {', '.join(get_args(Coalesce))}", (str,), lambda way: way in get_args(Coalesce)
    ),
    "hedge": _Rule("be True or False", (bool,)),
    "max_tokens": _Rule("be a whole number of 1 or more", (int,), lambda n: n >= 1),
    "timeout_s": _Rule("be seconds above 0", _NUMBER, lambda s: 0 < s < math.inf),
    "temperature": _Rule("be a number from 0 to 2", _NUMBER, lambda heat: 0 <= heat <= 2),
    "top_p": _Rule("be a number above 0, to 1", _NUMBER, lambda share: 0 < share <= 1),
    "top_k": _Rule("be a whole number of 1 or more", (int,), lambda n: n >= 1),
    "model_type": _Rule("be left out: what is asked for is a chat", ()),
}


def _check(options: Mapping[str, Any]) -> None:
    """Refuse an option that would fail at the first call, or do something else in silence."""
    for name, value in options.items():
        rule = _RULES.get(name)
        if rule is None:
            continue
        # True is a whole number to Python and to nobody else.
        typed = isinstance(value, rule.types) and isinstance(value, bool) == (bool in rule.types)
        if not typed or not rule.fits(value):
            raise ConfigError.rule(
                "Making the language model failed",
                name=name,
                rule=rule.says,
                value=value,
                todo="Leave it out, or give another value." if name != "model" else "Name one.",
            )


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
        ConfigError: an option is of another type or out of its range, or one that is decided here
            (`n`, `seed`, `cache`, `num_retries`, `model_type`).

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
    _check({"model": model, "concurrency": concurrency, "coalesce": coalesce, "hedge": hedge})
    _check({name: value for name, value in sampling.items() if value is not None})
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
