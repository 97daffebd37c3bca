"""The teacher whose prompts matter: what helps, by how much, and that nothing helps at 0."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15

from ds2.engines.teacher import Teacher, TeacherRates, catalog, simulated_backend, truth
from ds2.engines.teacher.checks import TOO_GENERAL, check_question
from ds2.engines.teacher.prompts import read_prompt
from ds2.engines.teacher.proposals import HELPFUL, POOL
from ds2.engines.teacher.sensitivity import Stage, carelessness, helps
from programs.judging import KeywordJudge, LevelJudge, QuestionJudge
from signatures.answers import answer_signature
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError
from signatures.instructions import instruction_signature
from signatures.judging import BloomLevelOf, KeywordCheck, QuestionCheck, SameAnswer
from signatures.keywords import AdvancedKeywords, PrerequisiteKeywords, task_line
from signatures.task import BUILT_IN, load_task

GSM8K = load_task("gsm8k")
TASK = task_line(GSM8K)
CHECKING, FORM, VERBS = HELPFUL[0], HELPFUL[2], HELPFUL[4]
SURE = TeacherRates.perfect()


def request(
    signature: type[dspy.Signature],
    inputs: dict[str, Any],
    *,
    demos: Sequence[dict[str, Any]] = (),
    more: str = "",
    number: int = 0,
) -> lm15.Request:
    if more:
        signature = signature.with_instructions(f"{signature.instructions} {more}")
    system, *turns = dspy.ChatAdapter().format(signature, list(demos), inputs)
    return lm15.Request(
        model="simulated",
        system=system["content"],
        messages=tuple(
            lm15.Message(role=t["role"], parts=(lm15.TextPart(t["content"]),)) for t in turns
        ),
        config=lm15.Config(seed=number),
    )


def said(teacher: Teacher, asked: lm15.Request) -> str:
    return str(teacher.reply(asked).message.text)


WRITE = instruction_signature(GSM8K, 1)
ANSWER = answer_signature(GSM8K)


def cell(level: BloomLevel = BloomLevel.APPLY) -> dict[str, Any]:
    return {
        "task": TASK, "keyword": "unit rate", "level": level.value, "demand": level.demand,
        "notes": "none", "language": "English",
    }  # fmt: skip


def question(number: int = 0) -> str:
    reply = said(Teacher(0, SURE), request(WRITE, cell(), number=number))
    return str(dspy.ChatAdapter().parse(WRITE, reply)["question"])


def right_demo(number: int = 50) -> dict[str, Any]:
    asked = question(number)
    return {"question": asked, "reasoning": "so", "answer": truth(asked)}


def chance(asked: lm15.Request, stage: Stage, sensitivity: float = 1.0) -> float:
    return round(carelessness(read_prompt(asked), stage, sensitivity), 6)


def compared(number: int = 0, *, alike: bool = True) -> dict[str, Any]:
    """Return two answers to a question, both right or one of them wrong."""
    right = str(truth(question(number)))
    return {"question": question(number), "first": right, "second": right + "." if alike else "-7"}


def shown_question() -> dict[str, Any]:
    return {"question": question(), "keywords": "unit rate\nphotosynthesis"}


KEYWORDS = ["unit rate", "photosynthesis", TOO_GENERAL[0], "percentage"]
FOUND = {"off_task": ["photosynthesis"], "wrong_direction": [], "wrong_grain": [TOO_GENERAL[0]]}


def listed() -> dict[str, Any]:
    return {"task": TASK, "wanted": "core keywords", "keywords": "\n".join(KEYWORDS)}


CASES: list[tuple[Stage, Callable[..., lm15.Request], float]] = [
    ("answers", lambda **kw: request(ANSWER, {"question": question()}, **kw), 0.48),
    ("writer", lambda **kw: request(WRITE, cell(), **kw), 0.48),
    ("judge", lambda **kw: request(BloomLevelOf, {"question": question()}, **kw), 0.40),
    ("judge", lambda **kw: request(SameAnswer, compared(), **kw), 0.48),
    ("judge", lambda **kw: request(QuestionCheck, shown_question(), **kw), 0.48),
    ("keyword judge", lambda **kw: request(KeywordCheck, listed(), **kw), 0.40),
    (
        "keywords",
        lambda **kw: request(
            AdvancedKeywords,
            {"task": TASK, "seeds": "unit rate", "known": "", "language": "English", "count": 8},
            **kw,
        ),
        0.40,
    ),
]
CASE_NAMES = [
    "answers", "writer", "level judge", "answer judge", "question judge", "keyword judge", "keywords",
]  # fmt: skip


@pytest.mark.parametrize(("stage", "asked", "plain"), CASES, ids=CASE_NAMES)
def test_each_help_takes_off_what_is_stated(
    stage: Stage, asked: Callable[..., lm15.Request], plain: float
) -> None:
    assert chance(asked(), stage) == plain
    assert chance(asked(), stage, 0.5) == plain / 2
    assert chance(asked(more=CHECKING), stage) == pytest.approx(plain - 0.08)
    assert chance(asked(more=f"{CHECKING} {FORM}"), stage) == pytest.approx(plain - 0.16)
    best = chance(asked(more=f"{CHECKING} {FORM} {VERBS}"), stage)
    assert best == pytest.approx(0.24)


def test_demos_help_up_to_three_and_only_right_and_complete_ones() -> None:
    inputs = {"question": question()}
    right = [right_demo(50 + i) for i in range(5)]
    wrong = {**right[0], "answer": "-17"}
    for demos, taken_off in [
        (right[:1], 0.08), (right[:3], 0.24), (right, 0.24), ([wrong], 0.0),
        ([{"question": right[0]["question"], "answer": right[0]["answer"]}], 0.0),
    ]:  # fmt: skip
        asked = request(ANSWER, inputs, demos=demos)
        assert helps(read_prompt(asked), "answers").taken_off == pytest.approx(taken_off)
    everything = request(ANSWER, inputs, demos=right, more=f"{CHECKING} {FORM} {VERBS}")
    assert chance(everything, "answers") == 0


def verdicts(teacher: Teacher, alike: bool, **kw: Any) -> float:
    """Return the share of verdicts that two answers say the same."""
    yes = 0
    for number in range(100):
        asked = request(SameAnswer, compared(number % 20, alike=alike), number=number, **kw)
        yes += dspy.ChatAdapter().parse(SameAnswer, said(teacher, asked))["same"] == "yes"
    return yes / 100


def test_a_judge_of_answers_is_right_and_a_careless_one_says_the_opposite() -> None:
    for alike in (True, False):
        assert verdicts(Teacher(0, SURE), alike) == float(alike)
        careless = verdicts(Teacher(0, SURE, sensitivity=1), alike)
        assert abs(careless - float(alike)) == pytest.approx(0.48, abs=0.15)


def test_a_verdict_that_is_shown_helps_only_where_it_is_right() -> None:
    shown = {**compared(7), "reason": "Alike."}
    for same, taken_off in (("yes", 0.08), ("no", 0.0)):
        asked = request(SameAnswer, compared(), demos=[{**shown, "same": same}])
        assert helps(read_prompt(asked), "judge").taken_off == pytest.approx(taken_off)


def checks(teacher: Teacher, signature: Any, inputs: dict[str, Any], **kw: Any) -> list[Any]:
    """Return a hundred checks, each as the values of its output fields but the reason."""
    made = []
    for number in range(100):
        reply = said(teacher, request(signature, inputs, number=number, **kw))
        values = dspy.ChatAdapter().parse(signature, reply)
        made.append({name: value for name, value in values.items() if name != "reason"})
    return made


@pytest.mark.parametrize(
    ("signature", "inputs", "right", "turned", "chance"),
    [
        (QuestionCheck, shown_question, ("some", "yes"), ("all", "no"), 0.48),
        (
            KeywordCheck,
            listed,
            tuple(FOUND.values()),
            (["unit rate", "percentage"], [], []),
            0.40,
        ),
    ],
    ids=["question", "keywords"],
)
def test_a_careless_check_is_turned_as_often_as_stated(
    signature: Any, inputs: Callable[[], dict[str, Any]], right: Any, turned: Any, chance: float
) -> None:
    steady = checks(Teacher(0, SURE), signature, inputs())
    assert {tuple(check.values()) == right for check in steady} == {True}
    careless = [
        tuple(c.values()) for c in checks(Teacher(0, SURE, sensitivity=1), signature, inputs())
    ]
    assert careless.count(right) + careless.count(turned) == 100
    assert careless.count(turned) / 100 == pytest.approx(chance, abs=0.15)
    # And without any sensitivity, where the rate says so.
    rated = Teacher(0, replace(SURE, checked=0.85))
    often = [tuple(check.values()) for check in checks(rated, signature, inputs())]
    assert often.count(turned) / 100 == pytest.approx(0.15, abs=0.1)


def test_a_check_that_is_always_right_leaves_the_rates_their_name() -> None:
    """What older call logs hold was drawn by that name."""
    assert TeacherRates().digest == "428154b6"
    assert replace(TeacherRates(), checked=0.9).digest != TeacherRates().digest


@pytest.mark.parametrize(
    ("signature", "inputs", "right", "wrong"),
    [
        (
            QuestionCheck,
            shown_question,
            {"reason": "So.", "keywords_used": "some", "self_contained": "yes"},
            {"self_contained": "no"},
        ),
        (KeywordCheck, listed, FOUND, {"off_task": []}),
    ],
    ids=["question", "keywords"],
)
def test_a_check_that_is_shown_helps_only_where_it_is_right(
    signature: Any,
    inputs: Callable[[], dict[str, Any]],
    right: dict[str, Any],
    wrong: dict[str, Any],
) -> None:
    stage: Stage = "judge" if signature is QuestionCheck else "keyword judge"
    for change, taken_off in (({}, 0.08), (wrong, 0.0)):
        asked = request(signature, inputs(), demos=[{**inputs(), **right, **change}])
        assert helps(read_prompt(asked), stage).taken_off == pytest.approx(taken_off)


@pytest.mark.parametrize("task", BUILT_IN)
def test_a_question_that_has_lost_its_facts_is_not_self_contained(task: str) -> None:
    domain, rng = catalog.domain(task), random.Random(1)
    for number in range(60):
        level, family = list(BloomLevel)[number % 6], domain.families[number % len(domain.families)]
        words = ["a keyword", "another"][: 1 + number % 2]
        written = domain.write(rng, family, level, words)
        whole = f"{written.context} {written.question}".strip()
        last = re.split(r"(?<=[.!?])\s+", written.question)[-1]
        for text, own in ((whole, "yes"), (last, "no"), ("What is 2 + 2?", "yes")):
            assert check_question({"question": text, "keywords": "x"})["self_contained"] == own, (
                text
            )


@pytest.mark.parametrize(("stage", "asked", "plain"), CASES, ids=CASE_NAMES)
def test_at_zero_nothing_helps_and_every_reply_is_the_old_one(
    stage: Stage, asked: Callable[..., lm15.Request], plain: float
) -> None:
    assert chance(asked(more=CHECKING), stage, 0.0) == 0
    for number in range(5):
        old, new = Teacher(3), Teacher(3, sensitivity=0.0)
        assert said(old, asked(number=number)) == said(new, asked(number=number))
    assert simulated_backend(3, sensitivity=0.0).dialect == simulated_backend(3).dialect
    assert simulated_backend(3, sensitivity=1).dialect != simulated_backend(3).dialect


def accuracy(teacher: Teacher, **kw: Any) -> float:
    right = 0
    for number in range(200):
        asked = question(number % 20)
        reply = said(teacher, request(ANSWER, {"question": asked}, number=number, **kw))
        right += dspy.ChatAdapter().parse(ANSWER, reply)["answer"] == truth(asked)
    return right / 200


def test_a_sensitive_teacher_is_wrong_as_often_as_stated() -> None:
    teacher = Teacher(0, SURE, sensitivity=1)
    assert accuracy(teacher) == pytest.approx(0.52, abs=0.08)
    best = {"more": f"{CHECKING} {FORM} {VERBS}", "demos": [right_demo(50 + i) for i in range(3)]}
    assert accuracy(teacher, **best) == 1
    assert accuracy(Teacher(0, SURE), more="") == 1


def test_careless_keywords_are_known_general_or_of_the_other_direction() -> None:
    inputs = {
        "task": TASK, "seeds": "unit rate, percentage", "known": "ratio", "language": "English",
        "count": 8,
    }  # fmt: skip
    teacher = Teacher(0, SURE, sensitivity=1)
    listed = ""
    for number in range(20):
        listed += said(teacher, request(PrerequisiteKeywords, inputs, number=number)).casefold()
    assert any(text in listed for text in TOO_GENERAL)
    assert "ratio" in listed


def lm(**kw: Any) -> dspy.LM:
    from ds2.engines.lm import logged_lm

    return logged_lm(simulated_backend(0, rates=SURE, **kw))


@pytest.mark.usefixtures("one_adapter")
def test_the_teacher_answers_the_checks_of_questions_and_keywords() -> None:
    with dspy.context(lm=lm()):
        asked = question()
        used = QuestionJudge()(question=asked, keywords=["unit rate", "photosynthesis"])
        assert (used.keywords_used, used.self_contained, used.unscored) == ("some", "yes", None)
        vague = f"{asked} Take the figures as rough and adjust them where needed."
        assert QuestionJudge()(question=vague, keywords=["unit rate"]).self_contained == "no"
        listed = ["unit rate", "photosynthesis", TOO_GENERAL[0]]
        found = KeywordJudge()(task=TASK, wanted="core keywords", keywords=listed)
        assert (found.off_task, found.wrong_grain) == (["photosynthesis"], [TOO_GENERAL[0]])
        assert LevelJudge()(question=asked).level is BloomLevel.APPLY


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_sensitivity_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="sensitivity must be from 0"):
        Teacher(0, sensitivity=value)


@pytest.mark.parametrize("field", ["basic_instruction", "current_instruction"])
def test_a_proposal_keeps_what_is_shown_and_adds_from_the_stock(field: str) -> None:
    wanted = "proposed_instruction" if field == "basic_instruction" else "new_instruction"
    signature = dspy.Signature(f"{field} -> {wanted}")
    seen = set()
    for number in range(30):
        reply = said(Teacher(0, SURE), request(signature, {field: "Say why."}, number=number))
        text = dspy.ChatAdapter().parse(signature, reply)[wanted]
        added = [sentence for sentence in POOL if sentence in text]
        assert text == " ".join(["Say why.", *sorted(added, key=text.index)])
        assert 1 <= len(added) <= 2
        seen |= set(added)
    assert seen == set(POOL)


def test_of_several_attempts_the_best_is_built_upon() -> None:
    attempts = [
        "Instruction #1: Bad one.", "Prefix #1: p", "Resulting Score #1: 10.0",
        "Instruction #2: Good one.", "Prefix #2: p", "Resulting Score #2: 90.0",
    ]  # fmt: skip
    signature = dspy.Signature("attempted_instructions -> proposed_instruction")
    reply = said(Teacher(0, SURE), request(signature, {"attempted_instructions": attempts}))
    text = dspy.ChatAdapter().parse(signature, reply)["proposed_instruction"]
    assert text.startswith("Good one. ")
    assert "Bad" not in text
    assert "Prefix" not in text
