"""The generated half of docs/prompts.md: every prompt as a model sees it.

The page's first half, the rubric, is written by hand and stays; all below the marker is replaced by

    python -m ds2.cli.prompt_page docs/prompts.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ds2.cli.prompt_views import OWN_TOKENS, PromptView, prompt_views
from ds2.cli.tokens import tokenizer
from programs.synthesis import ChainConfig, DS2Instruct
from signatures.task import BUILT_IN, load_task

MARKER = "<!-- Generated below this line: python -m ds2.cli.prompt_page docs/prompts.md -->"
_SHOWN = "gsm8k"
_GROUNDED = "pubmedqa"


def generated_half() -> str:
    """Return all that stands below the marker: a pure function of signatures, tasks and DSPy."""
    shown = {view.predictor: view for view in _views(_SHOWN)}
    counted = (
        f"Our own text in a prompt (limit {OWN_TOKENS}) and the whole prompt, counted with "
        f"{tokenizer().name}. DSPy's adapter adds the rest: the list of fields, the markers, "
        "the closing request."
    )
    return "\n\n".join(
        [
            "## Tokens",
            counted,
            _token_table(shown),
            f"## The prompts of {_SHOWN}",
            "At the level Apply, by DSPy's chat adapter.",
            *_in_full(shown.values()),
            "## For a model that reasons by itself",
            *_in_full(v for v in _views(_SHOWN, thinking=True) if v.stage == "answers"),
            "## With --verify-level",
            "One more call an instruction, before its answers; the judge does not see the level asked for.",
            *_in_full(v for v in _verifying(_SHOWN) if v.stage == "judge"),
            "## By the JSON adapter",
            "The words are the same; only what DSPy says about the form differs. One example:",
            *_in_full(v for v in prompt_views(DS2Instruct(_SHOWN), "json") if v.stage == "answers"),
            "## What differs for the other tasks",
            f"The lines that {_SHOWN} does not have, each where it comes first.",
            *(part for task in BUILT_IN if task != _SHOWN for part in _differences(task, shown)),
            "## With a corpus",
            f"The lines that {_GROUNDED} has only where its contexts are passages of a corpus.",
            *_grounded(),
        ]
    )


def write_page(path: Path) -> None:
    """Replace all below the marker in the page at `path`.

    Raises:
        ValueError: the page has no marker.
    """
    head, found, _ = path.read_text(encoding="utf-8").partition(MARKER)
    if not found:
        raise ValueError(f"{path} has no line {MARKER!r}")
    path.write_text(f"{head}{MARKER}\n\n{generated_half()}\n", encoding="utf-8", newline="\n")


def _views(task: str, *, thinking: bool = False) -> list[PromptView]:
    return list(prompt_views(DS2Instruct(task, ChainConfig(thinking=thinking))))


def _verifying(task: str) -> list[PromptView]:
    return list(prompt_views(DS2Instruct(task, ChainConfig(level_judge=True))))


def _token_table(shown: dict[str, PromptView]) -> str:
    names = list(shown)
    lines = [f"| task | {' | '.join(shown[name].signature for name in names)} |"]
    lines.append("| --- |" + " ---: |" * len(names))
    for task in BUILT_IN:
        views = {view.predictor: view for view in _views(task)}
        cells = (f"{views[name].own_tokens} of {views[name].all_tokens}" for name in names)
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _in_full(views: Iterable[PromptView]) -> Iterator[str]:
    for view in views:
        yield f"### {view.signature}"
        for message in view.messages:
            yield f"{message.role}:"
            yield _fenced(message.content)


def _differences(task: str, shown: dict[str, PromptView]) -> Iterator[str]:
    yield f"### {task}"
    told: set[str] = set()
    for view in _views(task):
        known = told.union(_lines(shown[view.predictor]))
        new = [line for line in _lines(view) if line not in known]
        told.update(new)
        if new:
            yield f"{view.signature}:"
            yield _fenced("\n".join(new))


def _grounded() -> Iterator[str]:
    task = load_task(_GROUNDED).model_copy(update={"context": "passage"})
    known = {line for view in _views(_GROUNDED) for line in _lines(view)}
    for view in prompt_views(DS2Instruct(task)):
        new = [line for line in _lines(view) if line not in known]
        known.update(new)
        if new:
            yield f"{view.signature}:"
            yield _fenced("\n".join(new))


def _lines(view: PromptView) -> list[str]:
    lines = (line.strip() for message in view.messages for line in message.content.splitlines())
    return list(dict.fromkeys(line for line in lines if line))


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
