"""The choices of one chat completion, each as a reply of its own with its share of the usage (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from dspy import lm15
from dspy.lm15 import Message, Response, TextPart, ThinkingPart, Usage, response_from_openai_chat

from ds2.engines.native import BROKEN_OFF, is_readable, tidy
from ds2.engines.thinking import text_of
from ds2.engines.usage import sound_usage, whole_usage

_REASONS = frozenset({"stop", "length", "content_filter"})
# What a message of text alone holds; with anything else in it DSPy's own reader is asked.
_PLAIN = frozenset({"role", "content"})


class Tokens(NamedTuple):
    """What a reply cost, in tokens; None where the server does not say."""

    input: int | None = None
    output: int | None = None
    reasoning: int | None = None


class Choice(NamedTuple):
    """One reply of a model, its thinking kept apart."""

    text: str
    thinking: str = ""
    finish_reason: str = "stop"
    model: str = ""
    tokens: Tokens = Tokens()

    @classmethod
    def of(cls, response: Response) -> Choice:
        """Return what is kept of a response."""
        usage = response.usage
        thoughts = [p.text or "" for p in response.message.parts if isinstance(p, ThinkingPart)]
        return cls(
            text_of(response),
            "".join(thoughts),
            response.finish_reason,
            response.model or "",
            Tokens(usage.input_tokens, usage.output_tokens, usage.reasoning_tokens),
        )

    def response(self) -> Response:
        """Return it as DSPy has it."""
        thinking = [ThinkingPart(self.thinking)] if self.thinking else []
        return Response(
            id=None,
            model=self.model,
            message=Message.assistant([*thinking, TextPart(self.text)]),
            finish_reason=self.finish_reason,
            usage=Usage(
                input_tokens=self.tokens.input,
                output_tokens=self.tokens.output,
                reasoning_tokens=self.tokens.reasoning,
            ),
        )


class Spoiled(NamedTuple):
    """A choice that the server wrote, and may bill, and of which nothing can be read.

    Args:
        counted: its tokens are in the usage that was reported, and so in the shares of the others.
    """

    counted: bool


#: What came of a choice that was asked for; None for one that the server did not send.
Came: TypeAlias = Choice | Spoiled | None


def usage_of(choices: Sequence[Came]) -> Usage:
    """Return what the choices of one request cost together; unknown where one of them is."""
    came = [choice.tokens for choice in choices if isinstance(choice, Choice)]
    read, written = [tokens.input for tokens in came], [tokens.output for tokens in came]
    return Usage(
        input_tokens=None if None in read else sum(filter(None, read)),
        output_tokens=None if None in written else sum(filter(None, written)),
    )


def read_choices(data: Any, n: int, *, model: str, provider: str = "") -> list[Came]:
    """Return what came of each of the `n` choices asked for.

    Choices are told apart by their `index`: of several with the same one the first counts. Where no
    choice has an index their order is taken. As many as the server sent, up to `n`, it has written:
    one that it broke off, whose message cannot be read, that is null or has a wrong index is
    `Spoiled`; None is left for those that it did not send. What was reported for all is spread over
    the choices that can be read, see `shares`.

    Args:
        data: the body.
        n: choices that were asked for.
        model: the name it was asked under.
        provider: who reports the usage (see `whole_usage`); empty for a server by its address.

    Raises:
        lm15.ServerError: none can be read; with `n` = 1 also when more than one came.
        lm15.LM15Error: the body is the server's own report of an error.
    """
    choices = data.get("choices") if isinstance(data, dict) and not data.get("error") else None
    if not isinstance(choices, list) or not choices:
        # An error in the body, or no choice: DSPy's reader knows the words for it.
        response_from_openai_chat(data, model=model)
        raise lm15.ServerError("the reply holds no choice with a message")
    if n == 1 and len(choices) > 1:
        raise lm15.ServerError("the reply holds more choices than were asked for")
    data = {**data, "usage": sound_usage(data.get("usage"))}
    places = _places(choices, n)
    read = [None if at is None else _choice(data, choices, at, model) for at in places]
    found = {at: choice for at, choice in enumerate(read) if choice is not None}
    if not found:
        raise lm15.ServerError(_why(choices[0]))
    tokens = _tokens(data, provider, places[min(found)] or 0)
    came: list[Came] = [None] * n
    for at, share in zip(found, shares(tokens, list(found.values())), strict=True):
        came[at] = found[at]._replace(tokens=share)
    # Those that stand in their place, and as many of the missing as the server sent without one.
    written = sorted((at for at in range(n) if at not in found), key=lambda at: places[at] is None)
    for at in written[: min(len(choices), n) - len(found)]:
        came[at] = Spoiled(counted=tokens.input is not None and tokens.output is not None)
    return came


def shares(tokens: Tokens, choices: Sequence[Choice]) -> list[Tokens]:
    """Return each choice's share of the tokens of their one request; every sum is exact.

    Tokens of the prompt, which was sent once, are spread evenly; tokens of thinking by the
    characters of each choice's thinking, the other tokens of the output by those of its text. What
    does not divide goes to the first. What the server does not report stays unknown, but for
    thinking beside a text: its tokens are then its share of the characters, rounded.
    """
    said, thought = [len(c.text) for c in choices], [len(c.thinking) for c in choices]
    output, reasoning = tokens.output, tokens.reasoning
    inputs = _spread(tokens.input, [1] * len(choices))
    thoughts = _spread(reasoning, thought)
    if output is None or reasoning is None or reasoning > output:
        outputs = _spread(output, [a + b for a, b in zip(said, thought, strict=True)])
    else:
        rest = _spread(output - reasoning, said)
        outputs = [(a or 0) + (b or 0) for a, b in zip(thoughts, rest, strict=True)]
    if reasoning is None and output is not None:
        thoughts = [
            round((o or 0) * b / (a + b)) if b else None
            for o, a, b in zip(outputs, said, thought, strict=True)
        ]
    return [Tokens(*each) for each in zip(inputs, outputs, thoughts, strict=True)]


def _spread(total: int | None, weights: Sequence[int]) -> list[int | None]:
    """Return whole parts of `total` in proportion to the weights (evenly where all are 0)."""
    if total is None or len(weights) == 1:
        return [total] * len(weights)
    weights = weights if any(weights) else [1] * len(weights)
    parts = [total * weight // sum(weights) for weight in weights]
    return [part + (i < total - sum(parts)) for i, part in enumerate(parts)]


def _places(choices: Sequence[Any], n: int) -> Sequence[int | None]:
    """Return where each of the `n` choices stands in the list."""
    if n == 1:
        return (0,)
    indices = [choice.get("index") if isinstance(choice, dict) else None for choice in choices]
    if not any(isinstance(index, int) for index in indices):
        return [at if at < len(choices) else None for at in range(n)]
    return [indices.index(wanted) if wanted in indices else None for wanted in range(n)]


def _choice(data: Mapping[str, Any], choices: Sequence[Any], at: int, model: str) -> Choice | None:
    choice = choices[at]
    if not is_readable(choice) or choice.get("finish_reason") in BROKEN_OFF:
        return None
    message = choice["message"]
    content, reason = message.get("content"), choice.get("finish_reason")
    odd = any(value and name not in _PLAIN for name, value in message.items())
    if odd or reason not in _REASONS or not isinstance(content, str) or _may_think(content):
        return Choice.of(tidy(response_from_openai_chat(data, model=model, choice=at)))
    served = data.get("model")
    return Choice(content, "", reason, served if isinstance(served, str) and served else model)


def _may_think(text: str) -> bool:
    return "think" in text or "thought>" in text


def _tokens(data: Mapping[str, Any], provider: str, at: int) -> Tokens:
    if provider:
        whole = whole_usage(response_from_openai_chat(data, choice=at).usage, provider)
        return Tokens(whole.input_tokens, whole.output_tokens, whole.reasoning_tokens)
    usage = data["usage"]
    details = usage.get("completion_tokens_details") or {}
    return Tokens(
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        details.get("reasoning_tokens"),
    )


def _why(choice: Any) -> str:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return "the reply holds no choice with a message"
    if choice.get("finish_reason") in BROKEN_OFF:
        return f"the server broke the reply off ({choice['finish_reason']})"
    return "the reply holds a message whose content is no text"
