"""Live trials: small runs over one call log, measured by what their decided units stand on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest
from dspy.lm15 import Request, Response
from faulty_runs import hurried
from small_runs import Meddler, asked, asks_for, failing_after, go, gone, saying

from ds2.engines.budget import BudgetSpent
from ds2.engines.prices import given_price
from ds2.engines.retry import RetryPolicy
from ds2.runtime.trials import (
    NoResult,
    TrialResult,
    TrialSetup,
    distinct_2,
    run_trial,
    trial_budget,
)
from ds2.runtime.tuning import (
    LiveMeasure,
    LiveTrials,
    StudyStopped,
    bank_sizes,
    default_settings,
    trial_changes,
)
from ds2.store import RunStore
from programs.stopping import Calibrated, Counts
from programs.stopping.calibrated import Entry, Expected, Measured, Provenance
from signatures.errors import ConfigError


class Asked(NamedTuple):
    question: str
    key: str | None
    context: str = ""
    options: tuple[str, ...] = ()


def teacher() -> Meddler:
    async def nothing(_: Request, __: int) -> Response | None:
        return None

    return Meddler(nothing)


def setup(folder: Path, meddler: Meddler, *, target: int = 6, **parts: Any) -> TrialSetup:
    folder.mkdir(exist_ok=True)
    settings = {name: parts.pop(name) for name in ("budget_calls", "concurrency") if name in parts}
    request = asked(folder, target, **settings)
    return TrialSetup(request, resolve=meddler.resolve, **parts)


def tried(
    folder: Path, meddler: Meddler, *changes: Mapping[str, Any], **parts: Any
) -> list[TrialResult]:
    prepared = setup(folder, meddler, **parts)
    with RunStore(folder) as store:
        budget = trial_budget(prepared, store)
        return [asyncio.run(run_trial(prepared, change, store, budget)) for change in changes]


def test_a_trial_made_again_asks_nothing_and_measures_the_same(tmp_path: Path) -> None:
    meddler = teacher()
    change = {"policy": "lead(2, 5)"}
    # One call at a time, so that no call is cancelled and no other surplus unit is begun.
    first, again = tried(tmp_path, meddler, change, change, concurrency=1)
    assert first.new_calls == meddler.calls > 0
    assert again.new_calls == 0
    assert again._replace(new_calls=0) == first._replace(new_calls=0)
    assert first.accepted == 6
    assert first.tokens is not None
    assert 0 < first.diversity <= 1


def test_a_trial_screens_as_a_run_does(tmp_path: Path) -> None:
    async def one_family(request: Request, _: int) -> Response | None:
        if asks_for(request) == "answers":
            return saying(
                "[[ ## reasoning ## ]]\nAll.\n\n[[ ## answer ## ]]\n7\n\n[[ ## completed ## ]]"
            )
        if asks_for(request) != "writer":
            return None
        number = crc32(f"{request.messages[-1].text}{request.config.seed}".encode())
        question = f"Ada has {number} pens and gives none of them away. How many pens has she left?"
        return saying(f"[[ ## question ## ]]\n{question}\n\n[[ ## completed ## ]]")

    (trial,) = tried(tmp_path / "trial", Meddler(one_family), {})
    summary = go(tmp_path / "run", 6, resolve=Meddler(one_family).resolve)
    assert summary.ledger["rejected"]["family"] > 0
    assert trial.accepted == summary.ledger["accepted"] == 4
    assert trial.decided == 4 + sum(summary.ledger["rejected"].values())


def test_dollars_follow_from_tokens_and_prices(tmp_path: Path) -> None:
    dear = replace(teacher().backend(), price=given_price(1.0, 1.0))
    prepared = replace(setup(tmp_path, teacher()), resolve=lambda *_: dear)
    with RunStore(tmp_path) as store:
        budget = trial_budget(prepared, store)
        found = asyncio.run(run_trial(prepared, {}, store, budget))
        silent = replace(prepared, resolve=lambda *_: replace(dear, price=None))
        again = asyncio.run(run_trial(silent, {}, store, budget))
    assert found.tokens is not None
    assert found.usd == pytest.approx(found.tokens / 1e6)
    assert again.usd == found.usd  # the price that was given stands


def test_dollars_of_an_unknown_price_are_no_result(tmp_path: Path) -> None:
    unknown = replace(teacher().backend(), price=None)
    prepared = replace(setup(tmp_path, teacher()), resolve=lambda *_: unknown)
    with RunStore(tmp_path) as store:
        budget = trial_budget(prepared, store)
        assert asyncio.run(run_trial(prepared, {}, store, budget)).usd is None
        with pytest.raises(NoResult, match="what it costs in usd"):
            LiveTrials(prepared, LiveMeasure("agreement", "usd"), store, budget)({})


def test_trials_that_differ_in_the_vote_alone_share_their_instructions(tmp_path: Path) -> None:
    meddler = teacher()
    short, long = tried(tmp_path, meddler, {"policy": "lead(2, 3)"}, {"policy": "lead(4, 9)"})
    kinds = [asks_for(request) for request in meddler.requests]
    apart = teacher()
    (alone,) = tried(tmp_path / "apart", apart, {"policy": "lead(4, 9)"})
    # What a trial stands on does not depend on who paid for it.
    assert long._replace(new_calls=0) == alone._replace(new_calls=0)
    assert long.new_calls < alone.new_calls
    assert short.tokens is not None
    assert long.tokens is not None
    assert long.tokens / long.accepted > short.tokens / short.accepted
    assert kinds.count("keywords") == [asks_for(r) for r in apart.requests].count("keywords")


def test_the_cost_does_not_depend_on_how_many_calls_are_in_flight(tmp_path: Path) -> None:
    found = []
    for width in (1, 32):
        prepared = setup(tmp_path / str(width), teacher())
        engine = prepared.request.engine.model_copy(update={"concurrency": width})
        prepared = replace(prepared, request=replace(prepared.request, engine=engine))
        with RunStore(prepared.request.out) as store:
            result = asyncio.run(run_trial(prepared, {}, store, trial_budget(prepared, store)))
        found.append(result._replace(new_calls=0))
    assert found[0] == found[1]


def test_precision_is_measured_on_dev_questions_and_costs_no_row_anything(tmp_path: Path) -> None:
    async def knows(request: Request, _: int) -> Response | None:
        text = str(request.messages[-1].text)
        for number in (1, 2):
            if f"dev question {number}" in text:
                return saying(
                    f"[[ ## reasoning ## ]]\nIt is.\n\n[[ ## answer ## ]]\n{number}\n\n"
                    "[[ ## completed ## ]]"
                )
        return None

    dev = (Asked("dev question 1?", "1"), Asked("dev question 2?", "7"))
    keys = [_key(one) for one in ("1", "7")]
    dev = tuple(one._replace(key=key) for one, key in zip(dev, keys, strict=True))
    (plain,) = tried(tmp_path / "plain", teacher(), {})
    (found,) = tried(tmp_path / "dev", Meddler(knows), {}, dev=dev, concurrency=1)
    assert (found.dev_accepted, found.dev_right) == (2, 1)
    assert found.held_out_accepted is None
    assert (found.tokens, found.calls) == (plain.tokens, plain.calls)
    sides = {"dev": dev[:1], "held_out": dev[1:]}
    (apart,) = tried(tmp_path / "apart", Meddler(knows), {}, **sides, concurrency=1)
    assert (apart.dev_accepted, apart.dev_right) == (1, 1)
    assert (apart.held_out_accepted, apart.held_out_right) == (1, 0)
    assert (apart.tokens, apart.new_calls) == (found.tokens, found.new_calls)


def _key(answer: str) -> str | None:
    from programs.equivalence import read_answer
    from signatures.task import load_task

    return read_answer(load_task("gsm8k").answer, typed=answer, question="q").key


def table() -> Calibrated:
    unknown = Measured(value=None, low=None, high=None)
    return Calibrated(
        0.9,
        3,
        {
            Counts(()): Entry(do="draw", draw=2, right=0.0, support=9),
            Counts((1,)): Entry(do="draw", draw=1, right=0.6, support=9),
            Counts((2,)): Entry(do="accept", draw=0, right=0.9, support=9),
            Counts((1, 1)): Entry(do="reject", draw=0, right=0.5, support=9),
        },
        expected=Expected(
            yielded=unknown, precision=unknown, samples=unknown, samples_per_accepted=unknown
        ),
        provenance=Provenance(
            source="test", ballots="0", questions=9, samples=9, variant="plain", wrong_price=1,
            sample_price=0.1, folds=2, repeats=1, seed=0,
        ),
    )  # fmt: skip


def test_precision_is_estimated_by_the_last_state_that_a_table_knows(tmp_path: Path) -> None:
    (found,) = tried(tmp_path, teacher(), {"policy": "fixed(1, 0.5)"}, estimate=table())
    assert found.estimate == pytest.approx(0.6)
    (more,) = tried(tmp_path / "more", teacher(), {"policy": "lead(4, 4)"}, estimate=table())
    assert more.estimate == pytest.approx(0.9)


def test_settings_that_give_nothing_have_no_result(tmp_path: Path) -> None:
    async def mute(request: Request, _: int) -> Response | None:
        if asks_for(request) == "answers":
            return saying("I would rather not say.")
        return None

    with pytest.raises(NoResult, match="nothing was accepted"):
        tried(tmp_path, Meddler(mute), {})

    async def no_list(request: Request, _: int) -> Response | None:
        return saying("") if asks_for(request) == "keywords" else None

    with pytest.raises(NoResult, match="Growing the keyword bank failed"):
        tried(tmp_path / "keywords", Meddler(no_list), {})


def test_settings_are_checked_like_those_of_any_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pair_share"):
        tried(tmp_path, teacher(), {"pair_share": 3.0})


def test_a_budget_is_of_the_whole_study(tmp_path: Path) -> None:
    meddler = teacher()
    with pytest.raises(BudgetSpent):
        tried(tmp_path, meddler, {}, {"writer_temperature": 0.5}, budget_calls=60)
    assert meddler.calls == 60
    with pytest.raises(BudgetSpent):
        tried(tmp_path, meddler, {"writer_temperature": 0.5}, budget_calls=60)
    assert meddler.calls == 60


def live(prepared: TrialSetup, store: RunStore, quality: str = "agreement") -> LiveTrials:
    return LiveTrials(
        prepared, LiveMeasure(quality, "tokens"), store, trial_budget(prepared, store)
    )


def test_a_spent_budget_and_a_dead_endpoint_stop_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_wait_s", hurried)
    for name, meddler, said in (
        ("budget", teacher(), "budget is spent"),
        ("gone", failing_after(40, gone), "connection refused"),
    ):
        prepared = setup(tmp_path / name, meddler, budget_calls=50)
        with RunStore(prepared.request.out) as store, pytest.raises(StudyStopped, match=said):
            live(prepared, store)({})


def test_values_are_by_the_name_of_what_is_measured(tmp_path: Path) -> None:
    prepared = setup(tmp_path, teacher(), estimate=table())
    with RunStore(tmp_path) as store:
        values, facts = live(prepared, store)({})
        assert set(values) == {"agreement", "tokens_per_accepted", "diversity", "yield"}
        assert values["yield"] == facts["yield"] == facts["accepted"] / facts["decided"]
        assert set(live(prepared, store, "estimated_precision")({})[0]) > {"estimated_precision"}
    assert not any(t.name == "ds2-store" for t in threading.enumerate())


def test_settings_become_configuration_and_the_default_is_the_default() -> None:
    config = asked(Path("x"), 12).config
    settings = default_settings(config.model_dump())
    changes = trial_changes({"policy": "lead", "lead.by": 3, **settings}, "lead(3, 9)")
    assert "lead.by" not in changes
    same = config.model_dump()
    assert all(same[name] == value for name, value in changes.items() if name in same)
    hot = trial_changes({"answer_temperature": 1.9, "answer_temperature_step": 0.2}, "lead(2, 3)")
    assert hot["answer_temperatures"] == (1.9, 2.0, 2.0)
    assert trial_changes({"answer_temperature": 1.0}, "p")["answer_temperatures"] == (1.0,)
    assert bank_sizes(24) == (12, 24, 48)
    assert bank_sizes(1) == (1, 2)


def test_distinct_2_of_nothing_is_nought() -> None:
    assert distinct_2([]) == distinct_2(["one"]) == 0.0
    assert distinct_2(["a b a b"]) == pytest.approx(2 / 3)
