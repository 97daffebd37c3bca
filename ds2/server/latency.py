"""How long the simulated server takes: constant, evenly spread, or heavy-tailed."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable

from ds2.server.protocol import ChatCall

Wait = Callable[[ChatCall], Awaitable[None]]
#: Draws the seconds before a reply.
Latency = Callable[[random.Random], float]


def constant(seconds: float) -> Latency:
    """Return a latency that is always the same."""
    return lambda _: seconds


def uniform(mean_s: float, jitter_s: float) -> Latency:
    """Return a latency drawn evenly from `mean_s` plus or minus `jitter_s`."""
    return lambda rng: mean_s + rng.uniform(-jitter_s, jitter_s)


def lognormal(mean_s: float, sigma: float) -> Latency:
    """Return a latency whose logarithm is normal with deviation `sigma`, and whose mean is `mean_s`.

    With mu = ln(mean) - sigma^2 / 2 the mean is the same for every sigma, so that what an endpoint
    can do at best, concurrency / mean calls a second, is too. At sigma 1 the median is 0.61 of the
    mean and one reply in a hundred takes more than 6.2 times it.
    """
    if mean_s <= 0:
        return constant(0.0)
    mu = math.log(mean_s) - sigma**2 / 2
    return lambda rng: rng.lognormvariate(mu, sigma)


def waiting(latency: Latency, *, seed: int = 0) -> Wait:
    """Return a hook that waits as `latency` draws it.

    The draws follow `seed` and the order of arrival; they never touch what is answered.
    """
    rng = random.Random(seed)

    async def wait(_: ChatCall) -> None:
        seconds = latency(rng)
        if seconds > 0:
            await asyncio.sleep(seconds)

    return wait


def delay(latency_s: float, jitter_s: float = 0.0, *, seed: int = 0) -> Wait:
    """Return a hook that waits `latency_s` plus or minus at most `jitter_s`, evenly drawn."""
    return waiting(uniform(latency_s, jitter_s) if jitter_s else constant(latency_s), seed=seed)
