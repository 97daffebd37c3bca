"""Several workers on one study in a database: begun at once, killed, continued.

SQLite always; PostgreSQL where DS2_TEST_POSTGRES holds the URL of a database.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import pytest
from optuna.trial import TrialState
from test_cli_replay import recorded

from ds2.engines.question import call_key, rendered
from ds2.engines.resolve import resolve_backend
from ds2.engines.teacher import Teacher
from ds2.server.app import SimulatedServer, delay
from ds2.server.protocol import ChatCall
from ds2.server.serve import served
from ds2.store import STORE_NAME
from optimizers.tuning.storage import close_storage

COMMAND = [sys.executable, "-c", "from ds2.cli.app import main; main()"]
SPACE = "policy: [lead, curtailed]\nmax_tokens: null\nkeyword_temperature: 0.7\nbank: 6\n"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database that holds no study of this test's name."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    given = os.environ.get("DS2_TEST_POSTGRES")
    if not given:
        pytest.skip("DS2_TEST_POSTGRES is not set: it takes postgresql://USER@HOST/DATABASE")
    return given


@pytest.fixture
def study() -> str:
    return f"test-{uuid4().hex}"


def begun(words: list[object], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, words)], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_workers_that_begin_at_once_share_a_study_in_one_folder(
    tmp_path: Path, url: str, study: str
) -> None:
    path = recorded(tmp_path, samples=12)
    words = ["tune", "--replay", path, "--format", "number", "--repeats", 3, "--trials", 16]
    words += ["--storage", url, "--study", study, "--json", "-q"]
    processes = [begun(words, tmp_path) for _ in range(3)]
    ended = [process.communicate(timeout=120) for process in processes]
    for process, (out, err) in zip(processes, ended, strict=True):
        assert process.returncode == 0, err
        found = json.loads(out)
        assert 16 <= found["trials"] <= 18  # what others have begun is ended
        assert sorted(entry["baseline"] for entry in found["baselines"]) == ["default", "paper"]


@contextmanager
def asked_of() -> Iterator[tuple[str, list[str]]]:
    """Serve the teacher; give its address and the keys of the calls it gets."""
    keys: list[str] = []
    wait = delay(0.004, 0.003, seed=1)
    address = ""

    async def hook(call: ChatCall) -> None:
        prompt, options = rendered(call.request)
        backend = resolve_backend("simulated", api_base=address)
        keys.append(call_key(backend, prompt, options, call.seed or 0))
        await wait(call)

    with served(SimulatedServer(Teacher(0), hook=hook)) as server:
        address = server.url
        yield address, keys


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_killed_live_worker_takes_its_trial_up_again_without_a_repeated_call(
    ds2: Callable[..., Any], tmp_path: Path, url: str, study: str
) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)

    def words(address: str, out: str, trials: int) -> list[object]:
        model = ["--model", "simulated", "--api-base", address, "--concurrency", 8]
        kept = ["--storage", url, "--study", study, "--out", out, "--trials", trials]
        return ["tune", "gsm8k", *model, "--target", 6, "--space", "space.yaml", *kept]

    with asked_of() as (one, ones_keys), asked_of() as (other, others_keys):
        killed = begun(words(one, "one", 6), tmp_path)
        while len(ones_keys) < 30 and killed.poll() is None:
            time.sleep(0.002)
        assert killed.poll() is None
        killed.kill()
        killed.communicate()
        paid, before = _logged(tmp_path / "one"), len(ones_keys)
        # The other worker neither waits for the dead one nor takes its trial: it may be alive.
        ended = ds2(*words(other, "other", 2), "--json")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["trials"] == 2
        left = [t for t in _trials(url, study) if t.state is TrialState.RUNNING]
        assert len(left) == 1
        assert others_keys
        # The dead one's own folder knows that it is dead.
        again = begun(words(one, "one", 4), tmp_path)
        _, err = again.communicate(timeout=120)
        assert again.returncode == 0, err
        assert paid
        assert not paid & set(ones_keys[before:])
    trials = _trials(url, study)
    assert sum(t.state is TrialState.COMPLETE for t in trials) == 4
    assert not [t for t in trials if t.state is TrialState.RUNNING]
    (taken_up,) = [t for t in trials if t.user_attrs.get("retry_of") == left[0].number]
    assert taken_up.state is TrialState.COMPLETE
    assert taken_up.params == left[0].params
    assert trials[left[0].number].state is TrialState.FAIL


def test_a_folder_that_a_live_worker_is_in_is_refused_to_another(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    from ds2.store import RunStore

    (tmp_path / "out").mkdir()
    with RunStore(tmp_path / "out"):
        refused = ds2("tune", "gsm8k", "--trials", 1, "--out", "out")
    assert refused.code == 2
    assert "be used by one process at a time" in refused.err
    assert "choose another --out" in refused.err


def _trials(url: str, study: str) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(url)
    try:
        return optuna.load_study(study_name=study, storage=storage).get_trials()
    finally:
        close_storage(storage)


def _logged(folder: Path) -> set[str]:
    with sqlite3.connect(folder / STORE_NAME) as connection:
        found = {row[0] for row in connection.execute("SELECT key FROM calls")}
    connection.close()
    return found
