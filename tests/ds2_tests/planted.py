"""The planted defects of `benchmarks/planted.py`, for tests."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

_PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "planted.py"
_spec = spec_from_file_location("benchmarks_planted", _PATH)
assert _spec is not None
assert _spec.loader is not None
defects = module_from_spec(_spec)
sys.modules[_spec.name] = defects
_spec.loader.exec_module(defects)

needs_data = pytest.mark.skipif(
    not (defects.DATA / "gsm8k" / "test.jsonl").exists(), reason="needs DS2_SHARED_DATA"
)
