"""The keyword stages: keywords out of a domain's graph, or out of a passage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from random import Random

from ds2.engines.teacher import catalog, generic, passages
from ds2.engines.teacher.checks import TOO_GENERAL
from ds2.engines.teacher.frame import Node
from ds2.engines.teacher.prompts import Prompt
from ds2.engines.teacher.rates import TeacherRates

_DEFAULT_COUNT = 10
_MOST = 200
# Of a reply, the share that may lie beyond the neighbours of the seeds, once those are used up.
_BEYOND = 3


def list_keywords(
    prompt: Prompt, task: str | None, rng: Random, rates: TeacherRates, careless: float = 0.0
) -> list[str]:
    """Return the keywords of a reply, faults included; at least one, but of a passage.

    Args:
        task: the built-in task that was recognised; None makes keywords of the prompt's own words.
        careless: chance of each keyword to be a known one, one of the other direction or a whole
            subject instead.
    """
    count = _count(prompt.inputs.get("count", ""))
    known = _listed(prompt.inputs.get("known", ""))
    if "passage" in prompt.inputs:
        taken = {_fold(text) for text in known}
        nodes = () if task is None else catalog.domain(task).keywords
        found = passages.keywords_in(prompt.inputs["passage"], nodes, taken, count, rng)
        return _faulty(found, known, lambda _: (), rng, rates)
    fresh = _fresh(prompt, task, known, count, rng)
    if careless > 0:
        fresh = _careless(prompt, task, known, fresh, careless, rng)
    synonyms = (lambda text: _synonyms(task, text)) if task is not None else (lambda _: ())
    if not fresh:
        # Nothing is left to say; a model that is asked again says what is known already.
        return _faulty(rng.sample(known, min(len(known), count)) or ["?"], [], synonyms, rng, rates)
    return _faulty(fresh, known, synonyms, rng, rates)


def _fresh(
    prompt: Prompt, task: str | None, known: Sequence[str], count: int, rng: Random
) -> list[str]:
    taken = {_fold(text) for text in known}
    if task is None:
        texts = [prompt.inputs.get(name, "") for name in ("task", "seeds")]
        pool = generic.keyword_pool(_listed(prompt.inputs.get("examples", "")), texts)
        left = [word for word in pool if _fold(word) not in taken]
        # Single words come first in the pool and are the better keywords.
        head = left[: 2 * count]
        rng.shuffle(head)
        return head[:count]
    tiers = _tiers(prompt, task)
    chosen: list[str] = []
    for rank, tier in enumerate(tiers):
        left = [node.text for node in tier if _fold(node.text) not in taken]
        rng.shuffle(left)
        beyond = rank == len(tiers) - 1 and rank > 0 and "seeds" in prompt.inputs
        room = count - len(chosen)
        for text in left[: min(room, max(1, count // _BEYOND)) if beyond else room]:
            taken.add(_fold(text))
            chosen.append(text)
    return chosen


def _careless(
    prompt: Prompt,
    task: str | None,
    known: Sequence[str],
    fresh: Sequence[str],
    chance: float,
    rng: Random,
) -> list[str]:
    """Return the list with keywords replaced, each with this chance, by ones that do not fit."""
    bad = [*known[:8], *TOO_GENERAL]
    if task is not None and "seeds" in prompt.inputs:
        lookup = {node.text: node for node in catalog.domain(task).keywords}
        found = (catalog.node_of(task, text) for text in _listed(prompt.inputs["seeds"]))
        seeds = [node for node in found if node is not None]
        wrong = _neighbours(seeds, _step(not _downward(prompt), lookup))
        bad += [node.text for node in wrong]
    return [rng.choice(bad) if rng.random() < chance else text for text in fresh]


def _tiers(prompt: Prompt, task: str) -> list[list[Node]]:
    """Return the nodes in tiers: those asked for, those a step further, all others."""
    everything = list(catalog.domain(task).keywords)
    if "seeds" not in prompt.inputs:
        return [[node for node in everything if node.core], everything]
    found = (catalog.node_of(task, text) for text in _listed(prompt.inputs["seeds"]))
    seeds = list(dict.fromkeys(node for node in found if node is not None))
    lookup = {node.text: node for node in everything}
    step = _step(_downward(prompt), lookup)
    first = _neighbours(seeds, step)
    return [first, _neighbours(first, step), everything]


def _downward(prompt: Prompt) -> bool:
    """Return whether the signature asks for what lies beneath, and not for what builds on it."""
    asked = f"{prompt.objective} {' '.join(field.desc for field in prompt.outputs)}".casefold()
    return "prerequisite" in asked or "before them" in asked or "more basic" in asked


def _step(down: bool, lookup: dict[str, Node]) -> Callable[[Node], Iterable[Node]]:
    """Return the step down to what a keyword needs, or up from it."""
    if down:
        return lambda node: (lookup[text] for text in node.needs)
    return lambda node: (other for other in lookup.values() if node.text in other.needs)


def _neighbours(nodes: Iterable[Node], step: Callable[[Node], Iterable[Node]]) -> list[Node]:
    return list(dict.fromkeys(other for node in nodes for other in step(node)))


def _synonyms(task: str, text: str) -> tuple[str, ...]:
    node = catalog.node_of(task, text)
    return () if node is None else node.also


def _faulty(
    fresh: Sequence[str],
    known: Sequence[str],
    synonyms: Callable[[str], Sequence[str]],
    rng: Random,
    rates: TeacherRates,
) -> list[str]:
    """Return the list as a model gives it: with repeats, synonyms, plurals, numbers, bullets."""
    made: list[str] = []
    for text in fresh:
        shown = text
        if text.isascii() and not text.endswith("s") and rng.random() < rates.plural:
            shown = f"{text}s"
        if known and rng.random() < rates.known:
            made.append(rng.choice(known))
        made.append(shown)
        others = synonyms(text)
        if others and rng.random() < rates.synonym:
            made.append(rng.choice(others))
        if rng.random() < rates.repeated:
            made.append(rng.choice(made).capitalize())
    style = rng.random()
    if style < rates.numbered:
        return [f"{number}. {text}" for number, text in enumerate(made, 1)]
    if style < rates.numbered + rates.bulleted:
        return [f"- {text}" for text in made]
    return made


def _count(text: str) -> int:
    match = re.search(r"\d{1,6}", text)
    return min(max(int(match[0]), 1), _MOST) if match else _DEFAULT_COUNT


def _listed(text: str) -> list[str]:
    parts = re.split(r"[,;\n、，；]+", text.strip("[] \n"))
    found = (re.sub(r"^\s*(?:\d+[.)]|[-*•])\s+", "", part).strip(" \t\"'.") for part in parts)
    return list(dict.fromkeys(part for part in found if part and part.casefold() != "none"))


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())
