"""What the screens see of a text: its normal form, its numbers, its words with their places."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

SHINGLE = 5  # characters
MASK = "0"

_CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {
    **{word: str(i) for i, word in enumerate(_CARDINALS)},
    **{word: str(10 * (i + 2)) for i, word in enumerate(_TENS)},
    "dozen": "12",
    "hundred": "100",
    "thousand": "1000",
    "million": "1000000",
    "billion": "1000000000",
}
_FIGURE = r"\d+(?:[.,]\d+)*"
# Chinese, Japanese and Korean write words without spaces between them: a sign counts as a word.
_SIGN = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
_NUMBER = re.compile(rf"{_FIGURE}|(?<![^\W\d_])(?:{'|'.join(_VALUES)})(?![^\W\d_])")
# A changed sign makes another problem, as a changed number does; a hyphen is one only at a number.
_OPERATOR = r"[+*/^=<>±×÷√≤≥≠%]|[-−](?=\s?\d)"
# `AaBbCc`, `NaCl`, `H2O`: a capital that opens no word makes a symbol, and its case tells it apart.
_SYMBOL = r"(?<!\w)(?=\w*[a-z0-9])[A-Za-z]\w*[A-Z]\w*"
_FIGURES = re.compile(rf"{_SYMBOL}|(?i:{_NUMBER.pattern})|{_OPERATOR}")
_WORD = re.compile(rf"{_FIGURE}|{_SIGN}|(?:(?!{_SIGN})[^\W\d_])+(?:['’](?:(?!{_SIGN})[^\W\d_])+)*")
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0001\U000e0020-\U000e007f]"
)
_LATIN = re.compile("[a-z]")
_LOOKALIKES = str.maketrans("асԁеһіјорѕухѵοα", "acdehijopsyxvoa")
_GAP = re.compile(r"[^\w+*/^=<>±×÷√≤≥≠%−-]+|_+")


class Word(NamedTuple):
    """A word of a text in its normal form, with where it stands in the text as it was written."""

    text: str
    start: int
    end: int


def normal_form(text: str) -> str:
    """Return what spellings of one text share: width, case, spacing and punctuation are gone.

    Signs that make mathematics (`+`, `-`, `=`, `<`, ...) stay.
    """
    return _GAP.sub(" ", unicodedata.normalize("NFKC", visible(text)).casefold()).strip()


def visible(text: str) -> str:
    """Return a text without characters that show nothing (category Cf): soft hyphens, joiners."""
    return text if text.isascii() else _UNSEEN.sub("", text)


def figures(text: str) -> tuple[str, ...]:
    """Return the numbers, mathematical signs and symbols of a text as it was written, in order.

    `1,250` and `1250`, `3` and `three` are the same; the comma parts thousands, so `1,25` is 125. A
    symbol mixes capitals with small letters or figures: `AaBb`, `H2O`, but not `NOT`.

    Example:
        >>> figures("Three crosses of AaBb cost $1,250 + 5%.")
        ('3', 'AaBb', '1250', '+', '5', '%')
    """
    return tuple(_value(found) for found in _FIGURES.findall(unicodedata.normalize("NFKC", text)))


def masked(text: str) -> str:
    """Return a normal form with every number as `0`: what problems with other numbers share."""
    return _NUMBER.sub(MASK, text)


def shingles(text: str) -> frozenset[str]:
    """Return the character 5-grams of a normal form; a shorter text is its own only one."""
    if len(text) <= SHINGLE:
        return frozenset((text,)) if text else frozenset()
    return frozenset([text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)])


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the shared part of two sets, 0 to 1; two empty ones are the same."""
    if not left and not right:
        return 1.0
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def within(left: int, right: int, threshold: float) -> bool:
    """Return whether sets of these sizes can be as similar as a threshold asks."""
    return min(left, right) >= threshold * max(left, right)


def words(text: str) -> list[Word]:
    """Return the words of a text as it was written; a sign of Chinese, Japanese or Korean is one.

    Case and width are folded word by word, so that each knows its place in the text.
    """
    if text.isascii() or not _UNSEEN.search(text):
        return [Word(_folded(m[0]), m.start(), m.end()) for m in _WORD.finditer(text)]
    places = [i for i, sign in enumerate(text) if not _UNSEEN.match(sign)]
    found = _WORD.finditer("".join(text[i] for i in places))
    return [Word(_folded(m[0]), places[m.start()], places[m.end() - 1] + 1) for m in found]


def mask_word(word: str) -> str:
    """Return `0` for a number in figures or letters, else the word."""
    return MASK if word[:1].isdigit() or word in _VALUES else word


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower().replace(",", "")
    word = unicodedata.normalize("NFKC", word).casefold().replace("’", "'")
    # A word of both alphabets is a Latin one with letters that look alike.
    return word.translate(_LOOKALIKES) if _LATIN.search(word) else word


def _value(found: str) -> str:
    return _VALUES.get(found.lower()) or found.replace(",", "").replace("−", "-")
