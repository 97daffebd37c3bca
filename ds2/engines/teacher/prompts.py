"""Read a rendered prompt: which fields are given, which are asked for, in which form.

DSPy's Chat and JSON adapters state the fields in the system message, the values in the last user
message and the fields wanted in its closing sentence. Earlier turns are demos and are not read.
A prompt of neither adapter is `raw`: it has no fields.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from dspy import lm15

_FIELD = re.compile(r"^\d+\. `(\w+)` \((Literal\[.*\]|.+?)\):(?: (.*))?$", re.MULTILINE)
# How the adapters name the members of an enum, which the field's type does not tell.
_MEMBERS = re.compile(
    r"\{(\w+)\} +# note: the value you produce must be one of: (.+?)(?:\",?)?$", re.MULTILINE
)
_OUTPUTS = "Your output fields are:"
_OBJECTIVE = "In adhering to this structure, your objective is:"
_HEADER = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*$", re.MULTILINE)
_CLOSING = re.compile(
    r"^Respond with (a JSON object|the corresponding output fields)[^\n]*\Z", re.MULTILINE
)
_NAMED = re.compile(r"`(?:\[\[ ## )?(\w+)(?: ## \]\])?`")


@dataclass(frozen=True, slots=True)
class OutputField:
    """A field the reply must hold; `choices` is the closed set of a `Literal` or an enum, else empty."""

    name: str
    type: str
    choices: tuple[str, ...]
    desc: str


@dataclass(frozen=True, slots=True)
class Signature:
    """What the system message says."""

    inputs: frozenset[str]
    outputs: Mapping[str, OutputField]
    objective: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it was read.

    Args:
        inputs: the values given, by name; empty for a raw prompt.
        outputs: the fields asked for, in order; empty for a raw prompt.
        form: the shape of the reply: `chat`, `json` or `raw`.
        objective: what the signature says of itself.
        text: all that was sent, in one piece: what the reply is determined by.
        last: the last user message.
    """

    inputs: Mapping[str, str]
    outputs: tuple[OutputField, ...]
    form: str
    objective: str
    text: str
    last: str

    def wants(self, name: str) -> bool:
        return any(field.name == name for field in self.outputs)


def read_prompt(request: lm15.Request) -> Prompt:
    """Return what `request` asks for; any text is read, none is refused."""
    system = _plain(request.system)
    turns = [(str(message.role), message.text or "") for message in request.messages]
    system = "\n\n".join(
        part for part in [system, *(t for r, t in turns if r in {"system", "developer"})] if part
    )
    last = next((text for role, text in reversed(turns) if role == "user"), "")
    text = "\x1e".join([system, *(f"{role}\x1f{text}" for role, text in turns)])
    signature = _signature(system)
    closing = _CLOSING.search(last.rstrip())
    if closing is None:
        if not signature.outputs:
            return Prompt({}, (), "raw", signature.objective, text, last)
        names, form, body = list(signature.outputs), "chat", last
    else:
        form = "json" if closing[1] == "a JSON object" else "chat"
        names = [name for name in _NAMED.findall(closing[0]) if name != "completed"]
        body = last[: closing.start()]
    unknown = OutputField("", "str", (), "")
    outputs = tuple(
        OutputField(name, found.type, found.choices, found.desc)
        for name in dict.fromkeys(names)
        for found in (signature.outputs.get(name, unknown),)
    )
    return Prompt(_values(body, signature.inputs), outputs, form, signature.objective, text, last)


def _plain(system: object) -> str:
    if system is None:
        return ""
    if isinstance(system, str):
        return system
    if isinstance(system, (list, tuple)):
        return "\n".join(str(getattr(part, "text", part)) for part in system)
    return str(getattr(system, "text", system))


@lru_cache(maxsize=512)
def _signature(system: str) -> Signature:
    before, found, after = system.partition(_OUTPUTS)
    inputs = frozenset(match[1] for match in _FIELD.finditer(before)) if found else frozenset()
    fields, _, objective = after.partition(_OBJECTIVE)
    listed = re.split(r"\n(?:All interactions|Inputs will have)", fields, maxsplit=1)[0]
    members = {match[1]: tuple(match[2].split("; ")) for match in _MEMBERS.finditer(fields)}
    outputs = {
        match[1]: OutputField(
            match[1], match[2], _choices(match[2]) or members.get(match[1], ()), match[3] or ""
        )
        for match in _FIELD.finditer(listed)
    }
    return Signature(inputs, outputs, " ".join(objective.split()))


def _choices(type_name: str) -> tuple[str, ...]:
    if not type_name.startswith("Literal["):
        return ()
    try:
        values = ast.literal_eval(type_name.removeprefix("Literal"))
    except (ValueError, SyntaxError):
        return ()
    return tuple(str(value) for value in values)


def _values(body: str, names: frozenset[str]) -> dict[str, str]:
    """Return the text under each header; a header of no input is part of the text around it."""
    marks = []
    seen: set[str] = set()
    for match in _HEADER.finditer(body):
        if match[1] not in seen and (match[1] in names or not names):
            seen.add(match[1])
            marks.append(match)
    if not marks:
        return {}
    ends = [*(match.start() for match in marks[1:]), len(body)]
    return {
        match[1]: body[match.end() : end].strip() for match, end in zip(marks, ends, strict=True)
    }
