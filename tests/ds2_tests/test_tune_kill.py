"""kill -9 in the middle of a live study: continued without a call that was answered before."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from counting_server import logged_keys

from ds2.engines.question import call_key, rendered
from ds2.engines.resolve import resolve_backend
from ds2.engines.teacher import Teacher
from ds2.server.app import SimulatedServer, delay
from ds2.server.protocol import ChatCall
from ds2.server.serve import served

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

COMMAND = [sys.executable, "-c", "from ds2.cli.app import main; main()"]
SPACE = "policy: [lead, curtailed]\nmax_tokens: null\nkeyword_temperature: 0.7\nbank: 6\n"
KILLS = 3


@dataclass
class Counting:
    """The teacher's server, with the key of every call it was asked."""

    url: str = ""
    keys: list[str] = field(default_factory=list)
    space: Path = Path()

    def words(self, out: str) -> list[str]:
        """Return the command of a study."""
        words = ["tune", "gsm8k", "--model", "simulated", "--api-base", self.url, "--trials", "2"]
        words += ["--target", "6", "--concurrency", "8", "--space", str(self.space)]
        return [*words, "--out", out]

    def started(self, folder: Path, asked: int, wait_s: float) -> subprocess.Popen[str]:
        """Start the study in a process of its own; return `wait_s` after so many calls of it."""
        begun = len(self.keys)
        process = subprocess.Popen(
            [*COMMAND, *self.words(folder.name)],
            cwd=folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(self.keys) < begun + asked and process.poll() is None:
            time.sleep(0.002)
        time.sleep(wait_s)
        assert process.poll() is None, process.communicate()
        return process


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Counting]:
    counting = Counting(space=tmp_path / "space.yaml")
    counting.space.write_text(SPACE)
    wait = delay(0.015, 0.01, seed=1)

    async def hook(call: ChatCall) -> None:
        prompt, options = rendered(call.request)
        backend = resolve_backend("simulated", api_base=counting.url)
        counting.keys.append(call_key(backend, prompt, options, call.seed or 0))
        await wait(call)

    with served(SimulatedServer(Teacher(0), hook=hook)) as running:
        counting.url = running.url
        yield counting


def test_a_study_killed_at_random_moments_is_continued_without_a_repeated_call(
    server: Counting, ds2: Callable[..., Any], tmp_path: Path
) -> None:
    rng = random.Random(7)
    killed: list[tuple[int, set[str]]] = []
    for _ in range(KILLS):
        process = server.started(tmp_path / "killed", rng.randint(1, 35), rng.random() * 0.03)
        process.kill()
        process.communicate()
        killed.append((len(server.keys), logged_keys(tmp_path / "killed")))
    assert killed[-1][1]
    assert ds2(*server.words("killed")).code == 0
    assert logged_keys(tmp_path / "killed") <= set(server.keys)
    for at, logged in killed:
        assert not logged & set(server.keys[at:])
    assert len(server.keys) > killed[-1][0]
    # The same command once more asks nothing at all, and says the same.
    there = len(server.keys)
    again = ds2(*server.words("killed"), "--json")
    assert len(server.keys) == there
    found = json.loads(again.out)
    assert found["trials"] == 2
    assert {entry["baseline"] for entry in found["baselines"]} == {"default", "paper"}


@pytest.mark.parametrize(
    ("signals", "code"),
    [((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), 143)],
    ids=["SIGINT twice", "SIGTERM"],
)
def test_a_signal_ends_a_study_that_goes_on_without_a_repeated_call(
    signals: tuple[int, ...],
    code: int,
    server: Counting,
    ds2: Callable[..., Any],
    tmp_path: Path,
) -> None:
    process = server.started(tmp_path / "stopped", 40, 0.0)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.0005)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "give the same command again to continue" in err.replace("\n", " ")
    assert "Traceback" not in out + err
    logged, begun = logged_keys(tmp_path / "stopped"), len(server.keys)
    assert len(logged) > 10
    assert ds2(*server.words("stopped")).code == 0
    assert not logged & set(server.keys[begun:])
