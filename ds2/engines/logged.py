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
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from dspy.lm15 import Message, Request, Response, TextPart, ThinkingPart, Usage

from ds2.engines.amounts import Why
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.booking import Booking, renew_any
from ds2.engines.budget import Budget, Reservation
from ds2.engines.chat import ChatEngine
from ds2.engines.choices import Came, Choice, usage_of
from ds2.engines.coalescing import Coalescer, Draw, State
from ds2.engines.flights import Abandoned, Flights
from ds2.engines.hedging import Fate, Hedge
from ds2.engines.limiter import Limiter, place
from ds2.engines.question import Question
from ds2.engines.retry import WEATHER, RetryPolicy, may_be_billed
from signatures.receipts import Receipt, report
from signatures.records import valid_text

T = TypeVar("T")

# Characters of a reply that are kept: what is longer counts as cut. Parsing 10 MB takes DSPy's adapter
# over half a second, in which nothing else runs.
MAX_REPLY = 1_000_000

# The number that tells a call from its repeats: DSPy strips `rollout_id` before an engine sees the
# request, so the language model (`ds2.engines.lm`) notes it here.
sample_number: ContextVar[int] = ContextVar("ds2_sample", default=0)


#: What came of the choices of one request, and the seconds it took.
Drawn: TypeAlias = tuple[Sequence[Came], float]

#: Called when a request may go out: waits until the store knows of it, and returns its draws.
Go: TypeAlias = Callable[[], Awaitable[Sequence[Draw]]]


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


