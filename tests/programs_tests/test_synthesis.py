from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from scripted import Call, Script, chat

from ds2.engines.lm import logged_lm
from ds2.engines.teacher import TeacherRates, simulated_backend
from programs.keywords import ExpansionShape
from programs.sampling import Temperatures
from programs.stopping import fixed
from programs.synthesis import JUDGES, ChainConfig, DS2Instruct, judges_in
from signatures.bloom import LEVELS
from signatures.errors import ConfigError, ProgramError, TaskError
from signatures.records import Rejection, Row
from signatures.task import BUILT_IN, TaskSpec, load_task, parse_task

pytestmark = pytest.mark.usefixtures("one_adapter")

PREDICTORS = [
    "keywords.core",
    "keywords.prerequisites",
    "keywords.advanced",
    "keywords.extract",
    "writer.single",
    "writer.pair",
    "vote.draw.predict",
]
JAPANESE = TaskSpec.model_validate(
    {
        "name": "kazu",
        "domain": "算数",
        "description": "小学生のための文章題です。",
        "answer": {"kind": "text", "closing": "答え：{answer}"},
        "language": "Japanese",
    }
)
DEMO = dspy.Example(
    augmented=True, question="What is 1 + 1?", reasoning="Count on from 1.", answer="2"
)


def asks_to_write(call: Call) -> bool:
    return "[[ ## level ## ]]" in call.prompt


def unit(answer: Callable[[Call], str], question: str = "2 + 2?") -> Script:
    """Return a script that writes one question and answers it."""
    return Script(lambda call: chat(question=question) if asks_to_write(call) else answer(call))


def made(script: Script, program: DS2Instruct | None = None, **inputs: Any) -> dspy.Prediction:
    program = program or DS2Instruct("gsm8k")
    with dspy.context(lm=script.lm()):
        return program(**({"keywords": ["unit rate"], "level": "Apply"} | inputs))


RIGHT = unit(lambda call: chat(reasoning=f"Two and two, {call.sample}.", answer="4"))


def test_one_unit_gives_a_row() -> None:
    outcome = made(RIGHT)
    row = outcome.row
    assert isinstance(row, Row)
    assert outcome.rejection is None
    assert (row.answer, row.task, row.teacher) == ("4", "gsm8k", "model")
    assert row.response == "Two and two, 0.\n\nfinal answer: 4"
    assert row.instruction == outcome.instruction
    assert row.vote == outcome.vote
    assert (row.vote.draws, row.vote.agreement) == (5, 1.0)


def test_a_unit_without_a_majority_says_why_and_keeps_its_votes() -> None:
    outcome = made(unit(lambda call: chat(reasoning="r", answer=str(call.sample))))
    rejection = outcome.rejection
    assert isinstance(rejection, Rejection)
    assert outcome.row is None
    assert (rejection.stage, rejection.reason) == ("vote", "tie")
    assert rejection.detail == "20% of 5 draws agree."
    assert rejection.instruction == outcome.instruction
    assert rejection.vote is not None
    assert len(rejection.vote.samples) == 5


def test_a_unit_that_could_not_be_written_asks_for_no_answer() -> None:
    script = Script("I cannot do that.")
    outcome = made(script)
    assert (outcome.rejection.stage, outcome.rejection.reason) == ("writer", "refused")
    assert (outcome.row, outcome.instruction, outcome.vote) == (None, None, None)
    assert len(script.calls) == 1


def test_forward_and_aforward_give_the_same_record() -> None:
    async def outcome() -> dspy.Prediction:
        with dspy.context(lm=RIGHT.lm()):
            return await DS2Instruct("gsm8k").acall(keywords=["unit rate"], level="Apply")

    assert asyncio.run(outcome()).row == made(RIGHT).row


@pytest.mark.parametrize("keywords", ["pi", "unit rate", [], ["a", "b", "c"]])
def test_neither_one_nor_two_keywords_are_refused(keywords: Any) -> None:
    with pytest.raises(ConfigError, match="be a list of one or two keywords"):
        made(RIGHT, keywords=keywords)


