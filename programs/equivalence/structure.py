"""Canonical keys of whole expressions: equations, lists, sets, intervals, tuples, matrices, values.

An answer is taken apart down to its values, and each value has its key (`value`); what has none is
compared as a text in one spelling, marked with `~` so that it never meets the key of a value.

* `x=3` counts by its right side where the left one only names it; any other equation by the ratio
  of its two sides' difference at fixed points, so that `a+b=5` is `2b=10-2a`. An equation in
  x and y alone that is linear in y is solved for y.
* Solutions of one unknown (`x=2 or x=3`, `x=2,3`, `2±1`) are a set. A plain list keeps its order,
  unless the question asks for all solutions. Tuples always keep theirs. Values of several unknowns
  (`x=1, y=2`) are the tuple of their values, by the unknowns' names.
* An inequality of one unknown is its interval; sets and unions have no order.
"""

from __future__ import annotations

import re
from decimal import localcontext

from programs.equivalence import arithmetic
from programs.equivalence.formula import parse
from programs.equivalence.latex import enclosed, split
from programs.equivalence.relations import VARIABLE, holds, interval_key
from programs.equivalence.tree import Node, number, symbols, with_symbol
from programs.equivalence.units import singular
from programs.equivalence.value import constant_key, hashed, value_key, values_of

MAX_PARTS = 64
"""Parts of a list, set or matrix."""

_REALS = "(-∞,∞)"
_EMPTY = "⦃⦄"
_PHRASES = {
    spelling: meaning
    for meaning, spellings in {
        "~no solution": "no solution|no solutions|there is no solution|there are no solutions|"
        "has no solution|no solution exists|no solutions exist",
        "~no real solution": "no real solution|no real solutions|no real roots|no real root|"
        "there are no real solutions|there is no real solution",
        "~does not exist": "does not exist|dne|doesn't exist|it does not exist|limit does not exist",
        "~infinitely many": "infinitely many|infinitely many solutions|infinite solutions|"
        "there are infinitely many solutions|infinite number of solutions",
        "~cannot be determined": "cannot be determined|can't be determined|can not be determined|"
        "it cannot be determined|cannot be determined from the information given|"
        "cannot be determined from the given information|not enough information",
        _REALS: "all real numbers|all reals|all real|all real values|the real numbers|ℝ|"
        "any real number|the set of all real numbers|x ∈ ℝ",
        _EMPTY: "empty set|the empty set|∅|⦃ ⦄|⦃⦄",
    }.items()
    for spelling in spellings.split("|")
}
_MIN_WORD = 3
_WORDS_ALONE = re.compile(r"[^\W\d_]{2,}(?: [^\W\d_]+)*")
_THOUSANDS = re.compile(r"[-+]?[$]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:[%°]|(?=\D)(?![,\d]).*)?")
_NAMED = re.compile(
    rf"{VARIABLE}(?:\^\{{-1\}})?(?:\([a-z](?:, ?[a-z])*\))?|[A-Z]{{2,3}}|P\([A-Za-z ]{{1,9}}\)|"
    r"\\angle ?[A-Z]{1,3}|[A-Za-z]{4,12}"
)
_NAMES = re.compile(rf"\( ?({VARIABLE}(?: ?, ?{VARIABLE})+) ?\)")
_MATRIX = re.compile(
    r"(?:([^&⏎]{1,40}?) ?\*? ?)?\\begin\{(?:([pbvBV]?)(?:small)?matrix|array)\} ?(?:\{[lcr| ]*\})?(.*)"
    r"\\end\{(?:[pbvBV]?(?:small)?matrix|array)\}"
)
_MEMBER = re.compile(rf"{VARIABLE} ?∈ ?(.+)")
_WITHOUT = re.compile(r"ℝ ?∖ ?⦃([^,⦃⦄]+)⦄")
_COMPARED = re.compile(r"[<>≤≥≠]")
_RELATION = re.compile(r"[<>≤≥≠≈]|\\[A-Za-z]*(?:equiv|sim|approx|implies|to\b)")
_INFINITE = re.compile(r"([-+]?) ?∞")
_WORD_BETWEEN = re.compile(r"(?<![A-Za-z\\]) ?\b(?:or|and)\b ?|∨")
_EITHER = re.compile(r"\bor\b|∨")
_LOOSE_BLANK = re.compile(r"(?<![\d.]) | (?![\d.])")
_LONE_BRACES = re.compile(r"(?<=[\^_])\{(\w)\}(?!\w)")
_INDEXED = re.compile(r"(.+?)_\{? ?\d ?\}?")


