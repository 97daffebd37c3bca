"""What was decided is taken over: not worked out again, and lost by no end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from dspy import lm15
from small_runs import Meddler, asked, asks_for, dataset_bytes, go, saying, summary_of

from ds2.runtime import runner
from ds2.runtime.plan import Unit
from ds2.runtime.remembered import Remembered
from ds2.runtime.session import Pilot
from ds2.runtime.work import ProgramWork
from ds2.store import RunStore, UnitRecord
from signatures.bloom import LEVELS
from signatures.errors import StoreError
from signatures.records import Instruction, Rejection

IDENTITY: dict[str, Any] = {"task": "t", "config": {"target": 3, "candidates": 12}}


THINGS = ("pens", "eggs", "roses", "coins", "maps", "bells", "drums", "keys", "lamps", "boats")
TEMPLATES = tuple(
    f"{who} puts {{n}} {thing} into a {box} and takes none of them out. How many {thing} are there?"
    for who, box in (("Ada", "drawer of the old desk"), ("An uncle of Tom", "sack behind the barn"))
    for thing in THINGS
)


def repeating() -> Meddler:
    """Return a teacher that knows few questions; the reply follows from the prompt and its sample."""

    async def meddle(request: lm15.Request, _: int) -> lm15.Response | None:
        text = request.messages[-1].text or ""
        if asks_for(request) == "answers":
            return saying(
                "[[ ## reasoning ## ]]\nAll.\n\n[[ ## answer ## ]]\n7\n\n[[ ## completed ## ]]"
            )
        if asks_for(request) != "writer":
            return None
        chance = crc32(f"{text}{request.config.seed}".encode())
        question = TEMPLATES[chance % len(TEMPLATES)].format(n=3 + chance // 100 % 3)
        return saying(f"[[ ## question ## ]]\n{question}\n\n[[ ## completed ## ]]")

    return Meddler(meddle)


def counts(folder: Path) -> dict[tuple[str, str], int]:
    with RunStore(folder, lock=False) as store:
        return store.counts()


def decided(folder: Path) -> set[int]:
    with RunStore(folder, lock=False) as store:
        return {unit.place for unit in store.units() if unit.state != "surplus"}


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("gsm8k", {}),
        ("gsm8k", {"family_cap": 1, "near_duplicates": 1.0, "resolve": "repeating"}),
        ("logiqa", {"verify_level": True}),
        ("cfa", {"preset_name": "paper"}),
    ],
    ids=["plain", "repeats", "levels", "paper"],
)
def test_no_unit_that_was_decided_is_worked_on_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, settings: dict[str, Any]
) -> None:
    if "resolve" in settings:
        settings = {**settings, "resolve": repeating().resolve}
    whole = go(tmp_path / "whole", 40, task, **settings)
    stopped = go(tmp_path / "parts", 40, task, budget_calls=whole.calls * 2 // 3, **settings)
    before = decided(tmp_path / "parts")
    assert stopped.status == "budget"
    assert len(before) > 10
    written: list[int] = []
    real = ProgramWork.write

    async def write(self: ProgramWork, unit: Any) -> Any:
        written.append(unit.place)
        return await real(self, unit)

    monkeypatch.setattr(ProgramWork, "write", write)
    ended = go(tmp_path / "parts", 40, task, **settings)
    assert not before & set(written)
    assert ended.status == whole.status
    assert ended.ledger["rejected"] == whole.ledger["rejected"]
    assert (ended.mean_agreement, ended.examples) == (whole.mean_agreement, whole.examples)
    assert dataset_bytes(tmp_path / "parts") == dataset_bytes(tmp_path / "whole")


def test_the_teacher_of_that_test_repeats_itself(tmp_path: Path) -> None:
    rejected = go(
        tmp_path, 40, family_cap=1, near_duplicates=1.0, resolve=repeating().resolve
    ).ledger["rejected"]
    assert min(rejected.get(reason, 0) for reason in ("duplicate", "family", "collapsed")) > 0


def test_what_was_decided_stands_when_a_run_is_broken_off_while_it_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = go(tmp_path / "whole", 60)
    out = tmp_path / "parts"
    go(out, 60, budget_calls=expected.calls * 3 // 4)
    before = counts(out), dataset_bytes(out), summary_of(out)
    real, seen = runner._Job._decided, [0]

    def interrupted(self: Any, unit: Any) -> None:
        real(self, unit)
        seen[0] += 1
        if seen[0] == 3:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    with monkeypatch.context() as patch:
        patch.setattr(runner._Job, "_decided", interrupted)
        with pytest.raises(asyncio.CancelledError):
            go(out, 60, concurrency=1)  # a narrow window: what is known does not fit into it
    surplus = {("surplus", ""): before[0].get(("surplus", ""), 0)}
    assert counts(out) | surplus == before[0] | surplus
    assert (dataset_bytes(out), summary_of(out)) == before[1:]
    assert go(out, 60).status == "complete"
    assert dataset_bytes(out) == dataset_bytes(tmp_path / "whole")


def test_a_pilot_over_a_longer_run_ends_where_it_ends(tmp_path: Path) -> None:
    go(tmp_path, 40, budget_calls=200)
    request = replace(asked(tmp_path, 40), pilot=Pilot(units=5))
    summary = asyncio.run(runner.run(request))
    assert (summary.status, sum(counts(tmp_path).values())) == ("pilot", 5)
    assert go(tmp_path, 40).status == "complete"


def recorded(store: RunStore, *records: UnitRecord) -> None:
    for record in records:
        store.record_unit(record)
    store.flush()


def unit(place: int) -> Unit:
    return Unit(place, LEVELS[place % 6], ("pens",), 0, str(LEVELS[place % 6]))


UNITS = [
    UnitRecord(0, "rejected", "empty", '{"stage":"writer","reason":"empty"}'),
    UnitRecord(1, "surplus", "", "[]"),
    UnitRecord(2, "rejected", "tie", "written by another version"),
]


def test_a_larger_cap_keeps_what_was_decided_and_another_identity_does_not(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        assert not Remembered(store, IDENTITY).left
        recorded(store, *UNITS)
        larger = {**IDENTITY, "config": {"target": 3, "candidates": 99}}
        assert Remembered(store, larger).left
        assert store.counts() == {("rejected", "empty"): 1, ("rejected", "tie"): 1}
        assert not Remembered(store, {**IDENTITY, "task": "u"}).left
        assert store.counts() == {}


def test_each_decision_is_held_once_and_only_as_it_was(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        Remembered(store, IDENTITY)
        recorded(store, *UNITS)
        past = Remembered(store, IDENTITY)
        known = past.take(unit(0))
        assert known is not None
        assert (known.instruction, known.outcome.reason) == (None, "empty")
        assert past.take(unit(1)) is None, "a surplus unit came to nothing"
        assert past.take(unit(2)) is None, "it cannot be read"
        assert past.take(unit(10**9)) is None
        assert past.holds(UNITS[0])
        assert not past.holds(UNITS[0])
        assert not past.holds(UNITS[2]._replace(record="{}"))
        assert not past.left


def test_a_record_of_another_unit_says_nothing(tmp_path: Path) -> None:
    made = Instruction(keywords=("pens",), level=LEVELS[3], question="How many pens are left?")
    tie = Rejection(stage="vote", reason="tie", detail="", instruction=made)
    record = UnitRecord(3, "rejected", "tie", tie.model_dump_json())
    with RunStore(tmp_path) as store:
        Remembered(store, IDENTITY)
        recorded(store, record)
        past = Remembered(store, IDENTITY)
        assert past.take(unit(3)) is not None
        assert past.take(unit(3)._replace(keywords=("eggs",))) is None
        assert past.take(unit(3)._replace(level=LEVELS[4])) is None


@pytest.mark.parametrize(
    "changes",
    [{"max_tokens": 900}, {"sampling": {"min_p": 0.3}}, {"max_tokens_cap": 9000}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_is_not_mixed_with_one_that_samples_otherwise(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    run, clean = tmp_path / "run", tmp_path / "clean"
    go(run, 6, budget_calls=20)
    with pytest.raises(StoreError, match="sampling must be the same as when the run began"):
        go(run, 6, **changes)
    assert go(run, 6, accept_new_prompts=True, **changes).status == "complete"
    go(clean, 6, **changes)
    assert dataset_bytes(run) == dataset_bytes(clean)


def test_what_lies_beyond_is_forgotten_when_it_is_said(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        Remembered(store, IDENTITY)
        recorded(store, *(UNITS[0]._replace(place=place) for place in range(1200)))
        past = Remembered(store, IDENTITY)
        for place in range(700):
            assert past.take(unit(place)) is not None
            assert past.holds(UNITS[0]._replace(place=place))
        assert past.left
        past.forget()
        assert not past.left
        assert store.counts() == {("rejected", "empty"): 700}
