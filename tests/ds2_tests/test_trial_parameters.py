"""Every parameter of a live study: what it changes in the calls of a trial, and in best.yaml."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from dspy.lm15 import Request, Response
from small_runs import Meddler, asked, asks_for, saying

from ds2.config import EngineConfig
from ds2.engines.base import Backend
from ds2.runtime.trials import TrialSetup, run_trial, trial_budget
from ds2.runtime.tuning import trial_changes
from ds2.store import RunStore
from optimizers.tuning.catalog import PARAMETERS, live_space, policy_text
from optimizers.tuning.space import Choice
from optimizers.tuning.spacefile import read_space
from programs.synthesis import ChainConfig, DS2Instruct
from signatures.task import load_task

PLAIN: dict[str, Any] = {"policy": "lead", "lead.by": 2, "lead.max": 6}


@dataclass
class Watched:
    """The calls of one trial, by stage, and the models that were asked for."""

    requests: dict[str, list[Request]] = field(default_factory=dict)
    models: set[str | None] = field(default_factory=set)

    def temperatures(self, stage: str) -> set[float | None]:
        return {request.config.temperature for request in self.requests[stage]}

    def value(self, stage: str, name: str) -> set[str]:
        found = rf"\[\[ ## {name} ## \]\]\n(.*)"
        texts = (str(r.messages[-1].text) for r in self.requests[stage])
        return {match[1] for text in texts if (match := re.search(found, text))}


def stage_of(request: Request) -> str:
    return "judge" if "`same`" in str(request.system) else asks_for(request)


def tried(folder: Path, settings: dict[str, Any], task: Any = "gsm8k", **asked_for: Any) -> Watched:
    """Return the calls of the trial that these settings of the space make."""
    watched = Watched()

    async def look(request: Request, _: int) -> Response | None:
        watched.requests.setdefault(stage_of(request), []).append(request)
        if stage_of(request) == "judge":
            return saying("[[ ## reason ## ]]\nAlike.\n\n[[ ## same ## ]]\nyes")
        return None

    meddler = Meddler(look)

    def resolve(model: str | None, engine: EngineConfig, seed: int) -> Backend:
        watched.models.add(model)
        name = model or "simulated"
        return replace(meddler.backend(), model=name, max_tokens=engine.max_tokens)

    folder.mkdir()
    changes = trial_changes(settings, str(policy_text(settings)))
    setup = TrialSetup(asked(folder, 6, task, concurrency=1, **asked_for), resolve=resolve)
    with RunStore(folder) as store:
        budget = trial_budget(setup, store)
        watched.models.clear()  # the budget asks for those that the study began with
        asyncio.run(run_trial(setup, changes, store, budget))
    return watched


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., Watched]:
    def make(task: Any = "gsm8k", asked_for: Any = None, **settings: Any) -> Watched:
        number = len(list(tmp_path.iterdir()))
        return tried(tmp_path / str(number), {**PLAIN, **settings}, task, **(asked_for or {}))

    return make


def test_a_larger_wave_sends_more_draws_at_once(trial: Callable[..., Watched]) -> None:
    for size, first in ((1, 2), (5, 5)):
        # By draw every draw has a temperature of its own, by wave those of one wave share theirs.
        found = trial(wave=size, answer_temperature=0.5, answer_temperature_step=0.2)
        draws = Counter(
            str(r.messages[-1].text)
            for r in found.requests["answers"]
            if r.config.temperature == 0.5
        )
        assert set(draws.values()) == {first}


def test_the_policy_and_its_numbers_decide_how_much_is_drawn(
    trial: Callable[..., Watched],
) -> None:
    few, many = trial(**{"lead.by": 1}), trial(**{"lead.by": 5})
    one = trial(policy="fixed(1, 0.5)")
    drawn = [len(found.requests["answers"]) for found in (one, few, many)]
    assert drawn[0] <= drawn[1] < drawn[2]


def test_each_stage_has_its_own_temperature(trial: Callable[..., Watched]) -> None:
    found = trial(
        keyword_temperature=0.31, writer_temperature=0.51, answer_temperature=0.41,
        answer_temperature_step=0.1, answer_temperatures_by="draw", wave=3,
    )  # fmt: skip
    assert found.temperatures("keywords") == {0.31}
    assert found.temperatures("writer") == {0.51}
    assert found.temperatures("answers") == {0.41, 0.51, 0.61}


def test_pairs_are_a_share_of_the_units(trial: Callable[..., Watched]) -> None:
    none, every = (trial(pair_share=share).requests["writer"] for share in (0.0, 1.0))
    systems = [{str(r.system) for r in found} for found in (none, every)]
    assert not systems[0] & systems[1]  # one keyword and two are different signatures


def test_the_bank_is_grown_to_its_size_by_width_and_rounds(trial: Callable[..., Watched]) -> None:
    def lists(**settings: Any) -> int:
        return len(trial(**settings).requests["keywords"])

    assert lists(bank=6) < lists(bank=48)
    wide, narrow = trial(bank=48, expansion_width=16), trial(bank=48, expansion_width=4)
    assert len(wide.requests["keywords"]) < len(narrow.requests["keywords"])
    assert "16" in wide.value("keywords", "count")
    assert lists(bank=48, expansion_rounds=1, expansion_width=4) < len(narrow.requests["keywords"])


def test_the_reply_length_goes_with_every_call(trial: Callable[..., Watched]) -> None:
    found = trial(max_tokens=777)
    every = [r.config.max_tokens for requests in found.requests.values() for r in requests]
    assert set(every) == {777}
    assert {r.config.max_tokens for r in trial(max_tokens=None).requests["answers"]} == {None}


def test_demos_come_from_the_program_that_is_chosen(
    trial: Callable[..., Watched], tmp_path: Path
) -> None:
    program = DS2Instruct("gsm8k", ChainConfig())
    program.vote.draw.predictors()[0].demos = [
        {"question": "What is 2 + 3?", "reasoning": "Two and three are five.", "answer": "5"}
    ]
    file = tmp_path / "program.json"
    program.save(file)
    with_demo = trial(program=str(file)).requests["answers"]
    assert all("Two and three are five." in str(r.messages) for r in with_demo)
    plain = trial(program=None).requests["answers"]
    assert not any("Two and three are five." in str(r.messages) for r in plain)


def test_teacher_and_judge_are_the_models_that_are_chosen(trial: Callable[..., Watched]) -> None:
    text = load_task("math")
    judged = {"merger": "judge"}
    found = trial(text, judged, model="a/teacher", judge_model="b/judge", bank=12)
    assert found.models == {"a/teacher", "b/judge"}
    assert trial(text, judged, model="a/other").models == {"a/other"}


def test_what_is_tested_here_is_every_parameter() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    families = {"lead", "curtailed", "posterior", "fixed", "calibrated"}
    plain = {name for name in PARAMETERS if name.partition(".")[0] not in families}
    assert {name for name in plain if f"{name}=" not in text} == set()


def test_every_parameter_can_be_narrowed_fixed_and_extended(tmp_path: Path) -> None:
    space = live_space({"bank": Choice((6, 12))})
    lines = {
        "policy": "[lead, 'fixed(3, 0.5)']",
        "wave": "[1, 2, 64]",
        "keyword_temperature": "{low: 0, high: 2}",
        "writer_temperature": "0.9",
        "answer_temperature": "[0.2, 0.7]",
        "answer_temperature_step": "0.05",
        "answer_temperatures_by": "draw",
        "pair_share": "{low: 0.1, high: 0.3, step: 0.1}",
        "bank": "[7, 700]",
        "expansion_width": "{low: 1, high: 64}",
        "expansion_rounds": "3",
        "max_tokens": "[null, 99]",
        "program": "[null, a.json, b.json]",
        "model": "[a/b, c/d]",
        "judge_model": "[null, e/f]",
    }
    assert set(lines) == {name for name in PARAMETERS if "." not in name}
    file = tmp_path / "space.yaml"
    file.write_text("".join(f"{name}: {said}\n" for name, said in lines.items()))
    changed = read_space(file, space)
    assert all(changed.domains[name] != space.domains.get(name) for name in lines)
    assert set(changed.fixed) == {
        "writer_temperature", "answer_temperature_step", "answer_temperatures_by",
        "expansion_rounds",
    }  # fmt: skip


def test_a_wave_goes_to_best_yaml_and_from_there_into_a_run(
    ds2: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(
        "policy: lead\nlead.by: 2\nlead.max: 6\nwave: 4\nbank: 6\nmax_tokens: null\n"
        "keyword_temperature: 0.7\n"
    )
    words = ("tune", "gsm8k", "--target", 6, "--trials", 1, "--space", "space.yaml", "--out", "t")
    assert ds2(*words, "-q").code == 0
    best = yaml.safe_load((tmp_path / "t" / "best.yaml").read_text())
    assert best["policy"] == "waves(lead(2, 6), 4)"
    ran = ds2("run", "gsm8k", "--config", "t/best.yaml", "-n", 4, "--out", "r", "-q")
    assert ran.code == 0, ran.err
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["run"]["policy"] == "waves(lead(2, 6), 4)"
    other = ds2("run", "gsm8k", "--policy", "lead(2, 6)", "-n", 4, "--out", "r", "-q")
    assert other.code == 2  # the wave is part of what a run is
    assert "policy" in other.err


def test_a_judge_model_is_refused_where_nothing_judges(ds2: Callable[..., Any]) -> None:
    refused = ds2("tune", "gsm8k", "--judge-model", "a/b", "--judge-model", "c/d")
    assert refused.code == 2
    assert "--judge-model must be left out where no model compares answers" in refused.err
