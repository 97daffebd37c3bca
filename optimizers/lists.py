"""Keyword lists for the judge of keywords: drawn, with strangers among them, and labelled."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import dspy

from optimizers.reference import gathered, majority, verdicts
from programs.judging import KeywordJudge, faults_of, wanted_line
from programs.keywords import Ask, KeywordExpansion
from programs.loop import run_sync
from programs.sampling import call_config
from programs.synthesis import DS2Instruct
from programs.wording import clean_keyword, keyword_key
from signatures.keywords import task_line
from signatures.records import KeywordOrigin
from signatures.task import BUILT_IN, TaskSpec, load_task

LIST_DRAWS = 2  # calls for one list, at most: what was asked for, and its opposite
LIST_SIZE = 8
_SEEDS = 4
_ASKED, _OPPOSITE = 4, 2  # of a list; the rest are strangers
_ORIGINS = (KeywordOrigin.CORE, KeywordOrigin.PREREQUISITE, KeywordOrigin.ADVANCED)
_OTHER_WAY = {
    KeywordOrigin.PREREQUISITE: KeywordOrigin.ADVANCED,
    KeywordOrigin.ADVANCED: KeywordOrigin.PREREQUISITE,
}


class KeywordList(NamedTuple):
    """A list as the judge sees it: what was `wanted`, and what was listed."""

    wanted: str
    keywords: tuple[str, ...]


def draw_lists(
    program: DS2Instruct, bank: Sequence[str], count: int, seed: int
) -> list[KeywordList]:
    """Return lists of eight to be judged, a third each for core, prerequisite and advanced keywords.

    Four are of a list that the program draws as it was asked for, two of one in the other direction
    (none for core keywords), the rest are strangers: keywords that other built-in tasks give as
    examples, and a whole subject. What is short is made up for out of the bank. No part of it says what
    is right: that is for the label.

    Args:
        program: draws them, with the language model of the context.
        bank: keywords to ask beneath or beyond.
        count: how many lists.
        seed: of the choices.
    """
    rng = random.Random(f"{seed}/judged lists")
    asks = [_ask(bank, number, rng) for number in range(count)]
    work = [_both_ways(program.keywords, ask) for ask in asks]
    made = []
    for ask, (asked, opposite) in zip(asks, run_sync(gathered(work)), strict=True):
        chosen = _some(asked, _ASKED, rng) + _some(opposite, _OPPOSITE, rng)
        chosen += _strangers(program.task, rng) + _some(bank, LIST_SIZE, rng)
        keywords = _distinct(chosen, program.task)[:LIST_SIZE]
        rng.shuffle(keywords)
        made.append(KeywordList(wanted_line(ask.origin, ask.seeds), tuple(keywords)))
    return made


def _ask(bank: Sequence[str], number: int, rng: random.Random) -> Ask:
    origin = _ORIGINS[number % len(_ORIGINS)]
    core = origin is KeywordOrigin.CORE
    seeds = () if core else tuple(rng.sample(bank, min(_SEEDS, len(bank))))
    return Ask(origin, seeds, 0, number)


async def _both_ways(keywords: KeywordExpansion, ask: Ask) -> tuple[list[str], list[str]]:
    """Return the list that was asked for, and the one of the other direction, if there is one."""
    other = _OTHER_WAY.get(ask.origin)
    asks = [ask] if other is None else [ask, ask._replace(origin=other)]
    asked, *opposite = await gathered(_drawn(keywords, one) for one in asks)
    return asked, opposite[0] if opposite else []


async def _drawn(keywords: KeywordExpansion, ask: Ask) -> list[str]:
    config = call_config(keywords, sample=ask.number, temperature=keywords.temperature)
    _, texts = await keywords.draw(ask, LIST_SIZE, "", config)
    return [text for text in map(clean_keyword, texts) if text]


def _some(texts: Sequence[str], count: int, rng: random.Random) -> list[str]:
    return rng.sample(texts, min(count, len(texts)))


def _strangers(task: TaskSpec, rng: random.Random) -> list[str]:
    """Return a keyword of another task, and a whole subject: that of the task or of another one."""
    others = [spec for spec in _built_in() if spec.name != task.name]
    words = [word for spec in others for word in spec.example_keywords]
    return [rng.choice(words), rng.choice([task.domain, *(spec.domain for spec in others)])]


@cache
def _built_in() -> tuple[TaskSpec, ...]:
    return tuple(map(load_task, BUILT_IN))


def _distinct(texts: Sequence[str], task: TaskSpec) -> list[str]:
    kept: dict[str, str] = {}
    for text in texts:
        kept.setdefault(keyword_key(text, english=task.english), text)
    return list(kept.values())


def reference_faults(
    judge: KeywordJudge, lm: dspy.LM, task: TaskSpec, made: KeywordList
) -> tuple[str | None, ...]:
    """Return what the judge says of each keyword most often, of fifteen times; None without a majority."""
    said = {"task": task_line(task), "wanted": made.wanted, "keywords": made.keywords}
    found = [v for v in verdicts(judge, lm, **said) if not v.unscored]
    by_verdict = [faults_of(made.keywords, verdict) for verdict in found]
    return tuple(
        majority(faults[place] for faults in by_verdict) for place in range(len(made.keywords))
    )
