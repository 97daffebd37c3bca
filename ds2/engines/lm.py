"""The `dspy.LM` of DS2: any backend behind the call log, for any DSPy program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dspy

from ds2.engines.base import Backend
from ds2.engines.breaker import PATIENCE_S, Breaker, BreakerConfig
from ds2.engines.budget import Budget
from ds2.engines.congestion import Congestion, CongestionConfig
from ds2.engines.limiter import Limiter
from ds2.engines.logged import (
    AsyncHalf,
    CallLog,
    LoggedEngine,
    MemoryLog,
    SampleNumbers,
    SyncHalf,
)
from ds2.engines.pace import Pace
from ds2.engines.retry import RetryPolicy


def logged_lm(
    backend: Backend,
    *,
    log: CallLog | None = None,
    limiter: Limiter | None = None,
    retry: RetryPolicy | None = None,
    budget: Budget | None = None,
    stage: str = "program",
    **options: Any,
) -> dspy.LM:
    """Return a `dspy.LM` over `backend`: logged, limited, retried, sync and async alike.

    DSPy's own cache and retries are off: the call log is the cache, and retries have one owner.

    Args:
        backend: the model, see `ds2.engines.resolve.resolve_backend`.
        log: where replies are kept; None keeps them in memory.
        limiter: the limit to share with other stages on this backend; None makes one of 64.
        retry: how the weather is waited out.
        budget: what may be used, shared with other stages; None for no limit.
        stage: the name of the stage in the log.
        options: options of `dspy.LM` for every call, such as `temperature`.
    """
    engine = LoggedEngine(
        backend,
        log or MemoryLog(),
        limiter or Limiter(64),
        stage=stage,
        retry=retry,
        budget=budget,
    )
    return dspy.LM(
        neutral_name(backend.model),
        engine=SyncHalf(engine),
        async_engine=AsyncHalf(engine),
        max_tokens=backend.max_tokens,
        cache=False,
        num_retries=0,
        callbacks=[SampleNumbers()],
        **options,
    )


def limiter_for(
    backend: Backend,
    concurrency: int,
    *,
    patience_s: float = PATIENCE_S,
    pace: Pace | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Limiter:
    """Return a limit that follows a remote endpoint; within this process there is nothing to find.

    Args:
        backend: the model.
        concurrency: most calls in flight.
        patience_s: how long the endpoint may be down, once it has answered, seconds.
        pace: the limits by hand.
        on_notice: told when calls are held back because the endpoint is down, and when they go on.
    """
    if not backend.remote:
        return Limiter(concurrency, pace=pace)
    return Limiter(
        concurrency,
        Congestion(CongestionConfig(ceiling=concurrency)),
        breaker=Breaker(BreakerConfig(patience_s=patience_s)),
        pace=pace,
        on_notice=on_notice,
    )


def neutral_name(model: str) -> str:
    """Return a name for `dspy.LM` that its rules for certain vendors' models do not match.

    Those look at what follows the last slash, whoever serves it: `gpt-5...`, `o3...`.
    The engine puts the backend's own name on the wire, whatever this one says.
    """
    return "ds2/model:" + model.replace("/", ":")


def engine_of(lm: dspy.LM) -> LoggedEngine:
    """Return the engine behind a language model that `logged_lm` made."""
    return lm.engine.logged
