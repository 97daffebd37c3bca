"""What compiling changed in the prompts, for people (pure)."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 100
_SHOWN = 400


def prompt_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the difference between the prompts of two programs (`DS2Instruct.prompts()`).

    Of each predictor that changed: its instruction as a word-wrapped diff, the fields whose words
    changed, and its demos, each value cut at 400 characters. Empty where nothing changed.
    """
    lines: list[str] = []
    for name, old in before.items():
        new = after[name]
        changed = [*_instructions(old, new), *_fields(old, new), *_demos(old, new)]
        if changed:
            lines += [f"## {name}", "", *changed]
    return "\n".join(lines).rstrip() + "\n" if lines else ""


def _instructions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    was, now = (state["signature"]["instructions"] for state in (old, new))
    if was != now:
        diff = difflib.unified_diff(
            _wrapped(was), _wrapped(now), "before", "after", lineterm="", n=1
        )
        yield from (*diff, "")


def _wrapped(text: str) -> list[str]:
    return [row for line in text.splitlines() for row in textwrap.wrap(line, WIDTH) or [""]]


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    pairs = zip(old["signature"]["fields"], new["signature"]["fields"], strict=True)
    for was, now in pairs:
        for part in ("prefix", "description"):
            if was.get(part) != now.get(part):
                yield from (f"- {part}: {was.get(part)}", f"+ {part}: {now.get(part)}", "")


def _demos(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["demos"] == new["demos"]:
        return
    if old["demos"]:
        yield from (f"- {len(old['demos'])} demos", "")
    for number, demo in enumerate(new["demos"], start=1):
        yield f"+ demo {number}"
        for field, value in demo.items():
            if field != "augmented":
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
                yield from textwrap.indent(f"{field}: {shown}", "+   ").splitlines()
        yield ""
