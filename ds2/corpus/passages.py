"""Documents cut into passages: by paragraphs, then sentences, then words (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ds2.corpus.documents import Document
from signatures.records import Passage, content_id
from signatures.untrusted import neutral_text

CUT_VERSION = 1  # part of what an index is known by: a change of any rule here needs a new number
WHOLE = 3_000  # characters; a document up to this is one passage: an abstract with its results
SIZE = 1_600  # characters of a passage of a longer document: some 250 English words
OVERLAP = 200  # characters at most that a passage repeats of the one before: its last sentences

_PARAGRAPH = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_LETTER = re.compile(r"[^\W\d_]")


def passages(document: Document) -> Iterator[Passage]:
    """Yield the passages of a document, in order.

    The text is made neutral first (`signatures.untrusted`). One of at most 3,000 characters is one
    passage. A longer one is cut into passages of at most 1,600 that end where a paragraph ends, or,
    where a paragraph is longer, a sentence, or a word, or, where a word is, anywhere. Each but the
    first repeats the last sentences of the one before, as far as they fit into 200 characters. A
    passage without a letter is left out.
    """
    text = neutral_text(document.text).strip()
    for cut in [text] if len(text) <= WHOLE else _pieces(text):
        if _LETTER.search(cut):
            yield Passage(id=content_id(cut), text=cut, source=document.source)


def _pieces(text: str) -> Iterator[str]:
    """Yield units packed into pieces; a unit is a paragraph or a part of one, with its separator."""
    held = ""
    fresh = False  # whether `held` has more than what it repeats
    for separator, unit in _units(text):
        if held and len(held) + len(separator) + len(unit) > SIZE:
            if fresh:
                yield held
            held = _tail(held)
            if len(held) + len(separator) + len(unit) > SIZE:
                held = ""
        held = f"{held}{separator}{unit}" if held else unit
        fresh = True
    if fresh:
        yield held


def _units(text: str) -> Iterator[tuple[str, str]]:
    for paragraph in filter(None, map(str.strip, _PARAGRAPH.split(text))):
        separator = "\n\n"
        for sentence in [paragraph] if len(paragraph) <= SIZE else _sentences(paragraph):
            yield separator, sentence
            separator = " "


def _sentences(text: str) -> Iterator[str]:
    for sentence in filter(None, map(str.strip, _SENTENCE.split(text))):
        rest = sentence
        while len(rest) > SIZE:
            at = rest.rfind(" ", SIZE // 2, SIZE)
            at = SIZE if at < 0 else at
            yield rest[:at].rstrip()
            rest = rest[at:].lstrip()
        if rest:
            yield rest


def _tail(piece: str) -> str:
    """Return the last sentences of a piece that fit into the overlap; nothing where the last does not."""
    start = len(piece)
    for match in reversed(list(_SENTENCE.finditer(piece))):
        if len(piece) - match.end() > OVERLAP:
            break
        start = match.end()
    return piece[start:].strip()
