"""Wordings that all families share: what a level asks for, how a keyword opens a question.

In a wording `{name}` is a slot and `[a|b|c]` is a choice between plain phrases. `{claim}` is a
reserved slot: a wrong answer of the family, for the levels that judge one.
"""

from __future__ import annotations

from collections.abc import Mapping

from signatures.bloom import BloomLevel

Asks = Mapping[BloomLevel, tuple[str, ...]]

_ASKS: dict[BloomLevel, tuple[str, ...]] = {
    BloomLevel.REMEMBER: (
        "Recall the [standard|basic|usual] rule for such a case and give {what}.",
        "State {what}, using the [rule|formula] as it is [taught|written down].",
        "By the [textbook|well-known] rule, what is {what}?",
    ),
    BloomLevel.UNDERSTAND: (
        (
            "[Explain|Say in your own words] what each [given|figure|statement] means here, "
            "and so give {what}."
        ),
        (
            "Put the [situation|description] into another form, such as [a sketch|an equation|a list], "
            "and read off {what}."
        ),
        "Make clear how the [facts|givens] hang together: what is {what}?",
    ),
    BloomLevel.APPLY: (
        "[Find|Work out|Determine] {what}.",
        "What is {what}?",
        "Carry out the [procedure|method] step by step [to get|until you have] {what}.",
    ),
    BloomLevel.ANALYZE: (
        (
            "Break this into its parts, see [how they depend on each other|which ones matter], "
            "and derive {what}."
        ),
        "Separate what [matters|counts] from what does not, relate the rest, and give {what}.",
        "Trace how [one part|each fact] leads to the next: what follows for {what}?",
    ),
    BloomLevel.EVALUATE: (
        (
            "A [classmate|colleague|student] arrives at {claim}. Judge that result against the "
            "[facts|givens] and say what {what} really is."
        ),
        (
            "[Someone|A friend|A reviewer] defends {claim} as the result. Check the claim, then give "
            "{what} as it should be."
        ),
        "Is {claim} a result that [stands|holds up]? Decide on the evidence and give {what}.",
    ),
    BloomLevel.CREATE: (
        (
            "[Devise|Design] a short solution plan of your own that meets all the conditions, "
            "follow it, and report {what}."
        ),
        (
            "[Build|Put together] a worked example from this case that ends in {what}; "
            "which result closes it?"
        ),
        "[Compose|Draw up] a model of this case from its parts and use it to produce {what}.",
    ),
}


def asks_for(what: str, *, at: Mapping[str, str] | None = None, **own: tuple[str, ...]) -> Asks:
    """Return the wordings of all six levels for `what`, a noun phrase ("the total in dollars").

    Args:
        what: what is asked for, with its unit and rounding; may hold slots of the family.
        at: where a level asks for something else: its noun phrase, by the level's name in lower
            case (`{"remember": "the price of one"}`).
        own: wordings of the family's own for a level, in place of the shared ones, by the level's
            name (`analyze=(...,)`); they may hold `{what}` too.
    """
    texts = {**_ASKS, **{BloomLevel(name.capitalize()): own[name] for name in own}}
    phrases = {BloomLevel(name.capitalize()): phrase for name, phrase in (at or {}).items()}
    return {
        level: tuple(text.replace("{what}", phrases.get(level, what)) for text in texts[level])
        for level in BloomLevel
    }


OPENINGS = (
    "This question is about {first}.",
    "[Topic|Theme|Subject]: {first}.",
    "[Think of|Keep in mind|Recall] what you know about {first}.",
    "Here is a [case|task|problem] [on|about|from the field of] {first}.",
    "For [practice|an exercise|a test] in {first}, take this case.",
    "The following [turns on|rests on|draws on] {first}.",
    "[Today's|The next] problem [puts|calls] {first} to use.",
    "An examiner wants to see whether {first} has been understood.",
    "Consider {first} in the following [setting|situation].",
    "",
)

PAIR_OPENINGS = (
    "This question joins {first} and {second}.",
    "[Topics|Themes]: {first} and {second}.",
    "Both {first} and {second} are needed here.",
    "[Think of|Keep in mind] how {first} bears on {second}.",
    "For [practice|an exercise] in {first} together with {second}, take this case.",
    "The following [turns on|rests on] {first} as much as on {second}.",
    "Here {first} meets {second}.",
    "Bring {first} and {second} together in this [case|problem].",
    "An examiner wants to see {first} and {second} used side by side.",
    "",
)

# They close a question whose opening is empty, so that the keyword is always there.
CLOSINGS = (
    "Use what you know about {first}.",
    "([Topic|Subject]: {first}.)",
    "Your knowledge of {first} will help.",
    "It takes a sound grasp of {first}.",
)

PAIR_CLOSINGS = (
    "Use what you know about {first} and {second}.",
    "([Topics|Subjects]: {first}; {second}.)",
    "You will need {first} as well as {second}.",
    "It takes a sound grasp of both {first} and {second}.",
)

# A question that holds one of these is ambiguous on purpose: answers to it scatter.
VAGUE = (
    "Allow for anything else that may matter as you see fit.",
    "Some of the details above may differ in practice; choose what seems right.",
    "Take the figures as rough and adjust them where needed.",
    "Assume whatever else is usual in such cases.",
    "One of the statements above may not apply; use your judgement.",
)
