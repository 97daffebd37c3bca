from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_runs import summary_of

from ds2.runtime.examples import SHOWN, example_of
from ds2.runtime.naming import notices, strange_names
from signatures.bloom import BloomLevel
from signatures.records import Instruction, Rejection, Sample, Vote

ASKED = Instruction(keywords=("pi",), level=BloomLevel.APPLY, question="What is\n\x1b[31m pi?")


def vote(*answers: str | None, unreadable: str | None = None) -> Vote:
    samples = tuple(
        Sample(number=i, answer=a, key=a, reasoning="Sorry\x07, no.", unreadable=unreadable)
        for i, a in enumerate(answers)
    )
    counts = tuple((a, answers.count(a)) for a in dict.fromkeys(answers) if a is not None)
    return Vote(
        accepted=False,
        winner=None,
        agreement=0.0,
        counts=counts,
        draws=len(answers),
        reason="tie",
        response=None,
        samples=samples,
    )


@pytest.mark.parametrize(
    ("rejection", "expected"),
    [
        (
            Rejection(stage="writer", reason="refused", detail="The reply was: 'I cannot.'"),
            "unit 7, writer: The reply was: 'I cannot.'",
        ),
        (
            Rejection(stage="screen", reason="duplicate", detail="As 3.", instruction=ASKED),
            "unit 7, screen: 'What is \N{REPLACEMENT CHARACTER}[31m pi?': As 3.",
        ),
        (
            Rejection(stage="vote", reason="tie", instruction=ASKED, vote=vote("3", "4", "3")),
            "unit 7, vote: 'What is \N{REPLACEMENT CHARACTER}[31m pi?': '3' x 2, '4' x 1",
        ),
        (
            Rejection(stage="vote", reason="refused", vote=vote(None, None, unreadable="refused")),
            "unit 7, vote: refused: 'Sorry\\x07, no.'",
        ),
    ],
    ids=["writer", "screen", "vote", "nothing readable"],
)
def test_an_example_is_one_line_that_says_what_was_wrong(rejection: Any, expected: str) -> None:
    assert example_of(7, rejection) == expected


def test_an_example_is_short_whatever_the_model_wrote() -> None:
    long = Rejection(stage="writer", reason="unparsable", detail="\u2028\x00🙂" * 5000)
    shown = example_of(0, long)
    assert len(shown) == SHOWN
    assert shown.isprintable()
    assert json.loads(json.dumps(shown)) == shown


def test_every_reason_has_its_example_in_the_summary_and_on_the_screen(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    ended = ds2("run", "gsm8k", "-n", 12, "--out", "here", "--quiet")
    summary = summary_of(tmp_path / "here")
    assert summary["ledger"]["rejected"]
    assert set(summary["examples"]) == set(summary["ledger"]["rejected"])
    for reason, example in summary["examples"].items():
        line = f"rejected as {reason.replace('_', ' ')}, for example {example}"
        assert line in ended.out.splitlines()
    again = ds2("run", "gsm8k", "-n", 12, "--out", "here", "--json")
    assert json.loads(again.out.splitlines()[-1])["summary"]["examples"] == summary["examples"]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("qwen3-8b", "/models/Qwen/Qwen3-8B/"),
        ("llama3.1", "llama3.1:latest"),
        ("m", ""),
    ],
)
def test_a_model_may_answer_under_a_name_of_its_own(asked: str, answered: str) -> None:
    assert not strange_names(asked, {answered: 3})
    assert list(notices(asked, {answered: 3})) == []


def test_another_model_is_one_notice_however_many_names_it_has() -> None:
    names = {"simulated": 90, "a": 1, "b" * 500: 5, "c": 2, "d": 1}
    (notice,) = notices("simulated", names)
    assert notice.startswith("9 of 99 replies of 'simulated' name another model: 'bbb")
    assert "'c', 'a' and 1 more." in notice
    assert len(notice) < 250
