"""One spelling for LaTeX that means the same: delimiters, spacing, fractions, symbols, braces."""

from __future__ import annotations

import re

from programs.equivalence.characters import plain
from programs.equivalence.reading import MAX_CANDIDATE

MAX_NESTING = 24
"""Brackets inside brackets; a deeper expression is unreadable."""

_DELIMITED = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.DOTALL)
_SPACING = re.compile(
    r"\\[,;:! ]|~|\\(?:quad|qquad|left|right|displaystyle|textstyle|limits|big|Big|bigl|bigr|Bigl|"
    r"Bigr)(?![A-Za-z])\.?"
)
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\,)(?=\d{3})")
_WORDS = re.compile(
    r"\\(?:text|mathrm|textbf|mathbf|textit|mathit|textrm|textnormal|operatorname|rm|mbox)"
    r"\s*\{([^{}]*)\}"
)
_REALS = re.compile(r"\\(?:mathbb|Bbb)\s*\{?\s*R\s*\}?|\\(?:R|reals)(?![A-Za-z])")
_BARE_NAME = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sin|cos|tan|cot|sec(?= ?\()|csc|ln|log|exp|sqrt|pi|infty|"
    r"infinity|inf)(?![A-Za-z])"
)
_BARE = {"pi": "π", "infty": "∞", "infinity": "∞", "inf": "∞"}
_TIMES = re.compile(r"(?<=\d) ?x ?(?=10 ?\^)")
_FRACTION = re.compile(r"\\[dtcs]frac(?![A-Za-z])")
_SYMBOLS = {
    "cdot": "*",
    "times": "*",
    "ast": "*",
    "div": "/",
    "pi": "π",
    "infty": "∞",
    "cup": "∪",
    "cap": "∩",
    "in": "∈",
    "pm": "±",
    "le": "≤",
    "leq": "≤",
    "leqslant": "≤",
    "ge": "≥",
    "geq": "≥",
    "geqslant": "≥",
    "ne": "≠",
    "neq": "≠",
    "lt": "<",
    "gt": ">",
    "degree": "°",
    "circ": "°",
    "lbrace": "⦃",
    "rbrace": "⦄",
    "emptyset": "∅",
    "varnothing": "∅",
    "mid": "|",
    "vert": "|",
    "lvert": "|",
    "rvert": "|",
    "langle": "(",
    "rangle": ")",
    "mp": "∓",
    "setminus": "∖",
    "backslash": "∖",
    "lor": "∨",
    "vee": "∨",
    "land": "∧",
    "wedge": "∧",
    "dbinom": "\\binom",
    "tbinom": "\\binom",
}
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_MIXED = re.compile(r"(?<![\d.])(\d+) (\d+)/(\d+)(?![\d.])")
_DEGREES = re.compile(r"\^\s*(?:\{\s*°\s*\}|°)")
_SHORT_ARGUMENT = re.compile(r"(\\frac|\\sqrt)\s*([0-9A-Za-zπ∞])|([\^_])\s*(\d+|[A-Za-zπ∞])")
_SECOND_ARGUMENT = re.compile(r"(\\frac\s*\{[^{}]*\})\s*([0-9A-Za-zπ])")
_ROOT = re.compile(r"√\s*(?:(\d+|[A-Za-zπ])|\(([^()]*)\)|(?=\{))")
_MATH = re.compile(
    rf"\$\$([^$]{{1,{MAX_CANDIDATE}}})\$\$|\$([^$\n]{{1,{MAX_CANDIDATE}}})\$"
    rf"|\\\(((?:[^\\]|\\(?!\))){{1,{MAX_CANDIDATE}}})\\\)|\\\[((?:[^\\]|\\(?!\])){{1,{MAX_CANDIDATE}}})\\\]"
)
_OPEN, _CLOSE = "([{⦃", ")]}⦄"


def outer(candidate: str) -> str:
    """Return a candidate without what only frames it: math delimiters, a box, a final full stop."""
    text = candidate.strip()
    for _ in range(MAX_NESTING):
        before = text
        text = text.strip(" \t\n*`").removesuffix(".").strip()
        for opening, closing in _DELIMITED:
            inner = text[len(opening) : -len(closing)]
            framed = text.startswith(opening) and text.endswith(closing)
            if framed and len(text) >= len(opening + closing) and opening not in inner:
                text = inner.strip()
        if (box := _BOXED.fullmatch(text)) and balanced(box[1]):
            text = box[1]
        if text == before:
            return text
    return text


def clean(text: str) -> str:
    """Return LaTeX in one spelling, blanks kept: `\\frac{a}{b}`, `\\sqrt{a}`, `*`, `π`, `⦃ ⦄`."""
    text = text.replace("ℝ", "\\mathbb{R}")  # which NFKC would make a plain R
    text = plain(text).replace("\\{", "⦃").replace("\\}", "⦄").replace("\\\\", " ⏎ ")
    text = text.replace("\\%", "%").replace("\\$", "$").replace("\\|", "‖")
    text = _THOUSANDS.sub("", text)
    text = _SPACING.sub(" ", text)
    text = _FRACTION.sub(r"\\frac", text)
    text = _REALS.sub("ℝ", text)
    text = _WORDS.sub(r" \1 ", text)
    text = _BARE_NAME.sub(lambda name: _BARE.get(name[1], "\\" + name[1]), text)
    text = _COMMAND.sub(lambda command: _SYMBOLS.get(command[1], command[0]), text)
    text = _TIMES.sub("*", text)
    text = text.replace("**", "^").replace("×", "*").replace("·", "*").replace("÷", "/")
    text = _ROOT.sub(_root, text)
    text = _DEGREES.sub("°", text)
    text = _SHORT_ARGUMENT.sub(r"\1\3{\2\4}", text)
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    text = _SECOND_ARGUMENT.sub(r"\1{\2}", text)
    return " ".join(text.split())


def _root(sign: re.Match[str]) -> str:
    inside = sign[1] or sign[2]
    return f"\\sqrt{{{inside}}}" if inside else "\\sqrt"


def balanced(text: str) -> bool:
    """Return whether braces close in order and no bracket nests deeper than the limit.

    Round and square brackets may pair with each other, as half-open intervals do.
    """
    depth = braces = 0
    for character in text:
        if character in _OPEN:
            depth += 1
            braces += character == "{"
        elif character in _CLOSE:
            depth -= 1
            braces -= character == "}"
        if depth < 0 or braces < 0 or depth > MAX_NESTING:
            return False
    return depth == 0 and braces == 0


def split(text: str, separator: str) -> list[str]:
    """Split at a character that stands in no bracket."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character == separator and not depth:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def enclosed(text: str) -> bool:
    """Return whether the first bracket closes at the very end."""
    if len(text) < 2 or text[0] not in _OPEN or text[-1] not in _CLOSE:
        return False
    depth = 0
    for at, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        if not depth:
            return at == len(text) - 1
    return False


def segments(text: str) -> list[str]:
    """Return the pieces of a text that stand between math delimiters, in order."""
    return [next(filter(None, found), "") for found in _MATH.findall(text)]
