"""The planted defects of `benchmarks/planted.py` and `planted_choices.py`, for tests."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def _loaded(name: str) -> ModuleType:
    spec = spec_from_file_location(f"benchmarks_{name}", _FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


defects = _loaded("planted")
choices = _loaded("planted_choices")

needs_data = pytest.mark.skipif(
    not (defects.DATA / "gsm8k" / "test.jsonl").exists(), reason="needs DS2_SHARED_DATA"
)