@pytest.mark.parametrize(
    ("steps", "response"),
    [
        ("It is 4.", "It is 4.\n\nfinal answer: 4"),
        ("It is 4.\nfinal answer: 4", "It is 4.\n\nfinal answer: 4"),
        ("It is 4. Final answer: 4.", "It is 4.\n\nfinal answer: 4"),
        ("It is 4.\n\n**Final Answer: 4**", "It is 4.\n\nfinal answer: 4"),
        ("So the final answer: 4", "So the final answer: 4\n\nfinal answer: 4"),
        ("final answer: 4", "final answer: 4"),
        ("It is 4.\nfinal answer: $4.00", "It is 4.\n\nfinal answer: 4"),
    ],
)
def test_the_closing_line_stands_once_at_the_end(steps: str, response: str) -> None:
    script = unit(lambda _: chat(reasoning=steps, answer="4"))
    assert made(script).row.response == response


@pytest.mark.parametrize("steps", ["1 + 1.2 = 2.2", "There are 12", "From 4.2"])
def test_a_bare_closing_line_cuts_nothing_off_the_steps(steps: str) -> None:
    task = parse_task(
        "{name: t, domain: d, description: long enough, answer: {kind: number, closing: '{answer}'}}"
    )
    row = made(unit(lambda _: chat(reasoning=steps, answer="2")), DS2Instruct(task)).row
    assert row.response == f"{steps}\n\n2"


def test_an_open_task_is_refused_with_what_to_do() -> None:
    task = JAPANESE.model_dump() | {"answer": {"kind": "open"}}
    with pytest.raises(
        TaskError, match=r"for 'kazu': answer.kind must be a kind that can be voted"
    ) as e:
        DS2Instruct(TaskSpec.model_validate(task))
    assert "checkable answer" in str(e.value)


def test_the_name_of_the_model_is_that_of_the_one_in_use() -> None:
    assert made(RIGHT).row.model == "ds2/model:scripted"
    program = DS2Instruct("gsm8k")
    program.set_lm(RIGHT.lm())
    assert program(keywords=["unit rate"], level="Apply").row.model == "ds2/model:scripted"
    named = DS2Instruct("gsm8k", ChainConfig(model="m", teacher="simulated"))
    assert (made(RIGHT, named).row.model, made(RIGHT, named).row.teacher) == ("m", "simulated")


def test_its_configuration_reaches_every_stage() -> None:
    config = ChainConfig(
        policy=fixed(2, 1.0),
        temperatures=Temperatures(keywords=0.1, writer=0.2, answers=(0.3,)),
        shape=ExpansionShape(core=1),
        thinking=True,
    )
    script = Script(
        lambda call: (
            chat(keywords='["a rate"]') if "[[ ## count ## ]]" in call.prompt
            else chat(question="q") if asks_to_write(call)
            else chat(solution="s", answer="4")
        )
    )  # fmt: skip
    program = DS2Instruct("gsm8k", config)
    assert made(script, program).vote.draws == 2
    with dspy.context(lm=script.lm()):
        program.expand(size=1)
    assert [call.temperature for call in script.calls] == [0.2, 0.3, 0.3, 0.1]


def test_every_predictor_can_be_reached() -> None:
    assert [name for name, _ in DS2Instruct("gsm8k").named_predictors()] == PREDICTORS


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_task_makes_rows_with_the_simulated_teacher(name: str) -> None:
    program = DS2Instruct(name)
    with dspy.context(lm=logged_lm(simulated_backend(rates=TeacherRates.perfect()))):
        bank = program.expand(size=24).bank
        units = zip(LEVELS, bank, bank[6:], strict=False)
        outcomes = [
            program(keywords=[a.text, b.text][: 1 + i % 2], level=level)
            for i, (level, a, b) in enumerate(units)
        ]
    assert [o.rejection for o in outcomes] == [None] * 6
    assert all(o.row.response.endswith(program.task.answer.close(o.row.answer)) for o in outcomes)


