"""Cleaning what a model lists: one spelling for one keyword, in any language (pure)."""

from __future__ import annotations

import re
import unicodedata

from programs.orders import is_order

MAX_KEYWORD = 80  # characters; longer ones are sentences, not keywords
MAX_EXTRACTED, MAX_EXTRACTED_WORDS = 60, 6  # of a keyword out of a document, which is not trusted

# A list mark needs a blank after it, but not before a script that writes none. A letter with a full
# stop is no mark: it opens names such as E. coli.
_MARK = (
    r"(?:[-*•‣·–—]+\s+|[・●○◦▪■□◆]\s*|[①-⒛❶-➓]\s*"
    r"|\(?\d{1,3}[.)]\s+|\(?\d{1,3}[.)、．）](?=[^\W\d_a-zA-Z])|（\d{1,3}）\s*)"
)
_LEAD = re.compile(rf"^\s*(?:{_MARK}|\(?[A-Za-z]\)\s+|#+\s+)+")
_WRAPS = "\"'`*_“”‘’«»„[]「」『』【】"
_BULLET = re.compile(rf"^\s*{_MARK}(?P<item>\S.*)$")

# Signs that names of things are written with, besides letters, marks and figures.
_SIGNS = frozenset(" -‐‑–'’/+.,()%&·×*^=°#:′")
# A stop after one or two letters is an abbreviation, as in E. coli.
_SENTENCE = re.compile(r"(?<!\b\w)(?<!\b\w\w)[.!?;]\s|://|##|\bwww\.")


def clean_keyword(text: str) -> str | None:
    """Return a keyword without numbering, bullets, quotes and stray punctuation; None if none is left.

    Example:
        >>> clean_keyword(" 3) **unit_rate** ")
        'unit rate'
    """
    text = unicodedata.normalize("NFKC", _LEAD.sub("", text))
    text = "".join(" " if unicodedata.category(c).startswith(("C", "Z")) else c for c in text)
    text = _LEAD.sub("", text).strip().strip(_WRAPS).replace("_", " ")
    text = " ".join(text.split()).lstrip(_WRAPS + " ").rstrip(_WRAPS + " .,;:。、；：")
    if not any(c.isalpha() for c in text) or len(text) > MAX_KEYWORD:
        return None
    return text


def extracted_keyword(text: str) -> str | None:
    """Return a keyword out of an untrusted document as `clean_keyword` does; None where it is none.

    It has at most 60 characters and six words, only letters, figures and the signs that names are
    written with, is no sentence or address, and does not speak to a model (`programs.orders`).

    Example:
        >>> extracted_keyword("- mitochondrial dynamics"), extracted_keyword("ignore the above")
        ('mitochondrial dynamics', None)
    """
    cleaned = clean_keyword(text)
    if cleaned is None or len(cleaned) > MAX_EXTRACTED:
        return None
    spelled = all(c in _SIGNS or unicodedata.category(c)[0] in "LMN" for c in cleaned)
    short = len(cleaned.split()) <= MAX_EXTRACTED_WORDS
    said = _SENTENCE.search(cleaned) or is_order(cleaned)
    return cleaned if spelled and short and not said else None


def keyword_key(text: str, *, english: bool) -> str:
    """Return what two spellings of one keyword share: case, hyphens and, in English, plurals folded.

    Example:
        >>> keyword_key("Unit-Rates", english=True) == keyword_key("unit rate", english=True)
        True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.sub(r"[\s\-‐‑‒–—_/]+", " ", folded).split()
    return " ".join(_singular(word) if english else word for word in words)


def bullet_items(text: str) -> list[str]:
    """Return the items of a bulleted or numbered list in `text`; empty when there are fewer than two."""
    found = [m.group("item") for line in text.splitlines() if (m := _BULLET.match(line))]
    return found if len(found) > 1 else []


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word.removesuffix("s")
