"""What a model sees for each predictor of a task's program, rendered by DSPy's own adapters.

Inputs that a run takes from elsewhere (a question that was written, a bank of keywords) stand in
angle brackets or come from the task's example keywords.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import dspy

from ds2.cli.tokens import tokenizer
from programs.keywords import ExpansionShape
from programs.synthesis import JUDGES, DS2Instruct
from signatures.answers import lettered
from signatures.bloom import LEVELS, BloomLevel
from signatures.instructions import notes_line
from signatures.keywords import task_line
from signatures.task import TaskSpec

Stage = Literal["keywords", "writer", "answers", "judge"]
AdapterName = Literal["chat", "json"]

PASSAGE = "<a passage of the corpus>"
OWN_TOKENS = 350  # the most of our own text that one rendered prompt may hold

_STAGES: dict[str, Stage] = {
    "keywords": "keywords",
    "writer": "writer",
    "vote": "answers",
    **dict.fromkeys(JUDGES, "judge"),
}
# The inputs whose words are the project's or the task's own; the others are data.
_OWN_INPUTS = ("task", "examples", "level", "demand", "notes", "language")


class Message(NamedTuple):
    """One message of a rendered prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class PromptView:
    """One predictor's prompt.

    Args:
        stage: the stage it belongs to.
        predictor: its name in the program.
        signature: the name of its signature.
        messages: what goes to the model, in order; demos stand between the first and the last.
        own_tokens: tokens of our own text (the signature's docstring and descriptions, and what
            the task and the level put in), at the level where that is most.
        all_tokens: tokens of all messages, with what the adapter adds.
    """

    stage: Stage
    predictor: str
    signature: str
    messages: tuple[Message, ...]
    own_tokens: int
    all_tokens: int


def prompt_views(
    program: DS2Instruct,
    adapter: AdapterName = "chat",
    level: BloomLevel = BloomLevel.APPLY,
    passage: str = PASSAGE,
) -> Iterator[PromptView]:
    """Yield the prompt of every predictor of `program`, in the order of the stages.

    Args:
        program: whose prompts.
        adapter: how they are rendered.
        level: the level shown where one is asked for.
        passage: what stands for a passage of the corpus.
    """
    renderer = dspy.JSONAdapter() if adapter == "json" else dspy.ChatAdapter()
    count = tokenizer().count
    for name, predictor in program.named_predictors():
        signature = predictor.signature
        inputs = {
            field: value
            for field, value in typical_inputs(program.task, level, passage).items()
            if field in signature.input_fields
        }
        rendered = renderer.format(signature, predictor.demos, inputs)
        messages = tuple(Message(m["role"], m["content"]) for m in rendered)
        yield PromptView(
            stage=_STAGES[name.partition(".")[0]],
            predictor=name,
            signature=signature.__name__,
            messages=messages,
            own_tokens=max(count(_own_text(program.task, signature, each)) for each in LEVELS),
            all_tokens=sum(count(message.content) for message in messages),
        )


def typical_inputs(task: TaskSpec, level: BloomLevel, passage: str = PASSAGE) -> dict[str, Any]:
    """Return a value for every input that a signature of `task` may have."""
    examples = task.example_keywords
    keywords = examples if len(examples) > 1 else (*examples, "<a keyword>", "<another keyword>")
    sizes = task.answer.options or (0,)
    return {
        "task": task_line(task),
        "examples": ", ".join(task.example_keywords) or "none",
        "seeds": ", ".join(keywords[: ExpansionShape().seeds]),
        "known": ", ".join(keywords),
        "count": ExpansionShape().width,
        "keyword": keywords[0],
        "keywords": "\n".join(keywords),
        "wanted": "<what was asked for, and of which keywords>",
        "first_keyword": keywords[0],
        "second_keyword": keywords[-1],
        "level": level.value,
        "demand": level.demand,
        "notes": notes_line(task),
        "language": task.language,
        "passage": passage,
        "context": "<the text that was written>" if task.context == "written" else passage,
        "question": "<the question that was written>",
        "options": lettered(("<an option that was written>",) * max(sizes)),
    }


def _own_text(task: TaskSpec, signature: type[dspy.Signature], level: BloomLevel) -> str:
    values = typical_inputs(task, level)
    fields = {**signature.input_fields, **signature.output_fields}
    return "\n".join(
        [
            signature.instructions,
            *(field.json_schema_extra["desc"] for field in fields.values()),
            *(values[name] for name in _OWN_INPUTS if name in signature.input_fields),
        ]
    )
