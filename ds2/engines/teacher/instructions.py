"""The writer stage: a question of one of the domain's families, or one of no domain."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from ds2.engines.teacher import catalog, generic, passages
from ds2.engines.teacher.draws import rng_of
from ds2.engines.teacher.frame import Solution, padded
from ds2.engines.teacher.prompts import Prompt
from ds2.engines.teacher.rates import TeacherRates
from signatures.bloom import LEVELS, BloomLevel
from signatures.task import MAX_OPTIONS, AnswerKind

_SIZES = re.compile(r"(\d{1,2}(?: or \d{1,2})*) options")
_LABELS = re.compile(r"exactly one right answer, one of: (.+?), and nothing in the wording")
_PHRASES = (
    ("a single number", AnswerKind.NUMBER),
    ("a single mathematical expression", AnswerKind.EXPRESSION),
    ("one right answer, one of:", AnswerKind.LABEL),
    ("one right answer, a few words", AnswerKind.TEXT),
)
_STOCK = 4


def task_of(prompt: Prompt) -> str | None:
    """Return the built-in task that a prompt is for, or None.

    It must be named by its domain, be asked in English, and want the same kind of answer: a
    user's own task may share the name of a field and nothing else.
    """
    language = prompt.inputs.get("language", "English").casefold()
    named = prompt.inputs.get("task", "").partition(":")[0].strip().casefold()
    spec = catalog.built_in().get(named)
    if spec is None or not language.startswith("en"):
        return None
    if prompt.wants("question"):
        kind = _kind(prompt)
        if prompt.wants("context") != (spec.context == "written"):
            return None
        if (kind is AnswerKind.CHOICE) != (spec.answer.kind is AnswerKind.CHOICE):
            return None
        if kind is AnswerKind.LABEL and set(_labels(prompt)) != set(spec.answer.labels):
            return None
        if kind is not None and kind is not spec.answer.kind:
            return None
    return spec.name


def write_instruction(
    prompt: Prompt,
    task: str | None,
    rng: Random,
    rates: TeacherRates,
    seed: int,
    *,
    careless: bool = False,
) -> dict[str, object]:
    """Return `question`, and `context` and `options` where they are asked for.

    A careless one is ambiguous, or at another level than the one asked for.
    """
    names = ("keyword", "first_keyword", "second_keyword")
    keywords = [prompt.inputs[name] for name in names if prompt.inputs.get(name)]
    level = _level(prompt.inputs.get("level", ""))
    if careless and rng.random() < 0.5:
        level, careless = rng.choice([other for other in LEVELS if other is not level]), False
    if careless:
        rates = replace(rates, vague=1.0)
    written = None if task is None else _of_domain(task, keywords, level, rng, rates, seed)
    options = None
    if written is not None and prompt.wants("options"):
        options = _options(written[2], _sizes(prompt), rng)
        # More options than the family has slips for: figures can be varied without end.
        written = None if options is None else written
    about = prompt.inputs.get("context")
    if about is not None and (
        asked := passages.write(rng, about, keywords, level, _labels(prompt))
    ):
        written = ("", *asked)
    if written is None:
        written = _generic(prompt, keywords or ["?"], level, rng)
        if prompt.wants("options"):
            options = _options(written[2], _sizes(prompt), rng)
    made: dict[str, object] = {"context": written[0], "question": written[1]}
    if options is not None:
        made["options"] = _spoilt(options, rng) if rng.random() < rates.bad_options else options
    return made


def _of_domain(
    task: str,
    keywords: list[str],
    level: BloomLevel,
    rng: Random,
    rates: TeacherRates,
    seed: int,
) -> tuple[str, str, Solution]:
    vague = rng.random() < rates.vague
    if rng.random() < rates.stock or not keywords:
        rng = rng_of("stock", seed, task, level, rng.randrange(_STOCK))
        keywords, vague = [rng.choice(catalog.domain(task).keywords).text], False
    family = rng.choice(catalog.families_for(task, rng.choice(keywords)))
    written = catalog.domain(task).write(rng, family, level, keywords, vague=vague)
    return written.context, written.question, written.solution


def _generic(
    prompt: Prompt, keywords: list[str], level: BloomLevel, rng: Random
) -> tuple[str, str, Solution]:
    facts, question, found = generic.write(
        rng,
        _kind(prompt) or AnswerKind.NUMBER,
        [" ".join(keyword.split()) for keyword in keywords],
        generic.words_of(prompt.inputs.get("task", "").partition(":")[2]),
        rank=level.rank,
        labels=_labels(prompt),
    )
    if prompt.wants("context"):
        return facts, question, found
    return "", f"{facts} {question}", found


def _options(found: Solution, sizes: list[int], rng: Random) -> list[str] | None:
    """Return options in seeded order, of one of the sizes; None where no size can be filled."""
    for size in rng.sample(sizes, len(sizes)):
        wrong = padded(found, size - 1)
        if len(wrong) >= size - 1:
            options = [found.truth, *wrong[: size - 1]]
            rng.shuffle(options)
            return options
    return None


def _spoilt(options: list[str], rng: Random) -> list[str]:
    fault = rng.randrange(3)
    if fault == 0:
        return options[:-1]
    if fault == 1:
        return [options[-1], *options[1:]]
    return [f"{chr(65 + i)}. {option}" for i, option in enumerate(options)]


def _level(text: str) -> BloomLevel:
    folded = text.strip().casefold()
    return next((level for level in LEVELS if level.value.casefold() == folded), BloomLevel.APPLY)


def _kind(prompt: Prompt) -> AnswerKind | None:
    if prompt.wants("options"):
        return AnswerKind.CHOICE
    return next((kind for phrase, kind in _PHRASES if phrase in prompt.objective), None)


def _labels(prompt: Prompt) -> tuple[str, ...]:
    match = _LABELS.search(prompt.objective)
    return tuple(part.strip() for part in match[1].split(", ")) if match else ()


def _sizes(prompt: Prompt) -> list[int]:
    desc = next((field.desc for field in prompt.outputs if field.name == "options"), "")
    match = _SIZES.search(desc)
    found = [int(n) for n in match[1].split(" or ")] if match else [4]
    return [min(max(size, 2), MAX_OPTIONS) for size in found]
