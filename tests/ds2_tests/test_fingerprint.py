"""What determines the rows is known, and a run of something else is never continued by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ds2.config import preset
from ds2.fingerprint import check_same, fingerprint, identity
from signatures.errors import StoreError
from signatures.task import load_task

FOLDER = Path("runs/here")


def one(task: str = "gsm8k", **changes: Any) -> dict[str, Any]:
    parts = {"prompts": "p1", "dspy": "3.4.1", "equivalence": "1", "screens": "1"}
    parts |= {name: changes.pop(name) for name in list(changes) if name in parts}
    models = changes.pop("models", {"keywords": "m (d)", "writer": "m (d)", "answers": "m (d)"})
    sampling = changes.pop("sampling", {"answers": {"max_tokens": 2048}})
    config = preset("default", 12, **changes)
    return identity(load_task(task), config, models=models, sampling=sampling, **parts)


def check(stored: dict[str, Any], ours: dict[str, Any], *, accept: bool = False) -> None:
    check_same(stored, ours, folder=FOLDER, logged_calls=321, accept_new_prompts=accept)


def test_the_same_request_is_the_same_run() -> None:
    check(one(), one())
    assert fingerprint(one()) == fingerprint(one())


@pytest.mark.parametrize(
    "changed",
    [
        one("logiqa"),
        one(seed=1),
        one(policy="fixed(3, 0.6)"),
        one(adapter="json"),
        one(prompts="p2"),
        one(dspy="3.4.2"),
        one(equivalence="2"),
        one(models={"keywords": "m (d)", "writer": "m (d)", "answers": "n (d)"}),
        one(sampling={"answers": {"max_tokens": 60}}),
        one(sampling={"answers": {"max_tokens": 2048, "min_p": 0.3}}),
    ],
    ids=[
        "task",
        "seed",
        "policy",
        "adapter",
        "prompts",
        "dspy",
        "reading",
        "model",
        "length",
        "extras",
    ],
)
def test_whatever_determines_the_rows_changes_the_fingerprint(changed: dict[str, Any]) -> None:
    assert fingerprint(changed) != fingerprint(one())
    with pytest.raises(StoreError):
        check(one(), changed)


def test_new_prompts_are_refused_with_what_differs_and_what_going_on_costs() -> None:
    with pytest.raises(StoreError) as raised:
        check(one(), one(prompts="p2"))
    words = str(raised.value)
    assert "prompts was 'p1', is 'p2'" in words
    assert "up to 321 logged calls would not be used" in words
    assert "--accept-new-prompts" in words


@pytest.mark.parametrize("part", ["prompts", "dspy", "equivalence"])
def test_what_a_user_may_change_is_accepted_when_he_says_so(part: str) -> None:
    check(one(), one(**{part: "9"}), accept=True)


@pytest.mark.parametrize("changed", [one("logiqa"), one(seed=1)], ids=["task", "seed"])
def test_task_and_settings_are_never_mixed(changed: dict[str, Any]) -> None:
    with pytest.raises(StoreError) as raised:
        check(one(), changed, accept=True)
    words = str(raised.value)
    assert "--accept-new-prompts" not in words
    assert "Choose another --out" in words


def test_one_new_model_for_all_stages_is_told_once() -> None:
    new = {"keywords": "n (e)", "writer": "n (e)", "answers": "n (e)"}
    with pytest.raises(StoreError, match=r"models were 'm \(d\)', are 'n \(e\)'"):
        check(one(), one(models=new))


def test_a_new_model_for_one_stage_is_told_with_the_stage() -> None:
    new = {"keywords": "m (d)", "writer": "m (d)", "answers": "n (e)"}
    with pytest.raises(StoreError, match=r"models\.answers was 'm \(d\)', is 'n \(e\)'"):
        check(one(), one(models=new))