def key_of(text: str, *, unordered: bool = False) -> str:
    """Return the canonical key of a cleaned expression.

    Args:
        text: what `latex.clean` returns.
        unordered: whether a plain list is a set of solutions.
    """
    text = text.strip()
    if (phrase := _PHRASES.get(" ".join(text.casefold().split()).strip(" ."))) is not None:
        return phrase
    if _COMPARED.search(text):
        return interval_key(text, _value) or _textual(text)
    if (member := _MEMBER.fullmatch(text)) and "=" not in text:
        return key_of(member[1], unordered=unordered)
    found = _solutions(text, unordered=unordered)
    if found is not None:
        return found
    if "=" in text:
        return _equation(text)
    key = _collection(text)
    if unordered and key.startswith("⦃") and "," not in key:
        return key.strip("⦃⦄") or key
    return key


def _solutions(text: str, *, unordered: bool) -> str | None:
    """Return the key of a list of solutions or of values by name, or None where it is neither."""
    if _THOUSANDS.fullmatch(text.rpartition("=")[2].strip()):
        return None
    spoken = _WORD_BETWEEN.search(text) is not None
    parts = [part.strip() for part in split(_WORD_BETWEEN.sub(",", text) if spoken else text, ",")]
    parts = [part for part in parts if part] if spoken else parts
    if len(parts) > MAX_PARTS or not all(parts):
        return None
    named = [_assignment(part) for part in parts]
    names = {pair[0] for pair in named if pair is not None}
    if unordered and len(names) > 1:
        names = {_INDEXED.sub(r"\1", name) for name in names}
    if len(parts) == 1 and "±" not in text:
        return None
    if len(names) > 1:
        return None if _EITHER.search(text) else _by_name(named)
    if any("=" in part for part, pair in zip(parts, named, strict=True) if pair is None):
        return None
    if len(parts) > 1 and not (spoken or unordered) and named[0] is None:
        return None
    if len(parts) > 1 and not spoken and named[0] is None and None not in named:
        return None
    values = [part if pair is None else pair[1] for part, pair in zip(parts, named, strict=True)]
    return _set({_collection(value) for each in values for value in _signs(each)})


def _by_name(named: list[tuple[str, str] | None]) -> str | None:
    pairs = [pair for pair in named if pair is not None]
    if len(pairs) < len(named) or len({name for name, _ in pairs}) < len(pairs):
        return None
    return "(" + ",".join(_collection(value) for _, value in sorted(pairs)) + ")"


def _assignment(part: str) -> tuple[str, str] | None:
    sides = [side.strip() for side in split(part, "=")]
    if len(sides) == 2 and re.fullmatch(VARIABLE, sides[0]) and not holds(sides[1], sides[0]):
        return sides[0], sides[1]
    return None


def _signs(text: str) -> tuple[str, ...]:
    """Return both values of an expression with one ±; of several, each could be meant by itself."""
    if text.count("±") != 1 or text.count("∓") > 1:
        return (text,)
    return (
        text.replace("±", "+").replace("∓", "-"),
        text.replace("±", "-").replace("∓", "+"),
    )


def _set(members: set[str]) -> str:
    if len(members) == 1:
        return next(iter(members))
    return "⦃" + ",".join(sorted(members)) + "⦄"


def _equation(text: str) -> str:
    sides = [side.strip() for side in split(text, "=")]
    if _RELATION.search(text) or not all(sides) or len(sides) == 1:
        return _textual(text)
    if any(len(split(side, ",")) > 1 and not _THOUSANDS.fullmatch(side) for side in sides):
        return _textual(text)
    left, right = sides[0], sides[-1]
    if len(sides) > 2:
        keys = {_collection(side) for side in sides[1:]}
        return keys.pop() if _names(left, right) and len(keys) == 1 else _textual(text)
    if _names(left, right):
        return _collection(right)
    if _names(right, left):
        return _collection(left)
    return _balance(left, right) or "=".join(sorted((_collection(left), _collection(right))))


def _names(name: str, expression: str) -> bool:
    """Whether one side only names the other, which does not hold it."""
    if names := _NAMES.fullmatch(name):
        listed = [one.strip() for one in names[1].split(",")]
        return listed == sorted(listed) and enclosed(expression)
    if not expression or not _NAMED.fullmatch(name):
        return False
    return not holds(expression, name.partition("(")[0].partition("^")[0])