class LoggedEngine:
    """One backend behind the call log. Thread-safe; one inner engine for each event loop.

    Args:
        backend: the model.
        log: where replies are kept.
        limiter: the limit of this (endpoint, model), shared by all stages.
        stage: named in the log: keywords, writer, answers or judge.
        retry: how the weather is waited out.
        budget: what may be used, shared by all stages.
        coalesce: draws of one question that start together go out as one request: `on` where it is
            known that the endpoint takes `n`, `auto` to find out; an endpoint that does not, or is
            not of OpenAI's chat completions shape, is asked for one at a time.
        hedge: knows which calls to ask a second time; None for none.
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
        coalesce: Literal["auto", "on", "off"] = "off",
        hedge: Hedge | None = None,
    ) -> None:
        self.backend = backend
        self.log = log
        self.limiter = limiter
        self.stage = stage
        self.retry = retry or RetryPolicy(breaker=limiter.breaker)
        self.meter = (budget or Budget()).meter(backend)
        self.named: Counter[str] = Counter()  # replies by the name that they give their model
        self.hedge = hedge
        self.requests = 0
        self.coalescer: Coalescer | None = None
        if coalesce != "off" and backend.several:
            state: State = "on" if coalesce == "on" else "unknown"
            self.coalescer = Coalescer(self._exchange, seeded=backend.send_seed, state=state)
        self._lock = threading.Lock()
        self._flights = Flights()
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
        return await self.ask(Question(self.backend, request), sample_number.get())

    async def ask(self, question: Question, sample: int) -> Response:
        """Return the stored reply to one sample of a question, drawing it first if the log has none."""
        key = question.key(sample)
        receipt = None
        while receipt is None:
            try:
                receipt = await self._fly(key, question, sample)
            except Abandoned:
                continue
        report(receipt)
        return _response(receipt, question.request.model)

    async def _fly(self, key: str, question: Question, sample: int) -> Receipt:
        """Return the reply of a key: from the call under way that asks the same, the log, or anew."""
        followed = self._flights.lead_or_follow(key)
        if followed is not None:
            return await followed
        try:
            # Only who leads looks into the log: no reply can land between the look and the call.
            reply = self.log.get(key) or await self._draw(key, question, sample)
        except BaseException as error:
            # A cancellation is of this unit only; whatever else is of everyone who asked.
            cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
            self._flights.land(key, Abandoned() if cancelled else error)
            raise
        if isinstance(reply, Receipt):
            self._flights.land(key, reply)
            return reply
        if reply.done():
            receipt = reply.exception() or reply.result()
            self._flights.land(key, receipt)
            if isinstance(receipt, BaseException):
                raise receipt
            return receipt
        # The reply is paid and queued: the flight lands with it even if its leader is cancelled now.
        mine = self._flights.follow(key)
        reply.add_done_callback(lambda done: self._land(key, done))
        return await mine

    def _land(self, key: str, written: Future[Receipt]) -> None:
        self._flights.land(key, written.exception() or written.result())

    async def _draw(self, key: str, question: Question, sample: int) -> Future[Receipt]:
        """Make the call and queue its reply; the future gives the one that stands."""
        at, booking = place.get(), Booking(self.meter, question)
        await booking.renew()

        def keep(choice: Choice, latency_s: float) -> Future[Receipt]:
            receipt = _receipt(key, choice)
            self.named[choice.model] += 1
            booking.settle(receipt)
            return self.log.put(
                receipt,
                stage=self.stage,
                place=at,
                prompt=question.prompt,
                options=question.options,
                latency_s=latency_s,
            )

        draw = Draw(sample, keep, booking)
        try:
            if self.coalescer is not None and self.coalescer.state != "off":
                return await self.coalescer.draw(question, draw)
            (choice,), latency_s = await self._exchange(question, lambda: (draw,), (draw,))
        except BaseException:
            booking.close()
            raise
        return keep(_there(choice), latency_s)

    async def _exchange(
        self, question: Question, take: Callable[[], Sequence[Draw]], known: Sequence[Draw]
    ) -> Drawn:
        """Return the choices for some draws of a question, sent as one request, with retries.

        `take` is asked for the draws when the request may go out; `known` are those there are before.
        An attempt that may be billed, whatever it brought, is booked; the next one reserves anew.
        """
        asked, choices = list(known), len(known)

        async def go() -> Sequence[Draw]:
            asked[:] = take()
            for draw in asked:
                draw.booking.sent()
            try:
                await self.meter.budget.covered()
            except BaseException:
                for draw in asked:
                    draw.booking.unsent()
                raise
            return asked

        async def attempt() -> Drawn:
            await renew_any([draw.booking for draw in asked])
            if self.hedge is not None:
                return await self._hedged(self.hedge, question, go, choices)
            try:
                return await self._attempt(question, go, choices)
            except Exception as error:
                for draw in asked:
                    draw.booking.failed("failed" if may_be_billed(error) else None)
                raise

        # Where it is not known whether `n` is taken, a failure may be about that.
        unknown = self.coalescer is not None and self.coalescer.state == "unknown"
        return await self.retry.run(attempt, once=unknown and choices > 1)

    async def _attempt(self, question: Question, go: Go, choices: int) -> Drawn:
        async with self.limiter.slot(len(question.prompt), choices) as slot:
            samples = [draw.sample for draw in await go()]
            self.requests += 1
            try:
                drawn = await self._send(question, samples)
            except WEATHER as error:
                slot.failed(error)
                raise
            slot.answered(usage_of(drawn))
            return drawn, time.monotonic() - (slot.sent_s or 0.0)

    async def _hedged(self, hedge: Hedge, question: Question, go: Go, choices: int) -> Drawn:
        asked: list[Draw] = []
        second: list[Reservation] = []

        async def call(on_wire: Callable[[], None]) -> Drawn:
            async def same() -> Sequence[Draw]:
                if not asked:
                    asked.extend(await go())
                else:
                    self.meter.send(second[0])
                    await self.meter.budget.covered()
                on_wire()
                return asked

            drawn = await self._attempt(question, same, choices)
            hedge.note(drawn[1])
            return drawn

        def reserved() -> bool:
            limit = question.request.config.max_tokens
            found = self.meter.reserve_now(
                question.prompt, question.options, limit=limit, replies=len(asked)
            )
            second.extend(() if found is None else (found,))
            return found is not None

        def ended(fates: Sequence[Fate]) -> None:
            paid: list[Why] = [fate for fate in fates if fate != "won" and fate != "unpaid"]
            if "won" not in fates:
                own = paid.pop(0) if paid else None
                for draw in asked:
                    draw.booking.failed(own)
            for reservation in second:
                self.meter.release(reservation, paid.pop(0) if paid else None)

        return await hedge.race(call, may_ask_twice=reserved, ended=ended)

    async def _send(self, question: Question, samples: Sequence[int]) -> Sequence[Came]:
        engine = self._engine()
        seed = samples[0] % (1 << 31) if self.backend.send_seed else question.request.config.seed
        if isinstance(engine, ChatEngine):
            if len(samples) > 1:
                return await engine.draw(question.request, seed=seed, n=len(samples))
            return [await engine.draw_one(question.request, seed=seed)]
        request = question.wire
        if self.backend.send_seed:
            request = replace(request, config=replace(request.config, seed=seed))
        return [Choice.of(await engine.complete(request))]

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


def _there(choice: Came) -> Choice:
    if not isinstance(choice, Choice):  # what is asked for alone is there, or an error says why not
        raise AssertionError("a request for one choice brought none")
    return choice


def _receipt(key: str, choice: Choice) -> Receipt:
    text = choice.text
    return Receipt(
        call=key,
        text=valid_text(text[:MAX_REPLY]),
        finish_reason=choice.finish_reason if len(text) <= MAX_REPLY else "length",
        thinking=valid_text(choice.thinking),
        model=choice.model,
        input_tokens=choice.tokens.input,
        output_tokens=choice.tokens.output,
        reasoning_tokens=choice.tokens.reasoning,
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
