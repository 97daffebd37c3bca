"""Small questions to an endpoint, each of which shows one thing that it takes or does not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from dspy import lm15

from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.chat import ChatEngine
from ds2.engines.choices import Choice
from ds2.engines.native import NativeEngine
from ds2.engines.retry import RetryPolicy
from ds2.engines.thinking import text_of

T = TypeVar("T")

Verdict = Literal["yes", "no", "ignored", "equal", "not sent", "unknown"]

SHORT = 16
_TIMED = 3
# Some servers count a token or two more than they were allowed.
_SLACK = 4
_SCHEMA = {
    "type": "json_schema",
    "name": "animal",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"animal": {"type": "string"}, "legs": {"type": "integer"}},
        "required": ["animal", "legs"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing an endpoint takes or not, with a sentence that says how that was seen."""

    verdict: Verdict
    words: str


class Probe:
    """Asks one opened engine; retries the weather, times plain requests.

    Args:
        backend: the model.
        engine: opened for the loop that runs.
        prompt: a request that a model answers differently each time and at some length.
    """

    def __init__(self, backend: Backend, engine: AsyncEngine, prompt: lm15.Request) -> None:
        self._backend = backend
        self._engine = engine
        self._prompt = prompt
        self._retry = RetryPolicy(attempts=3, first_attempts=2, base_s=0.3, cap_s=5.0)
        self.latencies_s: list[float] = []

    async def models(self) -> tuple[str, ...] | None:
        """Return the models that the endpoint lists; None where it lists none.

        Raises:
            lm15.LM15Error: the endpoint cannot be reached or refuses us.
        """
        engine = self._engine
        if not isinstance(engine, NativeEngine):
            return None
        try:
            return await self._retry.run(engine.models)
        except (lm15.AuthError, lm15.BillingError, lm15.TimeoutError, lm15.RateLimitError):
            raise
        except (lm15.ProviderError, lm15.CapabilityError):
            return None

    async def plain(self) -> lm15.Response:
        """Return a reply to a request without any option but the limit; three are timed."""
        drawn = await together(*(self._timed() for _ in range(_TIMED)))
        return drawn[0]

    async def temperature(self) -> Finding:
        """Return whether a temperature is taken."""
        if self._backend.fixed_temperature:
            return Finding("not sent", "the model fixes its own; draws are plain repeats")
        try:
            await self._ask(temperature=0.7)
        except _REFUSALS as error:
            return Finding("no", f"a temperature is refused: {_first_line(error)}")
        return Finding("yes", "a temperature of 0.7 is taken")

    async def seed(self) -> Finding:
        """Return whether two equal seeds agree and others differ, at temperature 1."""
        try:
            draws = await together(*(self._ask(seed=s, temperature=1.0) for s in (1, 1, 2, 3)))
        except _REFUSALS as error:
            return Finding("unknown", f"a draw at temperature 1 is refused: {_first_line(error)}")
        first, again, *others = [text_of(draw) for draw in draws]
        if len({first, again, *others}) == 1:
            return Finding("equal", "draws at temperature 1 are all equal: a vote would be empty")
        if getattr(self._engine, "refuses_seed", False):
            return Finding("no", "a seed is refused; it is left out")
        if not self._backend.send_seed:
            return Finding("not sent", "draws at temperature 1 differ; no seed is sent here")
        if first == again:
            return Finding("yes", "equal seeds give equal replies, others differ")
        return Finding("ignored", "equal seeds give different replies; nothing relies on it")

    async def n(self) -> Finding:
        """Return whether one request may ask for several choices."""
        engine = self._engine
        if not isinstance(engine, ChatEngine):
            return Finding("unknown", "not asked of this engine")
        asked = self._request(temperature=1.0)
        try:
            two = await self._retry.run(lambda: engine.draw(asked, seed=0, n=2))
        except lm15.LM15Error as error:  # of the endpoint itself the other probes tell
            return Finding("no", f"several choices are refused: {_first_line(error)}")
        texts = {choice.text for choice in two if isinstance(choice, Choice)}
        if not all(isinstance(choice, Choice) for choice in two):
            return Finding("no", "one choice comes back however many are asked for")
        if len(texts) == 1:
            return Finding(
                "equal", "two choices of one request are the same: they are no two draws"
            )
        return Finding("yes", "two choices come back from one request: `ds2 run --coalesce on`")

    async def schema(self) -> Finding:
        """Return whether a JSON schema is held, ignored or refused."""
        words = "Say in one sentence what a cat is."
        request = lm15.Request(
            model=self._backend.model,
            messages=(lm15.Message.user(words),),
            config=lm15.Config(max_tokens=self._backend.max_tokens, response_format=_SCHEMA),
        )
        try:
            reply = await self._retry.run(lambda: self._engine.complete(request))
        except lm15.LM15Error as error:  # of the endpoint itself the other probes tell
            return Finding("no", f"a JSON schema is refused: {_first_line(error)}")
        if _fits_schema(text_of(reply)):
            return Finding("yes", "a reply held to a JSON schema fits it")
        return Finding("ignored", "a JSON schema is taken, and the reply does not fit it")

    async def limit(self) -> Finding:
        """Return whether the limit on a reply is honoured."""
        try:
            reply = await self._ask(temperature=None, max_tokens=SHORT)
        except _REFUSALS as error:
            return Finding("unknown", f"a limit of {SHORT} is refused: {_first_line(error)}")
        text = text_of(reply)
        tokens = reply.usage.output_tokens
        shown = f"{tokens} tokens" if tokens is not None else f"{len(text.split())} words"
        if (tokens if tokens is not None else len(text.split())) > SHORT + _SLACK:
            return Finding("no", f"{shown} came back where {SHORT} were allowed")
        if reply.finish_reason == "length":
            return Finding("yes", f"the reply ends at {SHORT} tokens and says so")
        return Finding("unknown", f"the reply ended by itself ({shown}, {reply.finish_reason})")

    async def _ask(self, **options: Any) -> lm15.Response:
        request = self._request(**options)
        return await self._retry.run(lambda: self._engine.complete(request))

    async def _timed(self) -> lm15.Response:
        async def attempt() -> tuple[lm15.Response, float]:
            started = time.monotonic()
            return await self._engine.complete(request), time.monotonic() - started

        request = self._request(temperature=None)
        reply, seconds = await self._retry.run(attempt)
        self.latencies_s.append(seconds)
        return reply

    def _request(self, **options: Any) -> lm15.Request:
        options = {"max_tokens": self._backend.max_tokens, **options}
        return replace(self._prompt, config=replace(self._prompt.config, **options))


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Return the results of all, in order; the first failure cancels the rest and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failed:
        first = failed.exceptions[0]
        # Its own cause is what a person is told about; the group says nothing more.
        raise first from first.__cause__
    return [task.result() for task in tasks]


# The request was understood and turned down: about this option, not about the endpoint.
_REFUSALS = (lm15.InvalidRequestError, lm15.CapabilityError)


def _first_line(error: lm15.LM15Error) -> str:
    return error.message.strip().split("\n", 1)[0][:160]


def _fits_schema(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return (
        isinstance(value, dict)
        and value.keys() == {"animal", "legs"}
        and isinstance(value["animal"], str)
        and isinstance(value["legs"], int)
    )
