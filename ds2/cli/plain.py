"""Text that others wrote, as a terminal may show it: no control, no trick of direction."""

from __future__ import annotations

import unicodedata

# Joiners belong to words of Persian or Hindi and to emoji; they move nothing.
_KEPT = frozenset("\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """Return `text` with control, direction and unassigned characters written out as escapes.

    Example:
        >>> print(plain("a\\x1b[2J\\u202eb"))
        a\\u001b[2J\\u202eb
    """
    return "".join(c if _may_show(c) else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """Return the same on one line: every run of white space becomes a space."""
    return " ".join(plain(" ".join(text.split())).split())


def _may_show(char: str) -> bool:
    return char in _KEPT or unicodedata.category(char) not in _HIDDEN


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
