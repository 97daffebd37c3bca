"""What the simulated teacher says to DSPy's own proposers: better wording for an instruction.

It knows them by the fields they ask for: `proposed_instruction` (COPRO and MIPROv2),
`new_instruction` (GEPA) and `module_advice` (SIMBA). It keeps the instruction it is shown (the best
of those that were tried) and adds one or two sentences of a small stock, which a seeded chance draws
among those that are not there yet. Five of the twelve say what helps a sensitive teacher (see
`sensitivity.py`); the others are what people write into prompts and change nothing.
"""

from __future__ import annotations

import json
import re
from random import Random

from ds2.engines.teacher.prompts import Prompt

HELPFUL = (
    "Check every step before you go on to the next one.",
    "Verify each calculation and each figure a second time.",
    "Give exactly the fields that are asked for and nothing else.",
    "Keep to the exact form of the output fields, with no other text.",
    (
        "Mind the level: recall or define, explain or classify, calculate or carry out, break into "
        "parts, judge or assess, design or devise."
    ),
)
NEUTRAL = (
    "Be concise and precise.",
    "You are a patient expert who is proud of good work.",
    "Think about who will read this.",
    "This matters a great deal: a mistake would be costly.",
    "Use plain words.",
    "Take your time.",
    "Look at the task from several sides.",
)
POOL = HELPFUL + NEUTRAL

_ATTEMPT = re.compile(r"Instruction #\d+: (.*?)(?=»|\n?\[\d+\]|\n?Prefix #|\Z)", re.DOTALL)


def propose(prompt: Prompt, rng: Random) -> dict[str, object]:
    """Return the fields of a proposal; empty where the prompt asks for none."""
    for name in ("proposed_instruction", "new_instruction"):
        if prompt.wants(name):
            return {name: _better(_shown(prompt), rng), "proposed_prefix_for_output_field": ""}
    if prompt.wants("module_advice"):
        names = _names(prompt.inputs.get("module_names", ""))
        return {"module_advice": {name: _better("", rng) for name in names}}
    return {}


def _shown(prompt: Prompt) -> str:
    """Return the instruction to start from; attempts stand with the best one last."""
    for name in ("basic_instruction", "current_instruction"):
        if prompt.inputs.get(name):
            return prompt.inputs[name]
    attempts = _ATTEMPT.findall(prompt.inputs.get("attempted_instructions", ""))
    return attempts[-1].strip() if attempts else ""


def _better(shown: str, rng: Random) -> str:
    left = [sentence for sentence in POOL if sentence not in shown]
    added = rng.sample(left, min(len(left), rng.choice((1, 2))))
    return " ".join([shown.strip(), *added]).strip()


def _names(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except ValueError:
        return []
    return [str(name) for name in names] if isinstance(names, list) else []
