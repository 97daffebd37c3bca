"""Self-consistency as a DSPy module: draw several answers, compare them by meaning, take a vote.

Source: Wang et al. (2023), arXiv:2203.11171; as a filter for synthetic data DS²-Instruct
(arXiv:2603.12932), section 3.3. Deviation: answers are compared by what they mean in the task's
answer format, not as strings, and an unreadable draw counts as a draw. Answers that no key can
compare, such as long ones, are voted on by meaning (`programs.meaning`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from statistics import median
from typing import Any

import dspy

from programs.ballots import wilson
from programs.equivalence import Group, Reading, read_answer, tally
from programs.loop import run_sync
from programs.meaning import Equivalence
from programs.redraw import REDRAW, Drawn, draw
from programs.sampling import Temperatures
from programs.stopping import Counts, Policy, fixed
from signatures.errors import ConfigError
from signatures.records import Sample, Vote
from signatures.task import AnswerFormat, AnswerKind

# Part of a run's fingerprint: raise it when a sample would be drawn, an answer read, or two compared,
# differently.
READING_VERSION = 3

_HEADER = re.compile(r"\[\[ ## \w+ ## \]\][ \t]*\n?")


class SelfConsistency(dspy.Module):
    """Vote over several draws of any module that answers.

    The draws of a wave run in parallel; one whose reply was cut, or from which nothing can be read
    for want of form, gets one more chance (see `programs.redraw`). Each is read by
    `programs.equivalence`, the typed field first and the raw text of the reply where it did not
    parse; equal answers are grouped; the policy decides on the counts whether to draw on, accept or
    reject. The response is, among the
    draws that gave the winner (those that parsed, if any did), the one whose length is nearest to
    their median, ties by draw order.

    Args:
        draw: a module with an output field `answer` (steps are taken from `reasoning` or
            `solution`), such as `dspy.ChainOfThought("question -> answer")`.
        policy: when to stop, see `programs.stopping`; five draws and a share of 0.6 by default.
        answer: the answer format, or its kind where that says it all (number, expression, text);
            text by default.
        equivalence: given instead of `answer`: the format and what may merge its answers. A judge
            in it is reachable as `vote.judge`.
        temperatures: with what to draw.
        max_tokens_cap: up to which limit a reply that was cut may grow; None for twice the limit.

    Returns (of a call): a `dspy.Prediction` with `answer` (the winner; None when rejected),
    `accepted`, `agreement` (0 to 1), `response` (the chosen steps), `losing` (the readable samples
    that said something else) and `vote` (`signatures.records.Vote`, all of it).

    Raises (of a call): what the language model raises. An error of transport is never a vote.

    Example:
        >>> from dspy.utils import DummyLM
        >>> from programs.stopping import lead
        >>> vote = SelfConsistency(
        ...     dspy.ChainOfThought("question -> answer"), policy=lead(3, 9), answer="number"
        ... )
        >>> replies = [{"reasoning": "6 x 7", "answer": a} for a in ("42", "$42.00", "42 apples")]
        >>> with dspy.context(lm=DummyLM(replies)):
        ...     outcome = vote(question="What is 6 x 7?")
        >>> outcome.answer, outcome.agreement, outcome.vote.draws, outcome.vote.reason
        ('42', 1.0, 3, 'lead')
    """

    def __init__(
        self,
        draw: dspy.Module,
        policy: Policy | None = None,
        answer: AnswerFormat | str | None = None,
        *,
        equivalence: Equivalence | None = None,
        temperatures: Temperatures | None = None,
        max_tokens_cap: int | None = None,
    ) -> None:
        super().__init__()
        self.draw = draw
        self.max_tokens_cap = max_tokens_cap
        self.policy = policy or fixed(5, 0.6)
        equivalence = _equivalence(answer, equivalence)
        self.answer = equivalence.answer
        # A judge stands once, as a module of its own, so that optimizers and copies find that one.
        judges = isinstance(equivalence.merger, dspy.Module)
        self.judge: dspy.Module | None = equivalence.merger if judges else None
        self.merger = None if judges else equivalence.merger
        self.verdicts = equivalence.verdicts
        self.temperatures = temperatures or Temperatures()

    @property
    def equivalence(self) -> Equivalence:
        """Return which answers are the same to this vote."""
        return Equivalence(self.answer, self.judge or self.merger, self.verdicts)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Return the outcome of the vote on `inputs`, which go to every draw as they are."""
        samples: list[Sample] = []
        verdicts: dict[tuple[str, str], bool] = {}
        wave = 0
        while True:
            merged = await self._merged(samples, _asked(inputs), verdicts)
            vote = self.count(merged)
            if isinstance(vote, Vote):
                break
            numbers = range(len(samples), len(samples) + vote)
            samples += await _all(*(self._sample(number, wave, inputs) for number in numbers))
            wave += 1
        chosen = "" if vote.response is None else samples[vote.response].reasoning
        return dspy.Prediction(
            answer=vote.winner if vote.accepted else None,
            accepted=vote.accepted,
            agreement=vote.agreement,
            response=chosen,
            losing=vote.losing,
            vote=vote,
        )

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Return the same as `aforward`, for callers without an event loop."""
        return run_sync(self.aforward(**inputs))

    def count(self, samples: Sequence[Sample]) -> Vote | int:
        """Return the vote of these samples; where the policy would draw on, how many more (pure).

        Args:
            samples: those drawn so far, in order, with one key for all answers that are the same.
        """
        groups = tally([Reading(s.answer, s.key, s.unreadable) for s in samples])
        counts = _counts(groups, len(samples))
        decision = self.policy.decide(counts)
        if decision.draw:
            return decision.draw
        return _vote(
            samples,
            groups,
            accepted=decision.accepted,
            reason=decision.reason,
            confidence=_confidence(self.policy, counts),
            own_words=self.equivalence.merger is not None,
        )

    async def _sample(self, number: int, wave: int, inputs: dict[str, Any]) -> Sample:
        temperature = self.temperatures.answer(wave=wave, draw=number)
        drawn = await draw(
            self.draw,
            lambda config: _call(self.draw, {**inputs, "config": config}),
            sample=number,
            again=number + REDRAW,
            temperature=temperature,
            cap=self.max_tokens_cap,
            salvaged=lambda drawn: self._read(None, drawn, inputs).problem is None,
        )
        return self.sample_of(drawn, inputs, number=number, temperature=temperature)

    def sample_of(
        self, drawn: Drawn, inputs: dict[str, Any], *, number: int, temperature: float | None
    ) -> Sample:
        """Return a reply as a draw of the vote on `inputs`, before answers are merged (pure)."""
        prediction = drawn.prediction
        reasoning = "" if prediction is None else _steps(prediction)
        typed = None if prediction is None else _typed(prediction)
        reading = self._read(typed, drawn, inputs)
        return Sample(
            number=number,
            answer=reading.answer,
            key=reading.key,
            reasoning=reasoning or _HEADER.sub("", drawn.text).strip(),
            unreadable=reading.problem,
            parsed=typed is not None,
            temperature=temperature,
            call=drawn.call,
        )

    def _read(self, typed: str | None, drawn: Drawn, inputs: dict[str, Any]) -> Reading:
        # A reply that was cut or withheld may hold a number, but not one that it meant as its answer.
        if drawn.cut:
            return Reading(None, None, "truncated")
        if drawn.withheld:
            return Reading(None, None, "moderated")
        options = inputs.get("options") or ()
        reading = read_answer(
            self.answer,
            typed=typed,
            text=drawn.text,
            options=options if isinstance(options, list | tuple) else (),
            question=_asked(inputs),
        )
        if reading.problem is not None and drawn.refused:
            return Reading(None, None, "refused")
        return reading

    async def _merged(
        self, samples: Sequence[Sample], question: str, verdicts: dict[tuple[str, str], bool]
    ) -> Sequence[Sample]:
        """Return the samples with one key for all answers that mean the same."""
        equivalence = self.equivalence
        if equivalence.merger is None:
            return samples
        answers: dict[str, str] = {}
        for sample in samples:
            if sample.key is not None and sample.answer is not None:
                # Of one key the same wording is compared, whichever was drawn first.
                said = answers.get(sample.key, sample.answer)
                answers[sample.key] = min(said, sample.answer, key=lambda text: (len(text), text))
        leaders = await equivalence.merge(answers, question, verdicts)
        return [s.model_copy(update={"key": leaders.get(s.key or "", s.key)}) for s in samples]


async def _call(module: dspy.Module, inputs: dict[str, Any]) -> dspy.Prediction:
    if hasattr(module, "aforward"):
        return await module.acall(**inputs)
    return await asyncio.to_thread(module, **inputs)


async def _all(*work: Coroutine[Any, Any, Sample]) -> list[Sample]:
    """Wait for all of `work`, then raise the first failure by order: no paid reply is left behind."""
    results = await asyncio.gather(*work, return_exceptions=True)
    samples: list[Sample] = []
    failures: list[BaseException] = []
    for result in results:
        if isinstance(result, BaseException):
            failures.append(result)
        else:
            samples.append(result)
    # A circuit breaker or a cancellation goes before any ordinary error.
    for failure in sorted(failures, key=lambda f: isinstance(f, Exception)):
        raise failure
    return samples


def _asked(inputs: dict[str, Any]) -> str:
    return "\n".join(str(inputs.get(name, "")) for name in ("context", "question")).strip()


def _typed(prediction: dspy.Prediction) -> str | None:
    if "answer" not in prediction:
        raise ConfigError.rule(
            "Drawing an answer failed",
            name="the module given to SelfConsistency",
            rule="have an output field `answer`",
            value=sorted(prediction.keys()),
            todo="Use for example dspy.ChainOfThought('question -> answer').",
        )
    return None if prediction["answer"] is None else str(prediction["answer"])


def _steps(prediction: dspy.Prediction) -> str:
    for name in ("reasoning", "solution"):
        if prediction.get(name):
            return str(prediction[name]).strip()
    return ""


def _counts(groups: Sequence[Group], draws: int) -> Counts:
    votes = tuple(len(group.members) for group in groups)
    return Counts(votes, unreadable=draws - sum(votes))


def _confidence(policy: Policy, counts: Counts) -> float | None:
    """Return the probability that the first is right, from a policy that was fitted to estimate it."""
    estimate = getattr(policy, "probability", None)
    return estimate(counts) if estimate and counts.votes and not counts.tied else None


def _vote(
    samples: Sequence[Sample],
    groups: Sequence[Group],
    *,
    accepted: bool,
    reason: str,
    confidence: float | None,
    own_words: bool,
) -> Vote:
    counts = _counts(groups, len(samples))
    first = None if counts.tied or not groups else groups[0]
    response = _response([samples[i] for i in first.members]) if first and accepted else None
    agreement = counts.top / counts.draws if counts.draws else 0.0
    low, high = wilson(agreement, counts.draws) if counts.draws else (None, None)
    winner = first.answer if first else None
    if own_words and response is not None:  # of several wordings, the one that the response gives
        winner = samples[response].answer
    return Vote(
        accepted=accepted,
        winner=winner,
        agreement=agreement,
        agreement_low=0.0 if low is None else low,
        agreement_high=1.0 if high is None else high,
        confidence=confidence,
        counts=tuple((group.answer, len(group.members)) for group in groups),
        draws=counts.draws,
        reason=reason,
        response=response,
        samples=tuple(samples),
    )


def _response(agreeing: Sequence[Sample]) -> int:
    candidates = [s for s in agreeing if s.parsed] or list(agreeing)
    middle = median(len(s.reasoning) for s in candidates)
    return min(candidates, key=lambda s: (abs(len(s.reasoning) - middle), s.number)).number


def _equivalence(answer: AnswerFormat | str | None, equivalence: Equivalence | None) -> Equivalence:
    if equivalence is None:
        return Equivalence(_answer_format("text" if answer is None else answer))
    if answer is not None:
        raise ConfigError.rule(
            "Building a vote failed",
            name="answer",
            rule="be left out where `equivalence` is given, which holds the format",
            value=answer,
            todo="Give one of the two.",
        )
    return equivalence


def _answer_format(answer: AnswerFormat | str) -> AnswerFormat:
    if isinstance(answer, AnswerFormat):
        return answer
    plain = {k.value for k in (AnswerKind.NUMBER, AnswerKind.EXPRESSION, AnswerKind.TEXT)}
    if answer not in plain:
        raise ConfigError.rule(
            "Building a vote failed",
            name="answer",
            rule=f"be an AnswerFormat or one of {', '.join(sorted(plain))}",
            value=answer,
            todo="For choices give AnswerFormat(kind='choice', options=4), for labels their set.",
        )
    return AnswerFormat(kind=AnswerKind(answer))
