"""Replies that give no answer: `it depends`, `unknown`, `I don't know`, `n/a`.

Rule: such a reply is unreadable in every format, for a vote that agrees on "it depends" has agreed
on nothing. Two shapes count: a text that is nothing but such words, and a text that opens by saying
so ("It depends on the rate"). What says something about the matter is an answer: `no solution`,
`infinitely many`, `undefined`, `none`, `does not exist`. So is `cannot be determined` (and `not
enough information`), which some tasks want: it is readable as a text or an expression, and as a
choice or a label exactly where it is one of them. `None of the above` is an answer only as an
option or a label.
"""

from __future__ import annotations

import re

from programs.equivalence.characters import plain

NO_ANSWER = "a reply that gives no answer"

_MAX_OPENING = 160  # characters in which a reply says that it has no answer
_FRAME = (
    r"(?:(?:well|sorry|hmm|honestly|so|therefore|thus)[,.]? |(?:my |the )?(?:final )?answer"
    r"(?: is|:)? |it(?: is|'s) |that(?: is|'s) |this is |simply |still |currently )*"
)
_BARE = re.compile(
    _FRAME
    + r"(?:(?:un|not )(?:known|clear|sure|certain|decided|determined)|uncertain|indeterminable|"
    r"no (?:idea|answer|comment|response|clue)|i?dk|dunno|i'm lost|n/a|n\.a\.|n\.?/a\.?|"
    r"not (?:applicable|available|given|provided|specified)|tbd|to be determined|"
    r"none of (?:the above|these|those|the options|the choices)|"
    r"(?:unknown|unclear|not sure) (?:answer|value|from the (?:text|question|context)))"
)
_OPENING = re.compile(
    _FRAME + r"(?:(?:(?:it|that|this|the (?:answer|result|value)) )?"
    r"(?:really |all |entirely |largely |mostly |would |will )*depend(?:s|ing)?(?= on\b| upon\b|$)|"
    r"i (?:really |honestly |simply )*(?:do not|don't|cannot|can't|can not|could not|couldn't) "
    r"(?:know|tell|say|answer|decide|determine|solve|find|help|compute|recall)\b|"
    r"i(?: am|'m) (?:not (?:sure|certain|able)|unsure|unable|uncertain|sorry|afraid)\b|"
    r"i (?:have|'ve) no (?:idea|clue|answer)\b|"
    r"(?:(?:one|we|you|it|this|that|the question) )?(?:cannot|can't|can not) "
    r"(?:say|tell|know|answer|be (?:said|answered|known))\b|"
    r"(?:hard|difficult|impossible|not possible|no way|too early) to (?:say|tell|know|answer)\b|"
    r"(?:not sure|unsure|not certain|no idea|not clear|unclear)(?=$|[,;:]| -| but\b| if\b| how\b"
    r"| what\b| whether\b| why\b| which\b| about\b| from\b| without\b)|as an ai\b|"
    r"(?:je ne sais pas|ich weiss (?:es )?nicht|(?:yo )?no (?:lo )?sé|não sei|non (?:lo )?so|"
    r"es kommt darauf an|ça dépend|depende|cela dépend|не знаю|зависит от)\b|"
    r"不知道|不确定|无法回答|わかりません|分かりません|모르겠)"
)
_WRAPPER = re.compile(
    r"\\(?:text|mathrm|textbf|mathbf|textit|mbox|boxed|fbox)\s?\{|\*\*|[(){}\[\]]"
)
_EDGES = " \t\n\"'`*_.,;:!?。，；：！？…$()[]"


def refuses(candidate: str) -> bool:
    """Return whether a candidate answer says that it gives none.

    Example:
        >>> refuses("It depends on the rate."), refuses(r"\\text{unknown}"), refuses("no solution")
        (True, True, False)
    """
    if candidate[:1].isdigit():
        return False
    text = _folded(candidate)
    return bool(_OPENING.match(text) or _BARE.fullmatch(text))


def opens_without(candidate: str) -> bool:
    """Return whether a candidate opens by saying that it has no answer, whatever follows."""
    return not candidate[:1].isdigit() and bool(_OPENING.match(_folded(candidate)))


def _folded(candidate: str) -> str:
    text = _WRAPPER.sub(" ", candidate[:_MAX_OPENING])
    return " ".join(plain(text).casefold().split()).strip(_EDGES)
