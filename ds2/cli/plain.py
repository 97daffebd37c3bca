"""Text that others wrote, as a terminal may show it: no control, no trick of direction."""

from __future__ import annotations

import codecs
import io
import sys
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


def survive_code_pages() -> None:
    """Let stdout and stderr write what their code page lacks as escapes, which JSON reads too."""
    codecs.register_error("ds2.escapes", _written_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ds2.escapes")


def _written_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write characters as `\\uXXXX`; those beyond the first plane as two surrogates, as JSON does."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(f"\\u{code:04x}" for code in codes), error.end
