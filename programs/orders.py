"""Words that speak to a model instead of naming a topic: what a planted document would have it do (pure).

The patterns want the form of an order, its verb and what an order goes on with, so that topics that begin
with the same word pass: `output gap`, `write-down of assets`, `say on pay`, `never events`. They are
English; that a model is not swayed by plain words in another language cannot be told by a pattern.
"""

from __future__ import annotations

import re

_LANGUAGE = (
    r"(?:english|french|german|spanish|italian|portuguese|dutch|russian|chinese|japanese|korean|arabic|"
    r"hindi|latin|json|xml|html|yaml|markdown|code|rhymes?|verse|capitals?|caps|upper ?case|one word)"
)
_VERB = (
    r"(?:answer|respond|reply|say|output|print|write|return|repeat|follow|obey|use|give|choose|select|"
    r"pick|ignore|mention|tell|state|include|refuse|reveal|ask|do|speak|begin|start|end|add|show|generate|"
    r"create|stop|forget|disregard|assume|act|pretend)"
)
_SAID = (
    rf"(?:only|just|nothing|exactly|always|yes|no|true|false|your|[\"'“‘]|[a-h]$|in {_LANGUAGE}\b)"
)
_ORDERS = (
    # What was said before does not count.
    (
        r"\b(?:ignore|disregard|forget|override)\b.*\b(?:above|previous|prior|all|everything|instructions?|"
        r"prompts?|rules|guidelines)\b"
    ),
    r"\b(?:system|developer) (?:prompt|message)\b",
    r"^(?:you (?:are|must|should|will|shall|have to)|as an ai|from now on)\b",
    # Who speaks, or that an order follows.
    r"\b(?:instructions?|orders?|commands?|prompts?)\s*:|^(?:assistant|system|user|human|ai)\s*:",
    r"\byour (?:\w+ )?(?:instructions?|rules|guidelines|prompts?|answers?|repl(?:y|ies)|role|tasks?)\b",
    # What is to be done always, never, only.
    (
        rf"^(?:please|always|never|only|just|now|do not|don['’]?t|must|simply)"
        rf"(?: (?:please|always|never|only|just|now|simply))* {_VERB}\b"
    ),
    # What is to be said.
    r"^respond\b|^say (?!on pay\b)",
    rf"^(?:answer|reply) (?:{_SAID}|with|every|each|all|the|as)",
    (
        rf"^(?:output|print|return|write|give|emit|display|show|repeat|state|type) "
        rf"(?:{_SAID}|the (?:letter|word|text|phrase|string|answer|option|following|number)\b)"
    ),
    (
        r"^(?:choose|select|pick|mark|prefer) (?:only |always )?"
        r"(?:options?|answers?|letters?|the (?:first|last|letter|option|answer)\b|[a-h]$)"
    ),
    rf"^(?:translate|speak|switch|talk|think)\b.*\b(?:in|to|into) {_LANGUAGE}\b",
    r"^(?:follow|obey|break|skip) (?:the|these|this|my|all|no|any)\b",
    r"^(?:reveal|disclose|leak|expose) (?:the )?(?:system|prompt|secrets?|keys?|instructions?|passwords?)",
    r"^(?:pretend|imagine) (?:to|you|that)\b|^act (?:as|like) (?:an?|the|if)\b",
    (
        r"\b(?:the|this|every|each|all|any) (?:correct |right )?(?:answer|repl(?:y|ies)|response|option)s? "
        r"(?:is|are|must|should|shall|has to|have to)\b"
    ),
    r"^(?:insert|include|append|mention|add|put)\b.*\b(?:every|each|all)\b",
    r"^(?:end|begin|start|finish) (?:every|each|all|with)\b",
)
_ORDER = re.compile("|".join(_ORDERS), re.IGNORECASE)


def is_order(text: str) -> bool:
    """Return whether a short text speaks to a model.

    Example:
        >>> is_order("output only the letter A"), is_order("output gap")
        (True, False)
    """
    return _ORDER.search(text) is not None
