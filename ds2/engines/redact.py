"""Keeps secrets out of what people and logs see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

HIDDEN = "[hidden]"

# Shapes of credentials that a server may quote back even when they are none of ours.
_SHAPES = re.compile(
    r"(?i:\b(?:bearer|basic)\s+[\w.~+/=-]{8,})"
    r"|\b(?:sk|pk|gsk|xai|hf|r8)[-_][\w-]{8,}"
    r"|\bAIza[\w-]{20,}"
    r"|(?i:(?<=[?&]key=)[^\s&\"']+)"
    r"|(?<=://)[^\s/@]+:[^\s/@]+(?=@)"
)
_SECRET_NAME = re.compile(r"(?i)(key|token|secret|password|credential)")
_SHORTEST = 6
_CUT = "\N{HORIZONTAL ELLIPSIS}"  # where DSPy's native engine cuts what a server said


class Redactor:
    """Hides the secrets it was given, and whatever looks like a credential, in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the values to hide; values under six characters would hide ordinary words."""
        self._secrets = sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True)

    @classmethod
    def of(cls, environ: Mapping[str, str], *secrets: str | None) -> Redactor:
        """Return a redactor of `secrets` and of every variable whose name says it is one."""
        named = [value for name, value in environ.items() if _SECRET_NAME.search(name)]
        return cls([*named, *(s for s in secrets if s)])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._secrets)} values)"

    def scrub(self, text: str) -> str:
        """Return `text` with every secret replaced by `[hidden]`."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        *cut, last = text.split(_CUT)
        return _SHAPES.sub(HIDDEN, _CUT.join([*map(self._without_a_part, cut), last]))

    def _without_a_part(self, text: str) -> str:
        for secret in self._secrets:
            for length in range(len(secret) - 1, _SHORTEST - 1, -1):
                if text.endswith(secret[:length]):
                    return text[:-length] + HIDDEN
        return text
