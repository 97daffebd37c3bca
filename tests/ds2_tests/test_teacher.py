"""The teacher as a model: it reads rendered prompts, answers in kind, errs as its rates say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import dspy
import pytest
from dspy import lm15
from dspy.lm15 import Config, Message, Request

from ds2.engines.adapters import ChatAdapter, JSONAdapter
from ds2.engines.teacher import (
    TEACHER_VERSION,
    Teacher,
    TeacherEngine,
    TeacherRates,
    catalog,
    simulated_backend,
    truth,
)
from ds2.engines.teacher.prompts import read_prompt
from signatures import answers, instructions
from signatures.answers import lettered
from signatures.bloom import LEVELS, BloomLevel
from signatures.errors import ConfigError
from signatures.instructions import notes_line, task_line
from signatures.keywords import AdvancedKeywords, CoreKeywords, PrerequisiteKeywords
from signatures.task import BUILT_IN, AnswerKind, TaskSpec, load_task, parse_task

CHAT, JSON = ChatAdapter(), JSONAdapter()
ADAPTERS = [pytest.param(CHAT, id="chat"), pytest.param(JSON, id="json")]
SURE = TeacherRates.perfect()
# A signature is a new class each time it is made, and what was rendered is remembered by it.
answer_signature = cache(answers.answer_signature)
instruction_signature = cache(instructions.instruction_signature)
JAPANESE = parse_task(
    """
name: reviews
domain: 映画の感想
description: 日本語で書かれた映画の感想を読み、書き手の気持ちがどの分類に当てはまるかを判断する問題。
answer: {kind: label, labels: [肯定, 否定, 中立]}
example_keywords: [演技, 脚本]
language: Japanese
"""
)


def request(adapter, signature, inputs: Mapping[str, object], demos=(), **config) -> Request:
    rendered = adapter.format(signature, list(demos), dict(inputs))
    turns = {"user": Message.user, "assistant": Message.assistant}
    return Request(
        model="simulated",
        system=rendered[0]["content"],
        messages=tuple(turns[turn["role"]](turn["content"]) for turn in rendered[1:]),
        config=Config(**{"temperature": 0.7, **config}),
    )


def ask(teacher: Teacher, adapter, signature, inputs, **config):
    reply = teacher.reply(request(adapter, signature, inputs, **config))
    return adapter.parse(signature, reply.message.text)


def brief(task: TaskSpec, level=LEVELS[2], **keywords: str) -> dict[str, str]:
    return {
        "task": task_line(task),
        **keywords,
        "level": level.value,
        "demand": level.demand,
        "notes": notes_line(task),
        "language": task.language,
    }


def question_of(task: TaskSpec, made: Mapping[str, object]) -> dict[str, object]:
    inputs = {name: made[name] for name in ("context", "question") if made.get(name)}
    if task.answer.kind is AnswerKind.CHOICE:
        inputs["options"] = lettered(made["options"])
    return inputs


def custom(kind: str, extra: str = "", context: str = "none") -> TaskSpec:
    return parse_task(
        f"""
