"""Counting tokens without the network: the vocabulary file that LiteLLM ships, or an estimate."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# What tiktoken asks of the file that holds cl100k_base, and the name it has in a cache folder.
_FILE = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """How tokens are counted, and by what name a reader is told."""

    name: str
    count: Callable[[str], int]


def estimate_tokens(text: str) -> int:
    """Return ASCII characters / 4 rounded up, and one for every other character.

    Near the truth for English; high for most other scripts, so that a limit holds.
    """
    plain = sum(1 for char in text if char.isascii())
    return math.ceil(plain / 4) + len(text) - plain


@cache
def tokenizer() -> Tokenizer:
    """Return cl100k_base where its file is at hand, else the estimate; nothing is fetched."""
    folder = _vocabulary()
    if folder is None or importlib.util.find_spec("tiktoken") is None:
        return Tokenizer("estimate (4 characters a token)", estimate_tokens)
    import tiktoken

    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        encoding = tiktoken.get_encoding("cl100k_base")
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
    return Tokenizer("cl100k_base", lambda text: len(encoding.encode(text, disallowed_special=())))


def _vocabulary() -> Path | None:
    """Return the folder in LiteLLM's package that holds the vocabulary, without importing it."""
    spec = importlib.util.find_spec("litellm")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "litellm_core_utils" / "tokenizers"
        try:
            data = (folder / _FILE).read_bytes()
        except OSError:
            continue
        # tiktoken deletes a file with another content and fetches its own: it must not come to that.
        if hashlib.sha256(data).hexdigest() == _SHA256:
            return folder
    return None
