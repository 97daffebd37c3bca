"""From field values to the text of a reply, in the form asked for, with the faults of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I am not able to answer this request.",
    "As an assistant, I would rather not take part in this.",
)
_PROSE = ("Sure! Here is what you asked for.", "Certainly.", "Here you go:")


def rendered(values: Mapping[str, object], form: str) -> str:
    """Return the reply in `form` (`chat` or `json`)."""
    if form == "json":
        return json.dumps(dict(values), ensure_ascii=False, indent=2)
    blocks = [f"[[ ## {name} ## ]]\n{_plain(value)}" for name, value in values.items()]
    return "\n\n".join([*blocks, "[[ ## completed ## ]]"])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def malformed(values: Mapping[str, object], form: str, rng: Random) -> str:
    """Return the reply in a broken form; of each form's faults about half can be salvaged.

    Chat: prose around it, a last marker missing (salvaged); a field's marker missing, all in one
    paragraph, empty (not). JSON: a fence and prose, a comma too many (salvaged); cut in the middle,
    no JSON at all, empty (not).
    """
    text = rendered(values, form)
    fault = rng.randrange(6)
    if fault == 0:
        return f"{rng.choice(_PROSE)}\n\n{text}"
    if fault == 1:
        return _unclosed(text, form)
    if fault == 2:
        return f"{rng.choice(_PROSE)}\n```\n{text}\n```" if form == "json" else f"{text}\n\nDone."
    if fault == 3:
        return "\n".join(_plain(value) for value in values.values())
    if fault == 4:
        return text[: len(text) // 2] if form == "json" else _unmarked(text, values)
    return ""


def _unclosed(text: str, form: str) -> str:
    if form == "json":
        return text.removesuffix("\n}") + ",\n}"
    return text.removesuffix("[[ ## completed ## ]]").rstrip()


def _unmarked(text: str, values: Mapping[str, object]) -> str:
    last = list(values)[-1] if values else ""
    return text.replace(f"[[ ## {last} ## ]]\n", f"{last}: ")
