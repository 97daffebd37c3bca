"""Every call goes through here: its key, the call log, single flight, the limit, the retries.

The two halves that `dspy.LM` wants are `SyncHalf` and `AsyncHalf` over one `LoggedEngine`. A reply
is used only as it came back from the log (see RUN.md's rules in docs/design/run.md).
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import Counter
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar

from dspy.lm15 import Message, Request, Response, TextPart, ThinkingPart, Usage
from dspy.utils.callback import BaseCallback

from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.budget import Budget
from ds2.engines.limiter import Limiter, place
from ds2.engines.retry import WEATHER, RetryPolicy
from signatures.receipts import Receipt, report
from signatures.records import canonical_json, content_id, valid_text

T = TypeVar("T")

# Characters of a reply that are kept: what is longer counts as cut. Parsing 10 MB takes DSPy's adapter
# over half a second, in which nothing else runs.
MAX_REPLY = 1_000_000

# The number that tells a call from its repeats. DSPy strips `rollout_id` before an engine sees the
# request; the callback of the language model still does.
sample_number: ContextVar[int] = ContextVar("ds2_sample", default=0)


class SampleNumbers(BaseCallback):
    """Carry DSPy's `rollout_id` from the call to the engine below it."""

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:  # noqa: ARG002
        """Note the rollout id of this call, that of the language model where the call has none."""
        options = inputs.get("kwargs") or {}
        number = options.get("rollout_id", getattr(instance, "kwargs", {}).get("rollout_id"))
        sample_number.set(int(number or 0))


class CallLog(Protocol):
    """Where replies are kept.

    `get` returns the stored reply of a key, or None. `put` stores a reply unless its key is already
    there and returns, once that is committed, the reply that stands; it must have queued the write
    before it returns, so that a paid reply is not lost when the waiting is cancelled.
    """

    def get(self, key: str) -> Receipt | None: ...

    def put(
        self,
        receipt: Receipt,
        *,
        stage: str,
        place: int,
        prompt: str,
        options: str,
        latency_s: float,
    ) -> Future[Receipt]: ...


class MemoryLog:
    """A call log that lives as long as its process: for programs that run without a run folder."""

    def __init__(self) -> None:
        self._receipts: dict[str, Receipt] = {}

    def get(self, key: str) -> Receipt | None:
        """Return the stored reply of a key, or None."""
        return self._receipts.get(key)

    def put(
        self,
        receipt: Receipt,
        *,
        stage: str,  # noqa: ARG002
        place: int,  # noqa: ARG002
        prompt: str,  # noqa: ARG002
        options: str,  # noqa: ARG002
        latency_s: float,  # noqa: ARG002
    ) -> Future[Receipt]:
        """Keep a reply unless its key is there; return the one that stands."""
        done: Future[Receipt] = Future()
        done.set_result(self._receipts.setdefault(receipt.call, receipt))
        return done


class _Abandoned(Exception):  # noqa: N818 - a signal between two calls, never seen outside
    """The call that was waited for has been cancelled; whoever waits makes it anew."""


