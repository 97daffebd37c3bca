"""How long calls take: by how many may be in flight, by the limits by hand, by our own work.

The keywords come first, round by round. Then units overlap, and the slowest of four things sets their
pace: calls in flight, requests a minute, tokens a minute, what a call costs this process. Each model
behind each endpoint has limits of its own. The stages share the time by what they take of that which
sets the pace; so their minutes add up, though they run at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ds2.engines.congestion import CongestionConfig

CALL_CPU_S = 0.001  # what a call costs this process, seconds
_START = CongestionConfig().start
_ALONE = 1.5  # a unit by itself, at the end: it answers in two waves or so, the longer draws count

Bound = Literal["concurrency", "rpm", "tpm", "processor"]


class Load(NamedTuple):
    """What the calls of a stage put on an endpoint: calls, requests, tokens, seconds one by one."""

    calls: float = 0.0
    requests: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0

    @property
    def latency_s(self) -> float:
        """Return the seconds of one request; 0 with none."""
        return self.seconds / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds calls back.

    Args:
        concurrency: calls in flight for each model behind each endpoint, at least 1.
        rpm, tpm: requests and tokens a minute for each; None for no limit.
        places: the model and endpoint of each stage; stages that are not named share one.
        ramp: the calls in flight are raised as the endpoint answers.
    """

    concurrency: int
    rpm: int | None = None
    tpm: int | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    ramp: bool = False


class Duration(NamedTuple):
    """How long it takes in all, by stage, and what sets the pace of the units."""

    seconds: float
    stages: Mapping[str, float]
    bound: Bound


def duration(loads: Mapping[str, Load], limits: Limits, *, rounds: float = 0.0) -> Duration:
    """Return how long the calls of some stages take.

    Args:
        loads: by stage; `keywords` comes before the others.
        limits: what holds them back.
        rounds: of keywords, one after the other; 0 where the bank is there.
    """
    keywords = loads.get("keywords", Load())
    units = {stage: load for stage, load in loads.items() if stage != "keywords" and load.calls}
    before_s = max(
        rounds * keywords.latency_s,
        *(seconds for _, _, seconds in _paces({"keywords": keywords}, limits)),
    )
    if not units:
        return Duration(before_s, dict.fromkeys(loads, 0.0) | {"keywords": before_s}, "concurrency")
    place, bound, pace_s = max(_paces(units, limits), key=lambda each: each[2])
    tail_s = _ALONE * sum(load.latency_s for load in units.values())
    units_s = pace_s + tail_s + (_ramp_s(units, limits) if bound == "concurrency" else 0.0)
    shares = _shares(units, bound, limits, place)
    stages = {stage: units_s * shares.get(stage, 0.0) for stage in loads} | {"keywords": before_s}
    return Duration(before_s + units_s, stages, bound)


def _paces(loads: Mapping[str, Load], limits: Limits) -> Iterator[tuple[str, Bound, float]]:
    """Yield the place, what would bound it, and the seconds that it alone would need."""
    for place in sorted({_place(stage, limits) for stage in loads}):
        here = [load for stage, load in loads.items() if _place(stage, limits) == place]
        yield place, "concurrency", sum(load.seconds for load in here) / limits.concurrency
        if limits.rpm is not None:
            yield place, "rpm", sum(load.requests for load in here) / limits.rpm * 60
        if limits.tpm is not None:
            yield place, "tpm", sum(load.tokens for load in here) / limits.tpm * 60
    yield "", "processor", sum(load.calls for load in loads.values()) * CALL_CPU_S


def _ramp_s(loads: Mapping[str, Load], limits: Limits) -> float:
    """Return what slow start costs: the width doubles with each round trip until it is whole.

    Until then about one full round trip's worth of calls for each doubling, less what they carried.
    """
    if not limits.ramp or limits.concurrency <= _START:
        return 0.0
    doublings = math.log2(limits.concurrency / _START)
    carried = (limits.concurrency - _START) / limits.concurrency
    calls = sum(load.calls for load in loads.values())
    latency_s = sum(load.seconds for load in loads.values()) / calls
    return max(0.0, doublings - carried) * latency_s


def _shares(
    loads: Mapping[str, Load], bound: Bound, limits: Limits, place: str
) -> dict[str, float]:
    """Return the share of the units' time that each stage takes."""
    kind = {"concurrency": "seconds", "rpm": "requests", "tpm": "tokens", "processor": "calls"}
    here = {
        stage: getattr(load, kind[bound])
        for stage, load in loads.items()
        if bound == "processor" or _place(stage, limits) == place
    }
    whole = sum(here.values())
    return {stage: value / whole for stage, value in here.items()} if whole else {}


def _place(stage: str, limits: Limits) -> str:
    return limits.places.get(stage, "")
