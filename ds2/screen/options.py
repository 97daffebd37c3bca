"""Options: shuffled, so that the right letter is no habit of the writer; distinct, so that one is right."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from random import Random

from ds2.screen.text import normal_form, visible
from signatures.records import Instruction

_LETTER = r"(?-i:\(?[A-H]\)?)"
# Options that speak of others by their letters or places lose their sense in another order.
_OTHERS = re.compile(
    rf"\b(?:options?|choices?|answers?|statements?)\s+{_LETTER}(?!\w)"
    rf"|\b(?:both|either|neither|only)\s+{_LETTER}(?!\w)"
    rf"|^\W*{_LETTER}\W*(?:,|\band\b|\bor\b|\bnor\b|&)\s*{_LETTER}(?!\w)"
    r"|\b(?:first|second|third|last|previous|preceding) (?:two |three )?(?:options?|choices?|answers?)\b",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"\b(?:all|none|any|both|neither|either|two) of (?:the|these|those)\b", re.IGNORECASE
)
_QUANTITY = re.compile(
    r"(?P<sign>[-−]?)\s*(?P<money>[$€£¥]?)\s*(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)"
    r"(?:\s*/\s*(?P<below>\d+))?\s*(?P<unit>.*)",
    re.DOTALL,
)
# A word whose case says nothing: of four letters or more, its capitals at the front or throughout; and
# small words that open a sentence in one option and stand within it in another.
_CASED = re.compile(
    r"(?<!\w)(?:[^\W\d_][^\W\dA-Z_]{3,}|[A-Z]{4,}|(?i:the|an?|is|it|to|of|in|on|no|yes|all|and|or|not|by)"
    r"(?=\s\w)|(?i:yes|no))(?!\w)"
)
_ARTICLE = re.compile(r"^(?:the|an?) (?=\w{3})", re.IGNORECASE)
_AROUND = re.compile(r"\s*([-−+*/=<>^(),:;×÷])\s*")
_MATH = re.compile(r"\A\$([^$]+)\$\Z")
_FRACTION = re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}")


def shuffle_options(instruction: Instruction, seed: int, place: int) -> Instruction:
    """Return an instruction with its options in an order drawn from the run's seed and its place.

    Every order is equally likely, so the right letter is uniform whatever the writer prefers.
    `order` of the result says which of the written options stands where. `All of the above` and
    its like stay at the end, where they speak of those before; where an option or the question
    names an option by its letter or place, all stay as they are.

    Args:
        instruction: as it was written.
        seed: the run's.
        place: of the unit, in the global order.
    """
    options = instruction.options
    if len(options) < 2 or any(map(_OTHERS.search, (instruction.question, *options))):
        return instruction
    free = [i for i, option in enumerate(options) if not _LAST.search(option)]
    order = free.copy()
    Random(f"{seed}/options/{place}").shuffle(order)
    order += [i for i in range(len(options)) if i not in free]
    # A new record, not a copy: a copy would keep the id of the old order.
    fields = {name: getattr(instruction, name) for name in Instruction.model_fields}
    shuffled = {"options": tuple(options[i] for i in order), "order": tuple(order)}
    return Instruction(**{**fields, **shuffled})


def same_options(options: Sequence[str]) -> tuple[str, str] | None:
    """Return the first two options that say the same, by their text or by their value, or None.

    Spacing, width, a full stop and a leading article are no difference; nor is case in words of four
    letters or more (`Paris`, `paris`), but in symbols it is (`mW`, `MW`; `NaCl`), and so are signs. By
    value: `0.5`, `1/2`, `50 %` and `\\frac{1}{2}`; `1,000 m` and `1000 m`, but not `5 m` and `5 cm`.
    """
    seen: dict[object, str] = {}
    for option in options:
        for key in filter(None, (_folded(option), _quantity(option))):
            if key in seen:
                return seen[key], option
            seen[key] = option
    return None


def _folded(option: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", visible(option)).split())
    text = _AROUND.sub(r"\1", text.rstrip(".").strip("\"'`* "))
    text = _ARTICLE.sub("", text)
    return _CASED.sub(lambda word: word[0].lower(), text)


def _quantity(option: str) -> tuple[Fraction, str, str] | None:
    text = _FRACTION.sub(r"\1/\2", _folded(option))
    match = _QUANTITY.fullmatch(_MATH.sub(r"\1", text))
    if match is None or len(match["number"]) > 40 or len(match["below"] or "") > 40:
        return None
    below = int(match["below"] or 1)
    if not below or any(c.isdigit() for c in match["unit"]):
        return None
    value = Fraction(match["number"].replace(",", "")) / below
    unit = " ".join(match["unit"].split())
    if unit in {"%", "\\%"}:
        value, unit = value / 100, ""
    return (-value if match["sign"] else value), match["money"], unit


def names_option(answer: str, options: Sequence[str]) -> bool:
    """Return whether an answer is the letter of one of the options, or the text of exactly one."""
    letter = answer.strip().upper()
    if len(letter) == 1 and "A" <= letter <= "Z":
        return ord(letter) - ord("A") < len(options)
    told = normal_form(answer)
    return sum(normal_form(option) == told for option in options) == 1