def test_a_task_in_a_language_without_spaces_runs_through_every_stage() -> None:
    answers = ["地球。", "地球", "**地球**", "月", "わからない"]

    def reply(call: Call) -> str:
        if "[[ ## count ## ]]" in call.prompt:
            return chat(keywords='["・惑星", "１．太陽系", "惑星"]')
        if asks_to_write(call):
            return chat(question="人が住む惑星は何ですか。")
        return chat(reasoning="人は地球に住みます。答え：地球", answer=answers[call.sample])

    script = Script(reply)
    program = DS2Instruct(JAPANESE)
    with dspy.context(lm=script.lm()):
        bank = program.expand(size=2).bank
        row = program(keywords=[bank[0].text, bank[1].text], level="Understand").row
    assert [keyword.text for keyword in bank] == ["惑星", "太陽系"]
    assert all("Japanese" in call.prompt for call in script.calls)
    assert (row.vote.counts[0][1], row.vote.agreement) == (3, 0.6)
    assert row.response == f"人は地球に住みます。\n\n答え：{row.answer}"


def test_the_simulated_teacher_serves_a_task_in_any_language() -> None:
    program = DS2Instruct(JAPANESE.model_copy(update={"answer": load_task("gsm8k").answer}))
    with dspy.context(lm=logged_lm(simulated_backend(rates=TeacherRates.perfect()))):
        bank = program.expand(size=8).bank
        outcome = program(keywords=[bank[0].text], level="Apply")
    assert outcome.row is not None


def compiled() -> DS2Instruct:
    program = DS2Instruct("gsm8k")
    program.vote.draw.predict.demos = [DEMO]
    single = program.writer.single
    single.signature = single.signature.with_instructions("Écris une question en 日本語.")
    return program


def test_what_was_compiled_comes_back_from_its_file_and_reaches_the_prompt(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    fresh = DS2Instruct("gsm8k")
    fresh.load(path)
    script = unit(lambda _: chat(reasoning="r", answer="4"))
    made(script, fresh)
    writing, answering = script.calls[0].prompt, script.calls[1].prompt
    assert "Écris une question en 日本語." in writing
    assert "What is 1 + 1?" in answering
    assert "Count on from 1." in answering
    assert fresh.fingerprint() == compiled().fingerprint()


@pytest.mark.parametrize("saved", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("judge", JUDGES)
def test_a_program_loads_with_or_without_a_judge(judge: str, saved: bool, tmp_path: Path) -> None:
    compiled = DS2Instruct("gsm8k", holding(judge) if saved else ChainConfig())
    demo = dspy.Example(question="What is 2 + 2?", reasoning="Add.", answer="4")
    compiled.vote.draw.predict.demos = [demo]
    shown = dspy.Example(question="What is 2 + 2?", reason="It is all there.")
    if saved:
        getattr(compiled, judge).predict.demos = [shown]
    compiled.save(tmp_path / "program.json")
    for here in (False, True):
        program = DS2Instruct("gsm8k", holding(judge) if here else ChainConfig())
        program.load(tmp_path / "program.json")
        assert program.vote.draw.predict.demos[0]["answer"] == "4"
        assert any(name.startswith(judge) for name in program.prompts()) is here
        if here:
            assert bool(getattr(program, judge).predict.demos) is saved


def holding(*judges: str) -> ChainConfig:
    return ChainConfig(**dict.fromkeys(judges, True))  # type: ignore[arg-type]


def test_a_judge_changes_nothing_of_the_prompts_beside_it() -> None:
    # What was saved before a judge could be held must still load.
    plain = DS2Instruct("gsm8k")
    assert list(plain.prompts()) == PREDICTORS
    judging = DS2Instruct("gsm8k", holding(*JUDGES)).prompts()
    assert list(judging) == [*PREDICTORS, *(f"{name}.predict" for name in JUDGES)]
    assert {name: judging[name] for name in PREDICTORS} == plain.prompts()


def test_a_saved_program_holds_no_language_model_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    program = compiled()
    program.set_lm(dspy.LM("openai/gpt-4o-mini", api_key="s3cr3t", temperature=0.7))
    program.writer.set_lm(RIGHT.lm())
    program.save(path)
    text = path.read_text(encoding="utf-8")
    assert "s3cr3t" not in text
    states = json.loads(text)["program"]
    assert list(states) == PREDICTORS
    assert [state["lm"] for state in states.values()] == [None] * len(PREDICTORS)
    assert program.writer.single.lm is not None


def test_loading_leaves_the_language_models_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    program = DS2Instruct("gsm8k")
    lm = RIGHT.lm()
    program.set_lm(lm)
    program.load(path)
    assert {id(predictor.lm) for predictor in program.predictors()} == {id(lm)}
    assert program(keywords=["unit rate"], level="Apply").row is not None


def test_a_language_model_in_a_foreign_file_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["program"]["writer.single"]["lm"] = {"model": "openai/x", "api_base": "http://evil"}
    path.write_text(json.dumps(document), encoding="utf-8")
    fresh = DS2Instruct("gsm8k")
    fresh.load(path)
    assert fresh.writer.single.lm is None


def test_a_program_of_another_task_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    with pytest.raises(
        ProgramError, match=r"task must be 'math', as in this program \(got 'gsm8k'\)"
    ):
        DS2Instruct("math").load(path)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"language": "French"}, id="words"),
        pytest.param({"answer": {"kind": "label", "labels": ["4", "5"]}}, id="types"),
    ],
)
def test_loading_into_changed_signatures_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    task = TaskSpec.model_validate(load_task("gsm8k").model_dump() | change)
    program = DS2Instruct(task)
    with pytest.raises(ProgramError, match="signatures must be"):
        program.load(path)
    assert program.vote.draw.predict.demos == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="no-json"),
        pytest.param("[]", id="a-list"),
        pytest.param('{"format": 99}', id="another-format"),
        pytest.param('{"writer.single": {}}', id="a-file-of-dspy"),
        pytest.param(b"\xff\xfe", id="binary"),
        pytest.param("[" * 99_999, id="brackets"),
    ],
)
def test_a_file_that_is_no_program_is_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "program.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ProgramError, match="Loading a program failed"):
        DS2Instruct("gsm8k").load(path)
    with pytest.raises(ProgramError, match="FileNotFoundError"):
        DS2Instruct("gsm8k").load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("damage", ["program", "writer.single", "signature"])
