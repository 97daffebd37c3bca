"""A small memory of what was made last: bounded, and for one kind of key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """The last `size` values, by key; the one that was not asked for longest is forgotten first.

    Safe to share between threads: each step is one operation of a dictionary, and what another
    thread forgets in between is made again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def __deepcopy__(self, _: object) -> Memo[V]:
        # What is remembered is true for copies of whoever remembers it.
        return self

    def get(self, key: Hashable) -> V | None:
        """Return the value of a key, or None."""
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def put(self, key: Hashable, value: V) -> V:
        """Keep a value, and return it."""
        self._values[key] = value
        while len(self._values) > self._size:
            try:
                self._values.popitem(last=False)
            except KeyError:  # another thread was faster
                break
        return value
