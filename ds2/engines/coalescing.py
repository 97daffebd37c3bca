"""Draws of one question that start together go out as one request with `n`.

A wave of a vote then pays its prompt once, and one round trip. Each draw keeps its own key, record
and share of the usage (`ds2.engines.choices.shares`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dspy import lm15

from ds2.engines.booking import Booking
from ds2.engines.choices import Came, Choice, Spoiled
from ds2.engines.question import Question
from ds2.engines.retry import WEATHER
from signatures.receipts import Receipt

#: Whether one request for several choices brings them, as far as is known of an endpoint.
State = Literal["unknown", "on", "off"]

MOST = 16  # choices of one request: no vote begins with more
_TRIES = 3  # requests in a row that failed or brought one choice, or equal ones: no accident


@dataclass(eq=False, slots=True)
class Draw:
    """One draw on its way.

    Args:
        sample: its number.
        keep: queues its reply in the call log; called also where nobody waits any more, for a reply
            that came is paid.
        booking: what it holds of the budget.
        written: what the log gave, for whoever waits.
    """

    sample: int
    keep: Callable[[Choice, float], Future[Receipt]]
    booking: Booking
    written: asyncio.Future[Future[Receipt]] | None = None

    @property
    def waits(self) -> bool:
        """Return whether somebody waits for it."""
        return self.written is not None and not self.written.done()


#: Sends one request for the draws that it is told of when it may go out, here with those there are so
#: far. Returns what came of them and the seconds it took.
Exchange: TypeAlias = Callable[
    [Question, Callable[[], Sequence[Draw]], Sequence[Draw]],
    Awaitable[tuple[Sequence[Came], float]],
]


@dataclass(eq=False, slots=True)
class _Group:
    question: Question
    draws: list[Draw]
    task: asyncio.Task[None] | None = None

    def waiting(self) -> list[Draw]:
        return sorted((draw for draw in self.draws if draw.waits), key=lambda draw: draw.sample)


class Coalescer:
    """Collects the draws of a question until its request may go out. For any number of event loops.

    Draws join the first one of their question while that one waits for its turn, two turns of the
    event loop at least: no clock is looked at, and all of a gather are there by then. Where sample
    numbers go out as seeds, only consecutive ones share a request, since choice j of a request with
    seed s is sample s + j (vLLM counts so).

    A choice that did not come, or cannot be read, is asked for again. A server that refuses `n`, or
    ignores it, is asked for one at a time from then on. While an endpoint is `unknown`, one group at a
    time finds out, and any failure may be about `n`: its draws are then asked for alone. And of choices
    that are all the same text only the first is believed: a server that copies one draw would make
    every vote unanimous.

    Args:
        exchange: sends one request, within the limit and with retries; for several choices of an
            `unknown` endpoint once only.
        seeded: whether sample numbers go out as seeds.
        state: `on` where it is known that the endpoint takes `n`, else `unknown`.
    """

    def __init__(self, exchange: Exchange, *, seeded: bool, state: State = "unknown") -> None:
        self.state: State = state
        self._exchange = exchange
        self._seeded = seeded
        self._open: dict[tuple[int, str], _Group] = {}
        self._probe: _Group | None = None
        self._failed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def draw(self, question: Question, draw: Draw) -> Future[Receipt]:
        """Return what the log gave for one draw.

        Raises:
            lm15.LM15Error: as the exchange does.
        """
        draw.written = asyncio.get_running_loop().create_future()
        group = self._join(question, draw)
        try:
            return await draw.written
        except asyncio.CancelledError:
            if group.task is not None and not group.waiting():
                group.task.cancel()
            raise

    def _join(self, question: Question, draw: Draw) -> _Group:
        place = (id(asyncio.get_running_loop()), question.id)
        group = self._open.get(place)
        if group is not None:
            group.draws.append(draw)
            return group
        group = _Group(question, [draw])
        if self.state == "on" or (self.state == "unknown" and self._probe is None):
            self._open[place] = group
            if self.state == "unknown":
                self._probe = group
        self._start(group, self._serve(place, group))
        return group

    def _start(self, group: _Group, work: Coroutine[Any, Any, None]) -> None:
        group.task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(group.task)
        group.task.add_done_callback(self._tasks.discard)

    async def _serve(self, place: tuple[int, str], group: _Group) -> None:
        sent: list[Draw] = []
        doubtful = False

        def close() -> list[Draw]:
            if self._open.get(place) is group:
                del self._open[place]
            sent[:] = self._take(group)
            if not sent:  # everyone has gone in the meantime
                raise asyncio.CancelledError
            return sent

        try:
            if place in self._open:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            doubtful = self.state == "unknown"
            choices, latency_s = await self._exchange(group.question, close, group.draws)
            self._deliver(group.question, sent, choices, latency_s)
        except lm15.LM15Error as error:
            if len(sent) > 1 and _may_be_about_n(error, doubtful=doubtful):
                self._doubt(error)
                self._again(group.question, sent)
            else:
                _fail(group.draws, error)
        except BaseException as error:  # noqa: BLE001 - of everyone who waits, who raise it
            _fail(group.draws, error)
        finally:
            if self._open.get(place) is group:
                del self._open[place]
            if self._probe is group:
                self._probe = None

    def _doubt(self, error: lm15.LM15Error) -> None:
        """Learn from a request for several choices that failed; the weather alone proves nothing."""
        if not isinstance(error, WEATHER):
            self.state = "off"
        elif not isinstance(error, lm15.RateLimitError):
            self._fail_once()

    def _fail_once(self) -> None:
        self._failed += 1
        if self._failed == _TRIES:
            self.state = "off"

    def _take(self, group: _Group) -> list[Draw]:
        """Return the draws that go out together; others of the group go out by themselves."""
        waiting = group.waiting()
        first, *others = list(self._together([d for d in waiting if d.booking.reserved])) or [[]]
        group.draws = first
        # What the budget has no room for now waits by itself.
        for draws in [*others, *([d] for d in waiting if not d.booking.reserved)]:
            self._alone(group.question, draws)
        return first

    def _together(self, draws: list[Draw]) -> Iterator[list[Draw]]:
        start = 0
        for end in range(1, len(draws) + 1):
            full = end - start == MOST
            apart = self._seeded and end < len(draws)
            if end == len(draws) or full or (
                apart and draws[end].sample != draws[end - 1].sample + 1
            ):  # fmt: skip
                yield draws[start:end]
                start = end

    def _alone(self, question: Question, draws: list[Draw]) -> None:
        """Start draws as a group that nobody else can join."""
        group = _Group(question, draws)
        self._start(group, self._serve((0, ""), group))

    def _again(self, question: Question, draws: Sequence[Draw]) -> None:
        """Ask anew for the draws that have no reply: together where the endpoint takes it."""
        waiting = [draw for draw in draws if draw.waits]
        if self.state == "on" and waiting:
            self._alone(question, waiting)
        else:
            for draw in waiting:
                self._alone(question, [draw])

    def _deliver(
        self,
        question: Question,
        draws: Sequence[Draw],
        choices: Sequence[Came],
        latency_s: float,
    ) -> None:
        believed = self._believed(choices) if len(draws) > 1 else choices
        for draw, came, choice in zip(draws, choices, believed, strict=True):
            if isinstance(choice, Choice):
                written = draw.keep(choice, latency_s)
                if draw.written is not None and not draw.written.done():
                    draw.written.set_result(written)
            elif isinstance(came, Spoiled):
                draw.booking.failed("failed", counted=came.counted)
            else:
                # A choice that is not believed was paid; one that did not come was not.
                draw.booking.failed(None if came is None else "failed")
        self._again(question, draws)

    def _believed(self, choices: Sequence[Came]) -> Sequence[Came]:
        """Learn from the choices of one request, and return them without those not believed."""
        came = [choice for choice in choices if isinstance(choice, Choice)]
        several = len({choice.text for choice in came}) > 1
        if several:
            self._failed = 0
            self.state = "on" if self.state == "unknown" else self.state
            return choices
        if self.state == "unknown" or len(came) == 1:
            self._fail_once()
        if self.state == "on" or len(came) == 1:
            return choices
        first = choices.index(came[0])
        return [choice if at == first else None for at, choice in enumerate(choices)]


def _may_be_about_n(error: lm15.LM15Error, *, doubtful: bool) -> bool:
    """Return whether an endpoint may have failed because it was asked for several choices.

    Of one that is `doubtful`, unknown when it was asked, any error may mean that: what it has against
    anything else it says again of the draws that are then asked for alone.
    """
    if isinstance(error, lm15.ContextLengthError):
        return False
    return doubtful or isinstance(error, lm15.InvalidRequestError)


def _fail(draws: Sequence[Draw], error: BaseException) -> None:
    for draw in draws:
        if draw.written is not None and not draw.written.done():
            if isinstance(error, asyncio.CancelledError):
                draw.written.cancel()
            else:
                draw.written.set_exception(error)