name: own
domain: harbour logistics
description: Questions on berths, cranes and tides for people who plan the work of a harbour.
answer: {{kind: {kind}{extra}}}
context: {context}
"""
    )


OWN = [
    pytest.param(custom("number"), id="number"),
    pytest.param(custom("number", context="written"), id="number-context"),
    pytest.param(custom("expression"), id="expression"),
    pytest.param(custom("choice", ", options: 2"), id="choice-2"),
    pytest.param(custom("choice", ", options: 26"), id="choice-26"),
    pytest.param(custom("label", ", labels: [safe, 'not safe', unsure]"), id="label"),
    pytest.param(custom("text"), id="text"),
    pytest.param(JAPANESE, id="japanese-label"),
]
TASKS = [*(pytest.param(load_task(name), id=name) for name in BUILT_IN), *OWN]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_sure_teacher_writes_and_answers_every_kind_of_task(task: TaskSpec, adapter) -> None:
    teacher = Teacher(5, SURE)
    words = list(task.example_keywords)[:2] or ["berth plan", "tide table"]
    for number, level in enumerate(LEVELS * 2):
        names = ("first_keyword", "second_keyword") if number % 2 else ("keyword",)
        inputs = brief(task, level, **dict(zip(names, words, strict=False)))
        made = ask(teacher, adapter, instruction_signature(task, len(names)), inputs, seed=number)
        for word in words[: len(names)]:
            assert word.casefold() in made["question"].casefold()
        right = truth(made["question"], made.get("options", ()), made.get("context", ""))
        assert right is not None, made
        for thinking in (False, True):
            signature = answer_signature(task, thinking=thinking)
            answer = ask(teacher, adapter, signature, question_of(task, made), seed=number)
            assert answer["answer"] == right
            assert answer["solution" if thinking else "reasoning"]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("task", TASKS)
def test_keyword_stages_list_new_keywords_of_the_task(task: TaskSpec, adapter) -> None:
    teacher = Teacher(1, SURE)
    about = {"task": task_line(task), "language": task.language, "count": 6}
    core = ask(teacher, adapter, CoreKeywords, {**about, "examples": "none"})["keywords"]
    assert len(core) == len(set(core)) == 6
    known = {**about, "seeds": ", ".join(core), "known": ", ".join(core)}
    for signature in (PrerequisiteKeywords, AdvancedKeywords):
        more = ask(teacher, adapter, signature, known)["keywords"]
        assert more
        assert not {word.casefold() for word in more} & {word.casefold() for word in core}


def test_prerequisites_and_advanced_keywords_follow_the_graph() -> None:
    teacher = Teacher(0, SURE)
    about = {"task": task_line(load_task("gsm8k")), "language": "English", "count": 2}
    inputs = {**about, "seeds": "percentages", "known": "percentages"}
    down = ask(teacher, CHAT, PrerequisiteKeywords, inputs)["keywords"]
    up = ask(teacher, CHAT, AdvancedKeywords, inputs)["keywords"]
    assert "fractions of a whole" in down
    assert set(up) <= {"percentage discount", "percentage increase", "percentage decrease"}


def test_an_exhausted_graph_repeats_what_is_known_and_invents_nothing() -> None:
    known = [node.text for node in catalog.domain("gsm8k").keywords]
    inputs = {
        "task": task_line(load_task("gsm8k")),
        "seeds": "ratios",
        "known": ", ".join(known),
        "language": "English",
        "count": 5,
    }
    more = ask(Teacher(0, SURE), CHAT, PrerequisiteKeywords, inputs)["keywords"]
    assert set(more) <= set(known)


def test_keyword_lists_have_the_faults_of_a_model() -> None:
    rates = TeacherRates(malformed=0, truncated=0, refused=0)
    about = {"task": task_line(load_task("math")), "language": "English", "count": 10}
    lists = [
        ask(Teacher(0, rates), CHAT, CoreKeywords, {**about, "examples": "none"}, seed=seed)[
            "keywords"
        ]
        for seed in range(300)
    ]
    assert 0.05 < sum(line[0].startswith("1. ") for line in lists) / 300 < 0.16
    assert 0.05 < sum(line[0].startswith("- ") for line in lists) / 300 < 0.16
    repeats = sum(len(line) - len({w.casefold() for w in line}) for line in lists)
    assert 0.02 < repeats / 3000 < 0.1


def reply_text(teacher: Teacher, seed: int | None = 3, **config) -> str:
    task = load_task("gsm8k")
    made = ask(
        Teacher(0, SURE), CHAT, instruction_signature(task, 1), brief(task, keyword="ratios")
    )
    inputs = question_of(task, made)
    return teacher.reply(
        request(CHAT, answer_signature(task), inputs, seed=seed, **config)
    ).message.text


def test_a_reply_is_the_same_in_every_process() -> None:
    code = "import test_teacher as t; print(t.reply_text(t.Teacher(9)))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": str(salt), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout.decode()
        for salt in (1, 2)
    }
    assert {text.strip() for text in texts} == {reply_text(Teacher(9)).strip()}


def test_the_sample_number_is_the_seed_and_temperature_zero_ignores_it() -> None:
    teacher = Teacher(2)
    assert len({reply_text(teacher, seed) for seed in range(20)}) > 10
    assert len({reply_text(teacher, seed, temperature=0) for seed in range(20)}) == 1
    assert reply_text(teacher, None) == reply_text(teacher, 0)
    assert reply_text(teacher, 5, temperature=0) == reply_text(teacher, 0)


def test_teachers_of_other_seeds_or_rates_reply_otherwise() -> None:
    texts = {reply_text(Teacher(seed)) for seed in range(8)}
    assert len(texts) > 4
    dialects = {
        simulated_backend(0).dialect,
        simulated_backend(1).dialect,
        simulated_backend(0, rates=SURE).dialect,
    }
    assert len(dialects) == 3
    assert all(f"/{TEACHER_VERSION} " in dialect for dialect in dialects)


def test_usage_is_filled_and_a_small_limit_cuts_the_reply() -> None:
    full = Teacher(0, SURE).reply(a_request())
    assert full.finish_reason == "stop"
    assert full.usage.output_tokens == -(-len(full.message.text) // 4)
    assert full.usage.input_tokens > 100
    cut = Teacher(0, SURE).reply(a_request(max_tokens=5))
    assert cut.finish_reason == "length"
    assert cut.message.text == full.message.text[:20]
    assert cut.usage.output_tokens == 5
    stopped = Teacher(0, SURE).reply(a_request(stop=("[[ ## completed",)))
    assert "completed" not in stopped.message.text


@cache
def a_signature() -> type[dspy.Signature]:
    return instruction_signature(load_task("gsm8k"), 1)


@cache
def rendered() -> Request:
    return request(CHAT, a_signature(), brief(load_task("gsm8k"), keyword="ratios"))


def a_request(**config) -> Request:
    plain = rendered()
    config = {"temperature": 0.7, **config}
    return Request(
        model=plain.model, system=plain.system, messages=plain.messages, config=Config(**config)
    )


def test_demos_do_not_distract() -> None:
    task = load_task("cfa")
    demo = dspy.Example(**brief(task, keyword="x"), question="What?", options=["1", "2", "3"])
    sent = request(
        JSON, instruction_signature(task, 1), brief(task, keyword="yield curve"), demos=[demo]
    )
    assert len(sent.messages) == 3
    prompt = read_prompt(sent)
    assert prompt.form == "json"
    assert prompt.inputs["keyword"] == "yield curve"
    made = JSON.parse(instruction_signature(task, 1), Teacher(0, SURE).reply(sent).message.text)
    assert "yield curve" in made["question"].casefold()


def test_the_letter_follows_the_options_wherever_they_were_moved() -> None:
    task = load_task("logiqa")
    teacher = Teacher(0, SURE)
    made = ask(teacher, CHAT, instruction_signature(task, 1), brief(task, keyword="syllogism"))
    options = made["options"]
    wanted = options[ord(truth(made["question"], options)) - 65]
    for turn in range(4):
        moved = options[turn:] + options[:turn]
        inputs = {"question": made["question"], "options": lettered(moved)}
        answer = ask(teacher, CHAT, answer_signature(task), inputs)["answer"]
        assert moved[ord(answer) - 65] == wanted


def test_the_writer_never_marks_the_truth() -> None:
    task = load_task("gpqa")
    positions = []
    for seed in range(120):
        made = ask(Teacher(0, SURE), CHAT, instruction_signature(task, 1),
                   brief(task, keyword="half-life"), seed=seed)  # fmt: skip
        assert set(made) == {"question", "options"}
        positions.append(truth(made["question"], made["options"]))
    assert all(positions.count(letter) > 12 for letter in "ABCD")


@pytest.mark.parametrize("name", ["gsm8k", "math", "cfa"])
def test_a_vote_accepts_most_and_is_mostly_right(name: str) -> None:
    """At five draws and a threshold of 0.6; the docstring of the rates promises the middle."""
    task, teacher = load_task(name), Teacher(0)
    accepted = right = 0
    words = [node.text for node in catalog.domain(name).keywords]
    for number in range(250):
        inputs = brief(task, LEVELS[number % 6], keyword=words[number % 40])
        votes: dict[str, int] = {}
        try:
            made = ask(teacher, CHAT, instruction_signature(task, 1), inputs, seed=number)
            asked = question_of(task, made)
        except (dspy.utils.exceptions.AdapterParseError, KeyError):
            continue
        for sample in range(5):
            try:
                answer = ask(teacher, CHAT, answer_signature(task), asked, seed=sample)["answer"]
            except dspy.utils.exceptions.AdapterParseError:
                continue
            answer = answer.strip("*$.").replace(",", "")
            votes[answer] = votes.get(answer, 0) + (answer != "it depends")
        winner = max(votes, key=votes.__getitem__, default="")
        if votes.get(winner, 0) >= 3:
            accepted += 1
            right += winner == truth(asked["question"], made.get("options", ()))
    assert 0.64 < accepted / 250 < 0.82
    assert right / accepted > 0.93


def test_faults_come_as_often_as_the_rates_say() -> None:
    rates = TeacherRates(truncated=0.05, refused=0.05, malformed=0.1, dressed=0)
    cut = refused = lost = 0
    for number in range(2000):
        reply = Teacher(0, rates).reply(a_request(seed=number))
        cut += reply.finish_reason == "length"
        refused += reply.message.text.startswith(("I'm sorry", "I am not able", "As an"))
        try:
            CHAT.parse(a_signature(), reply.message.text)
        except dspy.utils.exceptions.AdapterParseError:
            lost += 1
    assert 0.035 < cut / 2000 < 0.065
    assert 0.035 < refused / 2000 < 0.065
    assert 0.08 < lost / 2000 < 0.2


def test_vague_and_stock_questions_come_as_often_as_the_rates_say() -> None:
    rates = TeacherRates(malformed=0, truncated=0, refused=0, stock=0.2)
    texts = []
    for number in range(2000):
        reply = Teacher(0, rates).reply(a_request(seed=number))
        texts.append(CHAT.parse(a_signature(), reply.message.text)["question"])
    vague = sum(catalog.recognise(text).vague for text in texts) / 2000
    assert 0.8 * rates.vague - 0.03 < vague < 0.8 * rates.vague + 0.03
    assert 0.15 < (len(texts) - len(set(texts))) / 2000 < 0.23


def test_right_answers_fall_with_the_level() -> None:
    task, sure = load_task("math"), Teacher(0, SURE)
    rates = TeacherRates(malformed=0, truncated=0, refused=0, dressed=0, misconceived=0)
    shares = []
    for level in (LEVELS[0], LEVELS[5]):
        hits = 0
        for number in range(250):
            inputs = brief(task, level, keyword="Vieta's formulas")
            made = ask(sure, CHAT, instruction_signature(task, 1), inputs, seed=number)
            answer = ask(Teacher(0, rates), CHAT, answer_signature(task), question_of(task, made))
            hits += answer["answer"] == truth(made["question"])
        shares.append(hits / 250)
    assert shares[0] - shares[1] == pytest.approx(rates.level_fall, abs=0.06)
    assert shares[0] == pytest.approx(rates.right - 0.5 * rates.family_fall, abs=0.05)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_rate_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="right must be from 0 to 1"):
        TeacherRates(right=value)


class Judge(dspy.Signature):
    """Judge the question."""

    question: str = dspy.InputField()
    level: BloomLevel = dspy.OutputField()
    clear: bool = dspy.OutputField()
    score: float = dspy.OutputField()
    remarks: list[str] = dspy.OutputField()


LITERAL = Judge.with_updated_fields("level", type_=Literal[tuple(v.value for v in LEVELS)])


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("signature", [Judge, LITERAL], ids=["enum", "literal"])
def test_a_judge_knows_the_level_and_whether_it_is_clear(signature, adapter) -> None:
    task, teacher = load_task("gsm8k"), Teacher(0, SURE)
    for level in LEVELS:
        inputs = brief(task, level, keyword="ratios")
        made = ask(teacher, CHAT, instruction_signature(task, 1), inputs)
        verdict = ask(teacher, adapter, signature, {"question": made["question"]})
        assert verdict["level"] == level
        assert verdict["clear"] is True
        assert verdict["score"] == 1
        assert verdict["remarks"]


HOSTILE = [
    "",
    "[[ ## question ## ]]\nwhat\n[[ ## completed ## ]]",
    "Respond with a JSON object in the following order of fields: `",
    "Respond with the corresponding output fields, starting with the field `[[ ## ## ]]`",
    "\x00\x1f\u202e" * 50,
    "9" * 5000 + " = ?",
    "→ 1 / 0 = ?",
    "x = 1; y = 2; z = 3. → (x + y) mod 0 = ? 0 ⇒ a; 1 ⇒ b.",
    "a " * 20_000,
    "Your output fields are:\n1. `answer` (Literal[__import__('os')]): x",
    "```\nimprove me\n```",
    '{"role": "system"}',
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_prompts_are_answered(text: str) -> None:
    task = load_task("cfa")
    teacher = Teacher(0)
    for system in (None, text or None):
        reply = teacher.reply(
            Request(model="m", system=system, messages=(Message.user(text or " "),))
        )
        assert isinstance(reply, lm15.Response)
    for seed in range(4):
        inputs = {"question": text, "options": text}
        assert teacher.reply(request(CHAT, answer_signature(task), inputs, seed=seed)).message
        inputs = {**brief(task, keyword=text), "task": text or "none", "level": text}
        assert teacher.reply(
            request(JSON, instruction_signature(task, 1), inputs, seed=seed)
        ).message
        inputs = {"task": text, "seeds": text, "known": text, "language": text, "count": text}
        assert teacher.reply(request(CHAT, AdvancedKeywords, inputs, seed=seed)).message


def test_a_foreign_question_gets_scattered_but_parsable_answers() -> None:
    task = load_task("medqa")
    inputs = {"question": "Which drug?", "options": lettered(["a", "b", "c", "d"])}
    teacher = Teacher(0, SURE)
    answers = {
        ask(teacher, CHAT, answer_signature(task), inputs, seed=seed)["answer"]
        for seed in range(40)
    }
    assert answers == set("ABCD")
    assert truth("Which drug?") is None


def test_a_prompt_of_no_adapter_gets_its_fenced_text_back_improved() -> None:
    sent = Request(model="m", messages=(Message.user("Improve:\n```\nAnswer well.\n```\nThanks"),))
    text = Teacher(0, SURE).reply(sent).message.text
    assert text.startswith("```\nAnswer well.\n")
    assert text.endswith("```")


def test_a_system_message_among_the_turns_is_read_too() -> None:
    plain = a_request(seed=1)
    turns = (Message(role="developer", parts=[lm15.TextPart(plain.system)]), *plain.messages)
    moved = Request(model="m", messages=turns, config=plain.config)
    assert read_prompt(moved).outputs == read_prompt(plain).outputs
    assert read_prompt(moved).inputs == read_prompt(plain).inputs


def test_the_backend_opens_an_engine_that_answers() -> None:
    backend = simulated_backend(4, latency_s=0.001)
    assert (backend.model, backend.teacher, backend.remote) == ("simulated", "simulated", False)
    assert backend.send_seed
    engine = backend.open()
    assert isinstance(engine, TeacherEngine)
    reply = asyncio.run(engine.complete(a_request()))
    assert reply.message.text == Teacher(4).reply(a_request()).message.text


def test_json_replies_are_one_object_with_the_fields_in_order() -> None:
    task = load_task("gsm8k")
    sent = request(JSON, answer_signature(task), {"question": "1 + 1?"})
    made = json.loads(Teacher(0, SURE).reply(sent).message.text)
    assert list(made) == ["reasoning", "answer"]


def test_wrong_steps_lead_to_the_wrong_option_that_is_given() -> None:
    task, wrong = load_task("cfa"), 0
    rates = TeacherRates(vague=0, malformed=0, truncated=0, refused=0, dressed=0, right=0.6)
    for seed in range(40):
        inputs = brief(task, keyword="cost of equity")
        made = ask(Teacher(0, SURE), CHAT, instruction_signature(task, 1), inputs, seed=seed)
        drawn = ask(Teacher(0, rates), CHAT, answer_signature(task), question_of(task, made))
        if drawn["answer"] != truth(made["question"], made["options"]):
            wrong += 1
            assert made["options"][ord(drawn["answer"]) - 65] in drawn["reasoning"]
    assert wrong > 5
