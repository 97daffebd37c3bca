from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dspy import lm15

from ds2.engines.retry import WEATHER, RetryPolicy, passing

WAITED: list[float] = []


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note what is waited for instead of waiting."""
    waits: list[float] = []
    real = asyncio.sleep

    async def sleep(delay: float) -> None:
        waits.append(delay)
        await real(0)

    monkeypatch.setattr("ds2.engines.retry.asyncio.sleep", sleep)
    return waits


def failing(*errors: BaseException) -> Callable[[], Awaitable[str]]:
    """Return an attempt that raises each error in turn, then succeeds."""
    left = list(errors)

    async def attempt() -> str:
        if left:
            raise left.pop(0)
        return "reply"

    return attempt


def weather(kind: Any, **options: Any) -> BaseException:
    error: BaseException = kind("bad weather", **options)
    return error


def run(policy: RetryPolicy, *errors: BaseException) -> str:
    return asyncio.run(policy.run(failing(*errors)))


@pytest.mark.parametrize("kind", WEATHER, ids=lambda k: k.__name__)
def test_the_weather_is_waited_out(kind: Any) -> None:
    policy = RetryPolicy(answered=True)
    assert run(policy, *[weather(kind) for _ in range(5)]) == "reply"


@pytest.mark.parametrize(
    "error",
    [
        lm15.AuthError("no"),
        lm15.BillingError("no"),
        lm15.InvalidRequestError("no"),
        lm15.ContextLengthError("no"),
        lm15.UnsupportedFeatureError("no"),
        ValueError("a bug"),
        TimeoutError("an engine that did not map it"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_does_not_heal_is_raised_at_once(
    error: BaseException, no_waiting: list[float]
) -> None:
    with pytest.raises(type(error)):
        run(RetryPolicy(answered=True), error)
    assert no_waiting == []


def test_the_last_error_is_raised_when_the_tries_are_used_up(no_waiting: list[float]) -> None:
    errors = [lm15.ServerError(f"down {i}") for i in range(9)]
    with pytest.raises(lm15.ServerError, match="down 3"):
        run(RetryPolicy(attempts=4, answered=True), *errors)
    assert len(no_waiting) == 3


def test_an_endpoint_that_never_answered_is_given_up_within_seconds(
    no_waiting: list[float],
) -> None:
    policy = RetryPolicy()
    with pytest.raises(lm15.TransportError):
        run(policy, *[lm15.TransportError("refused") for _ in range(9)])
    assert len(no_waiting) == policy.first_attempts - 1 == 2
    assert sum(no_waiting) <= 2


def test_one_answer_makes_it_patient_for_everyone_who_shares_it() -> None:
    policy = RetryPolicy()
    run(policy)
    assert policy.answered
    assert run(policy, *[lm15.TransportError("refused") for _ in range(5)]) == "reply"


def test_waits_double_and_are_capped(no_waiting: list[float]) -> None:
    policy = RetryPolicy(attempts=9, base_s=1, cap_s=8, answered=True)
    run(policy, *[lm15.ServerError("down") for _ in range(6)])
    for wait, top in zip(no_waiting, [1, 2, 4, 8, 8, 8], strict=True):
        assert top / 2 <= wait <= top


@pytest.mark.parametrize("tries", [65, 1026, 10**6])
def test_a_call_that_waited_very_often_waits_for_the_cap(tries: int) -> None:
    policy = RetryPolicy(cap_s=8)
    assert 4 <= policy._wait_s(lm15.ServerError("down"), tries) <= 8


@pytest.mark.parametrize(
    ("asked", "low", "high"), [(0, 0, 0.5), (3, 3, 3.5), (30, 30, 30), (7200, 30, 30)]
)
def test_a_server_that_asks_to_wait_is_heard_up_to_the_cap(
    asked: float, low: float, high: float, no_waiting: list[float]
) -> None:
    run(RetryPolicy(answered=True), lm15.RateLimitError("slow down", retry_after=asked))
    assert low <= no_waiting[0] <= high


def test_a_wish_to_come_back_at_once_uses_up_no_tries_within_a_minute(
    no_waiting: list[float],
) -> None:
    policy = RetryPolicy(answered=True)
    full = [lm15.RateLimitError("full", retry_after=0.0) for _ in range(policy.limited_attempts)]
    with pytest.raises(lm15.RateLimitError):
        run(policy, *full)
    assert len(no_waiting) == policy.limited_attempts - 1
    assert sum(no_waiting) > 60


def test_while_others_are_answered_a_wish_is_heard_as_it_is(no_waiting: list[float]) -> None:
    policy = RetryPolicy(answered=True)
    left = 20

    async def attempt() -> str:
        nonlocal left
        left -= 1
        policy.answers += 1  # somebody else's
        if left:
            raise lm15.RateLimitError("full", retry_after=1.0)
        return "reply"

    assert asyncio.run(policy.run(attempt)) == "reply"
    assert all(1 <= wait <= 1.5 for wait in no_waiting)


def test_a_senseless_wish_is_not_heard(no_waiting: list[float]) -> None:
    error = lm15.RateLimitError("slow down")
    error.retry_after = -5
    run(RetryPolicy(answered=True), error)
    assert 0 <= no_waiting[0] <= 0.5


@pytest.mark.parametrize("kind", [lm15.ProviderError, lm15.InvalidRequestError])
@pytest.mark.parametrize(
    ("status", "passes"), [(409, True), (425, True), (400, False), (451, False), (None, False)]
)
def test_a_conflict_and_a_call_too_early_pass(
    kind: type[lm15.LM15Error], status: int | None, passes: bool
) -> None:
    error = kind("its words", status=status, retry_after=3.0)
    found = passing(error)
    assert isinstance(found, WEATHER) is passes
    assert (found.message, found.status, found.retry_after) == ("its words", status, 3.0)


def test_what_a_conflict_is_about_stays_what_it_is() -> None:
    error = lm15.ContextLengthError("too long", status=409)
    assert passing(error) is error
