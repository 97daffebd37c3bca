"""Texts that a model wrote to its user instead of a question: refusals, apologies, offers."""

from __future__ import annotations

import re

_I_AM = r"(?:i am|i['’]m)"
_ABOUT = (
    r"(?:question|request|content|instruction|prompt|task|topic|problem|exercise|material|"
    r"information|that|this|it|such)s?"
)
_ABLE = (
    rf"(?:{_I_AM} (?:\w+ )?(?:not able|unable|not allowed|not permitted|not comfortable)(?: to)?|"
    r"i (?:cannot|can['’]?t|can not|won['’]?t|will not|could not|couldn['’]?t|must refuse to)"
    r"(?: be able to)?)"
)
_HELP = (
    r"(?:\w+ ){0,2}(?:help(?:ing)?(?! (?:but|\w+ing)\b)|assist(?:ing)?|comply|fulfill?|"
    r"(?:writ|creat|provid|generat|produc|answer|complet|offer|giv|do|discuss|design)(?:e|ing)?\b"
    rf"(?:\W+\w+){{0,6}}?\W+{_ABOUT})\b"
)
_DECLINE = (
    r"i (?:must|have to|need to|will have to|would have to|['’]ll have to|am going to)?\s?"
    r"(?:respectfully |politely )?decline"
    rf"(?: to (?:\w+ ){{1,6}}?{_ABOUT}| (?:\w+ )?{_ABOUT}|\s*[.!,;]|\s*$)"
)
# What a model says of itself: `Sorry, I said` is somebody's in a story.
_I_DO = (
    r"(?:i|we)(?:['’](?:m|ll|ve|d)| (?:am|are|can|cannot|must|do|don['’]?t|won['’]?t|will|have|need|"
    r"could|couldn['’]?t|would)\b)"
)
_SORRY = (
    rf"(?:{_I_AM} (?:so |very |really |truly )?sorry\b|{_I_AM} afraid (?:that )?(?:i|we)\b|"
    rf"(?:sorry|(?:my )?apologies|i (?:sincerely |deeply |do )?apologi[sz]e)\b[,.!;:]? (?:but )?{_I_DO}|"
    r"i (?:sincerely |deeply |do )?apologi[sz]e for (?:the|any)\b)"
)
_MACHINE = r"(?:as|i am|i['’]m) an? (?:ai|artificial intelligence|(?:large )?language model)\b"
_OFFER = (
    r"(?:sure|certainly|of course|absolutely)[,!.:]? +(?:here(?:['’]s| is| are)\b|i (?:can|will|['’]d)\b)|"
    r"here(?:['’]s| is) (?:a|an|the|your) (?:\w+ ){0,3}(?:question|instruction|problem)\b"
    r"[^?.]{0,60}:\s*[\n\"“*]|let me know if you\b"
)
_RULES = (
    r"this (?:request|topic|prompt) (?:violates|goes against|is against|is not something i)\b|"
    r"(?:question|content|request) (?:withheld|removed|declined|omitted)\b"
)
_OTHERS = (
    r"(?:es tut mir leid|ich kann (?:dabei|das|diese)\b.{0,40} nicht|je (?:suis désolé|ne peux pas)|"
    r"lo siento|no puedo (?:ayudar|crear)|mi dispiace|desculpe)\b|"
    r"抱歉|对不起|很抱歉|申し訳|죄송"
)
REFUSAL = re.compile(
    r"\W*(?:(?:unfortunately|regrettably|well|thank you|thanks|hmm|okay|ok)\b[,.!:]? +)?"
    rf"(?:{_SORRY}|{_ABLE} {_HELP}|{_DECLINE}|{_MACHINE}|{_OFFER}|{_RULES}|{_OTHERS})",
    re.IGNORECASE,
)
"""Matches the beginning of a question that is a model's reply."""
