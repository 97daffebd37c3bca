"""What a dataset is made for: `TaskSpec`, its answer format, and `load_task`.

A task is one YAML file; a new one touches no Python. Every rule a file can break is reported with
the file, the line, the field, the rule and the value.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from signatures.errors import TaskError

BUILT_IN = ("cfa", "gpqa", "gsm8k", "logiqa", "math", "medqa", "pubmedqa")
MAX_OPTIONS = 26


class AnswerKind(StrEnum):
    """How answers are read and compared."""

    NUMBER = "number"
    EXPRESSION = "expression"
    CHOICE = "choice"
    LABEL = "label"
    TEXT = "text"
    OPEN = "open"


_CLOSINGS = {
    AnswerKind.NUMBER: "final answer: {answer}",
    AnswerKind.EXPRESSION: r"\boxed{{answer}}",
    AnswerKind.CHOICE: "Answer: {answer}",
    AnswerKind.LABEL: "Answer: {answer}",
    AnswerKind.TEXT: "final answer: {answer}",
    AnswerKind.OPEN: "{answer}",
}


class AnswerFormat(BaseModel):
    """The shape of a right answer, and the line that ends a response.

    Args:
        kind: number, expression (LaTeX mathematics), choice, label, text (short) or open (long form).
        options: for `choice`, how many options a question has, 2 to 26; a list allows several sizes.
        labels: for `label`, the closed set of answers, at least two.
        closing: the last line of a response, holding `{answer}` once; a default by kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: AnswerKind
    options: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    closing: str = ""

    @field_validator("options", mode="before")
    @classmethod
    def _one_size(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("options")
    @classmethod
    def _sizes_in_range(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for size in value:
            if not 2 <= size <= MAX_OPTIONS:
                raise ValueError(f"must hold sizes from 2 to {MAX_OPTIONS}")
        return tuple(sorted(set(value)))

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_as_words(cls, value: Any) -> Any:
        # YAML 1.1 reads a bare yes or no as a boolean; a label set of them means the words.
        if isinstance(value, list):
            return [("yes" if v else "no") if isinstance(v, bool) else v for v in value]
        return value

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        if (self.kind is AnswerKind.CHOICE) != bool(self.options):
            raise ValueError("must name `options` for kind choice, and only for it")
        if (self.kind is AnswerKind.LABEL) != bool(self.labels):
            raise ValueError("must name `labels` for kind label, and only for it")
        folded = [label.casefold().strip() for label in self.labels]
        if self.labels and (len(self.labels) < 2 or len(set(folded)) < len(folded) or "" in folded):
            raise ValueError("must name at least two different, non-empty `labels`")
        if self.closing and self.closing.count("{answer}") != 1:
            raise ValueError("must hold {answer} exactly once in `closing`")
        return self

    @property
    def letters(self) -> tuple[str, ...]:
        """Return the letters a `choice` answer may take at the widest size, else nothing."""
        return tuple(chr(65 + i) for i in range(max(self.options, default=0)))

    def close(self, answer: str) -> str:
        """Return the last line of a response that gives `answer`, such as `final answer: 42`."""
        return (self.closing or _CLOSINGS[self.kind]).replace("{answer}", answer, 1)


class TaskSpec(BaseModel):
    """One task description: all that DS2 needs to make a dataset.

    Args:
        name: short identifier; letters, digits, `-` and `_`.
        domain: the field in a few words, as a person would say it.
        description: what the questions are like and who answers them.
        answer: the answer format.
        notes: extra demands on instructions, one sentence each.
        example_keywords: a few keywords that show the granularity wanted.
        language: the language of questions and answers, by its English name.
        context: `written` where every question comes with a short text of its own (an abstract, a
            case), which is written together with it, or taken from a corpus where there is one;
            `passage` where it always comes from a corpus.
        benchmark: the public benchmark this task mirrors, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    domain: str = Field(min_length=1, max_length=200)
    description: str = Field(min_length=8, max_length=2000)
    answer: AnswerFormat
    notes: tuple[str, ...] = Field(default=(), max_length=12)
    example_keywords: tuple[str, ...] = Field(default=(), max_length=20)
    language: str = Field(default="English", min_length=2, max_length=40)
    context: Literal["none", "written", "passage"] = "none"
    benchmark: str | None = None

    @property
    def english(self) -> bool:
        """Return whether the task is in English (plurals are folded for English only)."""
        words = re.split(r"[^a-z]+", self.language.casefold())
        return "english" in words or words[0] == "en"


def load_task(name_or_path: str | os.PathLike[str]) -> TaskSpec:
    """Return the built-in task of that name, or the one in that YAML file.

    A string that ends in .yaml or .yml, or holds a path separator, is a path; any other is a name.

    Raises:
        TaskError: the name is unknown, the file is missing, or it breaks a rule; the message names
            the file, the line, the field, the rule and the value.

    Example:
        >>> load_task("gsm8k").answer.close("42")
        'final answer: 42'
    """
    text = os.fspath(name_or_path)
    if text in BUILT_IN:
        return _parse(task_source(text), where=f"built-in task {text}")
    looks_like_path = text.endswith((".yaml", ".yml")) or os.sep in text or "/" in text
    if not looks_like_path:
        raise TaskError.rule(
            "Loading a task failed",
            name="task",
            rule=f"be one of {', '.join(BUILT_IN)} or the path of a YAML file",
            value=text,
            todo="Run `ds2 tasks` for the list, or `ds2 tasks new NAME` to write your own.",
        )
    path = Path(text)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError.rule(
            "Loading a task failed",
            name="task file",
            rule="be a readable UTF-8 file",
            value=text,
            todo=f"Check the path ({type(error).__name__}).",
        ) from error
    return _parse(source, where=text)


def task_source(name: str) -> str:
    """Return the YAML text of a built-in task."""
    return (
        resources.files("signatures").joinpath("tasks", f"{name}.yaml").read_text(encoding="utf-8")
    )


def parse_task(source: str, where: str = "task") -> TaskSpec:
    """Return the task written in `source` (YAML); `where` names it in errors."""
    return _parse(source, where)


def _parse(source: str, where: str) -> TaskSpec:
    try:
        root = yaml.compose(source, Loader=yaml.SafeLoader)
        _refuse_twice(root)
        data = yaml.safe_load(source)
    except RecursionError as error:
        raise TaskError.rule(
            f"Reading {where} failed",
            name="the file",
            rule="be nested a few levels deep",
            value="hundreds of levels",
            todo="Start from `ds2 tasks new NAME`.",
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise TaskError.rule(
            f"Reading {where}, line {line}, failed",
            name="the file",
            rule="be valid YAML",
            value=problem,
            todo="Mend that line; `ds2 tasks new NAME` writes a template that is valid.",
        ) from error
    if not isinstance(data, dict):
        raise TaskError.rule(
            f"Reading {where}, line 1, failed",
            name="the file",
            rule="be a mapping of fields such as `name:` and `domain:`",
            value=type(data).__name__ if data is not None else "an empty file",
            todo="Start from `ds2 tasks new NAME`.",
        )
    try:
        return TaskSpec.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        loc = tuple(first["loc"])
        more = len(error.errors()) - 1
        raise TaskError.rule(
            f"Reading {where}, line {_line(root, loc)}, failed",
            name=".".join(str(part) for part in loc) or "the file",
            rule=_rule(first),
            value=_value(first),
            todo="Mend that field." if not more else f"Mend that field; {more} more follow.",
        ) from error


def _refuse_twice(node: yaml.Node | None) -> None:
    """Raise for a field that is given twice, of which YAML would keep the last in silence."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if str(key.value) in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the field {key.value!r} is given twice", problem_mark=key.start_mark
            )
        seen.add(str(key.value))
        _refuse_twice(value)


def _rule(error: Any) -> str:
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        known = AnswerFormat if error["loc"][0] == "answer" and len(error["loc"]) > 1 else TaskSpec
        return f"be one of the known fields {', '.join(known.model_fields)}"
    if kind == "missing":
        return "be given"
    if kind == "value_error":
        return re.sub(r"^Value error, must ", "", message)
    return re.sub(r"^(Input|String|Value|Tuple) should ", "", message)


def _value(error: Any) -> object:
    return "nothing" if error["type"] == "missing" else error["input"]


def _line(node: yaml.Node | None, loc: tuple[Any, ...]) -> int:
    """Return the line (from 1) of the deepest part of `loc` that the document holds."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in loc:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    found, line = value, key.start_mark.line + 1
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            return line
        node = found
    return line
