"""The notebook runs from top to bottom, and its outputs are those of such a run.

`DS2_WRITE_DOCS=1 pytest tests/ds2_tests/test_notebook.py` writes the outputs anew.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import json
import os
from contextlib import redirect_stdout
from pathlib import Path
from types import FunctionType
from typing import Any

import nbformat
import pytest
from pages import masked

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"
WRITE = os.environ.get("DS2_WRITE_DOCS") == "1"


async def play(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell as a notebook does, `await` at the top included, and return its outputs."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    said = io.StringIO()
    with redirect_stdout(said):
        await _run(tree, "exec", names)
        value = None
        if isinstance(last, ast.Expr):
            value = await _run(ast.Expression(last.value), "eval", names)
    outputs: list[dict[str, Any]] = []
    if said.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": said.getvalue()})
    if value is not None:
        data = {"text/plain": repr(value)}
        shown = {"data": data, "metadata": {}, "output_type": "execute_result"}
        outputs.append(shown)
    return outputs


async def _run(tree: Any, mode: str, names: dict[str, Any]) -> Any:
    code = compile(tree, NOTEBOOK.name, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = FunctionType(code, names)()
    return await result if inspect.iscoroutine(result) else result


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


async def played(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [await play("".join(cell["source"]), names) for cell in cells]


def said(outputs: list[dict[str, Any]]) -> str:
    texts = [output.get("text") or output["data"]["text/plain"] for output in outputs]
    return masked("".join("".join(text) for text in texts))


def test_the_notebook_runs_and_its_outputs_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    made = asyncio.run(played(notebook))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 5
    if WRITE:
        for number, (cell, outputs) in enumerate(zip(cells, made, strict=True), 1):
            cell["execution_count"] = number
            for output in outputs:
                if "data" in output:
                    output["data"]["text/plain"] = lines(output["data"]["text/plain"])
                    output["execution_count"] = number
                else:
                    output["text"] = lines(output["text"])
            cell["outputs"] = outputs
        text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        NOTEBOOK.write_text(text, encoding="utf-8", newline="\n")
    for cell, outputs in zip(cells, made, strict=True):
        assert said(cell["outputs"]) == said(outputs)


def test_the_notebook_is_one_by_the_format() -> None:
    nbformat.validate(nbformat.read(NOTEBOOK, as_version=4))
