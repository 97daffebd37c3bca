"""The simulated teacher: questions and answers computed in code, with the faults of a model.

Nothing is imported before it is asked for, so that a command line that only lists models stays
quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ds2.engines.teacher.catalog import truth as truth
    from ds2.engines.teacher.engine import TeacherEngine as TeacherEngine
    from ds2.engines.teacher.engine import simulated_backend as simulated_backend
    from ds2.engines.teacher.rates import TeacherRates as TeacherRates
    from ds2.engines.teacher.teacher import TEACHER_VERSION as TEACHER_VERSION
    from ds2.engines.teacher.teacher import Teacher as Teacher

_WHERE = {
    "TEACHER_VERSION": "teacher",
    "Teacher": "teacher",
    "TeacherEngine": "engine",
    "TeacherRates": "rates",
    "simulated_backend": "engine",
    "truth": "catalog",
}

__all__ = [
    "TEACHER_VERSION",
    "Teacher",
    "TeacherEngine",
    "TeacherRates",
    "simulated_backend",
    "truth",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
