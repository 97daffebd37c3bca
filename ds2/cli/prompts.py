"""`ds2 prompts`: what the model sees for each predictor, with its tokens."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ds2.cli.prompt_views import PromptView
    from programs.synthesis import DS2Instruct


class StageName(StrEnum):
    """The stages that have prompts."""

    KEYWORDS = "keywords"
    WRITER = "writer"
    ANSWERS = "answers"


class Adapter(StrEnum):
    """The DSPy adapters that a run may use."""

    CHAT = "chat"
    JSON = "json"


class LevelName(StrEnum):
    """Bloom's levels, as options take them."""

    REMEMBER = "remember"
    UNDERSTAND = "understand"
    APPLY = "apply"
    ANALYZE = "analyze"
    EVALUATE = "evaluate"
    CREATE = "create"


def prompts_command(
    task: Annotated[str, typer.Argument(help="A built-in task, or the path of a YAML file.")],
    stage: Annotated[StageName | None, typer.Option(help="Only this stage.")] = None,
    adapter: Annotated[Adapter, typer.Option(help="DSPy adapter.")] = Adapter.CHAT,
    level: Annotated[
        LevelName, typer.Option(help="Level shown where one is asked for.", case_sensitive=False)
    ] = LevelName.APPLY,
    thinking: Annotated[
        bool, typer.Option("--thinking", help="As for a model that reasons by itself.")
    ] = False,
    program: Annotated[
        Path | None, typer.Option(help="Saved program, to see compiled prompts and demos.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what the model sees for a task, and how many tokens of it are our own words.

    Example: ds2 prompts medqa --stage writer --level create
    """
    from ds2.cli.prompt_views import prompt_views
    from signatures.bloom import BloomLevel

    built = _program(task, thinking, program)
    views = [
        view
        for view in prompt_views(built, adapter.value, BloomLevel[level.name])
        if stage is None or view.stage == stage.value
    ]
    typer.echo(_json(built, adapter, views) if as_json else _text(views))


def _program(task: str, thinking: bool, saved: Path | None) -> DS2Instruct:
    from programs.synthesis import ChainConfig, DS2Instruct

    program = DS2Instruct(task, ChainConfig(thinking=thinking))
    if saved is not None:
        program.load(saved)
    return program


def _text(views: list[PromptView]) -> str:
    from ds2.cli.prompt_views import OWN_TOKENS
    from ds2.cli.tokens import tokenizer

    parts = []
    for view in views:
        parts.append(
            f"=== {view.stage}: {view.signature} ({view.predictor}); {view.own_tokens} tokens "
            f"of our own (limit {OWN_TOKENS}), {view.all_tokens} in all"
        )
        parts.extend(f"--- {message.role}\n{message.content}" for message in view.messages)
    return "\n\n".join([*parts, f"Tokens counted by {tokenizer().name}."])


def _json(program: DS2Instruct, adapter: Adapter, views: list[PromptView]) -> str:
    from ds2.cli.prompt_views import OWN_TOKENS
    from ds2.cli.tokens import tokenizer

    document = {
        "task": program.task.name,
        "adapter": adapter.value,
        "tokenizer": tokenizer().name,
        "own_tokens_limit": OWN_TOKENS,
        "prompts": [
            {
                "stage": view.stage,
                "predictor": view.predictor,
                "signature": view.signature,
                "own_tokens": view.own_tokens,
                "all_tokens": view.all_tokens,
                "messages": [message._asdict() for message in view.messages],
            }
            for view in views
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2)
