"""A pilot: the first units of a run, in its own folder, where the run goes on from them for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ds2.engines.base import Backend
from ds2.runtime.decisions import accepted_rows
from ds2.runtime.duration import Limits
from ds2.runtime.foresight import Known, StageUse, UnitSample, Wanted
from ds2.runtime.plan import ALL
from ds2.runtime.quiet import quiet_dspy
from ds2.runtime.runner import Observer, run
from ds2.runtime.session import (
    Pilot,
    Resolver,
    RunRequest,
    backends_for,
    build_program,
    claim,
)
from ds2.screen.avoid import read_avoided
from ds2.store import STORE_NAME, RunStore
from signatures.records import Row

_DECIDED = ("accepted", "rejected")


class Seen(NamedTuple):
    """What a run folder shows of its run.

    Args:
        known: what its log holds.
        units: the decided units, in the global order.
        rows: the first accepted rows, as many as were asked for.
    """

    known: Known
    units: tuple[UnitSample, ...]
    rows: tuple[Row, ...]


NOTHING = Seen(Known({}, {}, 0, 0, {}), (), ())


def wanted(request: RunRequest, backends: Mapping[str, Backend] | None = None) -> Wanted:
    """Return what a request is to reach; without `backends` those that it names."""
    config = request.config
    quotas = (
        {str(level): rows for level, rows in config.level_quotas.items()}
        if config.quotas
        else {ALL: config.target}
    )
    return Wanted(quotas, config.candidates, limits_of(request, backends or backends_for(request)))


def limits_of(request: RunRequest, backends: Mapping[str, Backend]) -> Limits:
    """Return what holds the calls of a request back."""
    engine = request.engine
    return Limits(
        engine.concurrency,
        engine.rpm,
        engine.tpm,
        {stage: f"{backend.dialect} {backend.model}" for stage, backend in backends.items()},
        ramp=any(backend.remote for backend in backends.values()),
    )


async def pilot(
    request: RunRequest,
    extent: Pilot,
    observer: Observer | None = None,
    *,
    resolve: Resolver | None = None,
) -> Seen:
    """Run a request as far as `extent` says, unless its folder holds as much, and return what it shows.

    The pilot is the beginning of the run itself: `ds2.runtime.runner.run` with the same request goes
    on from it and asks nothing twice.

    Raises:
        DS2Error: something the user can mend.
        RunStoppedError: the endpoint went away; a spent budget just shows less.
    """
    seen = look(request, rows=extent.rows or 0, resolve=resolve)
    enough_units = extent.units is not None and len(seen.units) >= extent.units
    enough_rows = extent.rows is not None and len(seen.rows) >= extent.rows
    if not (enough_units or enough_rows):
        await run(replace(request, pilot=extent), observer, resolve=resolve)
        seen = look(request, rows=extent.rows or 0, resolve=resolve)
    return seen


def look(request: RunRequest, *, rows: int = 0, resolve: Resolver | None = None) -> Seen:
    """Return what the run folder of a request shows; nothing where there is none yet.

    Raises:
        StoreError: the folder is of another run, or a process works on it.
    """
    if not (request.out / STORE_NAME).exists():
        return NOTHING
    backends = backends_for(request, resolve)
    with RunStore(request.out) as store, quiet_dspy(request.config.adapter):
        avoided = read_avoided(request.config.avoid)
        claim(store, request, build_program(request, backends), backends, avoided)
        return read(store, request, rows)


def read(store: RunStore, request: RunRequest, rows: int = 0) -> Seen:
    """Return what the store of a run shows, with its first `rows` rows."""
    quotas = request.config.quotas
    states: dict[int, str] = {}
    accepted: Counter[str] = Counter()
    shown: list[Row] = []
    for unit in store.units():
        states[unit.place] = unit.state
    for row in accepted_rows(store):
        accepted[str(row.instruction.level) if quotas else ALL] += 1
        if len(shown) < rows:
            shown.append(row)
    used: dict[int, dict[str, StageUse]] = {}
    settled: dict[str, StageUse] = {}
    spent: dict[str, StageUse] = {}
    for place, stage, usage, seconds in store.usage_by_unit():
        use = StageUse(
            usage.calls, usage.input_tokens, usage.output_tokens, usage.reasoning_tokens, seconds
        )
        spent[stage] = spent.get(stage, StageUse()).plus(use)
        if place < 0 or place in states:
            settled[stage] = settled.get(stage, StageUse()).plus(use)
            used.setdefault(place, {})[stage] = use
    units = tuple(
        UnitSample(state == "accepted", used.get(place, {}))
        for place, state in states.items()
        if state in _DECIDED
    )
    grown = (request.out / "keywords.json").exists()
    known = Known(settled, accepted, len(units), len(states) - len(units), spent, grown)
    return Seen(known, units, tuple(shown))
