"""OpenAI's chat completions, read and written: the shape of bodies, without a server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dspy import lm15

_MOST_CHOICES = 128
# What names a draw and not what is asked; a call is its content and its sample number.
_OF_THE_DRAW = frozenset({"n", "seed"})
# What the teacher can be asked; other fields are read over, as lenient servers do.
_READ = (
    "messages",
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "response_format",
)


class BadRequest(Exception):  # noqa: N818 - named as the protocol names it
    """The body cannot be read as a request; the message is for whoever sent it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One request for chat completions.

    Args:
        request: what is asked, without a sample number.
        n: choices wanted, 1 to 128.
        seed: sample number of the first choice; None lets the server count.
        content: hash of what is asked, the same for all its draws.
    """

    request: lm15.Request
    n: int
    seed: int | None
    content: str

    def sample(self, number: int) -> lm15.Request:
        """Return the request for one sample."""
        return replace(self.request, config=replace(self.request.config, seed=number))


def read_call(raw: bytes) -> ChatCall:
    """Return the call in a body of `POST /v1/chat/completions`.

    Raises:
        BadRequest: it is not JSON, not an object, or a field has a wrong type or range.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body of your request must be a JSON object.")
    if body.get("stream"):
        raise BadRequest("This server does not stream.", "stream")
    n = _integer(body, "n", 1)
    if n is None or not 1 <= n <= _MOST_CHOICES:
        raise BadRequest(f"n must be an integer from 1 to {_MOST_CHOICES}.", "n")
    for limit in ("max_tokens", "max_completion_tokens"):
        value = _integer(body, limit, None)
        if value is not None and value < 1:
            raise BadRequest(f"{limit} must be at least 1.", limit)
    asked = {name: body[name] for name in _READ if body.get(name) is not None}
    try:
        request = lm15.request_from_openai_chat(asked)
    except (lm15.LM15Error, TypeError, ValueError) as error:
        raise BadRequest(str(error)[:300]) from None
    return ChatCall(request, n, _integer(body, "seed", None), _content(body))


def reply_body(
    call: ChatCall, replies: Sequence[lm15.Response], *, number: int, created: int
) -> dict[str, Any]:
    """Return the body that answers `call`; the prompt's tokens are counted once."""
    prompt = replies[0].usage.input_tokens or 0
    output = sum(reply.usage.output_tokens or 0 for reply in replies)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
    }
    thought = [r.usage.reasoning_tokens for r in replies if r.usage.reasoning_tokens is not None]
    if thought:
        usage["completion_tokens_details"] = {"reasoning_tokens": sum(thought)}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": created,
        "model": call.request.model,
        "choices": [_choice(index, reply) for index, reply in enumerate(replies)],
        "usage": usage,
    }


def error_body(
    message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return OpenAI's error body."""
    return {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }
    }


def _choice(index: int, reply: lm15.Response) -> dict[str, Any]:
    parts = reply.message.parts
    text = "".join(part.text for part in parts if isinstance(part, lm15.TextPart))
    thinking = "".join(part.text or "" for part in parts if isinstance(part, lm15.ThinkingPart))
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["reasoning_content"] = thinking
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }


def _integer(body: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = body.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{name} must be an integer.", name)
    return value


def _content(body: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in body.items() if name not in _OF_THE_DRAW}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
