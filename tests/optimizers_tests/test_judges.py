"""The judges inside the metrics: as they are written, or with prompts that were compiled before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest
from compiling import (
    adapter,
    compiled,
    devset,
    judging_program,
    lm,
    models,
    pairs,
    program,
    teacher,
)
from scripted import Call, Script, chat

from optimizers.devsets import DevSet
from optimizers.judges import JudgePrompts, Judges, judged_by
from optimizers.metrics import KeywordMetric, metric_for, plain_vote
from optimizers.stages import STAGES
from programs.synthesis import JUDGES, ChainConfig, DS2Instruct
from signatures.errors import ConfigError

MORE = "Mind the grain."
ALL = frozenset({*JUDGES, "vote.judge"})


def minding(base: DS2Instruct, held: frozenset[str] = ALL) -> JudgePrompts:
    """Return judges that were told one thing more."""
    judges: dict[str, Any] = dict.fromkeys(JUDGES, True)
    made = DS2Instruct(base.task, replace(base.config, **judges))
    for name, predictor in made.named_predictors():
        if name.endswith("judge.predict"):
            told = f"{predictor.signature.instructions} {MORE}"
            predictor.signature = predictor.signature.with_instructions(told)
    return JudgePrompts(made, held)


def asked_of_the_judge(judges: Judges | None, base: DS2Instruct) -> str:
    script = Script(chat(off_task="[]", wrong_direction="[]", wrong_grain="[]"))
    metric = KeywordMetric(base, lm(script.backend()), judges=judges)
    example = dspy.Example(origin="core", seeds=[], known=[], count=1)
    with dspy.context(adapter=adapter()):
        metric.score(example, dspy.Prediction(failed=None, texts=("ratio",), shown=()))
    return script.calls[0].prompt


def test_a_metric_judges_with_the_prompts_as_they_are_written_whatever_is_compiled() -> None:
    base = minding(program()).program
    assert MORE in base.keyword_judge.predict.signature.instructions
    assert MORE not in asked_of_the_judge(None, base)
    assert MORE not in asked_of_the_judge(Judges(base), base)


def test_prompts_that_are_handed_in_are_judged_with_and_named() -> None:
    prompts = minding(program())
    judges = Judges(program(), prompts)
    assert MORE in asked_of_the_judge(judges, program())
    assert prompts.id in KeywordMetric(program(), lm(teacher()), judges=judges).name
    # What the file does not hold is judged as it is written.
    others = minding(program(), frozenset({"level_judge"}))
    assert MORE not in asked_of_the_judge(Judges(program(), others), program())
    assert others.id != prompts.id


def test_a_vote_compares_by_the_judge_that_is_handed_in() -> None:
    base = judging_program()
    vote = Judges(base, minding(base)).in_vote(plain_vote(base, 3))
    assert MORE in vote.judge.predict.signature.instructions  # type: ignore[union-attr]
    plain = Judges(base).in_vote(plain_vote(base, 3))
    assert MORE not in plain.judge.predict.signature.instructions  # type: ignore[union-attr]
    exact = Judges(program(), minding(program())).in_vote(plain_vote(program(), 3))
    assert exact.judge is None


@pytest.mark.parametrize("stage", ["question-judge", "keyword-judge", "answer-judge"])
def test_labels_are_given_by_the_judge_that_is_handed_in(stage: str) -> None:
    base = judging_program() if stage == "answer-judge" else program()
    dev = devset()
    if stage == "answer-judge":
        dev = DevSet("d", tuple(r.__class__(r.question) for r in pairs().rows[:40]), labelled=False)
    prompts, asked = minding(base), []
    inner = teacher(rates=None).open()

    class Listening:
        async def complete(self, request: Any) -> Any:
            asked.append(MORE in str(request.system) or "## answer ##" in request.messages[-1].text)
            return await inner.complete(request)

    given = models(judge=lm(replace(teacher(), open=Listening)))
    found = compiled(stage, "bootstrap", given, program=base, devset=dev, judge_prompts=prompts)
    assert asked
    assert all(asked)
    assert found.metric.endswith(f"judges with the prompts {prompts.id}")


def test_a_compile_that_is_judged_otherwise_has_another_metric() -> None:
    plain = compiled("instructions", "bootstrap")
    judged = compiled("instructions", "bootstrap", judge_prompts=minding(program()))
    assert plain.metric_id != judged.metric_id
    assert plain.sizes == judged.sizes


def test_the_id_of_a_metric_holds_what_its_judges_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = compiled("instructions", "bootstrap")
    written = Judges.prompts_of
    monkeypatch.setattr(Judges, "prompts_of", lambda *given: [written(*given), "another word"])
    assert compiled("instructions", "bootstrap").metric_id != plain.metric_id


@pytest.mark.parametrize(
    ("stage", "merger", "labelled", "judges"),
    [
        ("keywords", None, True, ("keyword_judge",)),
        ("instructions", None, True, ("level_judge", "question_judge")),
        ("instructions", "judge", True, ("level_judge", "question_judge", "vote.judge")),
        ("chain", None, True, ()),
        ("chain", "judge", True, ("vote.judge",)),
        ("answers", "judge", False, ("vote.judge",)),
        ("answers", "judge", True, ()),
        ("judge", "judge", True, ()),
        ("answer-judge", "judge", False, ("vote.judge",)),
        ("question-judge", None, False, ("question_judge",)),
        ("question-judge", None, True, ()),
        ("keyword-judge", None, False, ("keyword_judge",)),
    ],
)
def test_it_is_known_which_judges_judge_a_stage(
    stage: str, merger: Any, labelled: bool, judges: tuple[str, ...]
) -> None:
    base = DS2Instruct("math", ChainConfig(merger=merger))
    assert judged_by(stage, base, labelled=labelled) == judges
    assert stage in STAGES


def test_judges_that_would_judge_nothing_are_refused() -> None:
    def never(call: Call) -> BaseException:
        return AssertionError("a call was made")

    silent = lm(Script(never).backend())
    nobody = models(program=silent, judge=silent)
    one = minding(program(), frozenset({"question_judge"}))
    said = r"--judge-program must hold one of keyword_judge.*\(got 'question_judge'\)"
    with pytest.raises(ConfigError, match=said):
        compiled("keywords", "bootstrap", nobody, judge_prompts=one)
    with pytest.raises(ConfigError, match="be left out here: no judge says what is right"):
        compiled("judge", "bootstrap", nobody, judge_prompts=one)
    none = minding(program(), frozenset())
    with pytest.raises(ConfigError, match="a program without a judge"):
        compiled("instructions", "bootstrap", nobody, judge_prompts=none)


def test_the_metric_of_answers_names_its_judge_only_where_one_compares() -> None:
    rows = tuple(row.__class__(row.question) for row in devset().rows)
    dev = DevSet("d", rows, labelled=False)
    for base, named in ((judging_program(), True), (program(), False)):
        prompts = minding(base)
        metric = metric_for("answers", base, lm(teacher()), dev, prompts=prompts)
        assert (prompts.id in metric.name) is named
