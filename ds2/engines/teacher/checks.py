"""The checks of a judge: whether a question uses its keywords, what is wrong with a keyword list,
whether two answers say the same.

All are right as far as the teacher knows: its own questions are known again by their text, those that
have lost their facts by their end, its keywords by the domain's graph.
"""

from __future__ import annotations

from collections.abc import Mapping

from ds2.engines.teacher import catalog
from ds2.engines.teacher.fragments import torn
from ds2.engines.teacher.frame import Node

# What a careless keyword list may hold in place of a keyword: whole subjects.
TOO_GENERAL = ("general knowledge", "the whole subject", "basic skills", "further studies")


def check_question(fields: Mapping[str, str], *, wrong: bool = False) -> dict[str, object]:
    """Return how many of the keywords stand in the question, and whether it is self-contained.

    It is not where it is ambiguous, or where a question of the teacher's has lost its facts.

    Args:
        fields: what the check is given, by name.
        wrong: both verdicts are turned: all for some (for none of a single keyword), and the like.
    """
    question = " ".join(fields.get("question", "").split())
    keywords = [" ".join(k.split()) for k in fields.get("keywords", "").splitlines() if k]
    stand = sum(keyword.casefold() in question.casefold() for keyword in keywords)
    used = "all" if stand == len(keywords) else "some" if stand else "none"
    found = catalog.recognise(question)
    own = not (torn(question) if found is None else found.vague)
    if wrong:
        own = not own
        used = ("none" if len(keywords) == 1 else "some") if used == "all" else "all"
    return {"keywords_used": used, "self_contained": "yes" if own else "no"}


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


def check_keywords(
    fields: Mapping[str, str], task: str | None, *, wrong: bool = False
) -> dict[str, list[str]]:
    """Return the keywords that are off the task, of the wrong direction or of the wrong grain.

    Args:
        fields: what the check is given, by name.
        task: the built-in task that it is for, if it is one.
        wrong: the verdict on every keyword is turned: the sound ones are called off the task.
    """
    keywords = [k.strip() for k in fields.get("keywords", "").splitlines() if k.strip()]
    general = [k for k in keywords if _general(k)]
    known = {k: catalog.node_of(task, k) for k in keywords} if task else {}
    off = [k for k, node in known.items() if node is None and k not in general]
    against = _opposite(fields.get("wanted", ""), task) if task else set()
    turned = [k for k, node in known.items() if node is not None and node.text in against]
    if wrong:
        off = [k for k in keywords if k not in {*off, *turned, *general}]
        turned, general = [], []
    return {"off_task": off, "wrong_direction": turned, "wrong_grain": general}


def task_named(line: str) -> str | None:
    """Return the built-in task of a task line (`domain: description`), if it is one."""
    spec = catalog.built_in().get(line.partition(":")[0].strip().casefold())
    return None if spec is None else spec.name


def _general(keyword: str) -> bool:
    return keyword.casefold() in TOO_GENERAL or keyword.casefold() in catalog.built_in()


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