class LoggedEngine:
    """One backend behind the call log. Thread-safe; one inner engine for each event loop.

    Args:
        backend: the model.
        log: where replies are kept.
        limiter: the limit of this (endpoint, model), shared by all stages.
        stage: named in the log: keywords, writer, answers or judge.
        retry: how the weather is waited out.
        budget: what may be used, shared by all stages.
    """

    def __init__(
        self,
        backend: Backend,
        log: CallLog,
        limiter: Limiter,
        *,
        stage: str,
        retry: RetryPolicy | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.backend = backend
        self.log = log
        self.limiter = limiter
        self.stage = stage
        self.retry = retry or RetryPolicy(breaker=limiter.breaker)
        self.meter = (budget or Budget()).meter(backend)
        self.named: Counter[str] = Counter()  # replies by the name that they give their model
        self._lock = threading.Lock()
        self._flights: dict[str, Future[Receipt]] = {}
        self._inner: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = (
            weakref.WeakKeyDictionary()
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> LoggedEngine:
        # An optimizer's trial deep-copies its program; limits and flights must stay shared.
        return self

    async def aclose(self) -> None:
        """Close the inner engine of the running event loop, where it is of a kind that closes."""
        with self._lock:
            engine = self._inner.pop(asyncio.get_running_loop(), None)
        close = getattr(engine, "aclose", None)
        if close is not None:
            await close()
            # asyncio closes sockets on a later turn of the loop, which may be ended next.
            await asyncio.sleep(0.01)

    async def answer(self, request: Request) -> Response:
        """Return the stored reply to `request`, drawing it first if the log has none."""
        sample = sample_number.get()
        prompt, options = _rendered(request)
        key = call_key(self.backend, prompt, options, sample)
        receipt = None
        while receipt is None:
            try:
                receipt = await self._fly(key, request, prompt, options, sample)
            except _Abandoned:
                continue
        report(receipt)
        return _response(receipt, request.model)

    async def _fly(
        self, key: str, request: Request, prompt: str, options: str, sample: int
    ) -> Receipt:
        """Return the reply of a key: from the call under way that asks the same, the log, or anew."""
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            return await asyncio.wrap_future(_shielded(flight))
        try:
            # Only who leads looks into the log: no reply can land between the look and the call.
            reply = self.log.get(key) or await self._draw(key, request, prompt, options, sample)
        except BaseException as error:
            # A cancellation is of this unit only; whatever else is of everyone who asked.
            cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
            self._land(key)
            flight.set_exception(_Abandoned() if cancelled else error)
            raise
        if isinstance(reply, Receipt):
            self._land(key)
            flight.set_result(reply)
            return reply

        def landed(done: Future[Receipt]) -> None:
            self._land(key)
            _settle(flight, done)

        # The reply is paid and queued: the flight lands with it even if its leader is cancelled now.
        reply.add_done_callback(landed)
        return await asyncio.wrap_future(_shielded(reply))

    def _land(self, key: str) -> None:
        with self._lock:
            del self._flights[key]

    async def _draw(
        self, key: str, request: Request, prompt: str, options: str, sample: int
    ) -> Future[Receipt]:
        """Make the call and queue its reply; the future gives the one that stands."""
        request = self._wire(request, sample)
        sent = False

        async def attempt() -> tuple[Response, float]:
            nonlocal sent
            async with self.limiter.slot(len(prompt)) as slot:
                sent = True
                try:
                    response = await self._engine().complete(request)
                except WEATHER as error:
                    slot.failed(error)
                    raise
                slot.answered(response.usage)
                return response, time.monotonic() - (slot.sent_s or 0.0)

        held = await self.meter.reserve(prompt, options, limit=request.config.max_tokens)
        try:
            response, latency_s = await self.retry.run(attempt)
        except BaseException as error:
            # A call that was cancelled on the wire may still be billed: the budget fails closed.
            self.meter.release(held, lost=sent and isinstance(error, asyncio.CancelledError))
            raise
        self.named[response.model or ""] += 1
        receipt = _receipt(key, response)
        self.meter.settle(held, [receipt])
        return self.log.put(
            receipt,
            stage=self.stage,
            place=place.get(),
            prompt=prompt,
            options=options,
            latency_s=latency_s,
        )

    def _wire(self, request: Request, sample: int) -> Request:
        config = request.config
        if self.backend.send_seed:
            config = replace(config, seed=sample % (1 << 31))
        if self.backend.extensions:
            config = replace(
                config, extensions={**(config.extensions or {}), **self.backend.extensions}
            )
        return replace(request, model=self.backend.model, config=config)

    def _engine(self) -> AsyncEngine:
        loop = asyncio.get_running_loop()
        with self._lock:
            engine = self._inner.get(loop)
            if engine is None:
                engine = self._inner[loop] = self.backend.open()
            return engine


class AsyncHalf:
    """The async half of the pair that `dspy.LM` takes."""

    def __init__(self, engine: LoggedEngine) -> None:
        self.logged = engine

    def __deepcopy__(self, memo: dict[int, Any]) -> AsyncHalf:
        return self

    async def complete(self, request: Request) -> Response:
        """Return the reply to one request."""
        return await self.logged.answer(request)


class SyncHalf:
    """The sync half: proposers, judges and threads of optimizers call it; it works on its own loop."""

    def __init__(self, engine: LoggedEngine) -> None:
        self.logged = engine
        self.supports_response_schema = engine.backend.response_schema
        params = {"temperature", "max_tokens", "top_p", "seed", "stop"}
        self.supported_params = frozenset(
            params | ({"response_format"} if engine.backend.response_schema else set())
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> SyncHalf:
        return self

    def complete(self, request: Request) -> Response:
        """Return the reply to one request; the calling thread waits."""
        return _on_engine_loop(self.logged.answer(request))

    def close(self) -> None:
        """Close the inner engine of the sync half's own loop."""
        _on_engine_loop(self.logged.aclose())

    def dump_state(self) -> dict[str, Any]:
        """Return nothing: a saved program holds prompts, never a connection."""
        return {}


def call_key(backend: Backend, prompt: str, options: str, sample: int) -> str:
    """Return the key of a call: the hash of all that decides its reply.

    In symbols: H(model, dialect, rendered request, sampling options and extras, sample number). A
    seed on the wire is no part of it, for it follows from the sample number.
    """
    return content_id(
        [
            backend.model,
            backend.dialect,
            canonical_json(dict(backend.extensions)),
            prompt,
            options,
            sample,
        ]
    )


def _rendered(request: Request) -> tuple[str, str]:
    """Return the prompt and the sampling options of a request, each as one canonical text."""
    # A message of more than text has no `text`: its parts are written out.
    messages = [[m.role, _plain(m.parts) if m.text is None else m.text] for m in request.messages]
    config = request.config
    options = {
        field.name: value
        for field in fields(config)
        if field.name != "seed" and (value := getattr(config, field.name)) not in (None, (), {})
    }
    prompt = [_plain(request.system) or "", messages, *(_plain(tool) for tool in request.tools)]
    return canonical_json(prompt), canonical_json(_plain(options))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _receipt(key: str, response: Response) -> Receipt:
    parts = response.message.parts
    usage = response.usage
    text = "".join(part.text for part in parts if isinstance(part, TextPart))
    return Receipt(
        call=key,
        text=valid_text(text[:MAX_REPLY]),
        finish_reason=response.finish_reason if len(text) <= MAX_REPLY else "length",
        thinking=valid_text("".join(p.text or "" for p in parts if isinstance(p, ThinkingPart))),
        model=response.model or "",
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
    )


def _response(receipt: Receipt, model: str) -> Response:
    thinking = [ThinkingPart(receipt.thinking)] if receipt.thinking else []
    return Response(
        id=None,
        model=receipt.model or model,
        message=Message.assistant([*thinking, TextPart(receipt.text)]),
        finish_reason=receipt.finish_reason,
        usage=Usage(
            input_tokens=receipt.input_tokens,
            output_tokens=receipt.output_tokens,
            reasoning_tokens=receipt.reasoning_tokens,
        ),
    )


def _shielded(flight: Future[Receipt]) -> Future[Receipt]:
    """Return a future that follows `flight`; cancelling it leaves the flight alone."""
    follower: Future[Receipt] = Future()

    def follow(done: Future[Receipt]) -> None:
        if follower.set_running_or_notify_cancel():
            _settle(follower, done)

    flight.add_done_callback(follow)
    return follower


def _settle(future: Future[Receipt], done: Future[Receipt]) -> None:
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(error)


_loop_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_loop_thread: threading.Thread | None = None


def _on_engine_loop(work: Coroutine[Any, Any, T]) -> T:
    global _loop, _loop_thread
    with _loop_lock:
        if _loop is None or _loop_thread is None or not _loop_thread.is_alive():
            _loop = asyncio.new_event_loop()
            _loop_thread = threading.Thread(
                target=_loop.run_forever, name="ds2-engines", daemon=True
            )
            _loop_thread.start()
        loop = _loop
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


__all__ = ["AsyncHalf", "CallLog", "LoggedEngine", "MemoryLog", "SampleNumbers", "SyncHalf"]
