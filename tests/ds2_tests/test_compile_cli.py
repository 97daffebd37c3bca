"""`ds2 devset` and `ds2 compile`: from nothing to compiled prompts, and what goes wrong on the way."""

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
from small_runs import go, gone

from ds2.config import BudgetConfig, EngineConfig, preset
from ds2.engines.question import call_key, rendered
from ds2.engines.resolve import resolve_backend
from ds2.engines.teacher import Teacher
from ds2.runtime import compiling
from ds2.server.app import SimulatedServer, delay
from ds2.server.protocol import ChatCall
from ds2.server.serve import served
from ds2.store import RunStore
from programs.synthesis import DS2Instruct
from signatures.errors import ProgramError, RunStoppedError
from signatures.task import load_task

COMMAND = [sys.executable, "-c", "from ds2.cli.app import main; main()"]
KILLS = 3
QUICK = ("--stage", "answers", "--optimizer", "bootstrap", "--repeats", "1", "--sensitivity", "1")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dev set out of a small run."""
    from ds2.runtime.devset import write_devset

    out = tmp_path_factory.mktemp("run")
    assert go(out, 48).exit_code == 0
    file = out.parent / "dev.jsonl"
    write_devset(load_task("gsm8k"), out, file, rows=36)
    return file


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_from_nothing_to_a_run_with_compiled_prompts(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    assert ds2("run", "gsm8k", "-n", 60, "-q").code == 0
    made = ds2("devset", "gsm8k", "-n", 40)
    assert made.code == 0
    assert "agreement with the model, not accuracy" in made.err
    file = tmp_path / "runs/gsm8k-60/devset.jsonl"
    first = json.loads(file.read_text(encoding="utf-8").splitlines()[0])
    assert first["labelled_by"].startswith("self-consistency of simulated")
    note = json.loads((file.parent / "devset.jsonl.meta.json").read_text(encoding="utf-8"))
    assert (note["self_labelled"], note["rows"]) == (True, 40)

    asked = ("--stage", "answers", "--optimizer", "bootstrap", "--devset", file)
    done = ds2("compile", "gsm8k", *asked, "--sensitivity", 1, "--name", "better")
    assert done.code == 0
    assert "score before" in done.out
    assert "95 % interval" in done.out
    assert "self-labelled" in done.out
    assert "bootstrap" in done.err
    folder = tmp_path / "runs/better"
    said = manifest_of(folder)
    assert {"task", "optimizer", "seed", "calls", "tokens", "usd", "signatures"} <= said.keys()
    assert said["usd"] == 0  # the simulated teacher is free; an unknown price is null
    assert said["devset"]["self_labelled"] is True
    assert said["devset"]["leaks_between_sides"] == []
    assert said["metric"]["name"] == "agreement with self-labels (not accuracy)"
    assert said["calls"] == sum(said["by_part"].values()) == said["new_calls"]
    assert "demo 1" in (folder / "prompts.diff").read_text(encoding="utf-8")
    saved = json.loads((folder / "program.json").read_text(encoding="utf-8"))
    assert set(saved) == {"format", "task", "signatures", "program"}
    assert all(state["lm"] is None for state in saved["program"].values())

    again = ds2("compile", "gsm8k", *asked, "--sensitivity", 1, "--name", "better", "--json")
    assert json.loads(again.out)["new_calls"] == 0

    plain = go(tmp_path / "plain", 12, sensitivity=1.0)
    better = go(tmp_path / "better", 12, sensitivity=1.0, program=folder / "program.json")
    assert plain.mean_agreement is not None
    assert better.mean_agreement is not None
    assert better.mean_agreement > plain.mean_agreement


def test_a_program_of_another_task_is_refused(
    ds2: Callable[..., Any], rows: Path, tmp_path: Path
) -> None:
    assert ds2("compile", "gsm8k", *QUICK, "--devset", rows, "--out", "c", "-q").code == 0
    refused = ds2("run", "medqa", "-n", 6, "--program", "c/program.json")
    assert refused.code == 2
    assert "task must be 'medqa'" in refused.err
    with pytest.raises(ProgramError):
        DS2Instruct("math").load(tmp_path / "c/program.json")
    text = (tmp_path / "c/program.json").read_text(encoding="utf-8")
    old = json.loads(text) | {"signatures": "0" * 16}
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    assert ds2("run", "gsm8k", "-n", 6, "--program", "old.json").code == 2


def test_stdout_holds_the_manifest_alone(ds2: Callable[..., Any], rows: Path) -> None:
    done = ds2("compile", "gsm8k", *QUICK, "--devset", rows, "--json")
    assert json.loads(done.out)["stage"] == "answers"


def test_no_gain_is_said_and_ends_with_4_where_one_is_required(
    ds2: Callable[..., Any], rows: Path
) -> None:
    asked = ("--stage", "answers", "--optimizer", "bootstrap", "--repeats", 1, "--devset", rows)
    done = ds2("compile", "gsm8k", *asked, "-q")
    assert done.code == 0
    assert "No gain was shown: " in done.out
    required = ds2("compile", "gsm8k", *asked, "-q", "--require-gain")
    assert required.code == 4
    assert manifest_of(Path("runs/gsm8k-answers-bootstrap"))["score"]["gain_shown"] is False


def test_a_judge_is_compiled_and_kept_with_the_program(
    ds2: Callable[..., Any], rows: Path, tmp_path: Path
) -> None:
    asked = ("--stage", "judge", "--optimizer", "bootstrap", "--sensitivity", 1, "--repeats", 1)
    assert ds2("compile", "gsm8k", *asked, "--devset", rows, "--out", "j", "-q").code == 0
    saved = json.loads((tmp_path / "j/program.json").read_text(encoding="utf-8"))
    assert saved["program"]["level_judge.predict"]["demos"]


def test_the_judge_of_answers_is_compiled_and_used_by_a_run_that_compares_by_it(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rng = random.Random(0)
    words = ["".join(rng.sample("abcdefghijklmnopqrstuvwxyz", 6)) for _ in range(400)]
    made = [
        {"q": f"What is {' '.join(rng.sample(words, 9))}?", "one": str(n), "other": f"{n + n % 2}.",
         "alike": "no" if n % 2 else "yes"}
        for n in range(40)
    ]  # fmt: skip
    pairs.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    columns = "question=q,first=one,second=other,same=alike"
    asked = ("--stage", "answer-judge", "--optimizer", "bootstrap", "--devset", pairs)
    done = ds2("compile", "math", *asked, "--columns", columns, "--out", "j", "-q")
    assert done.code == 0, done.err
    assert manifest_of(tmp_path / "j")["metric"]["name"] == "verdict as labelled"
    program = tmp_path / "j/program.json"
    document = json.loads(program.read_text(encoding="utf-8"))
    state = document["program"]["vote.judge.predict"]
    state["signature"]["instructions"] += " Mind every sign."
    program.write_text(json.dumps(document), encoding="utf-8")

    # Who compares by a judge takes its prompt, who compares by keys alone leaves it out.
    for merger, minds in (("judge", True), ("none", False)):
        ran = ds2("run", "math", "-n", 12, "--program", program, "--merger", merger,
                  "--out", merger, "-q")  # fmt: skip
        assert ran.code == 0, ran.err
        with RunStore(tmp_path / merger) as store:
            judged = store.rows(
                "SELECT prompt FROM calls JOIN prompts ON id = prompt_id WHERE stage = 'judge'"
            )
        assert bool(judged) is minds
        assert all("Mind every sign." in prompt for (prompt,) in judged)
    # And a program without that judge keeps the plain one.
    DS2Instruct("math").save(tmp_path / "plain.json")
    ran = ds2("run", "math", "-n", 6, "--program", "plain.json", "--merger", "judge", "-q")
    assert ran.code == 0, ran.err


def test_pairs_that_cannot_be_used_are_told_by_their_line(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    good = {"question": "2 + 2?", "first": "4", "second": "4.", "same": "yes"}
    for row, said in (
        ({**good, "same": "maybe"}, "have yes or no as `same` (p.jsonl, line 2)"),
        ({"question": "2?", "first": "2"}, "have `first`, `second` and `same` in each row"),
    ):
        (tmp_path / "p.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}\n")
        told = ds2("compile", "math", "--stage", "answer-judge", "--devset", "p.jsonl")
        assert told.code == 2
        assert said in told.err
    exact = ds2("compile", "gsm8k", "--stage", "answer-judge", "--devset", "p.jsonl")
    assert "answers, for the stage answer-judge, must be of the kind expression" in exact.err
    assert "merger" not in exact.err  # numbers have exact keys, and nobody asked for one


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--stage", "writer"),
            "be one of keywords, instructions, answers, judge, answer-judge, question-judge",
        ),
        (("--optimizer", "adam"), "be one of bootstrap, random-search"),
        ((), "--devset must be given for this stage"),
        (("--devset", "none.jsonl"), "nothing there"),
        (("--budget-calls", "9", "--devset", "DEV"), "No call was made"),
        (("--devset", "DEV", "--columns", "question=prompt"), "have the columns prompt"),
        (("--devset", "DEV", "--benchmark", "DEV"), "its questions must not stand in"),
        (("--devset", "DEV", "--model", "x/y", "--sensitivity", "1"), "the simulated teacher"),
        (
            ("--devset", "DEV", "--price-for", "answers=1,2"),
            "own: judge or proposer (got 'answers')",
        ),
    ],
    ids="stage optimizer none missing budget columns leak sensitivity part".split(),
)
def test_a_mistake_is_one_message_before_the_first_call(
    ds2: Callable[..., Any], rows: Path, options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = ds2("compile", "gsm8k", *[str(rows) if o == "DEV" else o for o in options])
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "runs").exists()


def test_what_a_compile_costs_goes_by_the_prices_that_were_given(
    ds2: Callable[..., Any], rows: Path, tmp_path: Path
) -> None:
    asked = ("compile", "gsm8k", *QUICK, "--devset", rows, "--name", "priced")
    others = ("--judge-model", "simulated", "--price-for", "judge=3,4")
    done = ds2(*asked, *others, "--price", "1,2", "--budget-usd", 5)
    assert "--judge-model is not used: the dev set says what is right." in done.err
    assert "proposer" not in done.err  # none was given
    with RunStore(tmp_path / "runs/priced", lock=False) as store:
        used = store.usage()["program"]
    cost = (used.input_tokens * 1 + used.output_tokens * 2) / 1e6
    assert manifest_of(tmp_path / "runs/priced")["usd"] == pytest.approx(cost)
    again = ds2(*asked, *others, "--price", "2,2")
    assert "The price of simulated is now 2,2" in again.err


def test_a_dev_set_is_taken_by_its_name_on_the_hub(
    ds2: Callable[..., Any], rows: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets

    asked: list[Any] = []

    def load(name: str, config: str | None, *, split: str | None) -> datasets.Dataset:
        asked.append((name, config, split))
        lines = rows.read_text(encoding="utf-8").splitlines()
        kept = [{name: json.loads(line)[name] for name in ("question", "answer")} for line in lines]
        return datasets.Dataset.from_list(kept).rename_column("question", "prompt")

    monkeypatch.setattr(datasets, "load_dataset", load)
    given = ("--devset", "ann/sums:main:test", "--columns", "question=prompt", "--out", "h", "-q")
    assert ds2("compile", "gsm8k", *QUICK, *given).code == 0
    assert asked == [("ann/sums", "main", "test")]
    assert manifest_of(tmp_path / "h")["devset"]["source"] == "ann/sums:main:test"


def test_a_folder_of_another_compile_or_of_a_run_is_refused(
    ds2: Callable[..., Any], rows: Path
) -> None:
    asked = ("compile", "gsm8k", *QUICK, "--devset", rows, "-q", "--out")
    assert ds2(*asked, "c").code == 0
    other = ds2(*asked, "c", "--seed", 1)
    assert other.code == 2
    assert "seed" in other.err
    assert ds2("run", "gsm8k", "-n", 6, "-q", "--out", "r").code == 0
    assert "Continuing the compile failed" in ds2(*asked, "r").err


@pytest.mark.parametrize(
    "command",
    [("run", "gsm8k", "-n", 6, "--out"), ("status",), ("report",), ("stats",), ("verify",)],
)
def test_a_compile_is_no_run(
    ds2: Callable[..., Any], rows: Path, tmp_path: Path, command: tuple[Any, ...]
) -> None:
    assert ds2("compile", "gsm8k", *QUICK, "--devset", rows, "-q", "--out", "c").code == 0
    calls = manifest_of(tmp_path / "c")["calls"]
    refused = ds2(*command, "c")
    assert refused.code == 2
    assert "the folder must be that of a run (got 'a compile')" in refused.err
    with RunStore(tmp_path / "c") as store:
        assert sum(usage.calls for usage in store.usage().values()) == calls


def test_what_was_refused_before_its_first_call_can_be_mended_and_given_again(
    ds2: Callable[..., Any], rows: Path, tmp_path: Path
) -> None:
    whole = rows.read_text(encoding="utf-8")
    mended = tmp_path / "mended.jsonl"
    mended.write_text(whole.replace('"level"', '"grade"'), encoding="utf-8")
    asked = ("compile", "gsm8k", "--stage", "judge", "--optimizer", "bootstrap", "--repeats", 1,
             "--devset", mended, "--out", "j", "-q")  # fmt: skip
    refused = ds2(*asked)
    assert refused.code == 2
    assert "have a level each" in refused.err
    mended.write_text(whole, encoding="utf-8")
    done = ds2(*asked)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--run", "nowhere"), "hold a run"), (("--run", "r", "-n", "99"), "be at least 99")],
    ids=["no run", "too few"],
)
def test_a_dev_set_that_cannot_be_made_is_said(
    ds2: Callable[..., Any], options: tuple[str, ...], said: str
) -> None:
    assert ds2("run", "gsm8k", "-n", 6, "-q", "--out", "r").code == 0
    done = ds2("devset", "gsm8k", *options)
    assert (done.code, said in done.err) == (2, True)


def test_a_dev_set_of_another_task_is_refused(ds2: Callable[..., Any]) -> None:
    assert ds2("run", "gsm8k", "-n", 6, "-q", "--out", "r").code == 0
    assert "its task must be 'math'" in ds2("devset", "math", "--run", "r", "-n", 1).err


def test_a_dead_endpoint_stops_at_once_and_the_same_command_goes_on(
    ds2: Callable[..., Any], rows: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, alive = compiling.resolve_model, [20]

    def dying(*asked: Any) -> Any:
        from dataclasses import replace

        inner = real(*asked)

        class Engine:
            async def complete(self, request: Any) -> Any:
                alive[0] -= 1
                if alive[0] < 0:
                    raise gone()
                return await inner.open().complete(request)

        return replace(inner, open=Engine)

    monkeypatch.setattr(compiling, "resolve_model", dying)
    monkeypatch.setattr("ds2.engines.retry.RetryPolicy._wait_s", lambda *_: 0.0)
    asked = ("compile", "gsm8k", *QUICK, "--devset", rows, "-q", "--out", "c")
    stopped = ds2(*asked)
    assert stopped.code == 3
    assert "the same command then continues" in stopped.err
    with RunStore(tmp_path / "c") as store:
        assert sum(usage.calls for usage in store.usage().values()) == 20
    alive[0] = 10_000
    assert ds2(*asked).code == 0
    said = manifest_of(tmp_path / "c")
    assert said["new_calls"] == said["calls"] - 20 == 10_000 - alive[0]


def test_a_budget_of_calls_that_is_spent_tells_the_tokens_too(tmp_path: Path) -> None:
    request = compiling.CompileRequest(
        task=load_task("gsm8k"),
        stage="answers",
        config=preset("default"),
        engine=EngineConfig(),
        out=tmp_path / "c",
        budget=BudgetConfig(budget_calls=1),
    )

    def ask_twice() -> None:
        with compiling.open_compile(request) as session:
            session.models["program"]("What is 2 + 2?")
            session.models["program"]("What is 2 + 3?")

    with pytest.raises(RunStoppedError, match=r"--budget-calls \(got '1 calls, [1-9]\d* tokens'"):
        ask_twice()


# A kill in the middle.


@dataclass
class Counting:
    """The sensitive teacher's server, with the key of every call it was asked."""

    url: str = ""
    keys: list[str] = field(default_factory=list)

    def command(self, rows: Path, out: Path) -> list[str]:
        options = ["--model", "simulated", "--api-base", self.url, "-c", "4"]
        asked = ["--stage", "answers", "--optimizer", "copro", "--budget-calls", "380"]
        return ["compile", "gsm8k", *asked, *options, "--devset", str(rows), "--out", str(out)]


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    counting = Counting()
    wait = delay(0.008, 0.004, seed=3)

    async def hook(call: ChatCall) -> None:
        backend = resolve_backend("simulated", api_base=counting.url)
        prompt, options = rendered(call.request)
        counting.keys.append(call_key(backend, prompt, options, call.seed or 0))
        await wait(call)

    with served(SimulatedServer(Teacher(0, sensitivity=1.0), hook=hook)) as running:
        counting.url = running.url
        yield counting


