"""Calls under way, by key: whoever asks first leads, everyone else follows, on any event loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from typing import NamedTuple

from signatures.receipts import Receipt


class Abandoned(Exception):  # noqa: N818 - a signal between two calls, never seen outside
    """The call that was waited for has been cancelled; whoever waits makes it anew."""


class _Follower(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Receipt]


class Flights:
    """The calls under way. Thread-safe; replies reach every event loop that waits.

    Replies that land from another thread while a loop has not yet turned are handed over together:
    waking a loop costs more than all else that happens to a reply here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: dict[str, list[_Follower]] = {}
        self._mail: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Mail] = (
            weakref.WeakKeyDictionary()
        )

    def __len__(self) -> int:
        return len(self._followers)

    def lead_or_follow(self, key: str) -> asyncio.Future[Receipt] | None:
        """Return None to who leads, and to everyone else what will hold the reply.

        Who leads must `land` the key, whatever happens.
        """
        with self._lock:
            followers = self._followers.get(key)
            if followers is None:
                self._followers[key] = []
                return None
            return _joined(followers)

    def follow(self, key: str) -> asyncio.Future[Receipt]:
        """Return what will hold the reply of a key that is under way."""
        with self._lock:
            return _joined(self._followers[key])

    def land(self, key: str, reply: Receipt | BaseException) -> None:
        """End a flight: everyone who follows gets the reply, or raises the error."""
        with self._lock:
            followers = self._followers.pop(key)
        if not followers:
            return
        here = running_loop()
        for follower in followers:
            if follower.loop is here:
                _settle(follower.future, reply)
            else:
                self._mail_of(follower.loop).send(follower, reply)

    def _mail_of(self, loop: asyncio.AbstractEventLoop) -> _Mail:
        with self._lock:
            mail = self._mail.get(loop)
            if mail is None:
                mail = self._mail[loop] = _Mail()
            return mail


class _Mail:
    """What one event loop has to be told by other threads."""

    __slots__ = ("_letters", "_rung")

    def __init__(self) -> None:
        self._letters: deque[tuple[asyncio.Future[Receipt], Receipt | BaseException]] = deque()
        self._rung = False

    def send(self, follower: _Follower, reply: Receipt | BaseException) -> None:
        # The letter is in before the bell is looked at, and the bell is reset before the box is
        # emptied: none is left behind.
        self._letters.append((follower.future, reply))
        if self._rung:
            return
        self._rung = True
        try:
            follower.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop was closed, and nobody waits there any more
            self._letters.clear()

    def _deliver(self) -> None:
        self._rung = False
        while self._letters:
            _settle(*self._letters.popleft())


def _joined(followers: list[_Follower]) -> asyncio.Future[Receipt]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Receipt] = loop.create_future()
    followers.append(_Follower(loop, future))
    return future


def _settle(future: asyncio.Future[Receipt], reply: Receipt | BaseException) -> None:
    if future.done():  # cancelled
        return
    if isinstance(reply, BaseException):
        future.set_exception(reply)
    else:
        future.set_result(reply)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
