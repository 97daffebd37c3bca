"""Whether more calls in flight only wait longer: how latency answers to load (pure)."""

from __future__ import annotations

from math import exp, inf, log, sqrt

_LEAST = 16  # replies to say anything
_MANY = 80  # replies to say that more load only waits
_SPREAD = 2 * sqrt(3)  # width of an even spread in its standard deviations


class Elasticity:
    """The elasticity b of latency to load, by least squares, the older replies fading.

    In symbols: log W = a + b log L, for a reply after W seconds to a call that left under the limit
    L. By Little's law (L = throughput x W) throughput grows with L to the power of 1 - b: at b = 0
    more load costs nothing, at b = 1 it only waits. Logarithms keep the few slow calls of a long
    tail, or of bad weather, from deciding.
    """

    def __init__(self) -> None:
        self.weight = 0.0
        self._x = self._y = 0.0
        self._xx = self._xy = self._yy = 0.0

    def add(self, load: float, latency_s: float, memory: float) -> None:
        """Take in a reply; its weight falls to 1/e after `memory` more of them (at least 2)."""
        keep = 1 - 1 / memory
        self.weight = keep * self.weight + 1
        part = 1 / self.weight
        dx, dy = log(load) - self._x, log(max(latency_s, 1e-6)) - self._y
        self._x, self._y = self._x + part * dx, self._y + part * dy
        self._xx = keep * self._xx + (1 - part) * dx * dx
        self._xy = keep * self._xy + (1 - part) * dx * dy
        self._yy = keep * self._yy + (1 - part) * dy * dy

    def surely_above(self, bound: float, errors: float) -> bool:
        """Return whether b is above `bound` by so many standard errors; False where too few say so."""
        # To stop too late costs some waiting, to stop too early much of what the endpoint could do.
        return self.weight >= _MANY and self._slope() - errors * self._error() > bound

    def surely_below(self, bound: float, errors: float) -> bool:
        """Return whether b is below `bound` by so many standard errors; False where too few say so."""
        return self._slope() + errors * self._error() < bound

    def knee(self) -> float:
        """Return about where waiting began.

        Where loads spread evenly (in logarithms) over a range, and latency is flat in its lower part
        and grows with load in the upper share m, then b = 3m^2 - 2m^3, about m = b in the middle.
        """
        slope = min(1.0, max(0.0, self._slope()))
        half = sqrt(self._xx / self.weight) * _SPREAD / 2
        return exp(self._x + half * (1 - 2 * slope))

    def _slope(self) -> float:
        return self._xy / self._xx if self._xx > 0 else 0.0

    def _error(self) -> float:
        if self.weight < _LEAST or self._xx <= 0:
            return inf
        noise = max(0.0, self._yy - self._slope() * self._xy) / (self.weight - 2)
        return sqrt(noise / self._xx)
