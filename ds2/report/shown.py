"""Texts of models and documents as a person may safely see them: nothing hidden, nothing turned round."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

MOST = 20_000  # characters of one text that a page shows


def shown(text: str, most: int = MOST) -> str:
    """Return `text` with control characters made visible, cut after `most` characters.

    Line breaks and tabs stay. Other control and format characters, bidirectional overrides among
    them, are written as `⟨U+202E⟩`: they could make a text read as something that it is not.
    """
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() or c in "\n\t" else _named(c) for c in cut)
    return cut if len(text) <= most else f"{cut}… ({len(text):,} characters)"


def words_of(value: Any) -> str:
    """Return the value of a setting as a person writes it.

    Example:
        >>> words_of([0.7, 0.8]), words_of(None), words_of(True), words_of({})
        ('0.7, 0.8', '-', 'yes', 'none')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(words_of, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words_of(item)}" for name, item in value.items()) or "none"
    return str(value)


def _named(character: str) -> str:
    # Spaces of other widths and the joiners of some scripts and of emoji move nothing.
    if unicodedata.category(character) == "Zs" or character in "\u200c\u200d":
        return character
    return f"⟨U+{ord(character):04X}⟩"


def script_json(value: Any) -> str:
    """Return `value` as JSON that can stand inside an HTML script element, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
