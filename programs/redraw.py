"""One draw, and the one more it may get: more room after a reply that was cut, the reason after one
that does not parse.

Rule: draw with sample number s and the limit L. Where the reply was cut at L, the same sample is
asked for again with the limit min(2 L, cap), once; the same length would only be cut again. Where it
does not parse, and nothing was salvaged from it, another sample is drawn whose prompt ends with the
reason, once. What comes then counts. A reply that was withheld, or a refusal, is the model's word and
counts at once. So a draw is `MOST_CALLS` calls at most, each with a key of its own in the call log,
and what it gives is a function of its own sample number alone: votes that stop early see the same
samples as those that do not.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import dspy
from dspy.utils.exceptions import AdapterParseError, LMInvalidRequestError

from programs.sampling import call_config
from signatures.receipts import Receipt, collect

GROWTH = 2  # how much longer a reply may be, the one time it grows
MOST_CALLS = 3  # the draw, the draw with more room, the new draw
REDRAW = 1 << 19  # added to a sample number for its new draw, where a stage counts up from 0

_REFUSAL = re.compile(
    r"(?:unfortunately,? |well,? )?(?:(?:i am|i'm) (?:\w+ )?(?:sorry|afraid)\b|sorry[,.]|"
    r"i (?:cannot|can not|can't|could not|couldn't|will not|won't|must decline|have to decline|"
    r"would rather not|would prefer not|am (?:not able|unable|not allowed|not comfortable))\b|"
    r"i'm (?:not able|unable|not allowed|not comfortable)\b|"
    r"as an? (?:ai|assistant|artificial|large language|language)\b)"
)


class Drawn(NamedTuple):
    """What one call brought.

    Args:
        prediction: what was parsed; None where the reply does not parse.
        text: the raw reply; empty on a language model that hands in no receipt and parsed.
        finish_reason: why it ended; `stop` where nobody says.
        call: the key of the call in the call log, where there is one.
        problem: why it does not parse, in words for the model; empty where it does.
    """

    prediction: dspy.Prediction | None
    text: str
    finish_reason: str
    call: str | None
    problem: str

    @property
    def cut(self) -> bool:
        """Return whether it was cut at the limit on its tokens."""
        return self.finish_reason == "length"

    @property
    def withheld(self) -> bool:
        """Return whether the host's moderation withheld it."""
        return self.finish_reason == "content_filter"

    @property
    def refused(self) -> bool:
        """Return whether the model says that it will not do what was asked, and nothing else."""
        return self.prediction is None and refuses(self.text)


Ask = Callable[[dict[str, Any]], Awaitable[dspy.Prediction]]


async def draw(
    module: dspy.Module,
    ask: Ask,
    *,
    sample: int,
    again: int,
    temperature: float | None,
    cap: int | None = None,
    salvaged: Callable[[Drawn], bool] = lambda _: False,
) -> Drawn:
    """Return what counts for one sample, after the second chances that it has.

    Args:
        module: whose language model is asked.
        ask: makes the call with this `config`.
        sample: the sample number.
        again: that of the new draw after a reply that does not parse.
        temperature: with what to draw; None leaves it out.
        cap: up to which limit a reply may grow, tokens; None for twice the limit.
        salvaged: says whether a reply that does not parse can be used all the same.

    Raises:
        LMError: the language model failed.
    """
    number, words, limit = sample, "", None
    before: Drawn | None = None
    while True:
        config = call_config(module, sample=number, temperature=temperature)
        if limit is not None:
            config["max_tokens"] = limit
        try:
            drawn = await once(ask, config, words)
        except LMInvalidRequestError:
            # The endpoint takes no limit as high as that: the reply that was cut is all there is.
            if before is None:
                raise
            return before
        before = None
        if drawn.cut and limit is None and (limit := longer(module, cap)) is not None:
            before = drawn
            continue
        done = drawn.prediction is not None or drawn.cut or drawn.withheld or drawn.refused
        if done or number == again or salvaged(drawn):
            return drawn
        number, words = again, drawn.problem


async def once(ask: Ask, config: dict[str, Any], words: str = "") -> Drawn:
    """Return what one call brings; `words` say at the end of the prompt what was wrong before."""
    prediction, text, problem = None, "", ""
    with collect() as receipts, reminded(words):
        try:
            prediction = await ask(config)
        except AdapterParseError as error:
            text, problem = error.lm_response or "", _problem(error)
    last = receipts[-1] if receipts else None
    return Drawn(
        prediction,
        last.text if last else text,
        last.finish_reason if last else "stop",
        last.call if last else None,
        problem,
    )


def reread(adapter: dspy.Adapter, signature: type[dspy.Signature], receipt: Receipt) -> Drawn:
    """Return what a call brought, read once more from its receipt: nothing is asked (pure)."""
    prediction, problem = None, "it was empty"
    if receipt.text:
        try:
            prediction = dspy.Prediction(**adapter.parse(signature, receipt.text))
            problem = ""
        except AdapterParseError as error:
            problem = _problem(error)
    return Drawn(prediction, receipt.text, receipt.finish_reason, receipt.call, problem)


def longer(module: dspy.Module, cap: int | None = None) -> int | None:
    """Return the limit to which a reply of a module may grow; None where it may not, or has none."""
    limit = _limit(module)
    if limit is None:
        return None
    grown = limit * GROWTH if cap is None else min(limit * GROWTH, cap)
    return grown if grown > limit else None


def refuses(text: str) -> bool:
    """Return whether a reply opens by declining the request.

    Example:
        >>> refuses("I'm sorry, but I can't help with that."), refuses("I cannot do it: 3 of 4.")
        (True, True)
        >>> refuses("The clerk said: I cannot."), refuses("")
        (False, False)
    """
    opening = " ".join(text[:200].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    return bool(_REFUSAL.match(opening.casefold()))


@contextmanager
def reminded(words: str) -> Iterator[None]:
    """Let every prompt rendered in this block end with what was wrong with an earlier reply."""
    if not words:
        yield
        return
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    with dspy.context(adapter=_reminding(adapter, words)):
        yield


def _reminding(adapter: dspy.Adapter, words: str) -> dspy.Adapter:
    """Return a copy of any adapter whose prompts end with `words`."""
    twin = copy.copy(adapter)
    line = f"An earlier reply could not be used: {words}. Give every field, in exactly that form."

    def ending(*args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        *before, last = adapter.format(*args, **kwargs)
        content = last["content"]
        more: Any = f"\n\n{line}"
        if not isinstance(content, str):
            more = [{"type": "text", "text": line}]
        return [*before, {**last, "content": content + more}]

    twin.format = ending
    return twin


def _problem(error: AdapterParseError) -> str:
    """Return what is wrong, without a word of what the model wrote."""
    if not (error.lm_response or "").strip():
        return "it was empty"
    found = error.parsed_result if isinstance(error.parsed_result, dict) else {}
    missing = [f"`{name}`" for name in error.signature.output_fields if name not in found]
    if missing:
        return f"it could not be read, for lack of {' and '.join(missing)} in the form asked for"
    return "a field was not of its type"


def _limit(module: dspy.Module) -> int | None:
    for predictor in module.predictors():
        lm = predictor.lm or dspy.settings.lm
        limit = predictor.config.get("max_tokens", getattr(lm, "kwargs", {}).get("max_tokens"))
        return None if limit is None else int(limit)
    return None
