"""Models that think by themselves: which they are, and how their thinking is kept apart."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from dspy import lm15


class Thinker(NamedTuple):
    """How a model that thinks must be called.

    Args:
        fixed_temperature: the host refuses or ignores a temperature.
        completion_tokens: the host counts the limit in `max_completion_tokens`.
    """

    fixed_temperature: bool
    completion_tokens: bool


# By the last part of the model's name, lower case, whatever host serves it. A family stands here
# when it thinks unless told otherwise. Open weights take a temperature; OpenAI's reasoning models
# refuse one other than 1 and DeepSeek's API ignores it.
_OPENAI = re.compile(r"^(?:o[1-9](?:-.*)?|gpt-5(?:\.\d+)*(?!.*-chat)(?:-.*)?|codex-.*)$")
_IGNORES_TEMPERATURE = re.compile(r"^deepseek-reasoner(?:[-:].*)?$")
_OPEN = re.compile(
    r"gpt-oss|deepseek-r\d|qwq|^qwen3(?:\.\d+)?[-:]\d|^qwen3(?:\.\d+)?$|magistral|thinking|reasoner"
    r"|reasoning|^gemini-(?:2\.5|[3-9])|^grok-(?:3-mini|[4-9])|^kimi-k[3-9]|^glm-(?:4\.[5-9]|[5-9])"
    r"|^minimax-m|^smollm3"
)
_PLAIN = re.compile(r"non[-_]?(?:reasoning|thinking)|[-_:](?:instruct|chat|base|coder|embedding)\b")

_TAG = r"(think|thinking|thought)"
_BLOCK = re.compile(rf"\s*<{_TAG}>(.*?)</\1>\s*", re.DOTALL)
_UNCLOSED = re.compile(rf"\s*<{_TAG}>(.*)\Z", re.DOTALL)
_UNOPENED = re.compile(rf"\A((?:(?!<{_TAG}>).)*?)</(?:think|thinking|thought)>\s*", re.DOTALL)


def thinker(model: str) -> Thinker | None:
    """Return how `model` wants to be called when it thinks by itself, else None.

    The name decides, without its provider and publisher: `openai/gpt-5-mini`,
    `openrouter/openai/o4-mini` and `Qwen/Qwen3-8B` are recognised; `gpt-5-chat-latest`,
    `Qwen3-30B-A3B-Instruct-2507` and `grok-4-fast-non-reasoning` are plain models.

    Example:
        >>> thinker("openai/gpt-5-mini")
        Thinker(fixed_temperature=True, completion_tokens=True)
        >>> thinker("gpt-4o-mini") is None
        True
    """
    name = model.rsplit("/", 1)[-1].casefold()
    if _OPENAI.match(name):
        return Thinker(fixed_temperature=True, completion_tokens=True)
    if _IGNORES_TEMPERATURE.match(name):
        return Thinker(fixed_temperature=True, completion_tokens=False)
    if _OPEN.search(name) and not _PLAIN.search(name):
        return Thinker(fixed_temperature=False, completion_tokens=False)
    return None


def split_thinking(text: str) -> tuple[str, str]:
    """Return (thinking, reply) of a text that a server did not take apart.

    Blocks `<think>...</think>` at the start are thinking; so is everything before a closing tag
    that was never opened (a chat template may open it in the prompt), and everything after an
    opening tag that is never closed (the limit cut the reply). A block further on is left alone.

    Example:
        >>> split_thinking("<think>2 + 2</think>4")
        ('2 + 2', '4')
        >>> split_thinking("<think>2 + 2 is")
        ('2 + 2 is', '')
    """
    if "think" not in text and "thought>" not in text:
        return "", text
    thoughts: list[str] = []
    rest = text
    while block := _BLOCK.match(rest):
        thoughts.append(block[2].strip())
        rest = rest[block.end() :]
    if cut := _UNCLOSED.match(rest):
        thoughts.append(cut[2].strip())
        rest = ""
    elif not thoughts and (tail := _UNOPENED.match(rest)):
        thoughts.append(tail[1].strip())
        rest = rest[tail.end() :]
    return "\n\n".join(t for t in thoughts if t), rest


def text_of(response: lm15.Response) -> str:
    """Return what the model said, without its thinking; `message.text` is None where both are."""
    return "".join(p.text for p in response.message.parts if isinstance(p, lm15.TextPart))


def keep_apart(response: lm15.Response) -> lm15.Response:
    """Return `response` with thinking in thinking parts, its tokens counted.

    Where the server does not say how many output tokens were thinking, they are taken as the share
    of the characters, rounded: an estimate, never more than the output tokens.
    """
    parts: list[object] = []
    for part in response.message.parts:
        if isinstance(part, lm15.TextPart):
            thought, reply = split_thinking(part.text)
            if thought:
                parts.append(lm15.ThinkingPart(text=thought))
            parts.append(part if reply == part.text else lm15.TextPart(text=reply))
        else:
            parts.append(part)
    thinking = sum(len(p.text or "") for p in parts if isinstance(p, lm15.ThinkingPart))
    if parts == list(response.message.parts) and not thinking:
        return response
    said = sum(len(p.text) for p in parts if isinstance(p, lm15.TextPart))
    usage = response.usage
    if thinking and usage.reasoning_tokens is None and usage.output_tokens is not None:
        share = round(usage.output_tokens * thinking / (thinking + said))
        usage = replace(usage, reasoning_tokens=share)
    message = replace(response.message, parts=tuple(parts))
    return replace(response, message=message, usage=usage)
