"""All other stages: something that parses for every field, and an honest word where one is known."""

from __future__ import annotations

import re
from random import Random

from ds2.engines.teacher import catalog
from ds2.engines.teacher.prompts import OutputField, Prompt
from ds2.engines.teacher.rates import TeacherRates
from signatures.bloom import LEVELS, BloomLevel

_FENCE = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)
_NEIGHBOUR = 0.75
_LEVELS = frozenset(level.value.casefold() for level in LEVELS)


def fill(field: OutputField, prompt: Prompt, rng: Random, rates: TeacherRates) -> object:
    """Return a value of the field's type.

    A field whose choices are Bloom's levels is answered with the level of the question in the
    prompt (any input that holds one), right with the rate `judged`, else mostly with a neighbour of
    it; a yes-or-no field says whether that question is clear. What is not known is drawn.
    """
    found = next(filter(None, map(catalog.recognise, _questions(prompt))), None)
    if field.choices:
        by_level = {choice.casefold(): choice for choice in field.choices}
        if found and found.level and set(by_level) <= _LEVELS:
            told = found.level if rng.random() < rates.judged else _beside(found.level, rng)
            return by_level.get(told.value.casefold(), rng.choice(field.choices))
        return rng.choice(field.choices)
    kind = field.type.replace("Optional[", "").strip("] ").casefold()
    if kind.startswith("bool"):
        return not (found is None or found.vague)
    if kind.startswith("int"):
        return rng.randint(1, 5)
    if kind.startswith("float"):
        return round(0.4 + 0.6 * rng.random(), 2) if found is None else float(not found.vague)
    if kind.startswith(("list", "tuple", "set", "sequence")):
        return [_sentence(rng)]
    if kind.startswith(("dict", "mapping")):
        return {}
    return _sentence(rng)


def misread(prompt: Prompt, rng: Random) -> dict[str, object]:
    """Return a neighbour of the level of the question in the prompt; nothing where it is not known."""
    found = next(filter(None, map(catalog.recognise, _questions(prompt))), None)
    if found is None or found.level is None:
        return {}
    near = [LEVELS[i] for i in (found.level.rank - 1, found.level.rank + 1) if 0 <= i < len(LEVELS)]
    return {"level": rng.choice(near).value}


def _beside(level: BloomLevel, rng: Random) -> BloomLevel:
    """Return a level beside this one in three of four cases, two away in the fourth."""
    away = 1 if rng.random() < _NEIGHBOUR else 2
    places = [p for p in (level.rank - away, level.rank + away) if 0 <= p < len(LEVELS)]
    return LEVELS[rng.choice(places)]


def _questions(prompt: Prompt) -> list[str]:
    context = prompt.inputs.get("context", "")
    texts = [value for name, value in prompt.inputs.items() if name != "context"]
    return [f"{context} {text}".strip() for text in texts]


def _sentence(rng: Random) -> str:
    return rng.choice(
        (
            "The task is clear, and each step follows from what is given.",
            "State every figure, take one step at a time, and check the result.",
            "What is asked decides what is needed; the rest can be left aside.",
            "Work from the givens to the result and say how each step is justified.",
        )
    )


def raw_reply(prompt: Prompt, rng: Random) -> str:
    """Return a reply to a prompt without fields: the fenced text in it, improved, or a sentence.

    Optimizers that ask for better wording show the present one in a fence and read a fence back.
    """
    fences = _FENCE.findall(prompt.last)
    if fences:
        return f"```\n{fences[0].strip()}\n{_sentence(rng)}\n```"
    return _sentence(rng)
