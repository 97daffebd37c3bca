"""The states that a vote of at most n draws can be in, and how one draw changes them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from programs.stopping.policy import Counts

START = Counts(())


class Event(IntEnum):
    """What a draw says, seen from the state before it.

    With equal counts the first of these holds: in (2, 2) a vote for either is one for the first.
    """

    FIRST = 0
    SECOND = 1
    OTHER = 2
    NEW = 3
    UNREADABLE = 4


class Step(NamedTuple):
    """One way on from a state.

    Args:
        event: what is drawn.
        state: the place of the state after it.
        share: which part of the event leads there; below 1 where several of the others may win.
    """

    event: Event
    state: int
    share: float


class Space(NamedTuple):
    """All states of at most `max_draws` draws, fewest draws first.

    Args:
        states: the states.
        place: where each stands in `states`.
        steps: the ways on from each; none where all draws are made.
    """

    states: tuple[Counts, ...]
    place: dict[Counts, int]
    steps: tuple[tuple[Step, ...], ...]


@lru_cache(maxsize=8)
def space(max_draws: int) -> Space:
    """Return the states of at most `max_draws` draws."""
    states: list[Counts] = [START]
    place = {START: 0}
    steps: list[tuple[Step, ...]] = []
    for state in states:
        found = []
        for event, after, share in _after(state) if state.draws < max_draws else ():
            if after not in place:
                place[after] = len(states)
                states.append(after)
            found.append(Step(event, place[after], share))
        steps.append(tuple(found))
    return Space(tuple(states), place, tuple(steps))


def event_between(before: Counts, after: Counts) -> Event:
    """Return what was drawn between two states that are one draw apart."""
    if after.unreadable > before.unreadable:
        return Event.UNREADABLE
    pairs = zip(before.votes, after.votes, strict=False)
    had = next((old for old, new in pairs if old != new), 0)
    return _event(before, had)


def _event(state: Counts, had: int) -> Event:
    if had == 0:
        return Event.NEW
    if had == state.top:
        return Event.FIRST
    return Event.SECOND if had == state.second else Event.OTHER


def _after(state: Counts) -> Iterator[tuple[Event, Counts, float]]:
    others = sum(votes for votes in state.votes if _event(state, votes) is Event.OTHER)
    for had in dict.fromkeys(state.votes):
        event = _event(state, had)
        votes = list(state.votes)
        votes[votes.index(had)] += 1
        share = had * state.votes.count(had) / others if event is Event.OTHER else 1.0
        yield event, Counts(tuple(votes), state.unreadable), share
    yield Event.NEW, Counts((*state.votes, 1), state.unreadable), 1.0
    yield Event.UNREADABLE, Counts(state.votes, state.unreadable + 1), 1.0