def started(
    server: Counting, rows: Path, out: Path, asked: int, wait_s: float
) -> subprocess.Popen[str]:
    """Start a compile in a process of its own; return `wait_s` after so many calls of it."""
    begun = len(server.keys)
    process = subprocess.Popen(
        [*COMMAND, *server.command(rows, out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(server.keys) < begun + asked and process.poll() is None:
        time.sleep(0.002)
    time.sleep(wait_s)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_kills_at_random_moments_are_continued_without_a_repeated_call(
    server: Counting, rows: Path, tmp_path: Path, ds2: Callable[..., Any]
) -> None:
    rng, begun = random.Random(3), len(server.keys)
    killed: list[tuple[int, set[str]]] = []
    for _ in range(KILLS):
        asked, wait_s = rng.randint(1, 70), rng.random() * 0.05
        process = started(server, rows, tmp_path / "killed", asked, wait_s)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        killed.append((len(server.keys), logged_keys(tmp_path / "killed")))
    assert ds2(*server.command(rows, tmp_path / "killed"), "-q").code == 0
    assert len(killed[-1][1]) > 10
    # The keys are those of the server's own counting.
    assert logged_keys(tmp_path / "killed") <= set(server.keys[begun:])
    for at, logged in killed:
        assert not logged & set(server.keys[at:])
    before = len(server.keys)
    assert ds2(*server.command(rows, tmp_path / "whole"), "-q").code == 0
    calls = [manifest_of(tmp_path / name)["calls"] for name in ("whole", "killed")]
    assert calls == [len(server.keys) - before] * 2
    programs = [(tmp_path / name / "program.json").read_bytes() for name in ("whole", "killed")]
    assert programs[0] == programs[1]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(
    ("signals", "code"),
    [((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), 143)],
    ids=["SIGINT twice", "SIGTERM"],
)
def test_a_signal_ends_a_compile_that_goes_on_without_a_repeated_call(
    signals: tuple[int, ...], code: int, server: Counting, rows: Path, tmp_path: Path
) -> None:
    process = started(server, rows, tmp_path / "stopped", 30, 0.0)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.005)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "give the same command again to continue" in err
    assert "Traceback" not in out + err
    logged, begun = logged_keys(tmp_path / "stopped"), len(server.keys)
    again = started(server, rows, tmp_path / "stopped", 20, 0.0)
    again.kill()
    again.communicate()
    assert len(logged) > 10
    assert not logged & set(server.keys[begun:])
