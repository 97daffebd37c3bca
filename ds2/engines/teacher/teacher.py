"""The teacher itself: a request in, a reply out, the same one for the same request."""

from __future__ import annotations

import math
from random import Random

from dspy import lm15
from dspy.lm15 import Message, Response, TextPart, Usage

from ds2.engines.teacher.answers import answer_question, dressed
from ds2.engines.teacher.checks import check_keywords, check_question, same_answer
from ds2.engines.teacher.draws import rng_of
from ds2.engines.teacher.instructions import task_of, write_instruction
from ds2.engines.teacher.judging import fill, misread, raw_reply
from ds2.engines.teacher.keywords import list_keywords
from ds2.engines.teacher.prompts import OutputField, Prompt, read_prompt
from ds2.engines.teacher.proposals import propose
from ds2.engines.teacher.rates import TeacherRates
from ds2.engines.teacher.replies import REFUSALS, malformed, rendered
from ds2.engines.teacher.sensitivity import Stage, carelessness, checked_sensitivity

# Part of every reply's chance and of the key of every call: a change of what the teacher says or
# how it errs needs a new number, or old call logs answer for a teacher that is no longer there.
TEACHER_VERSION = 1

CHARACTERS_A_TOKEN = 4
_STEPS = ("reasoning", "solution")


class Teacher:
    """A teacher that answers rendered prompts, and errs as its rates say.

    A reply is a function of (teacher version, seed, rates, sensitivity, whole prompt, sample
    number). The sample number is `request.config.seed` (None counts as 0); at temperature 0 it is
    always 0.

    Args:
        seed: which teacher this is; another seed errs elsewhere.
        rates: how often it errs.
        sensitivity: how much the words of a prompt matter, 0 to 1 (see `sensitivity.py`).

    Raises:
        ConfigError: the sensitivity is not from 0 to 1.
    """

    def __init__(
        self, seed: int = 0, rates: TeacherRates | None = None, *, sensitivity: float = 0.0
    ) -> None:
        self.seed = seed
        self.rates = TeacherRates() if rates is None else rates
        self.sensitivity = checked_sensitivity(sensitivity)
        self._nature = (TEACHER_VERSION, seed, self.rates.digest)

    def reply(self, request: lm15.Request) -> lm15.Response:
        """Return the reply to `request`; any prompt is answered, none raises."""
        prompt = read_prompt(request)
        config = request.config
        number = 0 if config.temperature == 0 else (config.seed or 0)
        rng = rng_of(*self._nature, number, prompt.text)
        text, finish = self._reply(prompt, rng)
        for stop in config.stop or ():
            text = text.partition(stop)[0] if stop else text
        limit = config.max_tokens
        if limit is not None and len(text) > limit * CHARACTERS_A_TOKEN:
            text, finish = text[: limit * CHARACTERS_A_TOKEN], "length"
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(text)]),
            finish_reason=finish,
            usage=Usage(input_tokens=_tokens(prompt.text), output_tokens=_tokens(text)),
        )

    def _reply(self, prompt: Prompt, rng: Random) -> tuple[str, str]:
        fault = rng.random()
        if fault < self.rates.refused:
            return rng.choice(REFUSALS), "stop"
        if prompt.form == "raw":
            return raw_reply(prompt, rng), "stop"
        values = self._values(prompt, rng)
        fault -= self.rates.refused
        if fault < self.rates.truncated:
            text = rendered(values, prompt.form)
            return text[
                : rng.randrange(len(text) // 4, max(len(text) // 4 + 1, len(text) // 2))
            ], "length"
        if fault - self.rates.truncated < self.rates.malformed:
            return malformed(values, prompt.form, rng), "stop"
        return rendered(values, prompt.form), "stop"

    def _values(self, prompt: Prompt, rng: Random) -> dict[str, object]:
        """Return a value for every field asked for: of the stage, where it is known, else filled."""
        made = self._stage(prompt, rng)
        return {
            field.name: made[field.name]
            if field.name in made
            else fill(field, prompt, rng, self.rates)
            for field in prompt.outputs
        }

    def _stage(self, prompt: Prompt, rng: Random) -> dict[str, object]:
        if prompt.wants("question") and "question" not in prompt.inputs:
            careless = self._careless(prompt, "writer", rng)
            return write_instruction(
                prompt, task_of(prompt), rng, self.rates, self.seed, careless=careless
            )
        if prompt.wants("keywords"):
            chance = carelessness(prompt, "keywords", self.sensitivity)
            return {"keywords": list_keywords(prompt, task_of(prompt), rng, self.rates, chance)}
        answer = next((field for field in prompt.outputs if field.name == "answer"), None)
        if answer is not None and "question" in prompt.inputs:
            return self._answer(prompt, answer, rng)
        if prompt.wants("keywords_used"):
            wrong = self._misjudges(prompt, "judge", rng)
            return check_question(prompt.inputs, wrong=wrong)
        if prompt.wants("off_task"):
            wrong = self._misjudges(prompt, "keyword judge", rng)
            return {**check_keywords(prompt.inputs, task_of(prompt), wrong=wrong)}
        if prompt.wants("level") and "question" in prompt.inputs:
            careless = self._careless(prompt, "judge", rng)
            return misread(prompt, rng) if careless else {}
        if prompt.wants("same") and {"first", "second"} <= prompt.inputs.keys():
            return self._verdict(prompt, rng)
        return propose(prompt, rng)

    def _verdict(self, prompt: Prompt, rng: Random) -> dict[str, object]:
        """Return whether two answers say the same, right with the rate `judged`; {} if not known."""
        said = prompt.inputs
        same = same_answer(said.get("question", ""), said["first"], said["second"])
        if same is None:
            return {}
        wrong = self._careless(prompt, "judge", rng) or rng.random() >= self.rates.judged
        return {"same": "yes" if same is not wrong else "no"}

    def _misjudges(self, prompt: Prompt, stage: Stage, rng: Random) -> bool:
        """Return whether a check comes out wrong; of one that is always right no chance is drawn."""
        careless = self._careless(prompt, stage, rng)
        return careless or (self.rates.checked < 1 and rng.random() >= self.rates.checked)

    def _careless(self, prompt: Prompt, stage: Stage, rng: Random) -> bool:
        """Return whether this reply is careless; without sensitivity no chance is drawn."""
        chance = carelessness(prompt, stage, self.sensitivity)
        return chance > 0 and rng.random() < chance

    def _answer(self, prompt: Prompt, field: OutputField, rng: Random) -> dict[str, object]:
        careless = self._careless(prompt, "answers", rng)
        steps, answer = answer_question(
            prompt, field, rng, self.rates, self.seed, careless=careless
        )
        if rng.random() < self.rates.dressed:
            answer = dressed(answer, field, rng)
        return {"answer": answer, **dict.fromkeys(_STEPS, steps)}


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_A_TOKEN)