def test_a_damaged_program_changes_nothing(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    holder = {
        "program": document,
        "writer.single": document["program"],
        "signature": document["program"]["writer.pair"],
    }[damage]
    del holder[damage]
    path.write_text(json.dumps(document), encoding="utf-8")
    program = DS2Instruct("gsm8k")
    before = program.fingerprint()
    with pytest.raises(ProgramError, match="hold the state of every predictor"):
        program.load(path)
    assert program.fingerprint() == before


@pytest.mark.parametrize(
    "change",
    [
        {"demos": "abc"},
        {"demos": None},
        {"demos": [1]},
        {"signature": {"instructions": None, "fields": []}},
        {"signature": {"instructions": 5, "fields": []}},
        {"extended_signature": {}},
    ],
    ids=str,
)
def test_a_state_without_words_is_refused_before_the_first_call(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["program"]["vote.draw.predict"] |= change
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ProgramError, match="hold the state of every predictor"):
        DS2Instruct("gsm8k").load(path)


def test_a_list_holds_no_states(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    compiled().save(path)
    document = json.loads(path.read_text(encoding="utf-8")) | {"program": [1]}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert judges_in(path) == frozenset()
    with pytest.raises(ProgramError, match="hold the state of every predictor"):
        DS2Instruct("gsm8k").load(path)


def test_the_fingerprint_is_of_the_words_and_not_of_the_engine() -> None:
    program, other = DS2Instruct("gsm8k"), DS2Instruct("gsm8k")
    other.set_lm(RIGHT.lm())
    assert program.fingerprint() == other.fingerprint()
    assert compiled().fingerprint() != program.fingerprint()
    assert compiled().signatures_hash() == program.signatures_hash()
    assert DS2Instruct("math").fingerprint() != program.fingerprint()
