"""What a page takes as there: documents, dev sets, recordings, runs and studies, made when named."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_RUN = re.compile(r"runs/([a-z]\w*)-(\d+)\b")
_ABSTRACTS = [
    ("beta blockers", "heart failure", "lowers the rate of admissions within one year"),
    ("early mobilisation", "hip fracture", "shortens the stay without more falls"),
    ("oral rehydration", "acute gastroenteritis in children", "prevents most drips"),
    ("statins", "raised cholesterol", "lowers the rate of first strokes in both sexes"),
    ("pulmonary rehabilitation", "chronic obstructive disease", "improves the distance walked"),
    ("a written action plan", "asthma", "lowers the number of visits at night"),
]


def lines(name: str, records: Iterable[dict[str, Any]]) -> None:
    """Write JSON lines, compressed where the name says so."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    data = text.encode()
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def recording(first: int, count: int) -> Iterable[dict[str, Any]]:
    """Yield recorded answers: ten draws a question, two in three of a third of them wrong."""
    for number in range(first, first + count):
        right = [number % 3 != 0 or draw % 2 == 0 for draw in range(10)]
        texts = [number if good else number + 1 + draw for draw, good in enumerate(right)]
        samples = [{"text": f"The answer is {text}.", "model": "large"} for text in texts]
        yield {"question": f"Number {number}?", "gold": str(number), "samples": samples}


def _abstracts(name: str) -> None:
    texts = (
        f"We asked whether {what} helps people with {whom}. In a trial with 400 people {what} was "
        f"compared with usual care over twelve months. We found that {what} {effect}. People with "
        f"{whom} should be offered it early, and followed for longer than this trial could."
        for what, whom, effect in _ABSTRACTS
    )
    lines(name, ({"abstract": text} for text in texts))


def _handbook(name: str) -> None:
    Path(name).mkdir()
    for number, (what, whom, effect) in enumerate(_ABSTRACTS):
        text = f"# {what}\n\nFor {whom}: {what} {effect}. Ask for {what} at the first visit.\n"
        (Path(name) / f"{number}.md").write_text(text, "utf-8")


def _benchmark(name: str) -> None:
    lines(name, ({"question": f"Does {what} help in {whom}?"} for what, whom, _ in _ABSTRACTS))


_FILES: dict[str, Callable[[str], None]] = {
    "abstracts.jsonl": _abstracts,
    "handbook": _handbook,
    "benchmark.jsonl": _benchmark,
    "replay.jsonl.gz": lambda name: lines(name, recording(0, 40)),
    "train.jsonl": lambda name: lines(name, recording(100, 40)),
    "test.jsonl": lambda name: lines(name, recording(200, 40)),
}
_MADE: dict[str, tuple[str, ...]] = {
    "dev.jsonl": (
        "ds2 run gsm8k --target 50 --out runs/of-dev --quiet",
        "ds2 devset gsm8k --n 30 --run runs/of-dev --out dev.jsonl",
    ),
    "my-domain.yaml": ("ds2 tasks new my-domain",),
    "runs/medqa-b": ("ds2 run medqa --target 12 --seed 1 --out runs/medqa-b --quiet",),
    "runs/tuned": ("ds2 tune runs/medqa-12 --trials 8 --out runs/tuned",),
}


def supply(text: str, command: Callable[[str], Any]) -> None:
    """Make what a block or a command names and nothing on its page has made yet.

    Args:
        text: the block, or the command with its sizes made small.
        command: runs one of our commands.
    """
    text = re.sub(r"--out \S+", "", text)
    for name, write in _FILES.items():
        if re.search(rf"(?<![\w.]){re.escape(name)}\b", text) and not Path(name).exists():
            write(name)
    for task, size in _RUN.findall(text):
        if not Path(f"runs/{task}-{size}").exists():
            command(f"ds2 run {task} --target {size} --quiet")
    for name, commands in _MADE.items():
        if name in text and not Path(name).exists():
            for line in commands:
                command(line)
