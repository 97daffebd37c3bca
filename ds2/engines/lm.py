"""The `dspy.LM` of DS2: any backend behind the call log, for any DSPy program."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import dspy

# The steps of `BaseLM.acall`, by their own names; the dependency's upper bound guards this import.
from dspy.clients._deprecation import warn_openai_messages
from dspy.clients.errors import error_boundary
from dspy.clients.execution import PreparedCall, _canonical, _result, finalize, prepare
from dspy.lm15 import Config, Message, Request, TextPart

from ds2.engines.base import Backend
from ds2.engines.breaker import PATIENCE_S, Breaker, BreakerConfig
from ds2.engines.budget import Budget
from ds2.engines.congestion import Congestion, CongestionConfig
from ds2.engines.hedging import Hedge
from ds2.engines.limiter import Limiter
from ds2.engines.logged import (
    AsyncHalf,
    CallLog,
    LoggedEngine,
    MemoryLog,
    SyncHalf,
    sample_number,
)
from ds2.engines.memo import Memo
from ds2.engines.pace import Pace
from ds2.engines.question import Question
from ds2.engines.retry import RetryPolicy

# The draws of one prompt come close together; what is remembered longer is only memory.
_REMEMBERED = 64
_SCALARS = frozenset({str, int, float, bool, type(None)})


class _Asked(NamedTuple):
    call: PreparedCall
    question: Question


class LoggedLM(dspy.LM):
    """A `dspy.LM` over a `LoggedEngine`, which knows the rollout of a call, and asks at once.

    `acall` does what DSPy's own does, in the same steps, with two differences: they are taken on the
    event loop, where DSPy hands two of them to a thread (reading media files, the price table), and
    what the draws of one prompt have in common is made once. Whatever else a call can be (streamed,
    cached, `n` at once, a typed request, retried by DSPy, watched by callbacks) DSPy does itself.
    """

    def __init__(self, model: str, logged: LoggedEngine, **options: Any) -> None:
        super().__init__(model, engine=SyncHalf(logged), async_engine=AsyncHalf(logged), **options)
        self._asked: Memo[_Asked] = Memo(_REMEMBERED)
        self._configs: Memo[Config] = Memo(_REMEMBERED)

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """Return what DSPy's own call returns."""
        self._note_sample(kwargs)
        return super().__call__(prompt, messages=messages, **kwargs)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """Return what DSPy's own call returns, without its detours."""
        self._note_sample(kwargs)
        if not self._is_plain(prompt, kwargs):
            return await super().acall(prompt, messages=messages, **kwargs)
        warn_openai_messages(self, messages)
        call, question = self._ask(prompt, messages, kwargs)
        with error_boundary(self.model, unexpected=True):
            response = await engine_of(self).ask(question, sample_number.get())
        result = _result(self, response, call, None, call.request, estimate=False)
        return finalize(self, call, result)

    def _note_sample(self, kwargs: Mapping[str, Any]) -> None:
        rollout = kwargs.get("rollout_id", self.kwargs.get("rollout_id"))
        sample_number.set(int(rollout or 0))

    def _is_plain(self, prompt: Any, kwargs: Mapping[str, Any]) -> bool:
        return (
            isinstance(self._async_engine_spec, AsyncHalf)
            and (prompt is None or isinstance(prompt, str))
            and "request" not in kwargs
            and not kwargs.get("cache", self.cache)
            and self.num_retries == 0
            and (kwargs.get("n") or self.kwargs.get("n")) in (None, 1)
            and dspy.settings.send_stream is None
            and not (self.callbacks or dspy.settings.callbacks)
        )

    def _ask(
        self, prompt: str | None, messages: Sequence[Any] | None, kwargs: Mapping[str, Any]
    ) -> _Asked:
        turns, options = _turns(prompt, messages), _options({**self.kwargs, **kwargs})
        known = turns is not None and options is not None
        key = (id(engine_of(self)), turns, options)
        asked = self._asked.get(key) if known else None
        if asked is None:
            request = self._request(turns, options) if known else None
            call = None if request is None else self._call(prompt, messages, kwargs)
            if request is None or call is None:
                call = prepare(self, prompt, messages, kwargs, asynchronous=True)
                with error_boundary(self.model):
                    request = _canonical(call)
            asked = _Asked(call, Question(engine_of(self).backend, request))
            if known:
                self._asked.put(key, asked)
                self._configs.put(options, request.config)
        elif not dspy.settings.disable_history:
            asked = asked._replace(call=self._call(prompt, messages, kwargs))
        return asked

    def _call(self, prompt: Any, messages: Any, kwargs: Mapping[str, Any]) -> PreparedCall:
        legacy = {"model": self.model, **self.kwargs, **kwargs}
        return PreparedCall(prompt, messages, dict(kwargs), legacy, None, False, 1, True)

    def _request(self, turns: Any, options: Hashable) -> Request | None:
        """Return the request that DSPy would make of turns of text, for options it has read before."""
        config = self._configs.get(options)
        if config is None or not all(_is_sendable(text) for _, text in turns):
            return None
        system = None
        if turns[0][0] == "system":
            system, turns = turns[0][1], turns[1:]
        if not turns or any(role not in {"user", "assistant"} or not text for role, text in turns):
            return None
        messages = tuple(Message(role, (TextPart(text),)) for role, text in turns)
        return Request(self.model, messages, system=system, config=config)


def _turns(
    prompt: str | None, messages: Sequence[Any] | None
) -> tuple[tuple[str, str], ...] | None:
    """Return the turns of a call as (role, text); None where one is more than text."""
    turns = []
    for turn in messages or ({"role": "user", "content": prompt},):
        if not (isinstance(turn, dict) and len(turn) == 2 and "role" in turn and "content" in turn):
            return None
        if not isinstance(turn["content"], str):
            return None
        turns.append((turn["role"], turn["content"]))
    return tuple(turns)


def _options(options: Mapping[str, Any]) -> tuple[Hashable, ...] | None:
    """Return the options of a call but for its rollout; None where one is no plain value.

    The type stands with the value: 1, 1.0 and True are equal and not the same option.
    """
    kept = [(name, type(v), v) for name, v in options.items() if name != "rollout_id"]
    return tuple(kept) if all(kind in _SCALARS for _, kind, _ in kept) else None


def _is_sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which DSPy refuses in its own words
        return False
    return True


def logged_lm(
    backend: Backend,
    *,
    log: CallLog | None = None,
    limiter: Limiter | None = None,
    retry: RetryPolicy | None = None,
    budget: Budget | None = None,
    stage: str = "program",
    coalesce: Literal["auto", "on", "off"] = "off",
    hedge: Hedge | None = None,
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
        coalesce, hedge: see `LoggedEngine`.
        options: options of `dspy.LM` for every call, such as `temperature`.
    """
    engine = LoggedEngine(
        backend,
        log or MemoryLog(),
        limiter or Limiter(64),
        stage=stage,
        retry=retry,
        budget=budget,
        coalesce=coalesce,
        hedge=hedge,
    )
    return LoggedLM(
        neutral_name(backend.model),
        engine,
        max_tokens=backend.max_tokens,
        cache=False,
        num_retries=0,
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
