"""The checks of a judge: whether a question uses its keywords, what is wrong with a keyword list,
whether two answers say the same.

All are right as far as the teacher knows: its own questions are known again by their text, its
keywords by the domain's graph.
"""

from __future__ import annotations

from ds2.engines.teacher import catalog
from ds2.engines.teacher.frame import Node
from ds2.engines.teacher.prompts import Prompt

# What a careless keyword list may hold in place of a keyword: whole subjects.
TOO_GENERAL = ("general knowledge", "the whole subject", "basic skills", "further studies")


def check_question(prompt: Prompt) -> dict[str, object]:
    """Return how many of the keywords stand in the question, and whether it is clear."""
    question = " ".join(prompt.inputs.get("question", "").split())
    keywords = [" ".join(k.split()) for k in prompt.inputs.get("keywords", "").splitlines() if k]
    stand = sum(keyword.casefold() in question.casefold() for keyword in keywords)
    used = "all" if stand == len(keywords) else "some" if stand else "none"
    found = catalog.recognise(question)
    return {"keywords_used": used, "self_contained": "no" if found and found.vague else "yes"}


def same_answer(question: str, first: str, second: str) -> bool | None:
    """Return whether two answers to a question say the same; None where the question is not known.

    Both do that are the right answer, and so do two wrong ones of one wording.
    """
    found = catalog.recognise(question)
    if found is None:
        return None
    answers = [text.strip("*$(). ") for text in (first, second)]
    right = [catalog.same(text, found.solution.truth.strip("*$(). ")) for text in answers]
    return all(right) or (not any(right) and catalog.same(*answers))


def check_keywords(prompt: Prompt, task: str | None) -> dict[str, object]:
    """Return the keywords that are off the task, of the wrong direction or of the wrong grain."""
    keywords = [k.strip() for k in prompt.inputs.get("keywords", "").splitlines() if k.strip()]
    general = [k for k in keywords if k.casefold() in TOO_GENERAL]
    known = {k: catalog.node_of(task, k) for k in keywords} if task else {}
    off = [k for k, node in known.items() if node is None and k not in general]
    wrong = _opposite(prompt.inputs.get("wanted", ""), task) if task else set()
    turned = [k for k, node in known.items() if node is not None and node.text in wrong]
    return {"off_task": off, "wrong_direction": turned, "wrong_grain": general}


def _opposite(wanted: str, task: str | None) -> set[str]:
    """Return the keywords that lie the other way from the ones that were asked about."""
    if task is None or ":" not in wanted:
        return set()
    direction, _, listed = wanted.partition(":")
    nodes = list(catalog.domain(task).keywords)
    seeds = [node for text in listed.split(",") if (node := catalog.node_of(task, text.strip()))]
    below = {need for seed in seeds for need in seed.needs}
    above = {node.text for node in nodes if _needs_any(node, seeds)}
    return above - below if "prerequisite" in direction.casefold() else below - above


def _needs_any(node: Node, seeds: list[Node]) -> bool:
    return any(seed.text in node.needs for seed in seeds)
