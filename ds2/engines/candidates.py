"""Language models for an optimizer: logged as all others, and stopped at once by a dead endpoint.

Two things differ from the language model of a run. DSPy asks for n candidates by n requests that are
alike, which a call log would answer with one reply: each gets a sample number of its own. And an
optimizer catches every `Exception` and takes it for a bad prompt, so what the endpoint cannot answer
is raised as a `BaseException`, which goes through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import dspy
from dspy import lm15
from dspy.lm15 import Request, Response
from dspy.utils.callback import BaseCallback

from ds2.engines.base import Backend
from ds2.engines.breaker import Breaker
from ds2.engines.budget import Budget
from ds2.engines.limiter import Limiter
from ds2.engines.lm import neutral_name
from ds2.engines.logged import (
    AsyncHalf,
    CallLog,
    LoggedEngine,
    SyncHalf,
    sample_number,
)
from ds2.engines.retry import RetryPolicy

T = TypeVar("T")

# How many requests the call of the language model under way has made.
_made: ContextVar[list[int] | None] = ContextVar("ds2_candidates", default=None)


class EndpointGone(BaseException):
    """The endpoint refuses or does not answer; `error` is the engine's, `backend` who was asked."""

    def __init__(self, error: lm15.LM15Error, backend: Backend) -> None:
        super().__init__(str(error))
        self.error, self.backend = error, backend


class Circuit(RetryPolicy):
    """Retries as ever; an error that remains breaks the circuit.

    A prompt that is too long is a matter of that prompt alone and stays an error.
    """

    def __init__(self, backend: Backend, breaker: Breaker | None) -> None:
        super().__init__(breaker=breaker)
        self._backend = backend

    async def run(self, attempt: Callable[[], Awaitable[T]], *, once: bool = False) -> T:
        """Return the result of `attempt`, tried again while the weather is bad, but for `once`.

        Raises:
            EndpointGone: the tries are used up, or the error cannot heal.
            lm15.ContextLengthError: the prompt is too long.
            lm15.LM15Error: with `once`, whatever it was.
        """
        try:
            return await super().run(attempt, once=once)
        except lm15.ContextLengthError:
            raise
        except lm15.LM15Error as error:
            if once:
                raise
            raise EndpointGone(error, self._backend) from error


class CandidateNumbers(BaseCallback):
    """Carry DSPy's `rollout_id` to the engine, and count the requests that one call makes."""

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:  # noqa: ARG002
        """Note the rollout id of this call, that of the language model where the call has none."""
        options = inputs.get("kwargs") or {}
        number = options.get("rollout_id", getattr(instance, "kwargs", {}).get("rollout_id"))
        sample_number.set(int(number or 0))
        _made.set([0])


class CandidateHalf(SyncHalf):
    """The sync half, by which proposers ask for several candidates."""

    def complete(self, request: Request) -> Response:
        """Return the reply to one request: candidate i > 0 is a sample of its own."""
        made = _made.get()
        if made is None:
            return super().complete(request)
        number, made[0] = made[0], made[0] + 1
        if number == 0:
            return super().complete(request)
        token = sample_number.set(candidate_sample(sample_number.get(), number))
        try:
            return super().complete(request)
        finally:
            sample_number.reset(token)


def candidate_sample(sample: int, number: int) -> int:
    """Return the sample number of candidate `number` (from 1) of a call: a hash below 2^31."""
    data = f"{sample}/candidate/{number}".encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "big") >> 1


def optimizer_lm(
    backend: Backend,
    *,
    log: CallLog,
    limiter: Limiter,
    budget: Budget,
    stage: str,
) -> dspy.LM:
    """Return a `dspy.LM` for an optimizer over `backend`; see `ds2.engines.lm` for the arguments."""
    circuit = Circuit(backend, limiter.breaker)
    engine = LoggedEngine(backend, log, limiter, stage=stage, retry=circuit, budget=budget)
    return dspy.LM(
        neutral_name(backend.model),
        engine=CandidateHalf(engine),
        async_engine=AsyncHalf(engine),
        max_tokens=backend.max_tokens,
        cache=False,
        num_retries=0,
        callbacks=[CandidateNumbers()],
    )
