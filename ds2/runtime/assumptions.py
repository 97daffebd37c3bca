"""What is assumed of a run that nothing is known of yet: stated ranges, drawn anew for each forecast.

The growth of the keyword bank and the vote are played through as the programs do them
(`ds2.runtime.growth`, `ds2.runtime.voteplay`), so lists, draws, comparisons and yield follow from how
the model lists and how much it agrees with itself. The tokens of prompts are those of the prompts
themselves.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ds2.engines.base import Backend
from ds2.runtime.foresight import Profile, ProfileDraw, StageUse, UnitSample, profile_of
from ds2.runtime.growth import Kind, Lister, Lists, play_growth
from ds2.runtime.voteplay import Voter, play_vote, remembering
from programs.keywords import ExpansionShape
from programs.stopping import parse_policy

QUESTIONS = 40  # made up for each profile
_ASKED = 0.8  # of a writer's reply, what goes on into the prompts of answers and judges
_FRAME_TOKENS = 20  # of a list of keywords, beside its keywords

#: What is asked for, each with a prompt of its own.
PromptKind = Literal["core", "expand", "extract", "writer", "answers", "compare", "level"]


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
        usable: share of written questions that have no fault and are no repeat.
        on_level: share of them that a judge of the level lets pass.
        again: share of replies that cannot be used and are asked for again.
        reply_tokens: of a reply, by stage.
        keyword_tokens: of a keyword in a list.
        thinking_tokens: of a reply of a model that thinks by itself, on top.
        vocabulary: keywords of the field that the model can name.
        fresh: share of a list that is no repeat and no known keyword.
        found: share of the keywords asked for that a passage gives.
        worded: share of answers that are worded in a way of their own, where a model compares them.
        latency_s: of a call.
        prompt_doubt: factor on the tokens of a prompt, for another tokenizer.
    """

    agreement: Range = Range(0.6, 0.95)
    usable: Range = Range(0.85, 1.0)
    on_level: Range = Range(0.75, 1.0)
    again: Range = Range(0.0, 0.08)
    reply_tokens: tuple[tuple[str, Range], ...] = (
        ("writer", Range(45, 300, log=True)),
        ("answers", Range(35, 500, log=True)),
        ("judge", Range(20, 200, log=True)),
    )
    keyword_tokens: Range = Range(3, 12, log=True)
    thinking_tokens: Range = Range(300, 4000, log=True)
    vocabulary: Range = Range(25, 1000, log=True)
    fresh: Range = Range(0.3, 1.0)
    found: Range = Range(0.2, 1.0)
    worded: Range = Range(0.0, 0.4)
    latency_s: Range = Range(0.7, 10, log=True)
    prompt_doubt: Range = Range(0.85, 1.3)

    def lines(self, given: Given) -> Iterator[str]:
        """Yield what is assumed for what is given, for people."""
        yield f"a draw gives the most frequent answer with a chance of {self.agreement}"
        yield f"{self.usable} of the written questions are usable"
        if given.verify_level:
            yield f"{self.on_level} of them are of the level that was asked for"
        yield f"{self.again} of the replies cannot be used and are asked for again"
        yield (
            f"the model can name {self.vocabulary} keywords of the field, and {self.fresh} of a list "
            "is new as long as there are some"
        )
        if given.passages:
            yield f"a passage gives {self.found} of the keywords that are asked of it"
        yield f"a keyword has {self.keyword_tokens} tokens"
        for stage, tokens in self.reply_tokens:
            if stage in given.backends:
                yield f"a reply of the stage {stage} has {tokens} tokens"
        if any(backend.thinking for backend in given.backends.values()):
            yield f"thinking takes {self.thinking_tokens} tokens more"
        if given.compares and not given.open_answers:
            yield f"{self.worded} of the answers are worded in a way of their own"
        if given.compares and given.open_answers:
            yield "every answer is worded in a way of its own"
        if any(backend.remote for backend in given.backends.values()):
            yield f"a call takes {self.latency_s} seconds"


@dataclass(frozen=True, slots=True)
class Given:
    """What is known before anything was asked.

    Args:
        policy: of the vote.
        bank: keywords wanted.
        shape: how they are grown.
        backends: the model of each stage; `judge` where there is one.
        prompts: tokens of each kind of prompt.
        passages: of the corpus; 0 for none.
        voter: how answers are asked for.
        compares: a model compares answers.
        open_answers: they are never worded alike.
        verify_level: a judge reads the level of each question before the vote.
    """

    policy: str
    bank: int
    backends: Mapping[str, Backend]
    prompts: Mapping[PromptKind, float]
    shape: ExpansionShape = field(default_factory=ExpansionShape)
    passages: int = 0
    voter: Voter = field(default_factory=lambda: Voter(0.8))
    compares: bool = False
    open_answers: bool = False
    verify_level: bool = False


