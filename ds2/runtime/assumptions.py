"""What is assumed of a run that nothing is known of yet: stated ranges, drawn anew for each forecast.

The vote's policy is played through on made-up questions, so draws and yield follow from how much the
model agrees with itself. The tokens of prompts are those of the prompts themselves.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ds2.engines.base import Backend
from ds2.runtime.foresight import Profile, ProfileDraw, StageUse, UnitSample, profile_of
from programs.keywords import ExpansionShape
from programs.stopping import Policy, parse_policy
from programs.stopping.policy import Counts

_QUESTIONS = 40  # made up for each profile
_WRONG = 3  # different answers that a draw which strays may give


@dataclass(frozen=True, slots=True)
class Range:
    """A range that a value is drawn from, evenly or, for what spans magnitudes, by its logarithm."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: random.Random) -> float:
        """Return a value between the two ends."""
        if self.log:
            return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return rng.uniform(self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low:,g} to {self.high:,g}"


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is assumed.

    Args:
        agreement: chance that a draw gives the answer most draws give, a mean over questions.
        usable: share of written questions that parse and are no duplicate.
        reply_tokens: of a reply, by stage.
        thinking_tokens: of a reply of a model that thinks by itself, on top.
        new_keywords: share of a list's keywords that are new to the bank.
        comparisons: calls of the judge for each draw.
        latency_s: of a call.
        prompt_doubt: factor on the tokens of a prompt, for another tokenizer.
    """

    agreement: Range = Range(0.6, 0.95)
    usable: Range = Range(0.85, 1.0)
    reply_tokens: tuple[tuple[str, Range], ...] = (
        ("keywords", Range(60, 250, log=True)),
        ("writer", Range(60, 300, log=True)),
        ("answers", Range(80, 500, log=True)),
        ("judge", Range(20, 200, log=True)),
    )
    thinking_tokens: Range = Range(300, 4000, log=True)
    new_keywords: Range = Range(0.4, 0.9)
    comparisons: Range = Range(0.3, 1.5)
    latency_s: Range = Range(0.7, 10, log=True)
    prompt_doubt: Range = Range(0.85, 1.3)

    def lines(
        self, *, thinking: bool, judge: bool, remote: bool, compares: bool = True
    ) -> Iterator[str]:
        """Yield what is assumed, for people; `compares`: the judge compares answers."""
        yield f"a draw gives the most frequent answer with a chance of {self.agreement}"
        yield f"{self.usable} of the written questions are usable"
        for stage, tokens in self.reply_tokens:
            if judge or stage != "judge":
                yield f"a reply of the stage {stage} has {tokens} tokens"
        if thinking:
            yield f"thinking takes {self.thinking_tokens} tokens more"
        if judge and compares:
            yield f"the judge is asked {self.comparisons} times for each draw"
        if remote:
            yield f"a call takes {self.latency_s} seconds"


def from_assumptions(
    policy: str,
    bank: int,
    backends: Mapping[str, Backend],
    prompt_tokens: Mapping[str, float],
    assumed: Assumptions | None = None,
    *,
    compares: bool = True,
    verify_level: bool = False,
) -> ProfileDraw:
    """Return what draws profiles from assumptions.

    Args:
        policy: of the vote.
        bank: keywords wanted.
        backends: the model of each stage; without `judge` nothing is compared by a model.
        prompt_tokens: of a prompt, by stage.
        assumed: None for the defaults.
        compares: the judge, where there is one, compares answers.
        verify_level: it reads the level of each question.
    """
    assumed = assumed or Assumptions()
    stopping = parse_policy(policy)

    def draw(rng: random.Random) -> Profile:
        calls = _calls(assumed, backends, prompt_tokens, rng)
        agreement, usable = assumed.agreement.draw(rng), assumed.usable.draw(rng)
        compared = assumed.comparisons.draw(rng) if compares and "judge" in backends else 0.0
        units = []
        for _ in range(_QUESTIONS):
            if rng.random() > usable:
                units.append(UnitSample(False, {"writer": calls["writer"]}))
                continue
            accepted, draws = play_vote(stopping, agreement, rng)
            use = {"writer": calls["writer"], "answers": calls["answers"].times(draws)}
            if judged := compared * draws + verify_level:
                use["judge"] = calls["judge"].times(judged)
            units.append(UnitSample(accepted, use))
        lists = _lists(bank, assumed.new_keywords.draw(rng))
        return profile_of(units, before={"keywords": calls["keywords"].times(lists)})

    return draw


def play_vote(policy: Policy, agreement: float, rng: random.Random) -> tuple[bool, int]:
    """Return whether a made-up question passes the vote, and after how many draws.

    How much the draws agree differs from question to question: Beta with mean `agreement` and the
    weight of four draws.
    """
    sure = rng.betavariate(4 * agreement, 4 * (1 - agreement))
    votes = [0] * (1 + _WRONG)
    while True:
        counts = Counts(tuple(sorted((v for v in votes if v), reverse=True)))
        decision = policy.decide(counts)
        if decision.draw == 0:
            return decision.accepted, counts.draws
        for _ in range(decision.draw):
            votes[0 if rng.random() < sure else rng.randrange(1, 1 + _WRONG)] += 1


def _calls(
    assumed: Assumptions,
    backends: Mapping[str, Backend],
    prompt_tokens: Mapping[str, float],
    rng: random.Random,
) -> dict[str, StageUse]:
    """Return what one call of each stage uses."""
    doubt, latency_s = assumed.prompt_doubt.draw(rng), assumed.latency_s.draw(rng)
    replies = dict(assumed.reply_tokens)
    calls = {}
    for stage, backend in backends.items():
        thought = assumed.thinking_tokens.draw(rng) if backend.thinking else 0.0
        calls[stage] = StageUse(
            1,
            doubt * prompt_tokens[stage],
            replies[stage].draw(rng) + thought,
            thought,
            latency_s if backend.remote else 0.0,
        )
    return calls


def _lists(bank: int, new: float) -> int:
    """Return how many lists of keywords are asked for until the bank is full."""
    shape = ExpansionShape()
    have, lists = float(min(shape.core, bank)), 1
    for _ in range(shape.max_rounds):
        if have >= bank:
            break
        asked = 2 * min(shape.parallel, math.ceil((bank - have) / (2 * shape.width)))
        lists += asked
        have += asked * shape.width * new
    return lists
