"""kill -9 in the middle of a live study: continued without a call that was answered before."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ds2.engines.question import call_key, rendered
from ds2.engines.resolve import resolve_backend
from ds2.engines.teacher import Teacher
from ds2.server.app import SimulatedServer, delay
from ds2.server.protocol import ChatCall
from ds2.server.serve import served
from ds2.store import STORE_NAME

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

COMMAND = [sys.executable, "-c", "from ds2.cli.app import main; main()"]
SPACE = "policy: [lead, curtailed]\nmax_tokens: null\nkeyword_temperature: 0.7\nbank: 6\n"
KILL_AFTER = 60


def test_a_killed_study_is_continued_without_a_repeated_call(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    keys: list[str] = []
    wait = delay(0.004, 0.003, seed=1)
    url = ""

    async def hook(call: ChatCall) -> None:
        prompt, options = rendered(call.request)
        backend = resolve_backend("simulated", api_base=url)
        keys.append(call_key(backend, prompt, options, call.seed or 0))
        await wait(call)

    (tmp_path / "space.yaml").write_text(SPACE)
    with served(SimulatedServer(Teacher(0), hook=hook)) as server:
        url = server.url
        words = ["tune", "gsm8k", "--model", "simulated", "--api-base", url, "--trials", "2"]
        words += ["--target", "6", "--concurrency", "8", "--space", str(tmp_path / "space.yaml")]
        words += ["--out", "killed"]
        process = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stderr=subprocess.DEVNULL)
        while len(keys) < KILL_AFTER and process.poll() is None:
            time.sleep(0.002)
        assert process.poll() is None
        process.kill()
        process.wait()
        paid = _logged(tmp_path / "killed")
        assert paid
        asked_before = len(keys)
        assert ds2(*words).code == 0
        assert not paid & set(keys[asked_before:])
        assert len(keys) > asked_before
        # The same command once more asks nothing at all, and says the same.
        there = len(keys)
        again = ds2(*words, "--json")
        assert len(keys) == there
    found = json.loads(again.out)
    assert found["trials"] == 2
    assert {entry["baseline"] for entry in found["baselines"]} == {"default", "paper"}


def _logged(folder: Path) -> set[str]:
    with sqlite3.connect(folder / STORE_NAME) as connection:
        found = {row[0] for row in connection.execute("SELECT key FROM calls")}
    connection.close()
    return found
