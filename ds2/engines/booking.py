"""What one reply holds of a budget, from the first attempt at it to the last."""

from __future__ import annotations

from collections.abc import Sequence

from ds2.engines.amounts import Why
from ds2.engines.budget import Meter, Reservation
from ds2.engines.question import Question
from signatures.receipts import Receipt


class Booking:
    """The reservation of one reply, over all attempts at it.

    An attempt that brought no reply and may be billed uses it up: that is booked as lost, and the
    next attempt has to reserve anew. Belongs to one event loop.

    Args:
        meter: measures the calls to its model.
        question: what is asked.
    """

    def __init__(self, meter: Meter, question: Question) -> None:
        self._meter, self._question = meter, question
        self._held: Reservation | None = None
        self._lost: Reservation | None = None  # with the last attempt, which was cancelled
        self._on_wire = False
        self._closed = False

    @property
    def reserved(self) -> bool:
        """Return whether the next attempt has what it can come to."""
        return self._held is not None

    def renew_now(self) -> bool:
        """Reserve as `renew` does where it fits at once; return whether it is reserved."""
        if not self._closed and self._held is None:
            question = self._question
            limit = question.request.config.max_tokens
            self._held = self._meter.reserve_now(question.prompt, question.options, limit=limit)
        return self.reserved

    async def renew(self) -> None:
        """Reserve what the next attempt can come to, where nothing is reserved.

        Raises:
            BudgetSpent: it cannot fit.
        """
        if self._closed or self._held is not None:
            return
        question = self._question
        limit = question.request.config.max_tokens
        held = await self._meter.reserve(question.prompt, question.options, limit=limit)
        if self._closed:  # meanwhile
            self._meter.release(held)
        else:
            self._held = held

    def sent(self) -> None:
        """Note that an attempt is on the wire."""
        self._on_wire = True
        if self._held is not None:
            self._meter.send(self._held)

    def unsent(self) -> None:
        """Note that the attempt never got on the wire, though it was about to."""
        if self._lost is not None:
            self._meter.take_back(self._lost)
            self._lost = None
        self.failed(None)

    def failed(self, lost: Why | None, *, counted: bool = False) -> None:
        """Note that the attempt brought no reply.

        Args:
            lost: why it may be billed; None where it cannot be.
            counted: its tokens are among those of other replies, so that the call alone counts.
        """
        if self._held is not None:
            if lost is not None and self._on_wire:
                self._meter.release(self._held, lost, counted=counted)
                self._held = None
            else:
                self._meter.unsend(self._held)
        elif counted and self._lost is not None:
            self._meter.take_back(self._lost, calls=False)
            self._lost = None
        self._on_wire = False

    def settle(self, receipt: Receipt) -> None:
        """Book the reply, which may come after the end."""
        if self._held is not None:
            self._meter.settle(self._held, [receipt])
        elif self._lost is not None:
            self._meter.recover(self._lost, receipt)
        self._held, self._lost, self._closed = None, None, True

    def close(self) -> None:
        """End without a reply: an attempt on the wire may still be billed, so the budget fails closed."""
        held, self._held, self._closed = self._held, None, True
        if held is not None:
            self._meter.release(held, "cancelled" if self._on_wire else None)
            self._lost = held if self._on_wire else None


async def renew_any(bookings: Sequence[Booking]) -> None:
    """Reserve what fits at once for the bookings of one request; where none does, wait for one.

    None waits while another one holds something: that does not come back before the request is sent,
    so with nothing else in flight both would wait for ever.

    Raises:
        BudgetSpent: none can fit.
    """
    reserved = [booking.renew_now() for booking in bookings]
    if not any(reserved):
        for booking in bookings:
            await booking.renew()
            if booking.reserved:
                return
