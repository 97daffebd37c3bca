"""The domains that the teacher knows, found by task or by the text of one of their questions."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from ds2.engines.teacher import generic, passages
from ds2.engines.teacher.frame import Domain, Family, Node, Solution, read
from ds2.engines.teacher.wording import VAGUE
from signatures.bloom import BloomLevel
from signatures.task import BUILT_IN, TaskSpec, load_task

_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[.)][ \t]+(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A question of the teacher's own, known again by its text.

    Args:
        kind: `domain/family`, for people.
        level: the level it was worded for; None for a question of a task without a domain.
        difficulty: of the family, 0 to 1.
        solution: what it comes to.
        vague: it was made ambiguous on purpose.
    """

    kind: str
    level: BloomLevel | None
    difficulty: float
    solution: Solution
    vague: bool


@cache
def domain(task: str) -> Domain:
    """Return the domain of a built-in task.

    Raises:
        ModuleNotFoundError: there is none of that name.
    """
    found = importlib.import_module(f"ds2.engines.teacher.{task}").DOMAIN
    assert isinstance(found, Domain)  # noqa: S101
    return found


@cache
def built_in() -> dict[str, TaskSpec]:
    """Return the built-in tasks by their domain line in lower case."""
    return {spec.domain.casefold(): spec for spec in map(load_task, BUILT_IN)}


@lru_cache(maxsize=8192)
def recognise(question: str, context: str = "") -> Recognised | None:
    """Return what a question is, or None where it is not one of the teacher's."""
    text = " ".join(f"{context} {question}".split())
    vague = any(sentence in text for sentence in VAGUE)
    for task in BUILT_IN:
        found = read(domain(task), text)
        if found is not None:
            family, level, params = found
            solved = family.solve(params, level)
            return Recognised(f"{task}/{family.name}", level, family.difficulty, solved, vague)
    asked = passages.read(question, context)
    if asked is not None:
        return Recognised("passage", None, passages.DIFFICULTY, asked, vague)
    solved_plain = generic.read(text)
    if solved_plain is None:
        return None
    return Recognised("generic", None, generic.DIFFICULTY, solved_plain, vague)


def truth(question: str, options: Sequence[str] = (), context: str = "") -> str | None:
    """Return the right answer to a question of the teacher's, for tests and benchmarks only.

    Returns:
        With `options` the letter of the right one, else the answer's text; None where the question
        is not one of the teacher's or none of the options is right. An ambiguous question has the
        answer that its writer had in mind.
    """
    found = recognise(question, context)
    if found is None:
        return None
    if not options:
        return found.solution.truth
    return letter_of(found.solution.truth, [(chr(65 + i), text) for i, text in enumerate(options)])


def options_of(text: str) -> list[tuple[str, str]]:
    """Return the lettered lines of an options field as (letter, text)."""
    return [(match[1], match[2].strip()) for match in _OPTION.finditer(text)]


def letter_of(answer: str, options: Sequence[tuple[str, str]]) -> str | None:
    """Return the letter of the option with that text (case and spaces aside), or None."""
    return next((letter for letter, text in options if same(text, answer)), None)


def same(one: str, other: str) -> bool:
    """Return whether two answers are the same text, case, spaces and a full stop aside."""
    return _fold(one) == _fold(other)


def _fold(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


@cache
def nodes(task: str) -> dict[str, Node]:
    """Return the nodes of a domain by keyword and synonym, folded; also without a plural's s."""
    found: dict[str, Node] = {}
    for node in domain(task).keywords:
        for text in (node.text, *node.also):
            for form in (_fold(text), _fold(text).removesuffix("s"), _fold(text) + "s"):
                found.setdefault(form, node)
    return found


def node_of(task: str, keyword: str) -> Node | None:
    """Return the node of a keyword, or None where the graph does not hold it."""
    return nodes(task).get(_fold(keyword.replace("-", " ").replace("_", " ")))


def families_for(task: str, keyword: str) -> tuple[Family, ...]:
    """Return the families that can ask about a keyword; all of them for a foreign keyword."""
    found = domain(task)
    node = node_of(task, keyword)
    return found.families if node is None else tuple(found.by_name[n] for n in node.families)
