"""An engine that answers by script: what a test hands in instead of a model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dspy
from dspy import lm15

from ds2.engines.base import Backend
from ds2.engines.lm import logged_lm
from ds2.engines.logged import sample_number


@dataclass(frozen=True)
class Call:
    """One request as a script sees it: its place in time, its sample number, what it asks."""

    number: int
    sample: int
    prompt: str
    temperature: float | None
    request: Any


Reply: TypeAlias = "str | lm15.Response | BaseException"
Replies: TypeAlias = "Sequence[Reply] | Callable[[Call], Reply] | str"


class Script:
    """An engine that answers as it is told, and counts.

    Args:
        replies: one text for all, one reply a call, or a function of the call. An exception is
            raised instead of answered.
        failures: call numbers that raise, whatever the replies say.
        latency: seconds before each reply, by call.
        together: how many calls must have been in flight before a call is answered; given up after
            some seconds, so that a test fails instead of hanging.
    """

    def __init__(
        self,
        replies: Replies,
        *,
        failures: Mapping[int, BaseException] | None = None,
        latency: Callable[[Call], float] | None = None,
        together: Callable[[Call], int] | None = None,
    ) -> None:
        self._replies = replies
        self._failures = failures or {}
        self._latency = latency
        self._together = together
        self._lock = threading.Lock()
        self.calls: list[Call] = []
        self.in_flight = 0
        self.peak = 0
        self.opened = 0

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """Answer one request."""
        call = self._begin(request)
        try:
            await asyncio.sleep(self._latency(call) if self._latency else 0)
            wanted = self._together(call) if self._together else 0
            for _ in range(3000):
                if self.peak >= wanted:
                    break
                await asyncio.sleep(0.001)
            return self._answer(call)
        finally:
            with self._lock:
                self.in_flight -= 1

    def backend(self, **options: Any) -> Backend:
        """Return the backend of this script."""

        def opened() -> Script:
            self.opened += 1
            return self

        options = {"dialect": "script"} | options
        return Backend(model="scripted", open=opened, **options)

    def lm(self, *, backend: Mapping[str, Any] | None = None, **options: Any) -> dspy.LM:
        """Return the `dspy.LM` of DS2 over this script: logged, limited, retried."""
        return logged_lm(self.backend(**(backend or {})), **options)

    def plain_lm(self, **options: Any) -> dspy.LM:
        """Return a `dspy.LM` that knows nothing of DS2."""
        options = {"cache": False, "num_retries": 0} | options
        return dspy.LM("local/plain", engine=_Sync(self), async_engine=_Async(self), **options)

    def _begin(self, request: lm15.Request) -> Call:
        turns = "\n".join(message.text or "" for message in request.messages)
        with self._lock:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            call = Call(
                len(self.calls),
                sample_number.get(),
                f"{request.system or ''}\n{turns}",
                request.config.temperature,
                request,
            )
            self.calls.append(call)
        return call

    def _answer(self, call: Call) -> lm15.Response:
        reply: Reply
        if call.number in self._failures:
            reply = self._failures[call.number]
        elif callable(self._replies):
            reply = self._replies(call)
        elif isinstance(self._replies, str):
            reply = self._replies
        else:
            reply = self._replies[call.number]
        if isinstance(reply, BaseException):
            raise reply
        return said(reply) if isinstance(reply, str) else reply


class _Sync:
    def __init__(self, script: Script) -> None:
        self._script = script

    def __deepcopy__(self, memo: dict[int, Any]) -> _Sync:
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        return asyncio.run(self._script.complete(request))


class _Async(_Sync):
    async def complete(self, request: lm15.Request) -> lm15.Response:
        return await self._script.complete(request)


def said(text: str, finish_reason: Any = "stop") -> lm15.Response:
    """Return a response that says `text`."""
    return lm15.Response(
        id=None,
        model="scripted-model",
        message=lm15.Message.assistant([lm15.TextPart(text)]),
        finish_reason=finish_reason,
        usage=lm15.Usage(input_tokens=7, output_tokens=5),
    )


def chat(**values: object) -> str:
    """Return a reply in the form that DSPy's ChatAdapter asks for."""
    parts = [f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])
