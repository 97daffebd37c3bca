from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Call, Script, chat

from programs.equivalence import read_answer
from programs.meaning import BothWays, Embedding, Equivalence, Judge, Pair
from programs.sampling import MODEL_FIXED
from programs.stopping import Counts, Decision, fixed, lead, posterior
from programs.synthesis import ChainConfig, DS2Instruct
from programs.voting import READING_VERSION, SelfConsistency
from signatures.errors import ConfigError, TaskError
from signatures.judging import SameAnswer
from signatures.records import Vote
from signatures.task import AnswerFormat, TaskSpec, parse_task

pytestmark = pytest.mark.usefixtures("one_adapter")

OPEN = AnswerFormat(kind="open")
TEXT = AnswerFormat(kind="text")
EXPRESSION = AnswerFormat(kind="expression")
QUESTION = "Why do bond prices fall?"
TASK = "{name: why, domain: bonds, description: long enough, answer: {kind: open}}"


class Words:
    """A comparer for tests: the first words decide; it counts what it is asked."""

    def __init__(self, same: Any = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self._same = same or (lambda a, b: a.split()[0] == b.split()[0])

    name = "words"

    async def same(self, pair: Pair) -> bool:
        self.asked.append((pair.first, pair.second))
        return bool(self._same(pair.first, pair.second))


class Memory(dict[str, bool]):
    """A store of verdicts in which the first one stands."""

    def put(self, key: str, same: bool) -> bool:
        return self.setdefault(key, same)


def drawn(*answers: str) -> Script:
    return Script(lambda c: chat(reasoning=f"steps {c.sample}", answer=answers[c.sample]))


def judged(*answers: str, verdict: Any = None, broken: bool = False) -> Script:
    """Return a model that answers by sample and judges two answers by their first words."""

    def reply(call: Call) -> str:
        if "[[ ## second ## ]]" not in call.prompt:
            return chat(reasoning=f"steps {call.sample}", answer=answers[call.sample])
        first, second = (
            re.findall(rf"\[\[ ## {name} ## \]\]\n(.+)", call.prompt)[-1]
            for name in ("first", "second")
        )
        if broken:
            return "I would rather not say"
        same = first.split()[0] == second.split()[0] if verdict is None else verdict
        return chat(reason="Because.", same="yes" if same else "no")

    return Script(reply)


def voter(equivalence: Equivalence, k: int = 5, threshold: float = 0.6) -> SelfConsistency:
    draw = dspy.ChainOfThought("question -> answer")
    return SelfConsistency(draw, fixed(k, threshold), equivalence=equivalence)


def vote_on(script: Script, program: SelfConsistency) -> Vote:
    with dspy.context(lm=script.lm()):
        return program(question=QUESTION).vote


RATES = ("rates rise, so prices fall", "rates went up", "demand is low", "rates", "risk is up")


def test_long_answers_are_voted_on_by_what_a_judge_says_they_mean() -> None:
    script = judged(*RATES)
    vote = vote_on(script, voter(Equivalence(OPEN, Judge())))
    assert (vote.accepted, vote.agreement, vote.reason) == (True, 0.6, "majority")
    assert [count for _, count in vote.counts] == [3, 1, 1]
    assert sorted(s.answer or "" for s in vote.losing) == ["demand is low", "risk is up"]
    assert vote.response is not None
    assert vote.winner == vote.samples[vote.response].answer


def test_a_cluster_below_the_threshold_is_not_kept() -> None:
    vote = vote_on(judged(*RATES), voter(Equivalence(OPEN, Judge()), threshold=0.7))
    assert (vote.accepted, vote.response, vote.reason) == (False, None, "below_threshold")


def test_answers_that_all_differ_are_a_tie_and_never_the_first() -> None:
    vote = vote_on(judged("a b", "c d", "e f"), voter(Equivalence(OPEN, Judge()), k=3))
    assert (vote.accepted, vote.winner, vote.reason) == (False, None, "tie")


def test_the_order_of_the_draws_changes_no_vote() -> None:
    seen = {
        tuple(sorted(count for _, count in vote.counts))
        for order in itertools.permutations(RATES)
        for vote in [asyncio.run(_clustered(order))]
    }
    assert seen == {(1, 1, 3)}


async def _clustered(answers: Sequence[str]) -> Vote:
    with dspy.context(lm=drawn(*answers).lm()):
        return (await voter(Equivalence(OPEN, Words())).acall(question=QUESTION)).vote


keys = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@settings(database=None)
@given(
    keys=keys,
    pairs=st.sets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"))),
    data=st.data(),
)
def test_clusters_are_a_partition_whatever_the_comparer_says(
    keys: list[str], pairs: set[tuple[str, str]], data: st.DataObject
) -> None:
    def clusters(order: list[str]) -> tuple[dict[str, str], int]:
        words = Words(lambda a, b: (a, b) in pairs)
        answers = {key: key for key in order}
        merged = asyncio.run(Equivalence(OPEN, words).merge(answers, "", {}))
        return merged, len(words.asked)

    merged, asked = clusters(keys)
    assert (merged, asked) == clusters(data.draw(st.permutations(keys)))
    leaders = [key for key in keys if key not in merged]
    assert set(merged.values()) <= set(leaders)
    assert asked <= len(keys) * max(1, len(leaders))


def test_equal_wordings_are_never_compared() -> None:
    words = Words()
    vote = vote_on(
        drawn("rates rose", "Rates rose.", "rates  rose"), voter(Equivalence(OPEN, words), 3)
    )
    assert (vote.accepted, words.asked) == (True, [])


class Waves:
    """A policy of two waves, to see what a second one costs."""

    max_draws = 4
    spec = "waves"

    def decide(self, counts: Counts) -> Decision:
        if counts.draws < 4:
            return Decision(2, accepted=False, reason="more")
        return Decision(0, accepted=True, reason="majority")


def test_a_verdict_is_asked_for_once_in_a_vote() -> None:
    words = Words()
    program = SelfConsistency(
        dspy.ChainOfThought("question -> answer"), Waves(), equivalence=Equivalence(OPEN, words)
    )
    vote_on(drawn("a 1", "b 1", "c 1", "d 1"), program)
    assert len(words.asked) == len(set(words.asked)) == 6


def test_stored_verdicts_are_used_again_and_the_first_stands() -> None:
    memory, words = Memory(), Words()
    equivalence = Equivalence(OPEN, words, memory)
    first = vote_on(drawn(*RATES), voter(equivalence))
    asked = len(words.asked)
    assert asked == len(memory) > 0
    turned = Equivalence(OPEN, Words(lambda a, b: True), memory)
    assert vote_on(drawn(*RATES), voter(turned)) == first


def test_short_texts_are_merged_only_where_a_merger_is_given() -> None:
    answers = ("Krebs cycle", "krebs reaction", "Calvin cycle")
    assert not vote_on(drawn(*answers), voter(Equivalence(TEXT), 3)).accepted
    words = Words(lambda a, b: a.split()[0].lower() == b.split()[0].lower())
    assert vote_on(drawn(*answers), voter(Equivalence(TEXT, words), 3)).accepted


def test_no_merger_is_asked_to_drop_a_unit_or_a_per_cent_sign() -> None:
    yes = Words(lambda a, b: True)
    answers = ("50", r"50\%", r"5\text{ cm}", r"5\text{ m}")
    vote = vote_on(drawn(*answers), voter(Equivalence(EXPRESSION, yes), 4))
    assert [count for _, count in vote.counts] == [1, 1, 1, 1]
    assert yes.asked == []
    merged = vote_on(drawn(r"\int_0^1 x", r"\frac12", "3"), voter(Equivalence(EXPRESSION, yes), 3))
    assert merged.agreement == 1.0


def test_a_merger_asked_both_ways_must_say_yes_twice() -> None:
    one_way = Words(lambda a, b: a < b)
    equivalence = Equivalence(OPEN, BothWays(one_way))
    assert asyncio.run(equivalence.merge({"a": "a", "b": "b"}, "", {})) == {}
    assert equivalence.name == "1:words, both ways"


@pytest.mark.parametrize("kind", ["number", "choice", "label"])
def test_exact_kinds_take_no_merger(kind: str) -> None:
    shape: dict[str, Any] = {"choice": {"options": 4}, "label": {"labels": ("a", "b")}}
    fmt = AnswerFormat(kind=kind, **shape.get(kind, {}))
    with pytest.raises(ConfigError, match="merger must be given for expression, text, open only"):
        Equivalence(fmt, Words())


def test_an_open_vote_without_a_merger_is_refused() -> None:
    with pytest.raises(ConfigError, match="have a merger for the kind open"):
        Equivalence(OPEN)
    with pytest.raises(ConfigError, match="have a merger"):
        SelfConsistency(dspy.Predict("question -> answer"), answer=OPEN)


def test_a_format_is_given_once() -> None:
    with pytest.raises(ConfigError, match="be left out where `equivalence` is given"):
        SelfConsistency(
            dspy.Predict("question -> answer"), None, "text", equivalence=Equivalence(TEXT)
        )


def test_a_judge_is_reached_traced_and_copied_as_any_predictor() -> None:
    program = voter(Equivalence(OPEN, Judge()))
    assert [name for name, _ in program.named_predictors()] == ["draw.predict", "judge.predict"]
    trace: list[Any] = []
    with dspy.context(lm=judged(*RATES).lm(), trace=trace):
        sync = program(question=QUESTION).vote
    assert {id(p) for p, _, _ in trace} == {id(p) for p in program.predictors()}
    copied = program.deepcopy()
    copied.judge.predict.demos = [dspy.Example(question="q", first="a", second="b", same="no")]
    assert program.judge is not None
    assert program.judge.predict.demos == []
    assert copied.equivalence.merger is copied.judge
    assert vote_on(judged(*RATES), copied) == sync


def test_the_calls_of_a_judge_are_logged_and_asked_once() -> None:
    script = judged(*RATES)
    lm = script.lm()
    program = voter(Equivalence(OPEN, Judge()))

    async def both() -> list[Vote]:
        with dspy.context(lm=lm):
            return [(await program.acall(question=QUESTION)).vote for _ in range(2)]

    first, second = asyncio.run(both())
    assert first == second
    judgements = [c for c in script.calls if "[[ ## second ## ]]" in c.prompt]
    assert {c.temperature for c in judgements} == {0.1}


def test_a_judge_that_gives_no_verdict_merges_nothing() -> None:
    vote = vote_on(judged("a b", "a c", broken=True), voter(Equivalence(OPEN, Judge()), 2))
    assert vote.reason == "tie"


def test_a_judge_works_alone_sync_and_async() -> None:
    judge = Judge(temperature=None)
    with dspy.context(lm=judged().lm()):
        assert judge(question=QUESTION, first="a b", second="a c").same is True

        async def one() -> bool:
            return await judge.same(Pair("a b", "c d", OPEN, QUESTION))

        assert asyncio.run(one()) is False


VECTORS = {"prices fall": (1.0, 0.0), "prices drop": (0.99, 0.1), "rates rise": (0.0, 1.0)}


def test_an_embedding_merges_what_is_near() -> None:
    calls: list[Sequence[str]] = []

    def embed(texts: Sequence[str]) -> list[tuple[float, ...]]:
        calls.append(texts)
        return [VECTORS[text] for text in texts]

    near = Embedding(embed, threshold=0.95, model="toy-1")
    vote = vote_on(drawn(*VECTORS), voter(Equivalence(OPEN, near), 3))
    assert [count for _, count in vote.counts] == [2, 1]
    assert near.name == "toy-1@0.95"
    assert len(calls) <= 2


def test_an_embedding_never_merges_other_numbers() -> None:
    near = Embedding(lambda texts: [(1.0, 0.0) for _ in texts])
    same = lambda a, b: asyncio.run(near.same(Pair(a, b, OPEN, QUESTION)))  # noqa: E731
    assert same("it falls by 5 points", "it drops by 5.0 points")
    assert not same("it falls by 5 points", "it falls by 50 points")
    assert not same("it falls by 5%", "it falls by 5")


@pytest.mark.parametrize("threshold", [0, -1, 1.5])
def test_an_embedding_wants_a_cosine_as_threshold(threshold: float) -> None:
    with pytest.raises(ConfigError, match="be above 0 and at most 1"):
        Embedding(lambda texts: [], threshold=threshold)


def test_an_open_task_makes_rows_once_answers_are_compared_by_meaning() -> None:
    task = parse_task(TASK)
    with pytest.raises(TaskError, match="merger='judge'"):
        DS2Instruct(task)
    program = DS2Instruct(task, ChainConfig(policy=fixed(3, 0.6), merger="judge"))
    assert "vote.judge.predict" in [name for name, _ in program.named_predictors()]
    outcome = _row(program, task)
    assert outcome.row is not None
    assert outcome.row.response.endswith(outcome.row.answer)
    assert outcome.row.answer.startswith("rates")


def _row(program: DS2Instruct, task: TaskSpec) -> dspy.Prediction:
    answers = ("rates rise", "rates went up", "demand is low")

    def reply(call: Call) -> str:
        if "[[ ## second ## ]]" in call.prompt:
            return judged()._replies(call)  # type: ignore[operator]
        if "[[ ## answer ## ]]" in call.prompt:
            return chat(reasoning="Bonds pay less.", answer=answers[call.sample])
        return chat(plan="p", question="Why do bond prices fall when rates rise?")

    with dspy.context(lm=Script(reply).lm()):
        return program(keywords=["duration"], level="Understand")


def test_a_model_that_fixes_its_temperature_judges_with_it() -> None:
    config = ChainConfig(temperatures=MODEL_FIXED, merger="judge")
    program = DS2Instruct(parse_task(TASK), config)
    assert program.vote.judge is not None
    assert program.vote.judge.temperature is None


@pytest.mark.parametrize("saved", ["judge", None], ids=["with judge", "without"])
@pytest.mark.parametrize("loading", ["judge", None], ids=["into one with", "into one without"])
def test_a_judge_of_answers_is_loaded_where_both_have_one(
    tmp_path: Path, saved: Any, loading: Any
) -> None:
    one = DS2Instruct("math", ChainConfig(merger=saved))
    for predictor in one.predictors():
        predictor.signature = predictor.signature.with_instructions("Compiled.")
    one.save(tmp_path / "p.json")
    other = DS2Instruct("math", ChainConfig(merger=loading))
    before = other.prompts()
    other.load(tmp_path / "p.json")
    for name, words in other.prompts().items():
        kept = name == "vote.judge.predict" and saved is None
        assert words == before[name] if kept else "Compiled." in str(words["signature"])
    assert ("vote.judge.predict" in other.prompts()) is (loading == "judge")


def test_an_open_task_loads_a_judge_that_was_compiled(tmp_path: Path) -> None:
    task = parse_task(TASK)
    one, other = (DS2Instruct(task, ChainConfig(merger="judge")) for _ in range(2))
    assert one.vote.judge is not None
    one.vote.judge.predict.signature = SameAnswer.with_instructions("Be strict.")
    one.save(tmp_path / "p.json")
    other.load(tmp_path / "p.json")
    assert other.prompts() == one.prompts()


def test_compiled_words_of_a_judge_do_not_change_what_it_was_built_from() -> None:
    program = DS2Instruct(parse_task(TASK), ChainConfig(merger="judge"))
    before = program.signatures_hash()
    judge = program.vote.judge
    assert judge is not None
    judge.predict.signature = judge.predict.signature.with_instructions("Be strict.")
    assert program.signatures_hash() == before
    assert program.fingerprint() != before


def test_a_vote_tells_how_sure_its_agreement_is() -> None:
    vote = vote_on(drawn("4", "4", "4", "4", "5"), voter(Equivalence(AnswerFormat(kind="number"))))
    assert vote.agreement == 0.8
    assert 0.37 < vote.agreement_low < 0.38
    assert 0.96 < vote.agreement_high < 0.97
    assert vote.confidence is None


class Sure:
    """A policy that estimates how likely the first is right."""

    max_draws = 3
    spec = "sure"

    def decide(self, counts: Counts) -> Decision:
        return lead(2, 3).decide(counts)

    def probability(self, counts: Counts) -> float | None:
        return counts.top / (counts.draws + 1)


@pytest.mark.parametrize(
    ("answers", "expected"), [(("4", "4", "4"), 2 / 3), (("4", "5", "x"), None)], ids=["won", "tie"]
)
def test_a_fitted_policy_says_how_likely_the_winner_is_right(
    answers: tuple[str, ...], expected: float | None
) -> None:
    program = SelfConsistency(dspy.ChainOfThought("question -> answer"), Sure(), "number")
    assert vote_on(drawn(*answers), program).confidence == expected


def test_a_policy_whose_confidence_is_a_setting_estimates_nothing() -> None:
    program = SelfConsistency(
        dspy.ChainOfThought("question -> answer"), posterior(0.9, 5), "number"
    )
    assert vote_on(drawn(*["4"] * 5), program).confidence is None


def test_votes_written_before_intervals_still_load() -> None:
    old = vote_on(drawn(*["4"] * 5), voter(Equivalence(AnswerFormat(kind="number")))).model_dump()
    for name in ("agreement_low", "agreement_high", "confidence"):
        del old[name]
    vote = Vote.model_validate(old)
    assert (vote.agreement_low, vote.agreement_high, vote.confidence) == (0.0, 1.0, None)


def test_the_reading_has_a_version_of_its_own() -> None:
    assert READING_VERSION == 3
    assert Equivalence(TEXT).name == ""
    assert Equivalence(TEXT, Judge()).name == "1:judge"
    assert read_answer(TEXT, typed="it depends").key is None
