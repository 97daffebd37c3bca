from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable
from typing import Any

import dspy
import pytest
from dspy import lm15
from dspy.utils.exceptions import LMError
from scripted import Call, Script, chat, said

from ds2.engines.budget import BudgetSpent
from ds2.engines.lm import logged_lm
from ds2.engines.retry import RetryPolicy
from ds2.engines.teacher import simulated_backend
from programs.keywords import ExpansionShape, KeywordExpansion
from signatures.errors import ConfigError, StageError
from signatures.records import KeywordOrigin
from signatures.task import TaskSpec, load_task

pytestmark = pytest.mark.usefixtures("one_adapter")

GSM8K = load_task("gsm8k")
JAPANESE = TaskSpec.model_validate(
    {
        "name": "kazu",
        "domain": "算数",
        "description": "小学生のための文章題です。",
        "answer": {"kind": "number", "closing": "答え：{answer}"},
        "language": "Japanese",
        "example_keywords": ["割合", "速さ"],
    }
)
SMALL = ExpansionShape(core=3, width=2, seeds=2, parallel=4)


def listed(*keywords: str) -> str:
    return chat(keywords=json.dumps(keywords, ensure_ascii=False))


def kind(call: Call) -> str:
    """Return which of the three lists a call asks for."""
    if "[[ ## examples ## ]]" in call.prompt:
        return "core"
    return "prerequisite" if "beneath" in call.prompt else "advanced"


def by_kind(**lists: Callable[[Call], str] | str) -> Callable[[Call], str]:
    def reply(call: Call) -> str:
        found = lists[kind(call)]
        return found if isinstance(found, str) else found(call)

    return reply


def word(number: int) -> str:
    """Return a word that no plural or synonym folds into another: `ba`, `bb`, ... in letters."""
    return "k" + "".join(chr(97 + int(digit)) for digit in str(number))


def fresh(call: Call) -> str:
    """Return two keywords that depend on what was asked alone, not on when."""
    number = random.Random(call.prompt + str(call.sample)).randrange(10**9)
    return listed(word(number), word(number + 1))


ENDLESS = by_kind(core=listed("unit rate", "discount", "time"), prerequisite=fresh, advanced=fresh)


def grow(script: Script, size: int = 12, seed: int = 0, **options: Any) -> dspy.Prediction:
    program = KeywordExpansion(options.pop("task", GSM8K), options.pop("shape", SMALL), **options)
    with dspy.context(lm=script.lm(retry=RetryPolicy(1, 1))):
        return program(size=size, seed=seed)


def texts(outcome: dspy.Prediction) -> list[str]:
    return [keyword.text for keyword in outcome.bank]


def test_a_bank_that_the_core_fills_needs_one_call() -> None:
    script = Script(ENDLESS)
    outcome = grow(script, size=3)
    assert (texts(outcome), outcome.stopped, outcome.rounds) == (
        ["unit rate", "discount", "time"], "size", 0,
    )  # fmt: skip
    assert len(script.calls) == 1


@pytest.mark.parametrize("size", [1, 2])
def test_a_bank_never_grows_past_its_size(size: int) -> None:
    assert len(grow(Script(ENDLESS), size=size).bank) == size


def test_one_spelling_is_kept_of_each_keyword() -> None:
    core = listed("1. Unit-Rate", "unit_rates", "• UNIT RATE", "**discount**", "discounts.", "time")
    assert texts(grow(Script(core), size=3)) == ["Unit-Rate", "discount", "time"]


def test_every_keyword_keeps_its_lineage() -> None:
    outcome = grow(Script(ENDLESS), size=7)
    core, rest = outcome.bank[:3], outcome.bank[3:]
    assert {(k.origin, k.round, k.parents) for k in core} == {(KeywordOrigin.CORE, 0, ())}
    assert [k.origin.value for k in rest] == ["prerequisite"] * 2 + ["advanced"] * 2
    assert {k.round for k in rest} == {1}
    names = {k.text for k in core}
    assert all(len(k.parents) == 2 and set(k.parents) <= names for k in rest)


