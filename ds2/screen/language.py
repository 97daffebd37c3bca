"""Is a text written in the language that was asked for? By its script and its commonest words; no model.

Rule: at least half of the letters must be of a script that the language is written in. Among
languages in Latin letters that are known here, the text is another's where it holds at least four
of that one's commonest words, three times as many as of its own. A language that is not known here,
a text of fewer than twelve letters, and formulas pass.

Limits: near relatives (Danish and Norwegian, Czech and Slovak, Croatian and Serbian) are not told
apart, nor is a text of mixed languages whose larger part is right.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

FEWEST_LETTERS = 12
FEWEST_WORDS = 4
_LEAD = 3

_SCRIPTS = {
    "arabic": "ARABIC", "persian": "ARABIC", "urdu": "ARABIC",
    "bengali": "BENGALI", "hindi": "DEVANAGARI", "marathi": "DEVANAGARI", "nepali": "DEVANAGARI",
    "bulgarian": "CYRILLIC", "russian": "CYRILLIC", "ukrainian": "CYRILLIC", "serbian": "CYRILLIC LATIN",
    "chinese": "CJK", "mandarin": "CJK", "cantonese": "CJK",
    "japanese": "CJK HIRAGANA KATAKANA", "korean": "HANGUL CJK",
    "greek": "GREEK", "hebrew": "HEBREW", "tamil": "TAMIL", "telugu": "TELUGU", "thai": "THAI",
    "georgian": "GEORGIAN", "armenian": "ARMENIAN", "amharic": "ETHIOPIC",
}  # fmt: skip

# The commonest words of each that are rare in the others.
_WORDS = {
    "english": "the of and is are was were what how which that with for from this his her he she they it "
    "many much does do did will if has have be by on at each there their not when who",
    "german": "der die das und ist sind ein eine einen einem einer mit für von zu den dem des nicht auf wie "
    "viele welche welcher sich werden wird aus bei nach wenn hat haben auch oder",
    "french": "le les des est une dans pour que qui sur avec par au aux du et il elle sont cette ce combien "
    "quel quelle ont pas plus son ses leur chaque",
    "spanish": "el los las una del es son en por para con que se su sus al cuántos cuántas cuál qué y cada "
    "está tiene más como cuando hay",
    "italian": "il gli una della dei delle di è sono che per con si nel nella quanti quante quale ogni ha "
    "più come alla al non sua suo",
    "portuguese": "os uma do da dos das em um é são que para com não se quantos quantas qual cada tem mais "
    "ao pelo pela seu sua",
    "dutch": "de het een van en is zijn in op met voor dat die hoeveel welke niet aan wordt worden heeft "
    "elke als bij naar ook",
    "swedish": "och att det som en ett är för på med av den till inte hur många vilken har varje från om",
    "polish": "i w z na do się jest są że nie jak ile który która które dla po od każdy ma oraz przez",
    "turkish": "ve bir bu için ile kaç hangi ne olan değil her daha kadar göre tane sonra",
    "indonesian": "yang dan di dari untuk dengan ini itu adalah berapa apa setiap pada tidak akan sebuah",
    "vietnamese": "và của là có một các cho được trong những bao nhiêu với này không người",
}  # fmt: skip
_LISTS = {name: frozenset(text.split()) for name, text in _WORDS.items()}
_TOKEN = re.compile(r"[^\W\d_]+")


def other_language(text: str, language: str) -> str | None:
    """Return what a text is written in instead of `language`, or None where nothing speaks against it.

    Args:
        text: untrusted.
        language: the task's, by its English name, such as `English` or `German (formal)`.

    Example:
        >>> other_language("Wie viele Äpfel hat er, wenn er die Hälfte verkauft?", "English")
        'german'
    """
    wanted = next((name for name in _known() if name in _named(language)), None)
    if wanted is None:
        return None
    scripts = _scripts(text)
    letters = sum(scripts.values())
    if letters < FEWEST_LETTERS:
        return None
    expected = _SCRIPTS.get(wanted, "LATIN").split()
    if 2 * sum(scripts[name] for name in expected) < letters:
        return f"{scripts.most_common(1)[0][0].capitalize()} script"
    return _other_words(text, wanted) if wanted in _LISTS else None


def _other_words(text: str, wanted: str) -> str | None:
    found = [word.casefold() for word in _TOKEN.findall(text)]
    counts = {name: sum(word in words for word in found) for name, words in _LISTS.items()}
    most = max(counts, key=lambda name: (counts[name], name))
    if counts[most] >= FEWEST_WORDS and counts[most] >= _LEAD * max(1, counts[wanted]):
        return most
    return None


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset({*_SCRIPTS, *_LISTS})


def _named(language: str) -> list[str]:
    return re.findall(r"[a-z]+", language.casefold())


def _scripts(text: str) -> Counter[str]:
    """Return how many letters of each script a text has."""
    ascii_letters = sum(c.isascii() and c.isalpha() for c in text)
    found = Counter({"LATIN": ascii_letters} if ascii_letters else {})
    if not text.isascii():
        found.update(_script(c) for c in text if not c.isascii() and c.isalpha())
    return found


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN")
    if name.startswith("MATHEMATICAL"):  # letters of formulas, in every language
        return "LATIN"
    return name.split("-")[0].split()[0].removesuffix("IDEOGRAPH")
