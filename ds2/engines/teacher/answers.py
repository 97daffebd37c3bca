"""The answer stage: right with a chance that falls with the difficulty, wrong by real slips."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from ds2.engines.teacher import catalog
from ds2.engines.teacher.catalog import Recognised
from ds2.engines.teacher.draws import rng_of
from ds2.engines.teacher.frame import Solution
from ds2.engines.teacher.prompts import OutputField, Prompt
from ds2.engines.teacher.rates import TeacherRates

_NUMBER = re.compile(r"\d+")
_OPENERS = (
    "",
    "",
    "",
    "Let us go step by step.",
    "We start from what is given.",
    "First, note what is asked.",
    "Here is how it goes.",
    "Take the givens one after the other.",
)
_CHECKS = (
    "Checking against what was asked, this fits.",
    "A rough estimate gives the same size.",
    "Going back over the steps changes nothing.",
    "This is what the question wanted.",
)
_UNSURE = (
    "The question can be read in more than one way, and the answer depends on the reading.",
    "It is not clear which of the details apply, so no single answer follows.",
)
_WRONG = ("So the result is {}.", "That gives {}.", "This leads to {}.", "Hence the answer is {}.")
_ENDS = ("", "", "So the answer is {}.", "The result is {}.", "Therefore: {}.")
_OPEN = "it depends"


def answer_question(
    prompt: Prompt,
    field: OutputField,
    rng: Random,
    rates: TeacherRates,
    seed: int,
    *,
    careless: bool = False,
) -> tuple[str, str]:
    """Return steps and answer, as the teacher has them on this draw.

    Args:
        field: the answer field; its choices are the letters or labels, if it has any.
        seed: of the teacher; with the question's text it fixes how hard the question is.
        careless: a slip is made, however easy the question is.
    """
    question = prompt.inputs.get("question", "")
    context = prompt.inputs.get("context", "")
    found = catalog.recognise(question, context)
    options = catalog.options_of(prompt.inputs.get("options", ""))
    if found is None:
        return _scattered(field, options, question, rng)
    if found.vague and rng.random() < rates.vague_open:
        return rng.choice(_UNSURE), _OPEN
    closed = [text for _, text in options] if options else list(field.choices)
    slips = _slips(found.solution, closed)
    nature = rng_of("question", seed, context, question)
    drawn = "" if careless else _drawn(found, slips, bool(closed), rng, rates, nature)
    text = drawn or _slipped(found, slips, rng)
    if options:
        letter = catalog.letter_of(text, options)
        return _steps(found, text, rng, rates), letter or rng.choice(options)[0]
    answer = text if not closed or text in closed else rng.choice(closed)
    return _steps(found, text, rng, rates), answer


def _slips(solution: Solution, closed: Sequence[str]) -> list[str]:
    """Return the wrong answers to choose from, the likeliest first.

    In a closed set (options or labels) these are the wrong members of it, those that the family
    knows as slips before those that only fill the set.
    """
    if not closed:
        return list(solution.slips)
    wrong = [text for text in closed if not catalog.same(text, solution.truth)]
    order = {slip: rank for rank, slip in enumerate(solution.slips)}
    return sorted(wrong, key=lambda text: order.get(text, len(order)))


def _drawn(
    found: Recognised,
    slips: Sequence[str],
    closed: bool,
    rng: Random,
    rates: TeacherRates,
    nature: Random,
) -> str:
    """Return the text of the answer on this draw; `nature` is the same for all draws."""
    truth = found.solution.truth
    rank = 0.5 if found.level is None else found.level.rank / 5
    chance = rates.right - rates.level_fall * rank - rates.family_fall * found.difficulty
    chance += rates.spread * (2 * nature.random() - 1)
    misconceived = nature.random() < rates.misconceived
    if found.vague:
        chance = rates.vague_right
    elif misconceived and slips:
        if rng.random() < rates.misconception:
            return slips[0]
        chance = 0.5
    if rng.random() < chance:
        return truth
    if not slips or (not closed and rng.random() < rates.blunder):
        return _blunder(truth, rng)
    if found.vague or (closed and rng.random() < rates.blunder):
        return rng.choice(slips)
    return _slip(slips, rng)


def _slipped(found: Recognised, slips: Sequence[str], rng: Random) -> str:
    return _slip(slips, rng) if slips else _blunder(found.solution.truth, rng)


def _slip(slips: Sequence[str], rng: Random) -> str:
    return rng.choices(slips, weights=[1 / (2 + i) for i in range(len(slips))])[0]


def _blunder(truth: str, rng: Random) -> str:
    """Return the truth with one of its figures changed; without a figure, the truth."""
    match = _NUMBER.search(truth)
    if match is None:
        return truth
    value = int(match[0])
    step = rng.choice((-3, -2, -1, 1, 2, 3)) * max(1, value // 20)
    return f"{truth[: match.start()]}{max(value + step, 0)}{truth[match.end() :]}"


def _steps(found: Recognised, text: str, rng: Random, rates: TeacherRates) -> str:
    steps = list(found.solution.steps)
    right = text == found.solution.truth
    if not right:
        steps = [*steps[:-1], rng.choice(_WRONG).format(text)]
    if rng.random() < rates.short:
        steps = steps[-2:]
    opener, end = rng.choice(_OPENERS), rng.choice(_ENDS) if right else ""
    style = rng.randrange(5)
    if style == 0:
        steps = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    elif style == 1:
        steps = [f"- {step}" for step in steps]
    elif style == 2:
        words = ("First: ", "Then: ", "Next: ", "After that: ")
        steps = [f"{words[min(i, 3)]}{step}" for i, step in enumerate(steps)]
    if rng.random() < 0.3:
        steps.append(rng.choice(_CHECKS))
    if end:
        steps.append(end.format(text))
    return (" " if style > 2 else "\n").join([opener, *steps] if opener else steps)


def _scattered(
    field: OutputField, options: Sequence[tuple[str, str]], question: str, rng: Random
) -> tuple[str, str]:
    """Return a guess at a question that is not the teacher's own."""
    steps = "I try what the wording suggests, without being sure of it."
    if options:
        return steps, rng.choice(options)[0]
    if field.choices:
        return steps, rng.choice(field.choices)
    figures = _NUMBER.findall(question[:4000])[:8] or ["1"]
    return steps, str(int(rng.choice(figures)[:9]) + rng.randint(0, 40))


def dressed(answer: str, field: OutputField, rng: Random) -> str:
    """Return an answer in other clothes, as models like to write it; its meaning stays."""
    if field.choices:
        return rng.choice((f"{answer}.", f"**{answer}**", f"({answer})", answer.lower()))
    forms = [f"{answer}.", f"**{answer}**", f"${answer}$"]
    if answer.isdigit():
        forms.append(f"{int(answer):,}")
    return rng.choice(forms)