def test_a_bank_that_has_its_size_says_so() -> None:
    outcome = grow(Script(ENDLESS), size=30)
    assert (len(outcome.bank), outcome.stopped) == (30, "size")
    assert outcome.rounds >= 2


def test_two_rounds_that_bring_nothing_new_end_it() -> None:
    script = Script(listed("unit rate", "Discounts", "discount"))
    outcome = grow(script, size=12)
    assert (len(outcome.bank), outcome.stopped, outcome.rounds) == (2, "nothing_new", 2)


def test_one_dry_round_between_others_does_not_end_it() -> None:
    def every_other(call: Call) -> str:
        return fresh(call) if (call.sample // 192) % 2 == 0 else listed("time")

    outcome = grow(
        Script(by_kind(core=listed("time"), prerequisite=every_other, advanced=every_other)), 20
    )
    assert (outcome.stopped, outcome.rounds) == ("size", 4)


@pytest.mark.parametrize(("width", "at_once"), [(4, 2), (20, 4)], ids=["enough", "few"])
def test_after_a_round_that_brings_few_two_are_done_at_a_time(width: int, at_once: int) -> None:
    """What one of them finds hardly changes what the next one is shown."""
    shape = ExpansionShape(core=3, width=width, seeds=2, parallel=1, max_rounds=3)
    script = Script(ENDLESS, together=lambda call: at_once if call.sample // 192 > 1 else 1)
    outcome = grow(script, 60, shape=shape)
    assert (script.peak, outcome.rounds, len(outcome.bank)) == (at_once, 3, 3 + 3 * 4)
    assert {k.round for k in outcome.bank} == {0, 1, 2, 3}


def test_the_rounds_of_its_shape_end_it() -> None:
    shape = ExpansionShape(core=3, width=2, seeds=2, parallel=1, max_rounds=2)
    outcome = grow(Script(ENDLESS), size=100, shape=shape)
    assert (len(outcome.bank), outcome.stopped, outcome.rounds) == (11, "rounds", 2)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(listed(), id="empty"),
        pytest.param(listed("", " - ", "1."), id="only-marks"),
        pytest.param("I cannot help with that.", id="unparsable"),
        pytest.param("", id="nothing"),
        pytest.param(chat(keywords='[{"keyword": "rate"}]'), id="objects"),
    ],
)
def test_a_list_that_is_none_is_asked_for_again(bad: str) -> None:
    script = Script([bad, bad, listed("unit rate")])
    assert texts(grow(script, size=1)) == ["unit rate"]
    assert sorted(call.sample for call in script.calls) == [0, 1, 2]


def test_a_list_that_stays_bad_is_an_error_with_the_raw_reply() -> None:
    script = Script("I cannot help with that.")
    with pytest.raises(StageError, match=r"gsm8k, core keywords, round 0.*I cannot help") as caught:
        grow(script)
    assert len(script.calls) == 3
    assert caught.value.exit_code == 2


def test_a_later_list_that_stays_bad_is_an_error_too() -> None:
    script = Script(by_kind(core=listed("a rate", "time"), prerequisite="no", advanced=fresh))
    with pytest.raises(StageError, match="prerequisite keywords, round 1"):
        grow(script)


def test_a_bulleted_list_outside_the_form_is_read() -> None:
    assert texts(grow(Script("Sure:\n- unit rate\n- discount"), size=2)) == [
        "unit rate",
        "discount",
    ]


def test_the_last_keyword_of_a_list_that_was_cut_is_not_trusted() -> None:
    cut = said('[[ ## keywords ## ]]\n["unit rate", "discount", "compou', "length")
    assert texts(grow(Script([cut, listed("time")] + [listed("time")] * 9), size=3))[:2] == [
        "unit rate",
        "discount",
    ]
    assert "compou" not in str(texts(grow(Script(lambda _: cut), size=3)))


def test_no_keyword_is_ever_invented() -> None:
    script = Script(ENDLESS)
    outcome = grow(script, size=40)
    given = " ".join(ENDLESS(call) for call in script.calls)
    assert all(f'"{text}"' in given for text in texts(outcome))