def from_assumptions(given: Given, assumed: Assumptions | None = None) -> ProfileDraw:
    """Return what draws profiles from assumptions; None takes the default ones."""
    assumed = assumed or Assumptions()
    return _Drawing(given, assumed).profile


def shared_requests(given: Given, seed: int = 0) -> dict[str, float]:
    """Return the requests for each answer drawn, where the draws of a wave share one."""
    rng = random.Random(f"{seed}/shared")
    decide = remembering(parse_policy(given.policy))
    played = [play_vote(decide, given.voter, rng) for _ in range(10 * QUESTIONS)]
    return {"answers": sum(v.requests for v in played) / sum(v.draws for v in played)}


class _Drawing:
    def __init__(self, given: Given, assumed: Assumptions) -> None:
        self._given, self._assumed = given, assumed
        self._decide = remembering(parse_policy(given.policy))

    def profile(self, rng: random.Random) -> Profile:
        """Return what is believed of one possible run."""
        given, assumed = self._given, self._assumed
        calls = self._calls(rng)
        again = 1 + assumed.again.draw(rng)
        usable, on_level = assumed.usable.draw(rng), assumed.on_level.draw(rng)
        voter = replace(given.voter, agreement=assumed.agreement.draw(rng))
        if given.compares:
            worded = 1.0 if given.open_answers else assumed.worded.draw(rng)
            voter = replace(voter, worded=worded)
        units, draws, requests = [], 0, 0
        for _ in range(QUESTIONS):
            use = {"writer": calls["writer"].times(again)}
            passed = rng.random() < usable
            if passed and given.verify_level:
                use["judge"] = calls["level"].times(again)
                passed = rng.random() < on_level
            if passed:
                vote = play_vote(self._decide, voter, rng)
                draws, requests = draws + vote.draws, requests + vote.requests
                use["answers"] = self._drawn(calls["answers"], vote.draws, vote.requests, again)
                if vote.compared:
                    judged = calls["compare"].times(vote.compared)
                    use["judge"] = use.get("judge", StageUse()).plus(judged)
                passed = vote.accepted
            units.append(UnitSample(passed, use))
        before, rounds = self._keywords(calls, rng)
        shared = {"answers": requests / draws if draws else 1.0}
        return profile_of(units, before=before, rounds=rounds, shared=shared)

    @staticmethod
    def _drawn(call: StageUse, draws: int, requests: int, again: float) -> StageUse:
        """Return what the draws of a vote use: the prompt once for each request."""
        use = call.times(draws)
        return use._replace(input_tokens=call.input_tokens * requests).times(again)

    def _calls(self, rng: random.Random) -> dict[PromptKind, StageUse]:
        """Return what one call of each kind uses; a list's keywords are counted apart."""
        given, assumed = self._given, self._assumed
        doubt, latency_s = assumed.prompt_doubt.draw(rng), assumed.latency_s.draw(rng)
        replies = {stage: tokens.draw(rng) for stage, tokens in assumed.reply_tokens}
        thought = assumed.thinking_tokens.draw(rng)
        asked = _ASKED * replies["writer"]
        calls: dict[PromptKind, StageUse] = {}
        for kind, prompt in given.prompts.items():
            stage = stage_of(kind)
            backend = given.backends[stage]
            thinking = thought if backend.thinking else 0.0
            longer = asked if kind in {"answers", "compare", "level"} else 0.0
            calls[kind] = StageUse(
                1,
                doubt * prompt + longer,
                replies.get(stage, _FRAME_TOKENS) + thinking,
                thinking,
                latency_s if backend.remote else 0.0,
            )
        return calls

    def _keywords(
        self, calls: Mapping[PromptKind, StageUse], rng: random.Random
    ) -> tuple[dict[str, StageUse], float]:
        """Return what the keywords use, and in how many rounds."""
        given, assumed = self._given, self._assumed
        lister = Lister(
            vocabulary=round(assumed.vocabulary.draw(rng)),
            fresh=assumed.fresh.draw(rng),
            found=assumed.found.draw(rng),
            again=assumed.again.draw(rng),
        )
        lists = play_growth(given.bank, given.shape, lister, rng, passages=given.passages)
        tokens = assumed.keyword_tokens.draw(rng)
        return {"keywords": _lists_use(lists, calls, tokens)}, lists.rounds


def stage_of(kind: PromptKind) -> str:
    """Return the stage that a kind of prompt belongs to."""
    if kind in {"core", "expand", "extract"}:
        return "keywords"
    return "judge" if kind in {"compare", "level"} else kind


def _lists_use(lists: Lists, calls: Mapping[PromptKind, StageUse], tokens: float) -> StageUse:
    use = StageUse()
    kinds: tuple[Kind, ...] = ("core", "expand", "extract")
    for kind in kinds:
        words = StageUse(0, tokens * lists.known[kind], tokens * lists.named[kind])
        use = use.plus(calls[kind].times(lists.asked[kind])).plus(words)
    return use
