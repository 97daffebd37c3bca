"""Text that others wrote, as a terminal may show it: no control, no trick of direction."""

from __future__ import annotations

import unicodedata

# Joiners belong to words of Persian or Hindi and to emoji; they move nothing.
_KEPT = frozenset("\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str, limit: int | None = None) -> str:
    """Return `text` with control, direction and unassigned characters written out as escapes.

    Args:
        text: what a model, a document or a server wrote.
        limit: most characters to show, at least 1; the rest is only counted. None shows all.

    Example:
        >>> print(plain("a\\x1b[2J\\u202eb"))
        a\\u001b[2J\\u202eb
        >>> print(plain("abcdef", 3))
        abc... (6 characters)
    """
    cut = text if limit is None or len(text) <= limit else text[:limit]
    shown = "".join(c if _may_show(c) else _escaped(c) for c in cut)
    return shown if cut is text else f"{shown}... ({len(text):,} characters)"


def one_line(text: str, limit: int | None = None) -> str:
    """Return the same on one line: every run of white space becomes a space."""
    return " ".join(plain(text, limit).split())


def _may_show(char: str) -> bool:
    return char in _KEPT or unicodedata.category(char) not in _HIDDEN


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