def test_the_model_is_shown_what_is_there_and_asked_from_a_sample_of_it() -> None:
    script = Script(ENDLESS)
    outcome = grow(script, size=30)
    first, second = (
        next(c for c in script.calls if kind(c) != "core" and c.sample // 192 == r) for r in (1, 2)
    )
    assert "unit rate, discount, time" in first.prompt
    assert ", ".join(texts(outcome)[:19]) in second.prompt
    assert "unit rate, percentage discount, elapsed time" in script.calls[0].prompt


def test_a_large_bank_is_shown_in_part_the_newest_always() -> None:
    script = Script(ENDLESS)
    outcome = grow(script, size=120)
    known = re.findall(r"\[\[ ## known ## \]\]\n(.*)", script.calls[-1].prompt)[-1].split(", ")
    assert len(known) == len(set(known)) == 60
    assert set(known) <= set(texts(outcome))


def slow(seed: int) -> Callable[[Call], float]:
    return lambda call: random.Random(f"{seed}{call.sample}{kind(call)}").paretovariate(1.5) / 2000


def test_the_bank_does_not_depend_on_which_reply_comes_first() -> None:
    banks = [grow(Script(ENDLESS, latency=slow(seed)), size=40).bank for seed in range(3)]
    assert banks[0] == banks[1] == banks[2]


def test_the_bank_is_the_same_sync_and_async() -> None:
    script = Script(ENDLESS)

    async def grown() -> dspy.Prediction:
        with dspy.context(lm=script.lm()):
            return await KeywordExpansion(GSM8K, SMALL).acall(size=20, seed=3)

    assert asyncio.run(grown()).bank == grow(Script(ENDLESS), size=20, seed=3).bank


def test_another_seed_expands_other_keywords() -> None:
    assert texts(grow(Script(ENDLESS), 30, seed=1)) != texts(grow(Script(ENDLESS), 30, seed=2))


def test_the_lists_of_a_round_are_asked_for_at_once() -> None:
    script = Script(ENDLESS, together=lambda call: 1 if kind(call) == "core" else 8)
    grow(script, size=19)
    assert script.peak == 8


@pytest.mark.parametrize("size", [0, -1])
def test_an_impossible_size_is_refused_before_the_first_call(size: int) -> None:
    script = Script(ENDLESS)
    with pytest.raises(ConfigError, match="size must be at least 1"):
        grow(script, size=size)
    assert script.calls == []


def test_an_error_of_the_model_is_no_empty_list() -> None:
    with pytest.raises(LMError):
        grow(Script(ENDLESS, failures={1: lm15.ServerError("down")}))


def test_a_circuit_breaker_goes_before_an_ordinary_error() -> None:
    script = Script(ENDLESS, failures={1: lm15.ServerError("down"), 2: BudgetSpent()})
    with pytest.raises(BudgetSpent):
        grow(script)


def test_its_predictors_can_be_reached() -> None:
    names = [name for name, _ in KeywordExpansion(GSM8K).named_predictors()]
    assert names == ["core", "prerequisites", "advanced", "extract"]


def test_keywords_of_a_language_without_spaces_are_told_apart_without_folding_plurals() -> None:
    core = listed("1．割合", "・割合", "「速さ」", "ｓ", "割合s", "比例 と 反比例", "②割合。")
    script = Script(core)
    outcome = grow(script, size=5, task=JAPANESE)
    assert texts(outcome) == ["割合", "速さ", "s", "割合s", "比例 と 反比例"]
    assert "Japanese" in script.calls[0].prompt
    assert "算数: 小学生のための文章題です。" in script.calls[0].prompt


@pytest.mark.parametrize("task", [GSM8K, JAPANESE], ids=lambda t: t.name)
def test_the_simulated_teacher_grows_a_bank(task: TaskSpec) -> None:
    with dspy.context(lm=logged_lm(simulated_backend(seed=1))):
        outcome = KeywordExpansion(task)(size=24)
    assert len(outcome.bank) == 24
    assert {k.origin.value for k in outcome.bank} == {"core", "prerequisite", "advanced"}
