"""The commented YAML that `ds2 tasks new` writes: it loads as it is, and every field is explained."""

from __future__ import annotations

from signatures.task import AnswerKind

_HEAD = """\
# A task for DS2. Change what is written here to your own domain, then try it:
#   ds2 prompts {file}     shows what the model will be asked
#   ds2 run {file} --target 12

# Letters, digits, - and _. It names the run's folder and stands in every row.
name: "{name}"

# The field in a few words, as a person would say it.
domain: {domain}

# What the questions are like and who answers them, in 20 to 2000 characters. The model is shown
# this text each time it makes keywords or questions, so every word counts.
description: >-
  {description}

# The shape of a right answer. kind is one of: number, expression (LaTeX mathematics),
# choice (2 to 26 options), label (a closed set of words), text (a few words).
answer:
  kind: {kind}
{answer}
# Further demands on every question, one sentence each, at most 12; short ones work best.
notes:
{notes}

# A few keywords at the grain you want: neither a whole subject nor a single fact.
example_keywords: {keywords}

# The language of questions and answers, by its English name.
language: English

# `written` where every question comes with a short text of its own (an abstract, a case), `passage`
# where that is taken from the documents of `ds2 run --corpus`.
context: none

# The public benchmark this task mirrors, if there is one:
# benchmark: my-benchmark
"""

_CLOSING = """\
  # The last line of every response; {{answer}} is put in. Leave it out to take this default.
  closing: {closing}
"""

_OPTIONS = """\
  # How many options a question has; a list such as [4, 5] allows several sizes.
  options: 4
"""

_LABELS = """\
  # The closed set; quote words such as yes and no, which YAML reads as true and false.
  labels: ["yes", "no", "cannot be told"]
"""

# By kind: domain, description, what `answer` holds besides, notes, keywords.
_EXAMPLES: dict[AnswerKind, tuple[str, str, str, tuple[str, ...], str]] = {
    AnswerKind.NUMBER: (
        "kitchen and bakery arithmetic",
        (
            "Short problems that a baker meets at work and solves in two to six steps: scaling recipes,\n"
            "  yields, costs and times, with every figure given and one number asked for."
        ),
        _CLOSING.format(closing='"final answer: {answer}"'),
        ("Name the unit of the result.", "Say how the result is rounded where it is not exact."),
        "[recipe scaling, baking loss, cost per piece]",
    ),
    AnswerKind.EXPRESSION: (
        "signals and systems",
        (
            "Exercises of a second-year course in signals and systems, solved by hand in a few lines,\n"
            "  whose result is one closed formula."
        ),
        _CLOSING.format(closing=r"'\boxed{{answer}}'"),
        ("Name every variable and its range.", "Ask for the simplest form."),
        "[Laplace transform, impulse response, sampling theorem]",
    ),
    AnswerKind.CHOICE: (
        "sailing theory",
        (
            "Questions of the theory test for a coastal skipper, from a situation at sea to the one\n"
            "  option that the rules and good seamanship allow."
        ),
        _OPTIONS + _CLOSING.format(closing='"Answer: {answer}"'),
        ("Give bearings, wind and tide where they matter.",),
        "[right of way, tidal stream, leading lights]",
    ),
    AnswerKind.LABEL: (
        "contract law for tenants",
        (
            "Short cases between tenant and landlord, which a reader of the terms quoted in the case\n"
            "  decides with one of the labels."
        ),
        _LABELS + _CLOSING.format(closing='"Answer: {answer}"'),
        ("Quote every term of the contract that the case turns on.",),
        "[notice period, deposit, subletting]",
    ),
    AnswerKind.TEXT: (
        "the history of astronomy",
        (
            "Questions that a well-read amateur answers with a name, a date or a term, after working\n"
            "  out from the description who or what is meant."
        ),
        _CLOSING.format(closing='"final answer: {answer}"'),
        ("Only one name, date or term may fit.",),
        "[stellar parallax, epicycle, spectral classification]",
    ),
}


def task_template(name: str, kind: AnswerKind, file: str) -> str:
    """Return the template of a task called `name` with answers of `kind`, to be saved as `file`.

    Raises:
        KeyError: `kind` is `open`, which cannot be run.
    """
    domain, description, answer, notes, keywords = _EXAMPLES[kind]
    return _HEAD.format(
        file=file,
        name=name,
        domain=domain,
        description=description,
        kind=kind.value,
        answer=answer,
        notes="\n".join(f"  - {note}" for note in notes),
        keywords=keywords,
    )
