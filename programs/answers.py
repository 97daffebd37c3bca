"""One reasoned answer to one instruction: the module that `SelfConsistency` draws from."""

from __future__ import annotations

from typing import Any

import dspy

from programs.loop import run_sync
from signatures.answers import answer_signature, lettered
from signatures.task import TaskSpec


class AnswerDraw(dspy.Module):
    """Draw one answer to an instruction, steps first, in the task's answer format.

    Args:
        task: decides the signature: context, options, the type of the answer.
        thinking: the model reasons by itself; a short solution is asked for instead of steps.

    Returns (of a call): a `dspy.Prediction` with `reasoning` (or `solution`) and `answer`.
    """

    def __init__(self, task: TaskSpec, *, thinking: bool = False) -> None:
        super().__init__()
        self.predict = dspy.Predict(answer_signature(task, thinking=thinking))

    async def aforward(
        self,
        question: str,
        context: str = "",
        options: tuple[str, ...] | list[str] = (),
        config: dict[str, Any] | None = None,
    ) -> dspy.Prediction:
        """Return one drawn answer; `config` goes to the model as it is (temperature, rollout_id)."""
        inputs: dict[str, Any] = {"question": question}
        wanted = self.predict.signature.input_fields
        if "context" in wanted:
            inputs["context"] = context
        if "options" in wanted:
            inputs["options"] = lettered(options)
        return await self.predict.acall(**inputs, config=config or {})

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Return the same as `aforward`, for callers without an event loop."""
        return run_sync(self.aforward(**inputs))
