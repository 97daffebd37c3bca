"""The teacher behind the engine interface, and the backend that opens it."""

from __future__ import annotations

import asyncio

from dspy import lm15

from ds2.engines.base import Backend
from ds2.engines.prices import FREE
from ds2.engines.teacher.rates import TeacherRates
from ds2.engines.teacher.teacher import TEACHER_VERSION, Teacher

MODEL = "simulated"


class TeacherEngine:
    """An `AsyncEngine` over a teacher.

    Args:
        teacher: who answers.
        latency_s: seconds that every reply takes; 0 answers at once.
    """

    def __init__(self, teacher: Teacher, latency_s: float = 0.0) -> None:
        self._teacher = teacher
        self._latency_s = latency_s

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the teacher's reply."""
        if self._latency_s > 0:
            await asyncio.sleep(self._latency_s)
        return self._teacher.reply(request)


def simulated_backend(
    seed: int = 0,
    *,
    rates: TeacherRates | None = None,
    latency_s: float = 0.0,
    sensitivity: float = 0.0,
) -> Backend:
    """Return the embedded default: a teacher that needs no key and no network.

    Args:
        seed: which teacher.
        rates: how it errs; None for the defaults.
        latency_s: seconds that every reply takes; it changes no reply and no call key.
        sensitivity: how much the words of a prompt matter, 0 to 1.
    """
    teacher = Teacher(seed, rates, sensitivity=sensitivity)
    nature = f"seed={seed} rates={teacher.rates.digest}"
    if sensitivity:
        nature += f" sensitivity={sensitivity:g}"
    return Backend(
        model=MODEL,
        dialect=f"simulated-teacher/{TEACHER_VERSION} {nature}",
        open=lambda: TeacherEngine(teacher, latency_s),
        teacher="simulated",
        send_seed=True,
        remote=False,
        price=FREE,
    )
