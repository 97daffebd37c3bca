"""Hard limits on what a run may use: what is in flight is reserved, so no line is crossed.

Before a call goes out, the most it can come to is reserved: a call, the bytes of its prompt (a
tokenizer never makes more tokens than bytes) and its limit on the reply. The reply settles the
reservation at what was used. A call that does not fit waits while others are in flight, for they
will bring most of theirs back; when nothing is, the budget is spent. So a run goes on, with fewer and
fewer calls at once, to within one call of the line. What is sent is claimed in the store of the run
before (`ds2.engines.claim`), so that this holds over kills, too.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount, Lost, Why
from ds2.engines.base import Backend
from ds2.engines.claim import Claim, Limits, Standing
from ds2.engines.limiter import place
from signatures.receipts import Receipt

# Tokens that a server's chat template adds to what is sent; where one adds more, it is learnt.
TEMPLATE_TOKENS = 128
_RECENT = 64  # calls whose duration says how long before the end of its time a run asks its last
_LATE = 0.25  # share of the time at most that this takes
_NOTHING = Amount()


class BudgetSpent(BaseException):
    """A budget allows no further call.

    A `BaseException`, so that neither DSPy nor an optimizer mistakes it for a bad reply.
    """


@dataclass(slots=True)
class Held:
    """A reservation: how much, since when, and whether its call is on the wire."""

    amount: Amount
    since_s: float
    sent: bool = False


@dataclass(slots=True, order=True)
class _Waiter:
    place: int
    number: int
    need: Amount = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    answer: asyncio.Future[Held] = field(compare=False)
    held: Held | None = field(default=None, compare=False)


class Budget:
    """At most so many calls, tokens and dollars over the life of a run, and minutes of this process.

    It fails closed: a call that was cancelled on the wire, or whose reply got lost, may be billed and
    stays spent; so does, with a `claim`, what was in flight when a process was killed. Thread-safe,
    over any number of event loops.

    Args:
        config: the limits; None for none.
        spent: what earlier processes have used, without what they lost.
        lost: what they lost.
        claim: tells the store of what is used before it is; None where no store outlives the process.
        clock: a steady clock, seconds.
    """

    def __init__(
        self,
        config: BudgetConfig | None = None,
        *,
        spent: Amount | None = None,
        lost: Lost | None = None,
        claim: Claim | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        config = config or BudgetConfig()
        self._limits: Limits = (config.budget_calls, config.budget_tokens, config.budget_usd)
        self._minutes, self._clock, self._began_s = config.budget_minutes, clock, clock()
        self.lost = lost or Lost()  # over all processes
        self.stopped_by: str | None = None  # calls, tokens, usd or minutes
        self.short_of: Amount | None = None  # what the call that was turned away could have used
        self._spent = (spent or Amount()).plus(self.lost.amount)
        self._held = Amount()
        self._in_flight = 0
        self._claim = claim
        # Of what is held, that which is on the wire, and its most since the mark was set; without a
        # claim neither is noted.
        self._wire = self._peak = Amount()
        self._on_wire = 0
        self._waiters: list[_Waiter] = []
        self._arrivals = 0
        self._durations: deque[float] = deque(maxlen=_RECENT)
        self._lock = threading.Lock()

    @property
    def spent(self) -> Amount:
        """Return what was used so far, over all processes."""
        return self._spent

    @property
    def calls_left(self) -> int | None:
        """Return how many calls of the mean size so far may still be made; None without a limit."""
        with self._lock:
            used = self._spent.plus(self._held)
            left = []
            for limit, much, mean in zip(self._limits, used, self._mean(), strict=True):
                if limit is not None and mean > 0:
                    left.append(max(0, int((limit - much) / mean)))
            return min(left, default=None)

    @property
    def seconds_left(self) -> float | None:
        """Return how long this process may go on; None without a limit."""
        if self._minutes is None:
            return None
        return max(0.0, self._began_s + 60 * self._minutes - self._clock())

    def meter(self, backend: Backend) -> Meter:
        """Return what measures the calls to one model."""
        return Meter(self, backend)

    async def hold(self, need: Amount) -> Held:
        """Reserve `need`, waiting for calls in flight where it fits only after them.

        Raises:
            BudgetSpent: it cannot fit.
        """
        with self._lock:
            spent = self._out_of(need)
            if spent is not None:
                self.stopped_by, self.short_of = spent, need
                raise BudgetSpent(spent)
            if not self._waiters and self._fits(need):
                return self._take(need)
            loop = asyncio.get_running_loop()
            waiter = _Waiter(place.get(), self._arrivals, need, loop, loop.create_future())
            self._arrivals += 1
            heapq.heappush(self._waiters, waiter)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def hold_now(self, need: Amount) -> Held | None:
        """Reserve `need` where it fits at once and nobody waits for it; None otherwise."""
        with self._lock:
            if self._waiters or self._out_of(need) is not None or not self._fits(need):
                return None
            return self._take(need)

    @property
    def idle(self) -> bool:
        """Return whether nothing is on the wire."""
        return self._on_wire == 0

    def send(self, held: Held) -> None:
        """Note that the call of a reservation is on the wire, as soon as `covered` has returned."""
        if self._claim is None:
            return
        with self._lock:
            held.sent = True
            self._wire = self._wire.plus(held.amount)
            self._peak = self._peak.most(self._wire)
            self._on_wire += 1

    def unsend(self, held: Held) -> None:
        """Note that the call of a reservation, which stays, is not on the wire any more."""
        with self._lock:
            self._off_wire(held)

    async def covered(self) -> None:
        """Wait until the store has it that what is on the wire may be used; mostly it has.

        Raises:
            StoreError: the store cannot be written any more.
        """
        if self._claim is None:
            return
        with self._lock:
            used = self._spent.plus(self._wire)
            covered = self._claim.covers(used)
        while not covered:
            self._move_claim(self._claim, used)
            await self._claim.moved()
            with self._lock:
                covered = self._claim.covers(used)

    def renew_claim(self) -> None:
        """Queue for the store what may be used from now on, where anything was sent before."""
        if self._claim is not None and self._claim.made:
            self._move_claim(self._claim)

    def _move_claim(self, claim: Claim, used: Amount = _NOTHING) -> None:
        with self._lock:
            if claim.move(used, Standing(self._spent, self._peak, self._limits)):
                self._peak = self._wire

    def settle(self, held: Held, used: Amount) -> None:
        """Book what a call really used in the place of its reservation."""
        with self._lock:
            self._durations.append(self._clock() - held.since_s)
            self._spent = self._spent.plus(used)
            self._free(held)

    def lose(self, held: Held, why: Why, used: Amount | None = None) -> None:
        """Book a call that brought no reply and may be billed.

        Args:
            held: its reservation.
            why: what became of it.
            used: what it came to; None where that is not known, so that the reservation stays spent.
        """
        used = held.amount if used is None else used
        with self._lock:
            self.lost = self.lost.plus(why, used)
            self._spent = self._spent.plus(used)
            self._free(held)

    def recover(self, lost: Amount, used: Amount) -> None:
        """Book what a call used that was lost as cancelled and whose reply came all the same."""
        with self._lock:
            self.lost = self.lost.plus("cancelled", Amount().less(lost))
            self._spent = self._spent.less(lost).plus(used)

    def give_back(self, held: Held) -> None:
        """Free the reservation of a call that brought no reply and cannot have been billed."""
        with self._lock:
            self._free(held)

    def _out_of(self, need: Amount) -> str | None:
        """Return the limit that `need` crosses even if all in flight comes back unused, or None."""
        left_s = self.seconds_left
        if left_s is not None and left_s <= self._last_call_s():
            return "minutes"
        # A call in flight is a call made; of its tokens most will come back.
        sure = self._spent.plus(Amount(self._held.calls)).plus(need)
        return self._crossed(sure)

    def _fits(self, need: Amount) -> bool:
        return self._crossed(self._spent.plus(self._held).plus(need)) is None

    def _crossed(self, amount: Amount) -> str | None:
        for name, limit, much in zip(Amount._fields, self._limits, amount, strict=True):
            if limit is not None and much > limit:
                return name
        return None

    def _last_call_s(self) -> float:
        # A call that could not come home in time would be paid for nothing.
        return min(max(self._durations, default=0.0), _LATE * 60 * (self._minutes or 0))

    def _mean(self) -> tuple[float, float, float]:
        calls = max(1, self._spent.calls)
        return 1.0, self._spent.tokens / calls, self._spent.usd / calls

    def _take(self, need: Amount) -> Held:
        self._held = self._held.plus(need)
        self._in_flight += 1
        return Held(need, self._clock())

    def _free(self, held: Held) -> None:
        self._in_flight -= 1
        # Sums of fractions drift: with nothing in flight nothing is held.
        self._held = self._held.less(held.amount) if self._in_flight else Amount()
        self._off_wire(held)
        self._serve()

    def _off_wire(self, held: Held) -> None:
        if held.sent:
            held.sent = False
            self._on_wire -= 1
            self._wire = self._wire.less(held.amount) if self._on_wire else Amount()

    def _serve(self) -> None:
        """Let waiters go on in their order while they fit; turn away what never will."""
        while self._waiters:
            waiter = self._waiters[0]
            spent = self._out_of(waiter.need)
            if spent is None and not self._fits(waiter.need):
                return
            heapq.heappop(self._waiters)
            if waiter.loop.is_closed():
                continue
            if spent is None:
                waiter.held = self._take(waiter.need)
            else:
                self.stopped_by, self.short_of = spent, waiter.need
            waiter.loop.call_soon_threadsafe(_tell, waiter, spent)

    def _withdraw(self, waiter: _Waiter) -> None:
        """Take a cancelled waiter out; what it was granted in the same moment goes back."""
        with self._lock:
            if waiter.held is not None:
                self._free(waiter.held)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
                heapq.heapify(self._waiters)
                self._serve()


class Reservation(NamedTuple):
    """What one request holds of a budget.

    Args:
        held: the reservation itself.
        sent_bytes: of its prompt and options.
        limit: on each reply, tokens.
    """

    held: Held
    sent_bytes: int
    limit: int


class Meter:
    """What the calls to one model can come to at most, and what they came to.

    A reply that does not report its usage counts at an upper bound: the bytes of its prompt, and the
    bytes of its text but no more than its limit; the whole limit where the model thinks unseen.

    Args:
        budget: what is measured against.
        backend: the model; its price and its limit on a reply.
    """

    def __init__(self, budget: Budget, backend: Backend) -> None:
        self.budget = budget
        self._backend, self._price = backend, backend.price
        self._beyond = 0  # tokens by which a reply passed its limit
        self._template = TEMPLATE_TOKENS

    async def reserve(
        self, prompt: str, options: str, *, limit: int | None = None, replies: int = 1
    ) -> Reservation:
        """Reserve the most that one request for so many replies can use.

        Args:
            prompt: the prompt as it is sent, or longer.
            options: its options, a JSON schema among them.
            limit: on each reply, tokens; None for that of the model.
            replies: how many replies one request asks for.

        Raises:
            BudgetSpent: it cannot fit.
        """
        most, sent_bytes, limit = self._most(prompt, options, limit, replies)
        return Reservation(await self.budget.hold(most), sent_bytes, limit)

    def reserve_now(
        self, prompt: str, options: str, *, limit: int | None = None, replies: int = 1
    ) -> Reservation | None:
        """Reserve as `reserve` does where it fits at once; None otherwise, and the run goes on."""
        most, sent_bytes, limit = self._most(prompt, options, limit, replies)
        held = self.budget.hold_now(most)
        return None if held is None else Reservation(held, sent_bytes, limit)

    def _most(
        self, prompt: str, options: str, limit: int | None, replies: int
    ) -> tuple[Amount, int, int]:
        sent_bytes = len(prompt.encode()) + len(options.encode())
        limit = limit or self._backend.max_tokens or 0
        read, written = sent_bytes + self._template, replies * (limit + self._beyond)
        return Amount(replies, read + written, self._usd(read, written)), sent_bytes, limit

    def send(self, reservation: Reservation) -> None:
        """Note that a request is on the wire; see `Budget.send`. What stays in this process is on none."""
        if self._backend.remote:
            self.budget.send(reservation.held)

    def unsend(self, reservation: Reservation) -> None:
        """Note that a request is to be sent once more, and is not on the wire now."""
        self.budget.unsend(reservation.held)

    def settle(self, reservation: Reservation, receipts: Iterable[Receipt]) -> None:
        """Book the replies to a request in the place of its reservation."""
        used = Amount()
        for receipt in receipts:
            used = used.plus(self._used(receipt, reservation))
        self.budget.settle(reservation.held, used)

    def release(
        self, reservation: Reservation, lost: Why | None = None, *, counted: bool = False
    ) -> None:
        """Free the reservation of a request without a reply.

        Args:
            reservation: what it holds.
            lost: why it may be billed; None where it cannot be.
            counted: its tokens are among those of other replies.
        """
        held = reservation.held
        if lost is None:
            self.budget.give_back(held)
        else:
            self.budget.lose(held, lost, Amount(held.amount.calls) if counted else None)

    def recover(self, reservation: Reservation, receipt: Receipt) -> None:
        """Book a reply to a request that was lost as cancelled, in the place of what it could be."""
        self.budget.recover(reservation.held.amount, self._used(receipt, reservation))

    def take_back(self, reservation: Reservation, *, calls: bool = True) -> None:
        """Count nothing of a request that was lost as cancelled, or its call alone."""
        lost = reservation.held.amount
        self.budget.recover(lost if calls else lost._replace(calls=0), Amount())

    def unreported(self, sent_bytes: int, said_bytes: int, limit: int, calls: int = 1) -> Amount:
        """Return what calls that did not report their usage count as.

        Args:
            sent_bytes: of prompts and options.
            said_bytes: of replies, thinking included.
            limit: on the replies, tokens, summed over the calls; 0 for none.
            calls: how many there were.
        """
        written = limit if self._backend.thinking else min(said_bytes, limit or said_bytes)
        read = sent_bytes + calls * self._template
        return Amount(calls, read + written, self._usd(read, written))

    def _used(self, receipt: Receipt, reservation: Reservation) -> Amount:
        read, written = receipt.input_tokens, receipt.output_tokens
        if read is None or written is None:
            said = len(receipt.text.encode()) + len(receipt.thinking.encode())
            return self.unreported(reservation.sent_bytes, said, reservation.limit)
        # A server that keeps no limit, or has a longer template, is learnt from.
        self._beyond = max(self._beyond, written - reservation.limit)
        self._template = max(self._template, read - reservation.sent_bytes)
        thought = receipt.reasoning_tokens or 0
        usd = self._price.cost_usd(read, written, thought) if self._price else 0.0
        return Amount(1, read + written, usd)

    def _usd(self, read: int, written: int) -> float:
        if self._price is None:
            return 0.0
        return (read * self._price.input_usd + written * self._price.most_output_usd) / 1_000_000


def _tell(waiter: _Waiter, spent: str | None) -> None:
    if waiter.answer.done():
        return
    if waiter.held is not None:
        waiter.answer.set_result(waiter.held)
    else:
        waiter.answer.set_exception(BudgetSpent(spent))
