"""The frame that a family of problems is written on. This is its guide; `gsm8k.py` is the example.

The teacher keeps nothing between calls, so it must know its own questions by their text. A family
is therefore written once and used both ways:

- `slots`: the parts that change (`Whole`, `Decimal`, `Word`, `Again` of `slots.py`, or your own),
  by name; they are drawn in this order;
- `scenes`: wordings that state the facts, two or more; `{name}` is a slot, `[a|b]` a choice of plain
  phrases (no slots within);
- `asks`: for each Bloom level, wordings of what is asked (start from `wording.asks_for`, whose `at`
  lets a level ask for something else); they may hold slots that no scene has, and `{claim}`, which
  shows a wrong answer;
- `solve(p, level)`: from the values (`p.name`) the `Solution`: truth, slips and steps;
- `fit(p)`: turns down draws that make no good problem (a fraction of a child, a zero).

Rules:

- Every slot that `solve` reads stands in every scene, or in every ask of a level that reads it.
- A scene must tell its family: the words between its slots occur in no other family. An ask must
  tell its level. Where several match, the one with the longest fixed text is taken.
- `truth` and `slips` are texts in the task's answer format: a number as `show` writes it; LaTeX
  for `expression`; for `choice` the text of an option, all alike in form and length; for `label`
  a label. Slips stand in order of how often students make them; those equal to the truth or to
  an earlier one are dropped here. A `choice` needs as many slips as it has wrong options; where
  they are numbers, missing ones are filled in by `padded`. A size that cannot be filled is not used.
- `steps` are sentences with the arithmetic shown; they become the response. The last one leads to
  the truth.
- No pronouns that need a gender; no sentence that begins with a slot that is not a name.
- Figures are exact (`int`, `Fraction`); where the answer is rounded, the ask says how.

A domain (one file, constant `DOMAIN`) is six families and forty `Node`s, the keyword graph: ten to
fourteen core ones, each with what it needs (`needs`, prerequisites, by text) and other names
(`also`), and the families that can ask about it. With `context=True` the scene is not part of the
question: it is the context field (an abstract, a case), and the question is opening and ask.
Openings and asides of its own make a domain's questions less alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from random import Random
from types import SimpleNamespace
from typing import Any

from ds2.engines.teacher.slots import Slot
from ds2.engines.teacher.wording import (
    CLOSINGS,
    OPENINGS,
    PAIR_CLOSINGS,
    PAIR_OPENINGS,
    VAGUE,
    Asks,
)
from signatures.bloom import BloomLevel

Params = SimpleNamespace

_PART = re.compile(r"\[([^\[\]{}]*\|[^\[\]{}]*)\]|\{([a-z_][a-z0-9_]*)\}")
_TRIES = 2000
_ASIDE_SHARE = 0.4


def show(value: int | Fraction, places: int | None = None) -> str:
    """Return an exact number as digits; `places` rounds (half up, as school does) and pads.

    Example:
        >>> show(Fraction(5, 2)), show(Fraction(8, 4)), show(Fraction(2, 3), 2), show(Fraction(5, 2), 0)
        ('2.5', '2', '0.67', '3')
    """
    number = Fraction(value)
    if places is None:
        if number.denominator == 1:
            return str(number.numerator)
        text = f"{float(number):.6f}".rstrip("0")
        return text.rstrip(".")
    unit = 10**places
    scaled = abs(number) * unit
    rounded = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    sign = "-" if number < 0 and rounded else ""
    whole, rest = divmod(rounded, unit)
    return f"{sign}{whole}.{rest:0{places}d}" if places else f"{sign}{whole}"


@dataclass(frozen=True, slots=True)
class Solution:
    """What a question comes to.

    Args:
        truth: the right answer.
        slips: wrong answers from real mistakes, the most frequent first.
        steps: the way to the truth, a sentence each, with the arithmetic shown.
    """

    truth: str
    slips: tuple[str, ...]
    steps: tuple[str, ...]


def solution(
    truth: str | int | Fraction,
    slips: Sequence[str | int | Fraction],
    *steps: str,
    places: int | None = None,
) -> Solution:
    """Return a `Solution` with numbers shown (`places` as in `show`) and doublets dropped."""

    def text(value: str | int | Fraction) -> str:
        return value if isinstance(value, str) else show(value, places)

    right = text(truth)
    kept = dict.fromkeys(text(slip) for slip in slips)
    kept.pop(right, None)
    return Solution(right, tuple(kept), steps)


_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SCALES = tuple(map(Fraction, ("1.1", "0.9", "1.25", "0.75", "2", "0.5", "10")))


def padded(found: Solution, slips: int) -> tuple[str, ...]:
    """Return the family's own slips and, where the truth holds a number, near values up to `slips`.

    Only the first number in the truth is changed, so that the options stay alike in form. Fewer
    than `slips` come back where the truth holds no number.
    """
    kept = dict.fromkeys(found.slips)
    match = _NUMBER.search(found.truth)
    if match is None:
        return tuple(kept)
    places = len(match[0].partition(".")[2])
    value, unit = Fraction(match[0]), Fraction(1, 10**places)
    near = [*(value * scale for scale in _SCALES), *(value + step * unit for step in range(1, 40))]
    for other in near:
        if len(kept) >= slips:
            break
        text = found.truth[: match.start()] + show(other, places) + found.truth[match.end() :]
        if text != found.truth:
            kept.setdefault(text)
    return tuple(kept)


class Wording:
    """A template compiled both ways: into a text, and into a pattern that reads that text."""

    def __init__(self, template: str, slots: Mapping[str, Slot]) -> None:
        self.template = template
        self._slots = slots
        parts: list[tuple[str, str]] = []
        end = 0
        for match in _PART.finditer(template):
            if match[2] is not None and match[2] not in slots and match[2] != "claim":
                continue
            parts.append(("text", template[end : match.start()]))
            parts.append(("either", match[1]) if match[1] is not None else ("slot", match[2]))
            end = match.end()
        parts.append(("text", template[end:]))
        self._parts = parts
        fixed = [text for kind, text in parts if kind == "text"]
        self._anchors = sorted(filter(str.strip, fixed), key=len, reverse=True)
        self.weight = sum(map(len, fixed))
        self.names = frozenset(text for kind, text in parts if kind == "slot")

    def write(self, rng: Random, shown: Mapping[str, str]) -> str:
        """Return the text; `shown` holds the shown value of every slot."""
        made = []
        for kind, text in self._parts:
            if kind == "either":
                made.append(rng.choice(text.split("|")))
            else:
                made.append(text if kind == "text" else shown[text])
        return "".join(made)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        seen: set[str] = set()
        made = []
        for kind, text in self._parts:
            if kind == "text":
                made.append(re.escape(text))
            elif kind == "either":
                made.append("(?:" + "|".join(map(re.escape, text.split("|"))) + ")")
            elif text == "claim":
                made.append(".{1,200}?")
            elif text in seen:
                made.append(f"(?P={text})")
            else:
                seen.add(text)
                made.append(f"(?P<{text}>{self._slots[text].pattern})")
        return re.compile("".join(made))

    def read(self, text: str) -> dict[str, Any] | None:
        """Return the values in `text`, or None where the wording does not occur in it."""
        if not all(anchor in text for anchor in self._anchors):
            return None
        match = self.pattern.search(text)
        if match is None:
            return None
        return {name: self._slots[name].read(value) for name, value in match.groupdict().items()}


def _always(params: Params) -> bool:  # noqa: ARG001
    return True


@dataclass(frozen=True, eq=False)
class Family:
    """One kind of problem; the module's docstring says what each part is.

    Args:
        name: short, unique in its domain; keywords refer to it.
        difficulty: 0 (easy) to 1 (hard): the teacher errs more on hard ones.
    """

    name: str
    difficulty: float
    slots: Mapping[str, Slot]
    scenes: tuple[str, ...]
    asks: Asks
    solve: Callable[[Params, BloomLevel], Solution]
    fit: Callable[[Params], bool] = _always

    @cached_property
    def scene_wordings(self) -> tuple[Wording, ...]:
        return tuple(Wording(text, self.slots) for text in self.scenes)

    @cached_property
    def ask_wordings(self) -> Mapping[BloomLevel, tuple[Wording, ...]]:
        return {
            level: tuple(Wording(text, self.slots) for text in texts)
            for level, texts in self.asks.items()
        }

    def draw(self, rng: Random) -> Params:
        """Return values that fit.

        Raises:
            RuntimeError: no draw fits: a fault of the family.
        """
        for _ in range(_TRIES):
            values: dict[str, Any] = {}
            for name, slot in self.slots.items():
                values[name] = slot.draw(rng, values.values())
            params = Params(**values)
            if self.fit(params):
                return params
        raise RuntimeError(f"no draw of the family {self.name!r} fits")


@dataclass(frozen=True, slots=True)
class Node:
    """A keyword of the graph.

    Args:
        text: the keyword.
        families: names of the families that can ask about it.
        core: whether it is one of the first that come to mind.
        needs: its prerequisites, by text; it is advanced for each of them.
        also: synonyms.
    """

    text: str
    families: tuple[str, ...]
    core: bool = False
    needs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def node(text: str, families: str, *, core: bool = False, needs: str = "", also: str = "") -> Node:
    """Return a `Node`: families divided by spaces, `needs` and `also` by commas."""

    def words(line: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in line.split(",") if part.strip())

    return Node(text, tuple(families.split()), core, words(needs), words(also))


@dataclass(frozen=True, slots=True)
class Written:
    """A question as the teacher wrote it; `params`, `level` and `family` are what made it."""

    family: Family
    level: BloomLevel
    params: Params
    question: str
    context: str
    solution: Solution


@dataclass(frozen=True, eq=False)
class Domain:
    """The families and the keyword graph of one task.

    Args:
        task: the name of the built-in task.
        openings: more openings with `{first}`; pair_openings: with `{first}` and `{second}`.
        asides: sentences that may stand before the scene and change nothing.
        context: the scene is the context field, not part of the question.
        claim: how a wrong answer is quoted in a question, such as `${}$` for LaTeX.
    """

    task: str
    families: tuple[Family, ...]
    keywords: tuple[Node, ...]
    openings: tuple[str, ...] = ()
    pair_openings: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    context: bool = False
    claim: str = "{}"
    by_name: Mapping[str, Family] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {family.name: family for family in self.families})

    def write(
        self,
        rng: Random,
        family: Family,
        level: BloomLevel,
        keywords: Sequence[str],
        *,
        vague: bool = False,
    ) -> Written:
        """Return a question of `family` at `level` that mentions all of `keywords` (1 or 2).

        Args:
            vague: add a sentence that makes it ambiguous.
        """
        params = family.draw(rng)
        found = family.solve(params, level)
        shown = {name: slot.show(getattr(params, name)) for name, slot in family.slots.items()}
        claim = rng.choice(found.slips) if found.slips else "something else"
        shown["claim"] = self.claim.replace("{}", claim)
        scene = rng.choice(family.scene_wordings).write(rng, shown)
        ask = rng.choice(family.ask_wordings[level]).write(rng, shown)
        opening, closing = self._mention(rng, keywords)
        aside = ""
        if self.asides and rng.random() < _ASIDE_SHARE:
            aside = _mentioning(rng, rng.choice(self.asides), {})
        doubt = rng.choice(VAGUE) if vague else ""
        facts = [aside, scene]
        asked = [doubt, ask, closing]
        if self.context:
            return Written(family, level, params, _joined(opening, *asked), _joined(*facts), found)
        return Written(family, level, params, _joined(opening, *facts, *asked), "", found)

    def _mention(self, rng: Random, keywords: Sequence[str]) -> tuple[str, str]:
        shown = dict(zip(("first", "second"), keywords, strict=False))
        if len(keywords) > 1:
            openings, closings = PAIR_OPENINGS + self.pair_openings, PAIR_CLOSINGS
        else:
            openings, closings = OPENINGS + self.openings, CLOSINGS
        opening = _mentioning(rng, rng.choice(openings), shown)
        return opening, "" if opening else _mentioning(rng, rng.choice(closings), shown)


def _mentioning(rng: Random, template: str, shown: Mapping[str, str]) -> str:
    """Return an opening, closing or aside; keywords are free text and put in as they are."""

    def put(match: re.Match[str]) -> str:
        if match[1] is not None:
            return rng.choice(match[1].split("|"))
        return shown.get(match[2], match[0])

    text = _PART.sub(put, template)
    return text[:1].upper() + text[1:]


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def read(domain: Domain, text: str) -> tuple[Family, BloomLevel, Params] | None:
    """Return what made `text` (question, or context and question joined by a space), if it is ours.

    The scene tells the family and its values, the ask the level; of several that match, the one
    with the longest fixed text is taken, then the earlier one.
    """
    best: tuple[int, Family, dict[str, Any]] | None = None
    for family in domain.families:
        for wording in family.scene_wordings:
            values = wording.read(text)
            if values is not None and (best is None or wording.weight > best[0]):
                best = (wording.weight, family, values)
    if best is None:
        return None
    _, family, values = best
    asked: tuple[int, BloomLevel, dict[str, Any]] | None = None
    for level, wordings in family.ask_wordings.items():
        for wording in wordings:
            more = wording.read(text)
            if more is None or any(values.get(name, more[name]) != more[name] for name in more):
                continue
            if asked is None or wording.weight > asked[0]:
                asked = (wording.weight, level, more)
    return None if asked is None else (family, asked[1], Params(**values, **_new(asked[2], values)))


def _new(more: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in more.items() if name not in values}