def _balance(left: str, right: str) -> str | None:
    """Return the key of an equation of two sides, solved for y or up to a constant factor."""
    trees = parse(left, letters=True), parse(right, letters=True)
    if trees[0] is None or trees[1] is None:
        return None
    difference = _minus(trees[0], trees[1])
    if (solved := _solved_for_y(difference)) is not None:
        return solved
    values = values_of(difference)
    if values is None:
        return None
    if all(value == arithmetic.NOTHING for value in values):
        return value_key(trees[1])
    if len(values) == 1 or arithmetic.NOTHING in values:
        return None
    with localcontext(arithmetic.precise(60)):
        ratios = [arithmetic.divide(value, values[0]) for value in values[1:]]
    return "0=" + hashed([constant_key(ratio) for ratio in ratios])


def _solved_for_y(difference: Node) -> str | None:
    """Return the key of y as a function of x, where an equation in just these is linear in y."""
    if symbols(difference) != {"x", "y"}:
        return None
    at = [with_symbol(difference, "y", number(value)) for value in (0, 1, 2)]
    slope = _minus(at[1], at[0])
    if value_key(_minus(_minus(at[2], at[1]), slope)) != "0" or value_key(slope) in ("0", None):
        return None
    return value_key(Node("/", (Node("*", (number(-1), at[0])), slope)))


def _minus(left: Node, right: Node) -> Node:
    return Node("+", (left, Node("*", (number(-1), right))))


def _collection(text: str) -> str:
    """Return the key of a union, a bracketed list, a matrix, a plain list or one value."""
    text = text.strip()
    if (phrase := _PHRASES.get(text)) is not None:
        return phrase
    if without := _WITHOUT.fullmatch(text):
        point = _value(without[1])
        return f"(-∞,{point})∪({point},∞)"
    if len(unions := split(text, "∪")) > 1:
        return "∪".join(sorted({_collection(part) for part in unions}))
    if matrix := _MATRIX.fullmatch(text):
        return _matrix(*matrix.groups())
    parts = split(text, ",")
    if len(parts) > MAX_PARTS or (len(parts) > 1 and _THOUSANDS.fullmatch(text)):
        return _value(text) if len(parts) <= MAX_PARTS else _textual(text)
    if len(parts) > 1:
        return ",".join(_collection(part) for part in parts)
    if enclosed(text):
        return _bracketed(text)
    return _value(text)


def _bracketed(text: str) -> str:
    opening, inside, closing = text[0], text[1:-1].strip(), text[-1]
    parts = split(inside, ",")
    if opening == "⦃":
        if len(parts) > MAX_PARTS or "|" in inside or ":" in inside:
            return _textual(text)
        members = {_collection(each) for part in parts for each in _signs(part)}
        return "⦃" + ",".join(sorted(members)) + "⦄" if inside else _EMPTY
    if len(parts) == 1:
        return _value(text) if opening + closing in ("()", "{}") else _textual(text)
    if len(parts) > MAX_PARTS:
        return _textual(text)
    keys = [_collection(part) for part in parts]
    if len(keys) == 2:
        opening = "(" if keys[0] == "-∞" else opening
        closing = ")" if keys[1] == "∞" else closing
    return opening + ",".join(keys) + closing


def _matrix(scale: str | None, kind: str | None, body: str) -> str:
    rows = [row for row in body.split("⏎") if row.strip()]
    cells = [[_value(_scaled(scale, cell.strip())) for cell in split(row, "&")] for row in rows]
    name = "matrix" if kind in (None, "", "p", "b") else f"{kind}matrix"
    return name + "[" + ";".join(",".join(row) for row in cells) + "]"


def _scaled(scale: str | None, cell: str) -> str:
    if not scale or not cell:
        return cell
    return f"-({cell})" if scale == "-" else f"({scale})({cell})"


def _value(text: str) -> str:
    if infinite := _INFINITE.fullmatch(text.strip()):
        return "-∞" if infinite[1] == "-" else "∞"
    tree = parse(text)
    key = value_key(tree) if tree is not None else None
    return _textual(text) if key is None else key


def _textual(text: str) -> str:
    """Return the text in one spelling, marked so that it never meets the key of a value."""
    if _WORDS_ALONE.fullmatch(text):
        return "~" + " ".join(_folded(word) for word in text.split(" "))
    return "~" + _LONE_BRACES.sub(r"\1", _LOOSE_BLANK.sub("", text))


def _folded(word: str) -> str:
    """Fold the capital of a word such as `Even`; `AB` and `ab` may name different things."""
    return singular(word.casefold()) if len(word) >= _MIN_WORD and word[1:].islower() else word
