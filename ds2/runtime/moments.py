"""How fast a run went over its time, from the history that its heartbeats left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ds2.report.facts import Moment
from ds2.runtime.heartbeat import Instant

APART_S = 1.0  # a shorter stretch says more of single calls than of a rate


def moments(history: Sequence[Sequence[float]]) -> tuple[Moment, ...]:
    """Return the rates between the moments that a run noted, earliest first.

    Only new work counts. A run that is taken up again reads its log in no time: stretches in which
    its rows grow without a call are left out, and rows count from the most that it had before. So are
    stretches without calls at the beginning and the end. A pause in between stays, as nought.

    Args:
        history: as `heartbeat.History` keeps it.
    """
    found = list(_stretches([Instant.read(point) for point in history]))
    while found and not found[-1].calls_per_min:
        found.pop()
    while found and not found[0].calls_per_min:
        found.pop(0)
    return tuple(found)


def _stretches(instants: Sequence[Instant]) -> Iterator[Moment]:
    if not instants:
        return
    before, most_rows = instants[0], instants[0].rows
    for now in instants[1:]:
        took_s = now.at_s - before.at_s
        if took_s < APART_S:
            # A process that begins anew, at the same moment and without rows, begins the stretch.
            before = now if now.rows < before.rows else before
            continue
        calls, rows = now.calls - before.calls, max(0, now.rows - most_rows)
        reads = not calls and (now.rows != before.rows or now.rows < most_rows)
        if not reads:
            a_minute = 60 / took_s
            yield Moment(now.at_s, calls * a_minute, rows * a_minute, now.in_flight, now.limit)
        before, most_rows = now, max(most_rows, now.rows)
