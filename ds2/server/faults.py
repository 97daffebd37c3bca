"""What can go wrong at an endpoint, on purpose: the rates of every fault, and how they are drawn.

Two families, told apart by what another attempt brings. *Weather* is drawn anew for every attempt
and passes (`ds2.server.weather`). *Content* is what the model says: the same whenever the same
sample is asked for (`ds2.server.content`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from typing import Any, Self

from signatures.errors import ConfigError

WEATHER = "weather"
CONTENT = "content"
HUGE_BYTES = 10_000_000


def _rate(family: str) -> Any:
    return field(default=0.0, metadata={"family": family})


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what goes wrong: rates from 0 to 1, of which one attempt or sample meets one at most.

    Weather, a share of the attempts:

    Args:
        http_429: status 429 without a hint when to come back.
        http_429_after: status 429 with `Retry-After: retry_after_s`.
        http_500: status 500 with a page of HTML.
        http_503: status 503 in OpenAI's error shape.
        hang: no byte of an answer until the client gives up.
        slow_first_byte: the answer, `slow_s` later.
        reset: the connection is reset in the middle of the body.
        truncated_json: a whole reply by its length, whose JSON stops in the middle.
        wrong_shape: valid JSON that is no chat completion (an error with status 200 among them).
        fewer_choices: half as many choices as `n`, rounded down: none at `n` = 1.
        more_choices: the last choice stands in the reply twice.
        wrong_model: the reply names another model.
        invalid_utf8: bytes in the text that are no UTF-8.
        huge_body: a good reply with `huge_bytes` of a field that nobody asked for.

    Content, a share of the samples:

        empty_content: nothing was said.
        length: cut in the middle, `finish_reason` length.
        content_filter: nothing was said, `finish_reason` content_filter.
        duplicate: sample s says word for word what sample s - 1 says.
        huge_text: the model runs on and on after its answer, for `huge_bytes`.

    Limits of the server, which depend on what else is under way (None: no limit):

        max_in_flight: calls under way at once; 429 above it.
        max_rpm: calls accepted within a minute that slides; 429 with `Retry-After` above it.

    Sizes:

        retry_after_s: what `http_429_after` asks to wait, seconds.
        slow_s: how late `slow_first_byte` is, seconds.
        minute_s: length of the minute of `max_rpm`, seconds; a rehearsal may have a short one.
        huge_bytes: size of `huge_body` and `huge_text`.
        most_in_a_row: weather that one request can meet in a row; the next attempt is answered.
            None for no bound: then a request meets m in a row with the sum of the rates to the m.

    Raises:
        ConfigError: a rate outside 0 to 1, rates of a family that sum to more than 1, or a limit
            or size out of its range.
    """

    http_429: float = _rate(WEATHER)
    http_429_after: float = _rate(WEATHER)
    http_500: float = _rate(WEATHER)
    http_503: float = _rate(WEATHER)
    hang: float = _rate(WEATHER)
    slow_first_byte: float = _rate(WEATHER)
    reset: float = _rate(WEATHER)
    truncated_json: float = _rate(WEATHER)
    wrong_shape: float = _rate(WEATHER)
    fewer_choices: float = _rate(WEATHER)
    more_choices: float = _rate(WEATHER)
    wrong_model: float = _rate(WEATHER)
    invalid_utf8: float = _rate(WEATHER)
    huge_body: float = _rate(WEATHER)
    empty_content: float = _rate(CONTENT)
    length: float = _rate(CONTENT)
    content_filter: float = _rate(CONTENT)
    duplicate: float = _rate(CONTENT)
    huge_text: float = _rate(CONTENT)
    max_in_flight: int | None = None
    max_rpm: int | None = None
    retry_after_s: float = 1.0
    slow_s: float = 5.0
    minute_s: float = 60.0
    huge_bytes: int = HUGE_BYTES
    most_in_a_row: int | None = None

    def __post_init__(self) -> None:
        for family in (WEATHER, CONTENT):
            rates = self.rates(family)
            for name, rate in rates.items():
                _check(0 <= rate <= 1, name, "be from 0 to 1", rate)
            total = sum(rates.values())
            # A sum of decimals such as 0.1 may end a hair above 1.
            _check(total <= 1 + 1e-9, f"the rates of {family}", "sum to 1 at most", total)
        for name in ("max_in_flight", "max_rpm"):
            limit = getattr(self, name)
            _check(limit is None or limit >= 1, name, "be at least 1", limit)
        for name in ("retry_after_s", "slow_s", "huge_bytes"):
            value = getattr(self, name)
            _check(value >= 0, name, "be at least 0", value)
        _check(self.minute_s > 0, "minute_s", "be above 0", self.minute_s)
        row = self.most_in_a_row
        _check(row is None or row >= 0, "most_in_a_row", "be at least 0", row)

    @classmethod
    def storm(cls, **changes: Any) -> Self:
        """Return all faults at once, each at a modest rate; single values may be changed.

        A quarter of the attempts and a twelfth of the samples go wrong. Replies of full size and
        calls that hang are the rarest, for they cost the most.
        """
        weather = dict.fromkeys(cls.names(WEATHER), 0.02) | {"hang": 0.01, "huge_body": 0.005}
        content = dict.fromkeys(cls.names(CONTENT), 0.02) | {"huge_text": 0.002}
        return cls(**(weather | content | {"most_in_a_row": 4} | changes))

    @classmethod
    def names(cls, family: str) -> list[str]:
        """Return the names of the faults of a family, in the order they are drawn."""
        return [f.name for f in fields(cls) if f.metadata.get("family") == family]

    def rates(self, family: str) -> dict[str, float]:
        """Return the rate of every fault of a family."""
        return {name: getattr(self, name) for name in self.names(family)}

    def without(self, family: str) -> Self:
        """Return these faults without those of a family; without weather there are no limits either."""
        changes: dict[str, Any] = dict.fromkeys(self.names(family), 0.0)
        if family == WEATHER:
            changes |= {"max_in_flight": None, "max_rpm": None}
        return replace(self, **changes)

    @property
    def any_weather(self) -> bool:
        """Return whether an attempt can meet anything but its answer."""
        limited = self.max_in_flight is not None or self.max_rpm is not None
        return limited or any(self.rates(WEATHER).values())

    @property
    def any_content(self) -> bool:
        """Return whether a sample can say anything but what the teacher says."""
        return any(self.rates(CONTENT).values())


class Draw:
    """Draws the faults of one family: the same parts always give the same fault, or None.

    In symbols: with u uniform in [0, 1) from H(seed, family, parts), fault i where u is at least
    the sum of the rates before it and below that sum with its own; None above all.

    Args:
        faults: the rates.
        family: `WEATHER` or `CONTENT`.
        seed: of all draws.
    """

    def __init__(self, faults: Faults, family: str, seed: int) -> None:
        rates = faults.rates(family)
        self._family, self._seed = family, seed
        self._names = list(rates)
        self._bounds: Sequence[float] = list(accumulate(rates.values()))

    def fault(self, *parts: object) -> str | None:
        """Return the fault that these parts meet, if any."""
        u = chance(self._seed, self._family, *parts)
        if u >= self._bounds[-1]:
            return None
        return next(
            name for name, bound in zip(self._names, self._bounds, strict=True) if u < bound
        )


def chance(*parts: object) -> float:
    """Return a number in [0, 1) that is a function of `parts`, even over all of them."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    # 53 bits, as many as a float holds: rounding 64 could give 1.0.
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def _check(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ConfigError.rule(
            "Reading the faults failed",
            name=name,
            rule=rule,
            value=value,
            todo="Change that option; `ds2 simulate --help` shows them all.",
        )
