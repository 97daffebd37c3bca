"""One spelling for characters that mean the same: digits, signs, spaces, fractions, superscripts.

NFKC alone is not safe for mathematics: it turns a raised 3 into a plain one (10³ into 103) and
glues a vulgar fraction to the number before it (3½ into 31/2). Both are spelt out first.
"""

from __future__ import annotations

import re
import unicodedata

_VULGAR = {
    chr(point): f" {numerator}/{denominator} "
    for point, numerator, denominator in (
        (0xBC, 1, 4),
        (0xBD, 1, 2),
        (0xBE, 3, 4),
        (0x2150, 1, 7),
        (0x2151, 1, 9),
        (0x2152, 1, 10),
        (0x2153, 1, 3),
        (0x2154, 2, 3),
        (0x2155, 1, 5),
        (0x2156, 2, 5),
        (0x2157, 3, 5),
        (0x2158, 4, 5),
        (0x2159, 1, 6),
        (0x215A, 5, 6),
        (0x215B, 1, 8),
        (0x215C, 3, 8),
        (0x215D, 5, 8),
        (0x215E, 7, 8),
    )
}
_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2044\u2215", "/"),
        **dict.fromkeys("\u2022\u2217\u22c5", "\u00b7"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f", None),
        "\u066a": "%",
        "\u066b": ".",
        "\u066c": ",",
        "\u3002": ".",
        "\u2248": "~",
        "\u00ba": "\u00b0",
        **_VULGAR,
    }
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED_RUN = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_SENTENCE = re.compile(r"[.!?](?=\s)|\n")
_BLANKS = re.compile(r"[^\S\n]{2,}|[^\S\n ]")


def plain(text: str) -> str:
    """Return `text` in one spelling: NFKC, ASCII digits and minus, runs of blanks as one space.

    Line ends stay. Raised digits become `^{..}`, vulgar fractions ` n/d `, invisible characters go.
    """
    if not text.isascii():
        text = _RAISED_RUN.sub(lambda run: "^{" + run[0].translate(_RAISED) + "}", text)
        text = unicodedata.normalize("NFKC", text.translate(_SAME)).translate(_SAME)
        text = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    return _BLANKS.sub(" ", text).strip()


def first_sentence(text: str) -> str:
    """Return `text` up to the end of its first sentence or line."""
    return _SENTENCE.split(text.strip(), maxsplit=1)[0]
