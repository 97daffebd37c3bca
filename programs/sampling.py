"""With what each call is drawn: its temperature, and the number that tells it from its repeats.

A draw is told apart by DSPy's own `rollout_id`: it reaches the cache of a plain `dspy.LM` and the
call log of DS2 alike, and no seed on the wire is relied on. Where an optimizer has put a rollout of
its own on the language model (a bootstrap round), both numbers count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import dspy

# An optimizer's rollout r and a sample s become r * STRIDE + s; no stage draws as many for one prompt.
STRIDE = 1 << 20


@dataclass(frozen=True, slots=True)
class Temperatures:
    """The sampling temperatures of the stages, 0 to 2; None leaves out what a model fixes itself.

    Args:
        keywords: for the keyword stage.
        writer: for writing instructions.
        answers: for the draws of a vote, the last one repeated; empty where the model fixes its own.
        answers_by: whether the next answer temperature is taken by each wave of draws or by each draw.
    """

    keywords: float | None = 0.7
    writer: float | None = 0.9
    answers: tuple[float, ...] = (0.7, 0.8, 0.9)
    answers_by: Literal["wave", "draw"] = "wave"

    def answer(self, *, wave: int, draw: int) -> float | None:
        """Return the temperature of one draw; by draw the list is cycled, by wave its last repeats."""
        if not self.answers:
            return None
        if self.answers_by == "draw":
            return self.answers[draw % len(self.answers)]
        return self.answers[min(wave, len(self.answers) - 1)]


MODEL_FIXED = Temperatures(keywords=None, writer=None, answers=())


def call_config(module: dspy.Module, *, sample: int, temperature: float | None) -> dict[str, Any]:
    """Return the `config` of one call: its rollout id and, where there is one, its temperature."""
    config: dict[str, Any] = {"rollout_id": _outer_rollout(module) * STRIDE + sample}
    if temperature is not None:
        config["temperature"] = temperature
    return config


def _outer_rollout(module: dspy.Module) -> int:
    for predictor in module.predictors():
        lm = predictor.lm or dspy.settings.lm
        return int(getattr(lm, "kwargs", {}).get("rollout_id") or 0)
    return 0
