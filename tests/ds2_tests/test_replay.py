from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Config, InvalidRequestError, Message, Request

from ds2.engines.replay import ReplayEngine, recorded_backend, replay_backend
from signatures.answers import answer_signature
from signatures.recorded import read_questions
from signatures.task import load_task

TEXTS = [f"It is \\boxed{{{n}}}." for n in range(5)]
FIRST = "Ann has 3 bags.\n\nHow many apples?"
LINES: list[dict[str, Any]] = [
    {
        "question": FIRST,
        "gold": "3",
        "samples": [
            {"model": f"big-{n}" if n else "small", "text": text, "correct": n == 3}
            for n, text in enumerate(TEXTS)
        ],
    },
    {
        "question": "Wie viel? ½ Ω",
        "gold": "1",
        "samples": [{"text": "A: 1"}],
        "options": ["1", "2"],
    },
]


def write(folder: Path, lines: list[Any], name: str = "replay.jsonl") -> Path:
    path = folder / name
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def request(question: str, seed: int | None, adapter: dspy.Adapter | None = None) -> Request:
    signature = answer_signature(load_task("gsm8k"))
    messages = (adapter or dspy.ChatAdapter()).format(signature, [], {"question": question})
    return Request(
        model="replay",
        messages=(Message.user(messages[-1]["content"]),),
        config=Config(seed=seed),
    )


def replies(path: Path, question: str, seeds: range, seed: int = 0) -> list[str]:
    engine = replay_backend(path, seed=seed).open()
    return [
        asyncio.run(engine.complete(request(question, number))).message.text for number in seeds
    ]


@pytest.mark.parametrize("name", ["replay.jsonl", "replay.jsonl.gz"])
def test_each_sample_number_gets_another_recorded_reply(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, LINES, name)
    drawn = replies(path, FIRST, range(10))
    assert sorted(drawn[:5]) == TEXTS
    assert drawn[5:] == drawn[:5]
    assert replies(path, LINES[1]["question"], range(2)) == ["A: 1", "A: 1"]


def test_the_order_is_of_the_seed_and_of_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, LINES)
    orders = {tuple(replies(path, FIRST, range(5), seed)) for seed in range(8)}
    assert len(orders) > 1
    assert replies(path, FIRST, range(5), 3) == replies(path, FIRST, range(5), 3)


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
@pytest.mark.parametrize(
    "question", [FIRST, LINES[1]["question"]], ids=["two paragraphs", "unicode"]
)
def test_the_question_is_found_in_the_prompts_of_the_adapters(
    tmp_path: Path, adapter: dspy.Adapter, question: str
) -> None:
    engine = replay_backend(write(tmp_path, LINES)).open()
    response = asyncio.run(engine.complete(request(question, None, adapter)))
    assert response.finish_reason == "stop"
    assert response.message.text


def test_an_unknown_question_is_refused_with_its_text(tmp_path: Path) -> None:
    engine = replay_backend(write(tmp_path, LINES)).open()
    with pytest.raises(InvalidRequestError, match=r"'How old is Bob\?' is not among the 2"):
        asyncio.run(engine.complete(request("How old is Bob?", 0)))
    with pytest.raises(InvalidRequestError, match="no field `question`"):
        asyncio.run(engine.complete(Request(model="replay", messages=(Message.user("Hello"),))))


def test_the_backend_says_what_it_is(tmp_path: Path) -> None:
    backend = replay_backend(write(tmp_path, LINES))
    assert (backend.teacher, backend.send_seed, backend.remote) == ("replay", True, False)
    records = read_questions(write(tmp_path, LINES))
    assert recorded_backend(records).dialect == backend.dialect
    assert recorded_backend(records, seed=1).dialect != backend.dialect
    assert recorded_backend(records[:1]).dialect != backend.dialect
    assert isinstance(backend.open(), ReplayEngine)
