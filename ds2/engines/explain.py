"""Turns a foreign error that cannot heal into our words: the one place that maps them."""

from __future__ import annotations

from typing import NamedTuple

from dspy import lm15

from ds2.engines.base import Backend
from ds2.engines.redact import Redactor
from signatures.errors import EndpointError

_WORDS = 240


class _Verdict(NamedTuple):
    name: str
    rule: str
    todo: str


_CHECK = "Run `ds2 check` with the same options to see what the endpoint takes."
_REFUSED = _Verdict(
    "the endpoint",
    "take the request, which it refuses",
    "Do what its words say, or ask who runs it; otherwise choose another model or endpoint.",
)
_VERDICTS: tuple[tuple[type[lm15.LM15Error], _Verdict], ...] = (
    (
        lm15.BillingError,
        _Verdict("the account", "have credit left", "Add credit or choose another model."),
    ),
    (
        lm15.UnsupportedModelError,
        _Verdict("the model", "be served by the endpoint", "`ds2 check` lists what is served."),
    ),
    (
        lm15.ContextLengthError,
        _Verdict(
            "the prompt with its reply",
            "fit the model's context window",
            "Serve it with a longer context, or lower the limit on a reply.",
        ),
    ),
    (
        lm15.InvalidRequestError,
        _Verdict("the request", "be one that the endpoint takes", _CHECK),
    ),
    (
        lm15.CapabilityError,
        _Verdict("the request", "need nothing that this provider lacks", _CHECK),
    ),
    (
        lm15.ConfigurationError,
        _Verdict("the endpoint", "be configured", "Check the model's name and its key."),
    ),
)


def explain(error: BaseException, backend: Backend) -> EndpointError | None:
    """Return what is wrong with the endpoint and the one thing to do; None for the weather.

    The message says what was tried, the status, and the server's own words, cut short and without
    secrets. Errors of `dspy.LM` are seen through to the engine's error that caused them.

    Returns:
        None for transport, timeout, 429 and 5xx, which may heal, and for an error that no engine
        raised (a bug).
    """
    cause = _engine_error(error)
    if cause is None or isinstance(cause, lm15.RETRYABLE_ERRORS):
        return None
    verdict = _verdict(cause, backend)
    return EndpointError.rule(
        f"Calling the model at {backend.dialect.split(' ', 1)[-1]} failed",
        unit=backend.model,
        name=verdict.name,
        rule=verdict.rule,
        value=_words(cause),
        todo=verdict.todo,
    )


def unreachable(error: BaseException, backend: Backend) -> EndpointError:
    """Return what to tell a person when the weather at the endpoint does not get better."""
    cause = _engine_error(error)
    return EndpointError.rule(
        f"Reaching the model at {backend.dialect.split(' ', 1)[-1]} failed",
        unit=backend.model,
        name="the endpoint",
        rule="answer",
        value=type(error).__name__ if cause is None else _words(cause),
        todo="Start the server or mend the address; the same command then continues.",
    )


def _engine_error(error: BaseException | None) -> lm15.LM15Error | None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, lm15.LM15Error):
            return error
        seen.add(id(error))
        error = error.__cause__
    return None


def _verdict(error: lm15.LM15Error, backend: Backend) -> _Verdict:
    if isinstance(error, lm15.AuthError):
        names = " or ".join(error.env_keys) or (
            "the provider's variable" if backend.dialect.startswith("litellm ") else "DS2_API_KEY"
        )
        todo = f"Put a valid key in {names}, or name another variable with --api-key-env."
        return _Verdict("the key", "be accepted by the endpoint", todo)
    if error.status is not None and 300 <= error.status < 400:
        return _Verdict("the address", "answer by itself", "Give the address that it redirects to.")
    if error.status in (404, 405) and not isinstance(error, lm15.UnsupportedModelError):
        return _Verdict(
            "the address and the model",
            "exist on the server",
            "Check --api-base (it mostly ends in /v1); `ds2 check` lists the models.",
        )
    for kind, verdict in _VERDICTS:
        if isinstance(error, kind):
            return verdict
    if error.status is not None and 400 <= error.status < 500:
        return _REFUSED
    return _Verdict("the reply", "be one that can be read", _CHECK)


def _words(error: lm15.LM15Error) -> str:
    """Return status and the server's own first paragraph, cut short, without secrets."""
    said = Redactor().scrub(error.message.split("\n\n", 1)[0].strip() or (error.code or "error"))
    said = " ".join(said.split())
    if len(said) > _WORDS:
        said = said[:_WORDS] + "..."
    return f"HTTP {error.status}: {said}" if error.status is not None else said
