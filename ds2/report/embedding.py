"""Embeddings that need no network: one by counting, one read from a folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from signatures.errors import ConfigError

LEXICAL = "lexical"
DIMENSIONS = 512

Embed = Callable[[Sequence[str]], Any]


def load_embedding(name: str) -> Embed:
    """Return the embedding of that name.

    - `lexical`: runs of four characters, weighted by how rare they are among the texts, hashed with
      signs into 512 dimensions. It needs nothing and sees spelling, not meaning.
    - a folder: a static model in model2vec's format (extra `semantic`), read from the disk only.

    Raises:
        ConfigError: no such folder, the extra is not installed, or it holds no such model.
    """
    if name == LEXICAL:
        return lexical
    folder = Path(name)
    if not folder.is_dir():
        raise _unusable(name, "no such folder")
    try:
        from model2vec import StaticModel
    except ImportError as error:
        raise ConfigError.rule(
            "Loading an embedding failed",
            name="--embedding",
            rule="be `lexical`, or a folder with the extra `semantic` installed",
            value=name,
            todo="Run: pip install 'ds2-instruct[semantic]'",
        ) from error
    try:
        encode: Embed = StaticModel.from_pretrained(folder).encode
    except Exception as error:  # safetensors and tokenizers each raise kinds of their own
        raise _unusable(name, f"{type(error).__name__}: {error}"[:200]) from error
    return encode


def lexical(texts: Sequence[str]) -> Any:
    """Return one vector of 512 numbers a text; texts without four characters in a row are zero."""
    import numpy as np

    counts = [Counter(_runs(text)) for text in texts]
    found_in = Counter(run for counted in counts for run in counted)
    vectors = np.zeros((len(texts), DIMENSIONS))
    for vector, counted in zip(vectors, counts, strict=True):
        for run, times in counted.items():
            place = int.from_bytes(hashlib.blake2b(run.encode(), digest_size=4).digest(), "big")
            weight = times**0.5 * np.log((1 + len(texts)) / found_in[run])
            vector[(place >> 1) % DIMENSIONS] += weight if place & 1 else -weight
    return vectors


def _runs(text: str) -> list[str]:
    text = " ".join(text.casefold().split())
    return [text[i : i + 4] for i in range(len(text) - 3)]


def _unusable(name: str, why: str) -> ConfigError:
    return ConfigError.rule(
        "Loading an embedding failed",
        name="--embedding",
        rule="be `lexical` or a folder with a static model in model2vec's format",
        value=f"{name} ({why})",
        todo="Give the folder that model2vec's save_pretrained wrote.",
    )
