"""The prompts: what is shown is what is sent, our own words stay short, the page tells the truth.

`DS2_WRITE_GOLDENS=1 pytest tests/ds2_tests/test_prompts.py` writes the goldens anew.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
import typer
from dspy import lm15
from typer.testing import CliRunner

from ds2.cli import tokens
from ds2.cli.prompt_page import MARKER, generated_half, write_page
from ds2.cli.prompt_views import OWN_TOKENS, AdapterName, PromptView, prompt_views, typical_inputs
from ds2.cli.prompts import LevelName, prompts_command
from programs.synthesis import JUDGES, ChainConfig, DS2Instruct
from signatures.bloom import LEVELS, BloomLevel
from signatures.errors import TaskError
from signatures.task import BUILT_IN, load_task

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "goldens"
PAGE = ROOT / "docs" / "prompts.md"

# One golden a signature, and one for each way a task, model or adapter changes it.
SHOWN: list[tuple[str, bool, AdapterName, str]] = [
    ("gsm8k", False, "chat", "keywords.core"),
    ("gsm8k", False, "chat", "keywords.prerequisites"),
    ("gsm8k", False, "chat", "keywords.advanced"),
    ("gsm8k", False, "chat", "keywords.extract"),
    ("gsm8k", False, "chat", "writer.single"),
    ("gsm8k", False, "chat", "writer.pair"),
    ("gsm8k", False, "chat", "vote.draw.predict"),
    ("gsm8k", True, "chat", "vote.draw.predict"),
    ("gsm8k", False, "json", "vote.draw.predict"),
    ("cfa", False, "chat", "writer.pair"),
    ("cfa", False, "chat", "vote.draw.predict"),
    ("pubmedqa", False, "chat", "writer.single"),
    ("pubmedqa", False, "chat", "vote.draw.predict"),
    ("cfa", False, "json", "writer.single"),
    ("pubmedqa-corpus", False, "chat", "writer.pair"),
    ("pubmedqa-corpus", False, "chat", "vote.draw.predict"),
    ("gsm8k", False, "chat", "level_judge.predict"),
    ("gsm8k", False, "chat", "question_judge.predict"),
    ("gsm8k", False, "chat", "keyword_judge.predict"),
]
JUDGING = ChainConfig(**dict.fromkeys(JUDGES, True))  # type: ignore[arg-type]


def view_of(task: str, thinking: bool, adapter: AdapterName, predictor: str) -> PromptView:
    spec = load_task(task.removesuffix("-corpus"))
    if task.endswith("-corpus"):
        spec = spec.model_copy(update={"context": "passage"})
    program = DS2Instruct(spec, replace(JUDGING, thinking=thinking))
    return next(v for v in prompt_views(program, adapter) if v.predictor == predictor)


@pytest.mark.parametrize(("task", "thinking", "adapter", "predictor"), SHOWN)
def test_a_rendered_prompt_is_its_golden(
    task: str, thinking: bool, adapter: AdapterName, predictor: str
) -> None:
    view = view_of(task, thinking, adapter, predictor)
    text = "\n".join(f"--- {m.role}\n{m.content}" for m in view.messages) + "\n"
    name = f"{task}-{view.signature}-{adapter}{'-thinking' if thinking else ''}.txt"
    path = GOLDENS / name
    if os.environ.get("DS2_WRITE_GOLDENS"):
        GOLDENS.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert path.read_text(encoding="utf-8") == text


def test_every_predictor_has_a_golden() -> None:
    program = DS2Instruct("gsm8k", JUDGING)
    names = {name for name, _ in program.named_predictors()}
    assert {predictor for _, _, _, predictor in SHOWN} == names


@pytest.mark.parametrize("task", BUILT_IN)
@pytest.mark.parametrize("thinking", [False, True], ids=["plain", "thinking"])
def test_our_own_text_stays_within_its_limit(task: str, thinking: bool) -> None:
    program = DS2Instruct(task, replace(JUDGING, thinking=thinking))
    for view in prompt_views(program):
        assert 0 < view.own_tokens <= OWN_TOKENS, view.predictor
        assert view.own_tokens < view.all_tokens


def test_the_page_is_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(MARKER)[2] == f"\n\n{generated_half()}\n", (
        "docs/prompts.md is behind: python -m ds2.cli.prompt_page docs/prompts.md"
    )


def test_the_rubric_has_ten_checks_each_with_an_example_that_passes_and_one_that_fails() -> None:
    rubric = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    checks = rubric.split("\n### ")[1:]
    assert [check.split(".")[0] for check in checks] == [str(n) for n in range(1, 11)]
    for check in checks:
        assert check.count("\n- Passes (") == 1, check
        assert check.count("\n- Fails") == 1, check


def test_the_words_that_the_rubric_quotes_are_in_the_prompts() -> None:
    said = " ".join(generated_half().split()).casefold()
    for words in (
        "refer to no figure, table or text that is not there",
        "complete in itself",
        "there is exactly one right answer",
        "no solution, no hint",
        "nothing in the wording gives it away",
        "let the level set its verb and what the student must do",
        "whoever knows only one of them cannot answer it",
        "the wrong ones come from slips a student really makes",
        "alike in form and length",
        "state every figure, unit, rounding and assumption",
        "only then give the answer",
    ):
        assert words in said
        assert words in " ".join(PAGE.read_text("utf-8").partition(MARKER)[0].split()).casefold()


def test_writing_the_page_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "prompts.md"
    path.write_text(f"# Mine\n\n{MARKER}\n\nold\n", encoding="utf-8")
    write_page(path)
    assert path.read_text(encoding="utf-8") == f"# Mine\n\n{MARKER}\n\n{generated_half()}\n"
    path.write_text("# Mine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no line"):
        write_page(path)


class Listener:
    """An engine that keeps what it is sent and refuses to answer."""

    def __init__(self) -> None:
        self.requests: list[lm15.Request] = []

    def complete(self, request: lm15.Request) -> lm15.Response:
        self.requests.append(request)
        raise lm15.InvalidRequestError("only listening")


class AsyncListener(Listener):
    async def complete(self, request: lm15.Request) -> lm15.Response:  # type: ignore[override]
        return super().complete(request)


def sent(call: Any, adapter: AdapterName) -> list[tuple[str, str]]:
    """Return the messages that reach the engine when `call` runs."""
    engine = AsyncListener()
    lm = dspy.LM("local/listener", engine=Listener(), async_engine=engine, cache=False)
    chosen = dspy.JSONAdapter() if adapter == "json" else dspy.ChatAdapter()
    with dspy.context(lm=lm, adapter=chosen), pytest.raises(Exception, match="only listening"):
        call()
    request = engine.requests[0]
    turns = [(str(message.role), message.text or "") for message in request.messages]
    return [("system", str(request.system)), *turns]


@pytest.mark.parametrize("adapter", ["chat", "json"])
@pytest.mark.parametrize("task", ["gsm8k", "cfa", "pubmedqa"])
def test_what_is_shown_is_what_the_program_sends(task: str, adapter: AdapterName) -> None:
    program = DS2Instruct(task)
    views = {view.predictor: view for view in prompt_views(program, adapter)}
    inputs = typical_inputs(program.task, BloomLevel.APPLY)
    asked = {"question": inputs["question"], "context": inputs["context"]}
    options = ["<an option that was written>"] * max(program.task.answer.options or (0,))
    calls = {
        "keywords.core": lambda: program.expand(size=8),
        "writer.single": lambda: program.writer(keywords=[inputs["keyword"]], level="Apply"),
        "writer.pair": lambda: program.writer(
            keywords=[inputs["first_keyword"], inputs["second_keyword"]], level="Apply"
        ),
        "vote.draw.predict": lambda: program.vote.draw(**asked, options=options),
    }
    for predictor, call in calls.items():
        shown = [tuple(message) for message in views[predictor].messages]
        assert sent(call, adapter) == shown, predictor


def invoke(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(prompts_command)
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_command_shows_the_stages_with_their_tokens() -> None:
    shown = invoke("gsm8k")
    for view in prompt_views(DS2Instruct("gsm8k")):
        assert f"{view.signature} ({view.predictor}); {view.own_tokens} tokens" in shown
        assert all(message.content in shown for message in view.messages)
    only = invoke("gsm8k", "--stage", "answers", "--thinking", "--adapter", "json")
    assert "AnswerQuestion" in only
    assert "`solution`" in only
    assert "WriteFromKeyword" not in only


def test_the_command_prints_json_alone() -> None:
    document = json.loads(invoke("cfa", "--json", "--stage", "writer", "--level", "create"))
    assert (document["task"], document["adapter"]) == ("cfa", "chat")
    assert [p["signature"] for p in document["prompts"]] == ["WriteFromKeyword", "WriteFromPair"]
    last = document["prompts"][0]["messages"][-1]["content"]
    assert BloomLevel.CREATE.demand in last


def test_the_command_shows_compiled_demos(tmp_path: Path) -> None:
    program = DS2Instruct("gsm8k")
    program.vote.draw.predict.demos = [
        dspy.Example(question="What is 2 + 2?", reasoning="Add.", answer="4")
    ]
    program.save(tmp_path / "program.json")
    shown = invoke("gsm8k", "--stage", "answers", "--program", str(tmp_path / "program.json"))
    assert "What is 2 + 2?" in shown
    assert "--- assistant" in shown


def test_the_command_takes_a_task_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text(
        "name: tea\ndomain: 茶道の作法\n"
        "description: 茶の湯の作法と道具についての短い問い。初心者がひとつの語で答える。\n"
        "answer: {kind: text}\nlanguage: Japanese\n",
        encoding="utf-8",
    )
    shown = invoke(str(path))
    assert "茶道の作法" in shown
    assert "Write in Japanese." in shown


def test_an_unknown_task_is_a_task_error() -> None:
    with pytest.raises(TaskError, match="gsm8k"):
        invoke("gsm9k")


def test_the_levels_of_the_command_are_blooms() -> None:
    assert [BloomLevel[level.name] for level in LevelName] == list(LEVELS)


def test_tokens_are_counted_without_the_network_and_without_litellm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "litellm", raising=False)
    monkeypatch.setattr("socket.socket.connect", None)
    tokens.tokenizer.cache_clear()
    counter = tokens.tokenizer()
    assert counter.name == "cl100k_base"
    assert counter.count("hello world") == 2
    assert counter.count("<|endoftext|>") > 1
    assert "litellm" not in sys.modules


def test_without_the_vocabulary_tokens_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_vocabulary", lambda: None)
    tokens.tokenizer.cache_clear()
    try:
        counter = tokens.tokenizer()
    finally:
        tokens.tokenizer.cache_clear()
    assert counter.name.startswith("estimate")
    assert (counter.count(""), counter.count("abcde"), counter.count("茶道")) == (0, 2, 2)


def test_the_estimate_is_near_the_truth_for_english() -> None:
    text = view_of("gsm8k", False, "chat", "writer.pair").messages[0].content
    assert tokens.estimate_tokens(text) == pytest.approx(tokens.tokenizer().count(text), rel=0.25)
