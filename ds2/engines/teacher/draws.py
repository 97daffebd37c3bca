"""Seeded chance: a generator for some content, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
from random import Random


def rng_of(*parts: object) -> Random:
    """Return a generator that depends on `parts` only (their text), never on the process."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return Random(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big"))
