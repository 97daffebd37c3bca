"""Choices: a letter, a letter with its text, or the text of an option.

Rule: the key is the letter. A letter counts where it stands alone, in any bracket, or with a mark
after it (`C.`, `(c)`, `C: 12 apples`, `option C`); a capital that opens a sentence does not, so
"A company ... (C)" is C. A text counts where it equals exactly one option. A letter beyond the
options, two letters, a letter that stands with the text of another option, and a reply that gives
no answer (unless that is an option) are unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from programs.equivalence.characters import plain
from programs.equivalence.reading import (
    MAX_CANDIDATE,
    NOTHING,
    Reading,
    readable,
    unreadable,
)
from programs.equivalence.refusal import NO_ANSWER, refuses
from programs.equivalence.text import normal

_WRAPPER = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mathsf)\s?\{([^{}]*)\}")
_INTRODUCTION = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:i (?:choose|pick|select) )?"
    r"(?:the )?(?:(?:final |correct |right |best )?(?:answer|option|choice)s?)?"
    r"(?:(?: is|:| would be| =)+ ?)?(?:the )?(?:option |choice |letter )? ?",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[(\[{<\"' ]*([A-Za-z])[)\]}>\"' ]*[.:,;!]?")
_WITH_TEXT = re.compile(
    r"[(\[{<]\s?([A-Za-z])\s?[)\]}>][\s.:,-]*(.+)|([A-Za-z])\s?(?:[.](?=\s)|[):\]]|\s-)\s*(.+)",
    re.DOTALL,
)
_BRACKETED = re.compile(
    r"[(\[{<]\s?([A-Z])\s?[)\]}>]|(?:option|choice|answer) ([A-Z])\b(?!'| [a-z])"
)
_SEVERAL = re.compile(
    r"[(\[{<]?\b([A-Z])\b[)\]}>]?\s?(?:,|/|&|\+|\bor\b|\band\b)\s?[(\[{<]?([A-Z])\b[)\]}>]?"
)
_SAID = re.compile(
    r"([A-Z])(?: (?:is|was) (?:the )?(?:only )?(?:correct|right|best|true|answer)|,? (?:because|since))\b"
)
_REASON = re.compile(r"(?:because|since|as|for|it|this)\b", re.IGNORECASE)
_BRACKETS = str.maketrans("「」『』【】〔〕《》〈〉", "()()()()()()")
_NEGATED = re.compile(r"\b(?:not|isn't|neither|except|cannot be|rules? out)\b", re.IGNORECASE)
_LISTED = re.compile(r"\s*[(\[]?([A-Z])[)\].:]\s")
_MIN_LISTED = 2
_SHORT = 4
"""Words; a longer text after a letter is an explanation, not the name of an option."""


@dataclass(frozen=True, slots=True)
class ChoiceReader:
    """Reads choices among `size` options; `options` are their texts, where they are known."""

    size: int
    options: tuple[str, ...] = ()

    def read(self, candidate: str) -> Reading:
        """Read one choice: letter, letter with text, text of an option."""
        text = _bare(candidate[: MAX_CANDIDATE + 1])
        if len(text) > MAX_CANDIDATE:
            return unreadable(f"longer than {MAX_CANDIDATE} characters")
        if not text:
            return unreadable(NOTHING)
        if alone := _ALONE.fullmatch(text):
            return self._letter(alone[1])
        if (named := self._by_text(text)) is not None:
            return named
        if refuses(text):
            return unreadable(NO_ANSWER)
        rest = text[_introduced(text) :]
        if rest != text and (alone := _ALONE.fullmatch(rest)):
            return self._letter(alone[1])
        if rest != text and (named := self._by_text(rest)) is not None:
            return named
        if _SEVERAL.match(rest):
            return unreadable("more than one letter")
        if (together := _WITH_TEXT.fullmatch(rest)) is not None:
            return self._letter_with_text(together)
        if rest[1:2] == " " and (named := self._by_text(rest[2:])) is not None:
            return named if named.key == rest[0].upper() else unreadable(NOTHING)
        return self._in_sentence(rest)

    def lead(self, clause: str) -> Reading:
        """Read the choice that a clause gives; here a clause is read as a whole."""
        return self.read(clause[:MAX_CANDIDATE])

    def last(self, text: str) -> Reading:
        """Read the last line, unless it only repeats the list of options."""
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines or _is_list(lines):
            return unreadable(NOTHING)
        return self.read(lines[-1])

    def _letter(self, letter: str) -> Reading:
        letter = letter.upper()
        if ord(letter) - ord("A") >= self.size:
            return unreadable(f"letter {letter} is beyond the {self.size} options")
        return readable(letter, letter)

    def _by_text(self, text: str) -> Reading | None:
        wanted = normal(text)
        matches = [
            place
            for place, option in enumerate(self.options)
            if len(option) <= MAX_CANDIDATE and normal(option) == wanted
        ]
        if not matches or not wanted:
            return None
        if len(matches) > 1:
            return unreadable("the text of more than one option")
        return self._letter(chr(ord("A") + matches[0]))

    def _letter_with_text(self, together: re.Match[str]) -> Reading:
        letter, text = together[1] or together[3], together[2] or together[4]
        letter = letter.upper()
        named = self._by_text(text)
        if named is not None and named.key not in (None, letter):
            return unreadable("a letter and the text of another option")
        if others := set(_bracketed(text)) - {letter}:
            return unreadable(f"more than one letter ({', '.join(sorted({letter, *others}))})")
        unnamed = named is None and self.options and len(text.split()) <= _SHORT
        if unnamed and not _REASON.match(text):
            return unreadable("a letter with a text that is not its option's")
        return self._letter(letter)

    def _in_sentence(self, text: str) -> Reading:
        found = set(_bracketed(text))
        if not found and (said := _SAID.match(text)):
            found = {said[1]}
        if not found:
            return unreadable(NOTHING)
        if len(found) > 1:
            return unreadable("more than one letter")
        if _NEGATED.search(text):
            return unreadable("a letter that is ruled out, not chosen")
        letter = found.pop()
        named = self._by_text(_BRACKETED.sub("", text).replace("()", ""))
        if named is not None and named.key != letter:
            return unreadable("a letter and the text of another option")
        return self._letter(letter)


def _bare(candidate: str) -> str:
    text = (
        plain(candidate).translate(_BRACKETS).replace("\\(", "").replace("\\)", "").replace("$", "")
    )
    text = _WRAPPER.sub(r"\1", text).replace("**", "").replace("`", "")
    return text.strip(" *_\n\t")


def _introduced(text: str) -> int:
    """Return where the answer starts after words such as `the answer is option`."""
    match = _INTRODUCTION.match(text)
    end = match.end() if match else 0
    return end if text[:end].endswith((" ", ":", "=")) else 0


def _bracketed(text: str) -> Iterator[str]:
    return (match[1] or match[2] for match in _BRACKETED.finditer(text))


def _is_list(lines: Sequence[str]) -> bool:
    """Whether the text ends with lettered lines, as a copy of the options does."""
    letters = []
    for line in reversed(lines):
        match = _LISTED.match(line)
        if match is None:
            break
        letters.append(match[1])
    return len(set(letters)) >= _MIN_LISTED
